/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This host as a backend: which Services it stands behind, and the EndpointSlices that say so.
 * Pure: the caller does the API calls and owns the readiness state.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "kube/decode_service.h"

#define SERVE_ANNOTATION	"io.cilium/portal"
#define SERVE_HOSTS_ANNOTATION	"mesh-external-agent.io/hosts"
#define SERVE_MANAGED_BY	"mesh-external-agent.io"
#define SERVE_V6_SUFFIX		"-v6" /* of the name of a slice; no host's name ends so */
#define SERVE_WEIGHT_ANNOTATION "service.cilium.io/weight" /* Cilium 1.20: of all backends of the slice */

struct serve_named_port {
	const char *name; /* as in a named targetPort */
	uint16_t port;
	uint8_t proto;
};

/* How the host stands to a Service, in one address family. */
struct serve_state {
	bool is_ready, is_serving, is_terminating; /* conditions of the endpoint */
	bool is_held;	  /* not known yet: what is published stays, the conditions are for a new slice only */
	bool is_gone;	  /* no slice */
	const char *text; /* why it is not ready; NULL or "" = it is */
};

/* What is to become of a workload that is ready: it serves, or others are to, as in a migration. */
struct serve_role {
	bool is_standby;  /* only those that find nobody else ready come (KEP-1669), and who is here stays */
	bool is_held;	  /* not known: what is published stays, as long as the workload is ready */
	uint16_t weight;  /* of Cilium; 0 = no annotation */
	const char *text; /* why it stands by; NULL = no reason */
};

/* All pointers are borrowed. */
struct serve_host {
	const char *name;
	const char *ns;
	const char *zone; /* NULL = none */
	const struct kube_pairs *labels;
	const struct strv *allowed; /* Services of `ns` that the host's role has the serve verb for */
	const struct serve_named_port *ports;
	size_t n_ports;
	const struct ip *addresses; /* the first of each family is published */
	size_t n_addresses;
	struct serve_state state[2]; /* IPv4, IPv6 */
	uint16_t weight; /* for the annotation; 0 = none */
};

/* Changes the states, which are those of the workload, and the weight of the host. */
void serve_host_apply(struct serve_host *h, const struct serve_role *role);

enum serve_status {
	SERVE_OK,
	SERVE_NOT_ALLOWED,  /* no serve verb for this Service */
	SERVE_NO_PORT,	    /* a named targetPort is not in the configuration */
	SERVE_NO_ADDRESS,   /* no address of a family that the Service has */
	SERVE_EXTERNAL_NAME, /* slices of such a Service are ignored by everybody */
	SERVE_STOPPED,	    /* the workload was stopped on purpose, in all families */
};

/* Result for one Service. */
struct serve_entry {
	enum serve_status status;
	char *service;
	char *uid; /* of the Service; "" = none */
	char *reason;	    /* for a person; NULL if all is well */
	char *slice_name[2]; /* IPv4, IPv6; NULL if that family is not published */
	json_t *slice[2];    /* the desired objects */
	bool is_held[2];     /* see struct serve_state */
	char *health;	     /* why it is published as not ready, in one family or both; NULL = it is ready */
};

struct serve_plan {
	struct serve_entry *v; /* sorted by service name */
	size_t n, cap;
};

/* True if the Service names this host: annotation, namespace, and selector or host list. */
bool serve_matches(const struct kube_service *s, const struct serve_host *h);

/*
 * Adds the entry for one Service to the plan; nothing if it does not name this host. A port that
 * cannot be resolved is left out of the slice and named in the reason; with no port left the
 * status is SERVE_NO_PORT. -ENOMEM.
 */
int serve_plan_add(struct serve_plan *p, const struct kube_service *s, const struct serve_host *h);

/* Orders the entries; call it once after the last serve_plan_add(). */
void serve_plan_sort(struct serve_plan *p);
void serve_plan_done(struct serve_plan *p);
DEFINE_CLEANUP_DONE(struct serve_plan, serve_plan_done)

/*
 * `<service>-mesh-<host>`, `-v6` after it for IPv6. Longer than 253 bytes: cut, with a hash of the
 * whole in its place. NULL when out of memory.
 */
char *serve_slice_name(const char *service, const char *host, int family);

/*
 * True if `existing`, as read from the API server, already says what `desired` says. Only what
 * consumers read is compared: labels and annotations of ours, owner, address type, ports, endpoints.
 */
bool serve_slice_same(const json_t *desired, const json_t *existing);

/* True if the slice is one that this host wrote, and so may remove when the plan no longer has it. */
bool serve_slice_is_ours(const json_t *slice, const struct serve_host *h);

const char *serve_status_str(enum serve_status status);
