/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CiliumEndpoint and CiliumEndpointSlice from picked fields: nothing is allocated per object. What
 * stock Cilium agents read of them is read here (Cilium pkg/k8s/watchers/cilium_endpoint.go).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/limits.h"
#include "json/json_stream.h"

/* A named port. The protocol is that of the object, TCP if it names none. */
struct kube_endpoint_port {
	char name[LIMIT_PORT_NAME + 1]; /* lower case */
	uint8_t proto;			/* IPPROTO_TCP, UDP or SCTP */
	uint16_t port;
};

struct kube_endpoint {
	char ns[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	uint32_t identity; /* 0 = none yet */
	struct ip node;	   /* where it runs; family 0 = none */
	struct ip addr[LIMIT_ADDRESSES];
	uint8_t n_addr;
	uint8_t key;	 /* encryption key index */
	uint8_t n_ports;
	struct kube_endpoint_port ports[LIMIT_NAMED_PORTS]; /* a name is there once */
	struct kube_endpoint_port port;			    /* being read */
	bool is_port_refused;
	bool is_refused; /* a field was malformed or over a limit: the object must not be used */
};

/* Field tables for json_paths_new(); the first id is REFLECTOR_FIELD_VERSION. */
extern const struct json_field kube_cep_fields[];
extern const size_t kube_cep_n_fields;
extern const struct json_field kube_ces_fields[];
extern const size_t kube_ces_n_fields;

void kube_endpoint_clear(struct kube_endpoint *e);

/* Takes one pick of a CiliumEndpoint. */
void kube_cep_pick(struct kube_endpoint *e, const struct json_pick *p);

/* True if the endpoint can be used: named, with a node and an address. Cilium ignores it otherwise. */
bool kube_endpoint_is_usable(const struct kube_endpoint *e);

/*
 * A slice: its endpoints are kept until the object is complete, since the name and the namespace may
 * come after them. The array is reused from slice to slice.
 */
struct kube_ces {
	char slice[LIMIT_NAME + 1];
	char ns[LIMIT_NAME + 1]; /* of all endpoints */
	struct kube_endpoint *endpoints;
	size_t n_endpoints, cap;
	struct kube_endpoint endpoint; /* being read */
	bool is_refused;	       /* over a limit or out of memory: must not be used */
	bool has_no_memory;	       /* that is why */
};

void kube_ces_clear(struct kube_ces *s);
void kube_ces_pick(struct kube_ces *s, const struct json_pick *p);
void kube_ces_done(struct kube_ces *s);
