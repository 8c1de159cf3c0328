/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/own_address.h"

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

size_t own_address_pick(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf,
			struct ip ret[2])
{
	struct ip picked[2] = {0};
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct ip *ip = &all->v[i].ip;
		struct ip *slot = &picked[ip->family == AF_INET ? 0 : 1];

		if (slot->family || ip_is_special(ip) || !nl_addr_is_usable(&all->v[i]))
			continue;
		if (is_enrolled(join, ip) && is_configured(conf, ip))
			*slot = *ip;
	}
	for (size_t i = 0; i < 2; i++)
		if (picked[i].family)
			ret[n++] = picked[i];
	return n;
}
