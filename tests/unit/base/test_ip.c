/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/ip.h"
#include "base/macro.h"
#include "base/reverse_zone.h"
#include "base/rng.h"

Test(ip, parse)
{
	static const struct {
		const char *text;
		int family; /* 0 = refused */
		const char *printed;
	} cases[] = {
		{"10.0.0.1", AF_INET, "10.0.0.1"},
		{"255.255.255.255", AF_INET, "255.255.255.255"},
		{"::", AF_INET6, "::"},
		{"FD00:0:0::1", AF_INET6, "fd00::1"},
		{"::ffff:10.0.0.1", AF_INET6, "::ffff:10.0.0.1"},
		{"", 0, NULL},
		{"10.0.0", 0, NULL},
		{"10.0.0.1.2", 0, NULL},
		{"10.0.0.01", 0, NULL},
		{"10.0.0.256", 0, NULL},
		{" 10.0.0.1", 0, NULL},
		{"10.0.0.1 ", 0, NULL},
		{"0x0a.0.0.1", 0, NULL},
		{"fe80::1%eth0", 0, NULL},
		{"[::1]", 0, NULL},
		{"1::2::3", 0, NULL},
		{"12345::", 0, NULL},
		{"10.0.0.1/32", 0, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip ip = {.family = 77};
		char text[IP_STRLEN];
		int r = ip_parse(cases[i].text, &ip);

		cr_expect_eq(r, cases[i].family ? 0 : -EINVAL, "\"%s\"", cases[i].text);
		cr_expect_eq(ip.family, cases[i].family ? cases[i].family : 77, "\"%s\"", cases[i].text);
		if (r == 0)
			cr_expect_str_eq(ip_str(&ip, text), cases[i].printed);
	}
}

Test(ip, ipv4_leaves_no_rest)
{
	struct ip a, b = {.family = AF_INET, .b = {10, 0, 0, 1}};

	cr_assert_eq(ip_parse("10.0.0.1", &a), 0);
	cr_expect(ip_eq(&a, &b), "unused bytes are zero");
	b = ip_from_bytes(AF_INET, "\x0a\x00\x00\x01");
	cr_expect(ip_eq(&a, &b));
}

Test(cidr, parse)
{
	static const struct {
		const char *text;
		bool bare_ok;
		const char *printed; /* NULL = refused */
	} cases[] = {
		{"10.1.2.3/8", false, "10.0.0.0/8"},
		{"10.1.2.3/32", false, "10.1.2.3/32"},
		{"10.1.2.3/0", false, "0.0.0.0/0"},
		{"10.1.2.255/25", false, "10.1.2.128/25"},
		{"fd00:ffff::1/17", false, "fd00:8000::/17"},
		{"fd00::1/128", false, "fd00::1/128"},
		{"10.1.2.3", true, "10.1.2.3/32"},
		{"fd00::1", true, "fd00::1/128"},
		{"10.1.2.3", false, NULL},
		{"10.1.2.3/33", false, NULL},
		{"fd00::1/129", false, NULL},
		{"10.1.2.3/", true, NULL},
		{"10.1.2.3/08", true, NULL},
		{"10.1.2.3/+8", true, NULL},
		{"10.1.2.3/8 ", true, NULL},
		{"10.1.2.3/8/8", true, NULL},
		{"/8", true, NULL},
		{"10.1.2.3/4294967304", true, NULL},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8", true, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cidr c;
		char text[CIDR_STRLEN];
		int r = cidr_parse(cases[i].text, cases[i].bare_ok, &c);

		cr_expect_eq(r, cases[i].printed ? 0 : -EINVAL, "\"%s\"", cases[i].text);
		if (r == 0 && cases[i].printed)
			cr_expect_str_eq(cidr_str(&c, text), cases[i].printed);
	}
}

Test(cidr, contains)
{
	static const struct {
		const char *outer, *inner;
		bool yes;
	} cases[] = {
		{"0.0.0.0/0", "10.0.0.1/32", true},   {"0.0.0.0/0", "fd00::/8", false},
		{"::/0", "10.0.0.1/32", false},	      {"10.0.0.0/8", "10.255.0.0/16", true},
		{"10.0.0.0/16", "10.0.0.0/8", false}, {"10.0.0.0/9", "10.128.0.0/9", false},
		{"10.0.0.1/32", "10.0.0.1/32", true}, {"10.0.0.1/32", "10.0.0.0/32", false},
		{"fd00::/9", "fd00:8000::1/128", true}, {"fd00::/127", "fd00::1/128", true},
		{"fd00::/127", "fd00::2/128", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cidr outer, inner;

		cr_assert_eq(cidr_parse(cases[i].outer, false, &outer), 0);
		cr_assert_eq(cidr_parse(cases[i].inner, false, &inner), 0);
		cr_expect_eq(cidr_contains(&outer, &inner), cases[i].yes, "%s in %s", cases[i].inner,
			     cases[i].outer);
	}
}

/* Bit by bit, against the definition. */
Test(cidr, mask_and_contains_against_bits)
{
	for (int round = 0; round < 20000; round++) {
		struct ip a = {.family = rng_below(2) ? AF_INET : AF_INET6}, b;
		struct cidr c;
		unsigned len, same = 0;

		rng_bytes(a.b, ip_len(&a));
		b = a;
		len = rng_below(ip_bits(&a) + 1U);
		b.b[rng_below((uint32_t)ip_len(&a))] ^= (uint8_t)(1 << rng_below(8));
		while (same < ip_bits(&a) && ((a.b[same / 8] ^ b.b[same / 8]) >> (7 - same % 8) & 1) == 0)
			same++;
		c = (struct cidr){.ip = a, .len = (uint8_t)len};
		cr_assert_eq(cidr_contains_ip(&c, &b), same >= len);
		cidr_mask(&c);
		cr_assert(cidr_contains_ip(&c, &a));
		for (unsigned i = len; i < 128; i++)
			cr_assert_eq(c.ip.b[i / 8] >> (7 - i % 8) & 1, 0);
	}
}

Test(ip, special)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
		{"0.0.0.0", true},	{"0.1.2.3", true},	   {"127.0.0.1", true},
		{"127.255.255.255", true}, {"128.0.0.1", false},   {"126.0.0.1", false},
		{"169.254.1.1", true},	{"169.253.1.1", false},	   {"169.255.1.1", false},
		{"224.0.0.1", true},	{"239.255.255.255", true}, {"223.255.255.255", false},
		{"255.255.255.255", true}, {"240.0.0.1", false},   {"10.0.0.1", false},
		{"::", true},		{"::1", true},		   {"::2", false},
		{"fe80::1", true},	{"febf::1", true},	   {"fec0::1", false},
		{"ff02::1", true},	{"fd00::1", false},	   {"2001:db8::1", false},
		{"::ffff:127.0.0.1", true}, {"::ffff:10.0.0.1", true}, {"::fffe:10.0.0.1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip ip;

		cr_assert_eq(ip_parse(cases[i].text, &ip), 0);
		cr_expect_eq(ip_is_special(&ip), cases[i].yes, "%s", cases[i].text);
	}
}

Test(ip, link_local)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {{"169.254.0.0", true}, {"169.254.169.254", true}, {"169.253.0.1", false}, {"127.0.0.1", false},
		     {"fe80::1", true},	    {"febf::1", true},	       {"fec0::1", false},     {"::1", false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip ip;

		cr_assert_eq(ip_parse(cases[i].text, &ip), 0);
		cr_expect_eq(ip_is_link_local(&ip), cases[i].yes, "%s", cases[i].text);
	}
}

Test(cidr, routable)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
		{"10.0.0.0/8", true},	{"10.244.1.0/24", true}, {"192.0.2.1/32", true}, {"fd00::/8", true}, {"2001:db8::1/128", true},
		{"10.0.0.0/7", false},	{"128.0.0.0/1", false},	 {"0.0.0.0/0", false},	 {"fc00::/7", false}, {"::/0", false},
		{"127.8.0.0/16", false}, {"224.0.0.0/8", false}, {"fe80::/64", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cidr c;

		cr_assert_eq(cidr_parse(cases[i].text, false, &c), 0, "%s", cases[i].text);
		cr_expect_eq(cidr_is_routable(&c), cases[i].yes, "%s", cases[i].text);
	}
}

Test(ip, order)
{
	struct cidr a, b, c;
	struct ip none = {0};
	char text[IP_STRLEN];

	cr_assert_eq(cidr_parse("10.0.0.0/8", false, &a), 0);
	cr_assert_eq(cidr_parse("10.0.0.0/9", false, &b), 0);
	cr_assert_eq(cidr_parse("fd00::/8", false, &c), 0);
	cr_expect_lt(cidr_cmp(&a, &b), 0);
	cr_expect_gt(cidr_cmp(&b, &a), 0);
	cr_expect_lt(cidr_cmp(&b, &c), 0);
	cr_expect_eq(cidr_cmp(&a, &a), 0);
	cr_expect_str_eq(ip_str(&none, text), "-");
}

Test(reverse_zone, names)
{
	static const struct {
		const char *range;
		size_t n;
		const char *first, *last;
	} cases[] = {
		{"10.0.0.0/8", 1, "10.in-addr.arpa", "10.in-addr.arpa"},
		{"10.96.0.0/12", 16, "96.10.in-addr.arpa", "111.10.in-addr.arpa"},
		{"10.244.0.0/16", 1, "244.10.in-addr.arpa", "244.10.in-addr.arpa"},
		{"192.0.2.64/26", 64, "64.2.0.192.in-addr.arpa", "127.2.0.192.in-addr.arpa"},
		{"192.0.2.1/32", 1, "1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"},
		{"fd00:10:96::/112", 1, "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
		 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa"},
		{"2001:db8::/46", 4, "0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "3.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
		{"2001:db8::/45", 8, "0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
		{"fd00::1/128", 1, NULL, NULL},
		{"10.0.0.0/7", 0, NULL, NULL},
		{"0.0.0.0/0", 0, NULL, NULL},
		{"fc00::/15", 0, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[REVERSE_ZONE_STRLEN];
		struct cidr c;

		cr_assert_eq(cidr_parse(cases[i].range, false, &c), 0);
		cr_assert_eq(reverse_zones(&c), cases[i].n, "%s", cases[i].range);
		if (!cases[i].first)
			continue;
		cr_expect_str_eq(reverse_zone_str(&c, 0, text), cases[i].first);
		cr_expect_str_eq(reverse_zone_str(&c, cases[i].n - 1, text), cases[i].last);
	}
}
