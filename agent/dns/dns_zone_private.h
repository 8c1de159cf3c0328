/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a zone, shared by its source files only. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "dns/dns_zone.h"

struct zone_ns {
	UT_hash_handle hh;
	char name[];
};

/* One address and port that a name stands for. */
struct zone_item {
	struct ip ip;
	uint16_t port;
	bool has_port;
	/* of an endpoint; NULL for cluster addresses */
	const struct kube_slice *slice;
	const struct kube_slice_endpoint *ep;
	const struct kube_slice_addr *addr;
};

struct dns_zone {
	const struct service_table *table;
	struct dns_zone_options opt; /* its arrays are below */
	struct dns_name apex;
	struct zone_ns *namespaces;
	struct zone_ns *visible;
	ARRAY(struct cidr) reverse;
	ARRAY(struct ip) ns_ips;
	ARRAY(struct zone_item) items; /* of the current lookup; kept so that answers need no malloc */
	ARRAY(uint64_t) seen;
	size_t n_matches; /* items and what was more than a message can hold */
	uint64_t random;
	bool is_synced;
};

struct zone_labels {
	const uint8_t *v[6];
	size_t n;
};

/* Labels of a Service's name, length-prefixed; NULL = any. */
struct zone_match {
	const uint8_t *ns, *service, *endpoint, *cluster, *port, *proto;
};

enum zone_found {
	ZONE_NOTHING, /* NXDOMAIN */
	ZONE_EMPTY,   /* the name exists without records */
	ZONE_ITEMS,
	ZONE_CNAME,
	ZONE_FAILED, /* out of memory */
};

enum dns_verdict zone_negative(const struct dns_zone *z, const struct dns_name *apex, int rcode,
			       struct dns_writer *w, struct dns_result *ret);
bool zone_is_visible(const struct dns_zone *z, const char *ns, size_t len);
uint32_t zone_random(struct dns_zone *z, uint32_t bound);

/* The labels before the apex, leftmost first. False if there are more than any name of ours has. */
bool zone_split(const struct dns_zone *z, const struct dns_name *n, struct zone_labels *ret);
bool zone_label_is(const uint8_t *label, const char *text);

/* Looks a name up; items are in z->items, an ExternalName's target in *ret_target. */
enum zone_found zone_find(struct dns_zone *z, const struct dns_name *n, struct dns_name *ret_target);
enum zone_found zone_find_service(struct dns_zone *z, const struct zone_match *m,
				  struct dns_name *ret_target);
/* Writes SRV and glue for z->items. False if there is nothing to write, or with ret->rcode set. */
bool zone_put_srv(struct dns_zone *z, const struct dns_query *q, struct dns_writer *w,
		  struct dns_result *ret);
enum dns_verdict zone_answer_reverse(void *ctx, const struct dns_query *q, struct dns_writer *w,
				     struct dns_result *ret);

/* For the provider, in dns_zone_explain.c. */
int zone_explain(void *ctx, const struct dns_query *q, struct buf *b);
int zone_explain_reverse(void *ctx, const struct dns_query *q, struct buf *b);

/* The label that names an endpoint: hostname, else pod name if wished, else the address. */
void zone_endpoint_label(const struct dns_zone *z, const struct kube_slice *s,
			 const struct kube_slice_endpoint *ep, const struct kube_slice_addr *addr,
			 uint8_t ret[DNS_LABEL_MAX + 1]);
/* <endpoint>.[<cluster>.]<service>.<ns>.svc.Z; any part but service and ns may be NULL. False if too long. */
bool zone_service_name(const struct dns_zone *z, const uint8_t *endpoint, const char *cluster,
		       const char *service, const char *ns, struct dns_name *ret);
