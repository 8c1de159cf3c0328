/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of the cluster as this host sees them: parsed, checked and kept by object. Meaning
 * is that of Cilium 1.20. What cannot be enforced here grants nothing and is reported, never
 * widened.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "identity/identity.h"
#include "json/doc.h"

enum policy_kind {
	POLICY_CNP,	   /* CiliumNetworkPolicy */
	POLICY_CCNP,	   /* CiliumClusterwideNetworkPolicy */
	POLICY_KNP,	   /* networking.k8s.io NetworkPolicy */
	POLICY_CIDR_GROUP, /* CiliumCIDRGroup */
	POLICY_KINDS,
};

enum policy_mode { POLICY_MODE_DEFAULT, POLICY_MODE_ALWAYS, POLICY_MODE_NEVER };

/* From cilium-config, except where said. */
struct policy_options {
	enum policy_mode mode;	       /* enable-policy */
	const char *cluster;	       /* cluster-name */
	bool is_local_cluster_default; /* policy-default-local-cluster */
	unsigned cidr_modes;	       /* policy-cidr-match-mode: enum cidr_match_mode */
	bool has_ipv4, has_ipv6;       /* families enabled: both = dual stack */
	bool has_icmp_rules;	       /* enable-icmp-rules */
	bool has_l7_proxy;	       /* enable-l7-proxy: without it L7 rules are invalid */
	bool has_extended_protocols;   /* enable-extended-ip-protocols */
	bool has_non_default_deny;     /* enable-non-default-deny-policies */
	bool has_node_selector_labels; /* enable-node-selector-labels */
	bool has_localhost_allow; /* allow-localhost=always; moot on a host that polices no local
				     traffic */
	bool has_subdomain_wildcard; /* Cilium 1.19 and newer: "**.x" in FQDN patterns is more than "*.x" */
	bool has_dns_server;	    /* ours: the agent's DNS server applies dns rules */
};

/* Defaults of Cilium 1.20 for a single-stack IPv4 cluster named "default". */
struct policy_options policy_options_default(void);

/* A Service, as toServices needs it. All borrowed for the call. */
struct policy_service {
	const char *ns, *name;
	const json_t *labels;	/* metadata.labels: object or NULL */
	const json_t *selector; /* spec.selector: object or NULL; an empty one counts as none */
	const struct ip *backends;
	size_t n_backends;
};
typedef int (*policy_service_fn)(const struct policy_service *svc, void *arg);

/*
 * How to see the Services. `each` calls fn for every Service of namespace `ns` (NULL = all) and
 * name `name` (NULL = all), stops at the first negative answer and returns it.
 */
struct policy_service_view {
	int (*each)(void *ctx, const char *ns, const char *name, policy_service_fn fn, void *arg);
	void *ctx;
};

struct policy_repo;

/*
 * `ids` and the strings in `options` must outlive the repository. Without a `services` view
 * toServices matches nothing. 0 or -ENOMEM, -EINVAL for options that make no sense.
 */
int policy_repo_new(struct identity_table *ids, const struct policy_options *options,
		    const struct policy_service_view *services, struct policy_repo **ret);
void policy_repo_free(struct policy_repo *r);
DEFINE_CLEANUP(struct policy_repo *, policy_repo_free)

/*
 * Who we are: takes `labels`, of the identity table's label table; `ports` are our own named ports
 * (ingress), copied. 0 or -ENOMEM.
 */
int policy_set_subject(struct policy_repo *r, struct label_set *labels,
		       const struct named_port *ports, size_t n_ports);

/*
 * Takes in one object as the API server delivers it. 1 if the set of rules changed, 0 if not (same
 * generation and content). -EBADMSG if the object is invalid: `reterr` has the path of the field
 * and the reason, the last good version stays in force; -ENOMEM, -ENOSPC past LIMIT_POLICIES, or
 * LIMIT_POLICIES_RULES of all together.
 */
int policy_set(struct policy_repo *r, enum policy_kind kind, const struct doc *obj, struct err *reterr);

/* 1 if it was there, 0 if not. `ns` is "" for cluster-wide kinds. */
int policy_remove(struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name);

/* Whether another one may be set, if it is small. */
bool policy_has_room(const struct policy_repo *r);

/* Whether that object, if it is known and was ever valid, can alter a verdict on this host; true while
 * the subject is not known. */
bool policy_counts(const struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name);

/* Services or their backends changed: the generation grows if that is something else to a rule with toServices. */
void policy_services_changed(struct policy_repo *r);

/* Grows with every change that can alter a verdict, identities and learned names apart. */
uint64_t policy_generation(const struct policy_repo *r);

/* Grows with every learned name, or address of one, that a policy looks at. */
uint64_t policy_names_generation(const struct policy_repo *r);

enum policy_state {
	POLICY_ENFORCED,
	POLICY_NOT_SELECTING, /* valid, about other endpoints */
	POLICY_REJECTED,      /* never valid: in force nowhere */
	POLICY_STALE,	      /* newest version invalid, an older one is enforced */
	POLICY_DEGRADED,      /* enforced, but something in it grants less than in Cilium */
	POLICY_SHADOW,	      /* it would select this host, but only tells what it would drop */
	POLICY_STATES,
};

/* One line of `meshctl policy list`. Borrowed for the call. */
struct policy_status {
	enum policy_kind kind;
	const char *ns, *name;
	enum policy_state state;
	const char *reason; /* why rejected, stale or degraded; else "" */
	int64_t generation;
	size_t n_rules;
	bool has_ingress, has_egress; /* some rule is about that direction */
	bool is_marked; /* its annotation asks for shadow mode */
};
typedef int (*policy_status_fn)(const struct policy_status *st, void *arg);

/* Every object, by kind, namespace and name. Stops at the first non-zero answer and returns it.
 * -ENOMEM. */
int policy_each(struct policy_repo *r, policy_status_fn fn, void *arg);

const char *policy_kind_str(enum policy_kind kind);
const char *policy_state_str(enum policy_state state);

/* Where a rule number comes from. `labels` are the rule's own labels, comma separated. Borrowed
 * until a change. */
struct policy_origin {
	enum policy_kind kind;
	const char *ns, *name;
	const char *path; /* as "specs[1].ingressDeny[0]" */
	const char *labels;
	const char *log; /* log.value or "" */
};

/* -ENOENT if no rule has that number (any more). Number 0 is never a rule. */
int policy_origin(const struct policy_repo *r, uint32_t rule, struct policy_origin *ret);

/*
 * Learned addresses of DNS names (toFQDNs). A name's set replaces the earlier one; an empty set
 * forgets it. `name` is the question name, any case, final dot or not. 1 if some policy looks at
 * it, else 0. -EINVAL, -ENOMEM.
 */
int policy_fqdn_set(struct policy_repo *r, const char *name, const struct ip *ips, size_t n);

/* Calls fn for every toFQDNs selector of a policy about this host that covers `name`; stops at the
 * first non-zero answer and returns it. The text is borrowed. */
typedef int (*policy_fqdn_fn)(const char *selector, void *arg);
int policy_fqdn_each(const struct policy_repo *r, const char *name, policy_fqdn_fn fn, void *arg);

/* Whether a matchName or matchPattern covers a name (Cilium pkg/fqdn/matchpattern). */
bool policy_fqdn_match(const char *pattern, const char *name, bool has_subdomain_wildcard);
