/* SPDX-License-Identifier: Apache-2.0 */
/* str, url, buf, err, clock. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/str.h"
#include "base/url.h"

Test(str, to_u64)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} cases[] = {
		{"0", 0, 0, 0},
		{"1", 0, -ERANGE, 0},
		{"65535", 65535, 0, 65535},
		{"65536", 65535, -ERANGE, 0},
		{"00000000000000000000000001", 9, 0, 1},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
		{"", UINT64_MAX, -EINVAL, 0},
		{" 1", UINT64_MAX, -EINVAL, 0},
		{"1 ", UINT64_MAX, -EINVAL, 0},
		{"+1", UINT64_MAX, -EINVAL, 0},
		{"-1", UINT64_MAX, -EINVAL, 0},
		{"0x10", UINT64_MAX, -EINVAL, 0},
		{"1.0", UINT64_MAX, -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t x = 4711;

		cr_expect_eq(str_to_u64(cases[i].text, cases[i].max, &x), cases[i].r, "\"%s\"", cases[i].text);
		cr_expect_eq(x, cases[i].r ? 4711 : cases[i].value, "\"%s\" gave %lu", cases[i].text, x);
	}
}

Test(str, to_hex64)
{
	static const char *const bad[] = {"", "0", "00000000000000000", "000000000000000g", "00000000000000AB", " 000000000000001",
					  "-000000000000001", "0x00000000000001"};
	uint64_t x = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(str_to_hex64(bad[i], &x), -EINVAL, "\"%s\"", bad[i]);
	cr_expect_eq(x, 7);
	cr_expect_eq(str_to_hex64("0123456789abcdef", &x), 0);
	cr_expect_eq(x, UINT64_C(0x0123456789abcdef));
	cr_expect_eq(str_to_hex64("ffffffffffffffff", &x), 0);
	cr_expect_eq(x, UINT64_MAX);
}

Test(str, to_usec)
{
	static const struct {
		const char *text;
		int r;
		uint64_t us;
	} cases[] = {
		{"250ms", 0, 250000},	{"90s", 0, 90000000},	{"5m", 0, 300000000},
		{"1h", 0, 3600000000},	{"0s", 0, 0},		{"1", -EINVAL, 0},
		{"", -EINVAL, 0},	{"s", -EINVAL, 0},	{"1d", -EINVAL, 0},
		{"1 s", -EINVAL, 0},	{"-1s", -EINVAL, 0},	{"1h30m", -EINVAL, 0},
		{"1S", -EINVAL, 0},	{"1.5s", -EINVAL, 0},	{"5124095577h", -ERANGE, 0},
		{"18446744073709551616s", -ERANGE, 0},
		{"00000000000000000000000000000001s", -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t us = 4711;

		cr_expect_eq(str_to_usec(cases[i].text, &us), cases[i].r, "\"%s\"", cases[i].text);
		cr_expect_eq(us, cases[i].r ? 4711 : cases[i].us, "\"%s\" gave %lu", cases[i].text, us);
	}
}

static char *letters(size_t n)
{
	char *s = calloc(1, n + 1);

	memset(s, 'a', n);
	return s;
}

Test(str, dns_names)
{
	static const struct {
		const char *text;
		bool is_label, is_subdomain;
	} cases[] = {
		{"a", true, true},	  {"a-b", true, true},	    {"0", true, true},
		{"a.b", false, true},	  {"a.b-c.9", false, true}, {"", false, false},
		{".", false, false},	  {"a.", false, false},	    {".a", false, false},
		{"a..b", false, false},	  {"-a", false, false},	    {"a-", false, false},
		{"a.-b", false, false},	  {"A", false, false},	    {"a_b", false, false},
		{"a b", false, false},	  {"\xc3\xa9", false, false}, {"a/b", false, false},
	};
	CLEANUP(free) char *l63 = letters(63);
	CLEANUP(free) char *l64 = letters(64);
	CLEANUP(free) char *l253 = letters(253);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cr_expect_eq(str_is_dns_label(cases[i].text), cases[i].is_label, "label \"%s\"", cases[i].text);
		cr_expect_eq(str_is_dns_subdomain(cases[i].text), cases[i].is_subdomain, "subdomain \"%s\"",
			     cases[i].text);
	}
	cr_expect(str_is_dns_label(l63));
	cr_expect_not(str_is_dns_label(l64));
	l253[63] = l253[127] = l253[191] = '.';
	cr_expect(str_is_dns_subdomain(l253));
	CLEANUP(free) char *l254 = str_printf("%sa", l253);
	cr_expect_not(str_is_dns_subdomain(l254), "254 bytes");
}

Test(str, prefix_and_suffix)
{
	cr_expect(str_has_prefix("mesh1.x", "mesh1."));
	cr_expect_not(str_has_prefix("mesh", "mesh1."));
	cr_expect(str_has_suffix("a-v6", "-v6"));
	cr_expect_not(str_has_suffix("v6", "-v6"));
	cr_expect(str_has_suffix("x", ""));
}

Test(str, split)
{
	static const struct {
		const char *text;
		size_t n;
		const char *v[3];
	} cases[] = {
		{"", 0, {0}},
		{",", 0, {0}},
		{"a", 1, {"a"}},
		{",a,,b,", 2, {"a", "b"}},
		{"a,b c,d", 3, {"a", "b c", "d"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(strv_done) struct strv l = {0};

		cr_assert_eq(strv_split(&l, cases[i].text, ','), 0);
		cr_assert_eq(l.n, cases[i].n, "\"%s\"", cases[i].text);
		for (size_t j = 0; j < l.n; j++) {
			cr_expect_str_eq(l.v[j], cases[i].v[j]);
			cr_expect(strv_has(&l, cases[i].v[j]));
		}
		cr_expect_not(strv_has(&l, "zz"));
	}
}

Test(buf, grows_to_its_maximum_and_not_past_it)
{
	CLEANUP(buf_done) struct buf b = {.max = 1000};
	char text[999];

	memset(text, 'x', sizeof(text));
	cr_assert_eq(buf_add(&b, text, sizeof(text)), 0);
	cr_expect_eq(buf_add(&b, "yz", 2), -E2BIG);
	cr_expect_eq(buf_addf(&b, "%d", 10), -E2BIG);
	cr_expect_eq(b.len, 999);
	cr_expect_eq(buf_add(&b, "y", 1), 0);
	cr_expect_eq(b.data[1000], '\0');
	cr_expect_eq(buf_add(&b, text, SIZE_MAX), -E2BIG, "the sum overflows");
	cr_expect_eq(b.data[999], 'y');
}

/* What len says is followed by a NUL after each operation. */
Test(buf, stays_terminated)
{
	CLEANUP(buf_done) struct buf b = {.max = 8};

	cr_assert_eq(buf_add(&b, "abcdef", 6), 0);
	buf_consume(&b, 2);
	cr_expect_str_eq(b.data, "cdef");
	cr_expect_eq(buf_add_escaped(&b, "xy//"), -E2BIG);
	cr_expect_str_eq(b.data, "cdef", "as before a failure");
	buf_consume(&b, 4);
	cr_expect_eq(b.len, 0);
	cr_expect_str_eq(b.data, "");
	cr_assert_eq(buf_add(&b, "ghi", 3), 0);
	buf_consume(&b, 100);
	cr_expect_str_eq(b.data, "");
	cr_assert_eq(buf_add(&b, "jkl", 3), 0);
	buf_clear(&b);
	cr_expect_eq(b.len, 0);
	cr_expect_str_eq(b.data, "");
}

Test(buf, escapes_for_queries)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"azAZ09-._~", "azAZ09-._~"},
		{"a=b&c/d e+%", "a%3Db%26c%2Fd%20e%2B%25"},
		{"\xc3\xa9", "%C3%A9"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {0};

		cr_assert_eq(buf_add(&b, "", 0), 0);
		cr_assert_eq(buf_add_escaped(&b, cases[i].in), 0);
		cr_expect_str_eq(b.data, cases[i].out);
	}
}

Test(err, prefix_and_cut)
{
	struct err e = {0};
	CLEANUP(free) char *big = letters(2000);

	cr_expect_eq(err_set(&e, EINVAL, "bad %s", "port"), -EINVAL);
	cr_expect_eq(err_prefix(&e, -EINVAL, "line %d", 7), -EINVAL);
	cr_expect_str_eq(e.text, "line 7: bad port");
	cr_expect_eq(err_set(NULL, EPERM, "x"), -EPERM);
	cr_expect_eq(err_prefix(NULL, -EPERM, "x"), -EPERM);
	cr_expect_eq(err_set(&e, EINVAL, "%s", big), -EINVAL);
	cr_expect_eq(strlen(e.text), sizeof(e.text) - 1);
	cr_expect_eq(err_prefix(&e, -EINVAL, "%s", big), -EINVAL);
	cr_expect_eq(strlen(e.text), sizeof(e.text) - 1);
	cr_expect_str_eq(err_name(-ENOENT), err_name(ENOENT));
}

Test(clock, parse_rfc3339)
{
	static const struct {
		const char *text;
		int r;
		int64_t s;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2024-02-29T12:34:56Z", 0, 1709210096},
		{"2024-02-29T12:34:56z", 0, 1709210096},
		{"2024-02-29T12:34:56.123456789Z", 0, 1709210096},
		{"2024-02-29T13:34:56+01:00", 0, 1709210096},
		{"2024-02-29T07:04:56-05:30", 0, 1709210096},
		{"9999-12-31T23:59:59Z", 0, 253402300799},
		{"2016-12-31T23:59:60Z", 0, 1483228800},
		{"2024-02-29T12:34:56", -EINVAL, 0},
		{"2024-02-29T12:34:56.Z", -EINVAL, 0},
		{"2024-02-29T12:34:56ZZ", -EINVAL, 0},
		{"2024-02-29 12:34:56Z", -EINVAL, 0},
		{" 2024-02-29T12:34:56Z", -EINVAL, 0},
		{"2024-2-29T12:34:56Z", -EINVAL, 0},
		{"2024- 2-29T12:34:56Z", -EINVAL, 0},
		{"+024-02-29T12:34:56Z", -EINVAL, 0},
		{"2023-02-29T12:34:56Z", -EINVAL, 0},
		{"2024-04-31T12:34:56Z", -EINVAL, 0},
		{"2024-00-01T12:34:56Z", -EINVAL, 0},
		{"2024-13-01T12:34:56Z", -EINVAL, 0},
		{"2024-01-00T12:34:56Z", -EINVAL, 0},
		{"2024-02-29T24:00:00Z", -EINVAL, 0},
		{"2024-02-29T12:60:00Z", -EINVAL, 0},
		{"2024-02-29T12:00:61Z", -EINVAL, 0},
		{"2024-02-29T12:34:56+1:000", -EINVAL, 0},
		{"2024-02-29T12:34:56+-1:05", -EINVAL, 0},
		{"2024-02-29T12:34:56+ 1:05", -EINVAL, 0},
		{"2024-02-29T12:34:56+24:00", -EINVAL, 0},
		{"2024-02-29T12:34:56+01:60", -EINVAL, 0},
		{"2024-02-29T12:34:56+0100", -EINVAL, 0},
		{"2024-02-29T12:34:56+01", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"null", -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t s = 4711;

		cr_expect_eq(clock_parse_rfc3339(cases[i].text, &s), cases[i].r, "\"%s\"", cases[i].text);
		cr_expect_eq(s, cases[i].r ? 4711 : cases[i].s, "\"%s\" gave %ld", cases[i].text, s);
	}
}

Test(clock, prints_what_it_parses)
{
	char text[28];
	int64_t before = clock_wall_s(), s;

	clock_rfc3339_micro(clock_wall_us(), text);
	cr_expect_eq(strlen(text), 27);
	cr_assert_eq(clock_parse_rfc3339(text, &s), 0, "%s", text);
	cr_expect(s >= before && s <= clock_wall_s());
	cr_expect_leq(clock_boot_us(), clock_boot_us());
}

Test(url, split)
{
	static const struct {
		const char *text, *host; /* NULL: none */
		uint16_t port;
	} cases[] = {
		{"https://api.example", "api.example", 443},
		{"https://192.0.2.1:6443", "192.0.2.1", 6443},
		{"https://192.0.2.1:6443/", "192.0.2.1", 6443},
		{"https://[2001:db8::1]", "2001:db8::1", 443},
		{"https://[2001:db8::1]:6443/path", "2001:db8::1", 6443},
		{"https://", NULL, 0},
		{"https:///path", NULL, 0},
		{"https://:6443", NULL, 0},
		{"https://a:", NULL, 0},
		{"https://a:0", NULL, 0},
		{"https://a:65536", NULL, 0},
		{"https://a:6443x", NULL, 0},
		{"https://a:000000443", NULL, 0},
		{"https://[2001:db8::1", NULL, 0},
		{"https://[192.0.2.1]", NULL, 0},
		{"https://[2001:db8::1]x", NULL, 0},
		{"https://a?b", NULL, 0},
		{"https://a b", NULL, 0},
		{"http://a", NULL, 0},
		{"", NULL, 0},
	};
	char text[400];
	struct url url;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cr_assert_eq(url_split(cases[i].text, &url), cases[i].host ? 0 : -EINVAL, "%s", cases[i].text);
		if (!cases[i].host)
			continue;
		cr_expect_str_eq(url.host, cases[i].host);
		cr_expect_eq(url.port, cases[i].port);
		cr_expect_eq(url.is_address6, cases[i].text[strlen("https://")] == '[');
	}
	(void)snprintf(text, sizeof(text), "https://%0*d", URL_HOST_MAX, 0);
	cr_expect_eq(url_split(text, &url), 0);
	(void)snprintf(text, sizeof(text), "https://%0*d", URL_HOST_MAX + 1, 0);
	cr_expect_eq(url_split(text, &url), -EINVAL);
}
