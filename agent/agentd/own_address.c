/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/own_address.h"

#include <linux/if_addr.h>

static bool is_enrolled(const struct join_state *join, const struct ip *ip)
{
	for (size_t i = 0; i < join->addresses.n; i++) {
		struct cidr c;

		if (cidr_parse(join->addresses.v[i], true, &c) == 0 && cidr_contains_ip(&c, ip))
			return true;
	}
	return false;
}

static bool is_configured(const struct conf *conf, const struct ip *ip)
{
	for (size_t i = 0; i < conf->addresses.n; i++)
		if (ip_eq(&conf->addresses.v[i], ip))
			return true;
	return conf->addresses.n == 0;
}

static bool is_one_of(const struct ip *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i], ip))
			return true;
	return false;
}

size_t own_address_pick(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf,
			const struct ip *now, size_t n_now, struct ip ret[2])
{
	struct {
		const struct ip *ip;
		int rank; /* 0 = none */
	} best[2] = {0};
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct ip *ip = &all->v[i].ip;
		size_t family = ip->family == AF_INET ? 0 : 1;
		int rank = is_one_of(now, n_now, ip) ? 3 : all->v[i].flags & IFA_F_DEPRECATED || nl_addr_is_temporary(&all->v[i]) ? 1 : 2;

		if (rank <= best[family].rank || ip_is_special(ip) || !nl_addr_is_usable(&all->v[i]))
			continue;
		if (!is_enrolled(join, ip) || !is_configured(conf, ip))
			continue;
		best[family].ip = ip;
		best[family].rank = rank;
	}
	for (size_t i = 0; i < 2; i++)
		if (best[i].rank)
			ret[n++] = *best[i].ip;
	return n;
}
