/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/own_address.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/str.h"

enum { LIST_LEN = 120 };

bool own_address_is_enrolled(const struct join_state *join, const struct ip *ip)
{
	for (size_t i = 0; i < join->addresses.n; i++) {
		struct cidr c;

		if (cidr_parse(join->addresses.v[i], true, &c) == 0 && cidr_contains_ip(&c, ip))
			return true;
	}
	return false;
}

int own_address_follow(struct join_state *join, const char *ranges)
{
	CLEANUP(strv_done) struct strv now = {0};
	bool is_same;

	if (strv_split(&now, ranges, ',') < 0)
		return -ENOMEM;
	if (!now.n || now.n > LIMIT_ADDRESSES)
		return -EINVAL;
	is_same = now.n == join->addresses.n;
	for (size_t i = 0; i < now.n; i++) {
		struct cidr c;

		if (cidr_parse(now.v[i], true, &c) < 0)
			return -EINVAL;
		is_same = is_same && str_eq(now.v[i], join->addresses.v[i]);
	}
	if (is_same)
		return 0;
	strv_done(&join->addresses);
	join->addresses = now;
	now = (struct strv){0};
	return 1;
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
		if (!own_address_is_enrolled(join, ip) || !is_configured(conf, ip))
			continue;
		best[family].ip = ip;
		best[family].rank = rank;
	}
	for (size_t i = 0; i < 2; i++)
		if (best[i].rank)
			ret[n++] = *best[i].ip;
	return n;
}

static void add(char list[LIST_LEN], const char *text)
{
	size_t len = strlen(list);

	if (len + strlen(text) + sizeof(", ...") <= LIST_LEN)
		(void)snprintf(list + len, LIST_LEN - len, "%s%s", len ? ", " : "", text); /* fits */
	else if (!str_has_suffix(list, "..."))
		(void)snprintf(list + len, LIST_LEN - len, "..."); /* fits, by the room kept above */
}

void own_address_complain(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf, const struct ip *now,
			  size_t n_now, struct err *reterr)
{
	char has[LIST_LEN] = "", enrolled[LIST_LEN] = "", configured[LIST_LEN] = "", is[LIST_LEN] = "", text[IP_STRLEN];

	for (size_t i = 0; i < all->n; i++)
		if (!ip_is_special(&all->v[i].ip) && nl_addr_is_usable(&all->v[i]))
			add(has, ip_str(&all->v[i].ip, text));
	for (size_t i = 0; i < join->addresses.n; i++)
		add(enrolled, join->addresses.v[i]);
	for (size_t i = 0; i < conf->addresses.n; i++)
		add(configured, ip_str(&conf->addresses.v[i], text));
	for (size_t i = 0; i < n_now; i++)
		add(is, ip_str(&now[i], text));
	(void)err_set(reterr, EADDRNOTAVAIL, "this host has %s, and is enrolled for %s only%s%s%s%s", *has ? has : "no address", enrolled,
		      *configured ? ", and configured for " : "", configured, *is ? "; the cluster still knows it by " : "",
		      is); /* the text is what counts */
}
