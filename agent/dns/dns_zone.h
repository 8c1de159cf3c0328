/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's zones, answered from the service table: cluster.local by the Kubernetes DNS
 * specification 1.1.0 with the behaviour of the CoreDNS plugin where that is silent, and
 * clusterset.local by the multicluster specification 1.0.0. One object per zone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "dns/dns_msg.h"
#include "dns/dns_provider.h"
#include "service/service.h"

struct dns_zone;

struct dns_zone_options {
	const char *apex;	/* "cluster.local" */
	uint32_t ttl;		/* seconds of records and of negative answers; 0 = 5 */
	bool is_multicluster;	/* clusterset.local: schema 1.0.0, host.cluster.svc.ns names, no PTR */
	bool has_pod_names;	/* a-b-c-d.ns.pod.Z echoes the address (CoreDNS pods insecure) */
	bool use_target_names;	/* endpoints without hostname are named by their pod */
	const struct cidr *reverse; /* ranges whose reverse names are ours: NXDOMAIN if unknown */
	size_t n_reverse;
	const struct ip *ns_ips; /* addresses of ns.dns.Z */
	size_t n_ns_ips;
};

/*
 * The table is borrowed and read at each answer. The zone answers SERVFAIL until dns_zone_set_synced().
 * -EINVAL with text for an illegal apex; -ENOMEM.
 */
int dns_zone_new(const struct service_table *table, const struct dns_zone_options *opt,
		 struct dns_zone **ret, struct err *reterr);
void dns_zone_free(struct dns_zone *z);
DEFINE_CLEANUP(struct dns_zone *, dns_zone_free)

/* Adds or removes a Namespace: it decides between NODATA and NXDOMAIN. 0 or -ENOMEM. */
int dns_zone_set_namespace(struct dns_zone *z, const char *ns, bool exists);

/* Once the caller has complete lists. It is never taken back: an API outage keeps the last answers. */
void dns_zone_set_synced(struct dns_zone *z);

/* Limits the visible namespaces; others are NXDOMAIN. NULL or empty = all. 0 or -ENOMEM. */
struct strv;
int dns_zone_set_visible(struct dns_zone *z, const struct strv *namespaces);

/* What the zone holds now; walks all Services. */
struct dns_zone_counts {
	size_t services; /* that have a name */
	size_t records;	 /* addresses and aliases under the names of Services, an endpoint's once */
};
void dns_zone_counts(struct dns_zone *z, struct dns_zone_counts *ret);

/* The zone and its reverse names as providers for a server, in this order. */
void dns_zone_provider(struct dns_zone *z, struct dns_provider *ret_forward,
		       struct dns_provider *ret_reverse);
