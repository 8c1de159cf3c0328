/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns rules: which names this host may look up, and whose answers count for toFQDNs (Cilium
 * pkg/fqdn/dnsproxy). The agent's own DNS server is asked; to policies its peers are the DNS servers
 * that it stands for.
 */
#pragma once

#include "policy/policy_model.h"

/* A DNS server as policies see it. Borrowed for the call. */
struct policy_dns_server {
	struct policy_model_peer peer;
	uint16_t port;
	bool is_cluster; /* the cluster's own; else one that only names outside of the cluster go to */
};

enum policy_dns_verdict {
	POLICY_DNS_FREE,   /* no dns rule is about it: looked up, not learned */
	POLICY_DNS_PASS,   /* allowed by a rule without names at a server without dns rules: the same */
	POLICY_DNS_LEARN,  /* allowed at a server with dns rules: looked up, the answer counts */
	POLICY_DNS_REFUSE, /* no server may be asked for it */
};

/* The dns rules in force at one moment, independent of the repository. */
struct policy_dns;

/* 0; -ENOMEM, -ENOSPC. */
int policy_dns_new(struct policy_repo *r, const struct policy_dns_server *servers, size_t n,
		   struct policy_dns **ret);
void policy_dns_free(struct policy_dns *d);
DEFINE_CLEANUP(struct policy_dns *, policy_dns_free)

/* False: every verdict is POLICY_DNS_FREE. NULL is fine. */
bool policy_dns_applies(const struct policy_dns *d);

/* Whether a toFQDNs selector covers the name, so that its answers matter. NULL is fine. */
bool policy_dns_wants(const struct policy_dns *d, const char *name);

/*
 * A question for `name` (lower case, final dot or not) that came by `proto` (UDP or TCP). Names of
 * the cluster are asked of its own DNS only; others of every server, and one that allows is enough.
 */
enum policy_dns_verdict policy_dns_check(const struct policy_dns *d, bool is_cluster_name,
					 uint8_t proto, const char *name);

/*
 * Whether packets of that protocol to the first of the servers are allowed whatever name they ask for. NULL
 * is fine: false.
 */
bool policy_dns_opens(const struct policy_dns *d, uint8_t proto);

/* Whether a policy in force about this host has dns rules for port 53 of anyone. */
bool policy_dns_is_filtered(struct policy_repo *r);
