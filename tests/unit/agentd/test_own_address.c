/* SPDX-License-Identifier: Apache-2.0 */
/* Which address a host is known by, and that it stays the same while it can. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_addr.h>

#include "agentd/own_address.h"
#include "base/macro.h"

static struct join_state join;
static struct conf conf;

static struct nl_addr addr(const char *text, uint32_t flags)
{
	struct nl_addr a = {.ifindex = 2, .flags = flags};

	cr_assert_eq(ip_parse(text, &a.ip), 0);
	return a;
}

static void expect(struct nl_addr *v, size_t n, const char *now, const char *want)
{
	struct nl_addrs all = {.v = v, .n = n};
	struct ip current, picked[2];
	char text[IP_STRLEN];
	size_t n_now = 0, n_picked;

	if (now) {
		cr_assert_eq(ip_parse(now, &current), 0);
		n_now = 1;
	}
	n_picked = own_address_pick(&all, &join, &conf, &current, n_now, picked);
	cr_assert_eq(n_picked, want ? 1 : 0);
	if (want)
		cr_expect_str_eq(ip_str(&picked[0], text), want);
}

static void setup(void)
{
	cr_assert_eq(strv_add(&join.addresses, "10.9.0.0/24"), 0);
	cr_assert_eq(strv_add(&join.addresses, "fd00::/64"), 0);
}

Test(own_address, first_of_the_enrolled, .init = setup)
{
	struct nl_addr v[] = {addr("10.8.0.1", 0), addr("10.9.0.7", IFA_F_TENTATIVE), addr("10.9.0.8", 0), addr("10.9.0.9", 0)};

	expect(v, ARRAY_LEN(v), NULL, "10.9.0.8");
	expect(v, 1, NULL, NULL);
	cr_assert_eq(ARRAY_ADD(&conf.addresses, v[3].ip), 0);
	expect(v, ARRAY_LEN(v), NULL, "10.9.0.9");
}

/* A second address that sorts before the first must not cut every connection. */
Test(own_address, stays, .init = setup)
{
	struct nl_addr v[] = {addr("10.9.0.2", 0), addr("10.9.0.8", 0)};

	expect(v, ARRAY_LEN(v), "10.9.0.8", "10.9.0.8");
	expect(v, 1, "10.9.0.8", "10.9.0.2");
}

Test(own_address, temporary_and_deprecated_last, .init = setup)
{
	struct nl_addr v[] = {addr("fd00::1", IFA_F_TEMPORARY), addr("fd00::2", IFA_F_DEPRECATED), addr("fd00::3", 0)};
	struct nl_addr second[] = {addr("10.9.0.2", IFA_F_SECONDARY), addr("10.9.0.8", 0)};

	expect(v, ARRAY_LEN(v), NULL, "fd00::3");
	expect(v, 2, NULL, "fd00::1");
	expect(v, ARRAY_LEN(v), "fd00::2", "fd00::2");
	expect(second, ARRAY_LEN(second), NULL, "10.9.0.2");
}

Test(own_address, says_why_not, .init = setup)
{
	struct nl_addr v[] = {addr("127.0.0.1", 0), addr("10.8.0.1", 0), addr("10.8.0.2", 0)};
	struct nl_addrs all = {.v = v, .n = ARRAY_LEN(v)};
	struct err err;

	own_address_complain(&all, &join, &conf, NULL, 0, &err);
	cr_expect_str_eq(err.text, "this host has 10.8.0.1, 10.8.0.2, and is enrolled for 10.9.0.0/24, fd00::/64 only");
	own_address_complain(&(struct nl_addrs){0}, &join, &conf, &v[1].ip, 1, &err);
	cr_expect_str_eq(err.text, "this host has no address, and is enrolled for 10.9.0.0/24, fd00::/64 only; the cluster still knows it by 10.8.0.1");
	cr_assert_eq(ARRAY_ADD(&conf.addresses, v[1].ip), 0);
	own_address_complain(&all, &join, &conf, NULL, 0, &err);
	cr_expect_str_eq(err.text, "this host has 10.8.0.1, 10.8.0.2, and is enrolled for 10.9.0.0/24, fd00::/64 only, and configured for 10.8.0.1");
}

Test(own_address, a_long_list_is_cut, .init = setup)
{
	struct nl_addr v[64];
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = addr("10.8.100.200", 0);
	own_address_complain(&(struct nl_addrs){.v = v, .n = ARRAY_LEN(v)}, &join, &conf, NULL, 0, &err);
	cr_expect(strstr(err.text, "10.8.100.200, 10.8.100.200..., and is enrolled for"), "%s", err.text);
}

/* An admin enrols the host anew while it runs. */
Test(own_address, follows_the_enrolment, .init = setup)
{
	struct nl_addr v[] = {addr("10.9.0.8", 0), addr("10.7.0.8", 0)};

	cr_expect_eq(own_address_follow(&join, "10.9.0.0/24,fd00::/64"), 0);
	cr_expect_eq(own_address_follow(&join, "10.7.0.0/24,10.9.0.9/32"), 1);
	cr_expect_eq(join.addresses.n, 2);
	expect(v, ARRAY_LEN(v), "10.9.0.8", "10.7.0.8");
	cr_expect(own_address_is_enrolled(&join, &v[1].ip));
	cr_expect_not(own_address_is_enrolled(&join, &v[0].ip));
}

Test(own_address, follows_no_nonsense, .init = setup)
{
	static const char *const bad[] = {"", ",", "10.9.0.0/33", "10.9.0.0/24,x", " 10.9.0.0/24",
					  "10.1.0.0/24,10.1.1.0/24,10.1.2.0/24,10.1.3.0/24,10.1.4.0/24,10.1.5.0/24,10.1.6.0/24,10.1.7.0/24,10.1.8.0/24,"
					  "10.2.0.0/24,10.2.1.0/24,10.2.2.0/24,10.2.3.0/24,10.2.4.0/24,10.2.5.0/24,10.2.6.0/24,10.2.7.0/24,10.2.8.0/24"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(own_address_follow(&join, bad[i]), -EINVAL, "%s", bad[i]);
	cr_expect_eq(join.addresses.n, 2);
	cr_expect_str_eq(join.addresses.v[0], "10.9.0.0/24");
}
