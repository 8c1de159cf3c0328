/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which DNS servers the agent's own one stands for. A pod asks kube-dns; this host asks the agent,
 * which answers what kube-dns would, and asks the resolvers of the host for the rest. So a dns rule
 * counts here if its peer is kube-dns, or for names outside of the cluster one of the resolvers.
 */
#pragma once

#include "agentd/world.h"
#include "dns/dns_forward.h"
#include "policy/policy_dns.h"

enum { FQDN_SERVERS_MAX = 16 };

/* Their identities; changes of these, and of the policies, make other rules. */
struct fqdn_servers {
	struct {
		uint32_t identity; /* 0 = kube-dns as every cluster labels it, while none is known */
		const struct label_set *labels; /* only to be compared */
		uint16_t port;
		bool is_cluster;
	} v[FQDN_SERVERS_MAX];
	size_t n;
};

void fqdn_servers_find(const struct world *w, const struct dns_upstream *upstreams, size_t n, struct fqdn_servers *ret);
/* One server alone, whoever it is; names of the cluster are asked of it as any others. */
void fqdn_servers_one(const struct world *w, const struct ip *ip, uint16_t port, struct fqdn_servers *ret);
/* Whether the address is of kube-dns: of its Service, or of an endpoint behind it. */
bool fqdn_is_kube_dns(const struct world *w, const struct ip *ip);
bool fqdn_servers_eq(const struct fqdn_servers *a, const struct fqdn_servers *b);

/* The dns rules of the policies for these servers. 0, -ENOMEM, -ENOSPC. */
int fqdn_servers_rules(const struct world *w, const struct fqdn_servers *s, struct policy_dns **ret);
