/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin's side of joining: makes the objects that a host will fill in, and its join token. Every
 * step accepts what an earlier, interrupted run left, so that running it again completes it.
 */
#pragma once

#include "join/address_check.h"
#include "join/join_token.h"
#include "kube/kube_object.h"

/* NULL for what an enrolled host has already keeps it; a new host needs namespace, labels and addresses. */
struct enrol_options {
	const char *host, *namespace;
	const json_t *labels; /* object, checked with label_check() */
	const struct address_list *addresses;
	const struct strv *services;   /* of the namespace, that the host may stand behind; NULL: those it has */
	bool has_weigh, may_weigh;     /* may_weigh: give them weights, too; without has_weigh as it may now */
	const char *zone;	       /* that its endpoints may be in; "" = none, NULL: that it has */
	const char *service_account;   /* in the identity; NULL = that it has, else MESH_SERVICE_ACCOUNT */
	const char *cilium_namespace;  /* where cilium-config is; NULL = it is looked for */
	const struct strv *servers;    /* as the host reaches them */
	const char *ca_pem;
	bool has_pin_only;	       /* a shorter token, for servers that present their CA */
	uint64_t ttl_s;		       /* of the join token; at least 600 */
};

struct enrol_result {
	struct join_token token;
	struct strv warnings;
	struct strv changes; /* what is other than it was enrolled: "addresses: A, before B" */
	char *namespace;
	json_t *labels;
	uint32_t identity;
	bool is_new; /* false: all was there, only the token is new */
};

/* 0, or -EINVAL with a text for what can be no host's name. */
int enrol_check_name(const char *host, struct err *reterr);

void enrol_result_done(struct enrol_result *r);
DEFINE_CLEANUP_DONE(struct enrol_result, enrol_result_done)

/*
 * Enrols, or completes, or renews the token. What an option gives is changed, the rest stays as it was
 * enrolled; labels never change. With a dry run nothing is stored and no token is made.
 * -EINVAL: what is asked for cannot be; -EEXIST: the name belongs to something else, or to a host
 * with other labels (the text says which); -EADDRINUSE; -EOPNOTSUPP: the cluster cannot have external
 * hosts, or their limits are not in force; -ENOENT: a namespace or service is missing; -ENOSPC: no identity is free; errors as kube_call().
 */
int enrol_host(const struct kube_session *s, const struct enrol_options *o, struct enrol_result *ret, struct err *reterr);

/*
 * All enrolled hosts: array of {name, namespace, labels, identity, addresses, claimed, state,
 * heartbeat, note}; `note` is what the admin should see to, or null.
 */
int enrol_list(const struct kube_session *s, json_t **ret, struct err *reterr);

/*
 * Takes a host out of the cluster: its credentials and rights first, then its EndpointSlices, so that no Service keeps a
 * backend that nobody looks after; deletes only what bears its label. -EINVAL for what is no name of a host; -ENOENT if
 * there is none of that name; -EPERM if it is something else's; errors as kube_call(), after which a second run goes on.
 */
int enrol_remove(const struct kube_session *s, const char *host, struct err *reterr);
