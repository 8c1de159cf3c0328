/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/str.h"
#include "dns/dns_response.h"
#include "fixture.h"

/* Header with counts and `more` behind it. */
static size_t raw(uint8_t *buf, uint16_t flags, const uint16_t counts[4], const void *more, size_t len)
{
	buf[0] = 0x12;
	buf[1] = 0x34;
	buf[2] = (uint8_t)(flags >> 8);
	buf[3] = (uint8_t)flags;
	for (size_t i = 0; i < 4; i++) {
		buf[4 + 2 * i] = (uint8_t)(counts[i] >> 8);
		buf[5 + 2 * i] = (uint8_t)counts[i];
	}
	memcpy(buf + 12, more, len);
	return 12 + len;
}

#define ONE ((const uint16_t[]){1, 0, 0, 0})

Test(msg, hostile_queries_are_format_errors)
{
	static const struct {
		const char *what, *more;
		size_t len;
		uint16_t counts[4];
	} bad[] = {
		{"no question", "", 0, {0, 0, 0, 0}},
		{"two questions", "\1a\0\0\1\0\1\1a\0\0\1\0\1", 14, {2, 0, 0, 0}},
		{"name without end", "\3abc", 4, {1, 0, 0, 0}},
		{"label past the end", "\77abc\0", 5, {1, 0, 0, 0}},
		{"no type", "\1a\0\0", 4, {1, 0, 0, 0}},
		{"pointer to itself", "\300\14\0\1\0\1", 6, {1, 0, 0, 0}},
		{"pointer forward", "\300\20\0\1\0\1\0\0\0\0", 10, {1, 0, 0, 0}},
		{"pointer into the header", "\300\0\0\1\0\1", 6, {1, 0, 0, 0}},
		{"pointer cut", "\300", 1, {1, 0, 0, 0}},
		{"reserved label type", "\100a\0\0\1\0\1", 7, {1, 0, 0, 0}},
		{"bytes after the question", "\1a\0\0\1\0\1x", 8, {1, 0, 0, 0}},
		{"record missing", "\1a\0\0\1\0\1", 7, {1, 0, 0, 1}},
		{"record data past the end", "\1a\0\0\1\0\1\0\0\51\4\320\0\0\0\0\0\5x", 19, {1, 0, 0, 1}},
		{"OPT with an owner", "\1a\0\0\1\0\1\1a\0\0\51\4\320\0\0\0\0\0\0", 20, {1, 0, 0, 1}},
		{"OPT as an answer", "\1a\0\0\1\0\1\0\0\51\4\320\0\0\0\0\0\0", 18, {1, 1, 0, 0}},
		{"two OPT", "\1a\0\0\1\0\1\0\0\51\4\320\0\0\0\0\0\0\0\0\51\4\320\0\0\0\0\0\0", 29, {1, 0, 0, 2}},
	};
	uint8_t buf[DNS_UDP_MIN];
	struct dns_query q;
	struct fixture f;

	fixture_init(&f, NULL, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = raw(buf, 0x100, bad[i].counts, bad[i].more, bad[i].len);
		ldns_pkt *p;

		cr_expect_eq(dns_query_parse(buf, len, &q), -EPROTO, "%s", bad[i].what);
		p = fixture_ask(&f, buf, len);
		cr_assert(p, "%s", bad[i].what);
		cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_FORMERR, "%s", bad[i].what);
		cr_expect_eq(ldns_pkt_id(p), 0x1234);
		ldns_pkt_free(p);
	}
	fixture_done(&f);
}

Test(msg, what_deserves_no_answer)
{
	uint8_t buf[DNS_UDP_MIN];
	struct fixture f;
	size_t len;

	fixture_init(&f, NULL, 0);
	for (len = 0; len < DNS_HEADER_LEN; len++) {
		memset(buf, 0, sizeof(buf));
		cr_expect_null(fixture_ask(&f, buf, len));
	}
	len = raw(buf, 0x8100, ONE, "\1a\0\0\1\0\1", 7); /* a response: answering could make a loop */
	cr_expect_null(fixture_ask(&f, buf, len));
	fixture_done(&f);
}

Test(msg, every_cut_of_a_query_is_refused)
{
	uint8_t msg[DNS_UDP_MIN];
	size_t len = query_build("web.prod.svc.cluster.local.", DNS_A, 1232, msg);
	struct dns_query q;

	cr_expect_eq(dns_query_parse(msg, len, &q), 0);
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ? n : 1); /* exact, so that a sanitizer sees each byte too many */

		memcpy(cut, msg, n);
		cr_expect(dns_query_parse(cut, n, &q) < 0, "%zu bytes", n);
		free(cut);
	}
}

Test(msg, other_opcodes_classes_and_versions)
{
	uint8_t buf[DNS_UDP_MIN];
	struct fixture f;
	ldns_pkt *p;
	size_t len;

	fixture_init(&f, NULL, 0);
	len = raw(buf, 0x2000, ONE, "\1a\0\0\1\0\1", 7);
	p = fixture_ask(&f, buf, len);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NOTIMPL);
	ldns_pkt_free(p);
	len = raw(buf, 0x0100, ONE, "\1a\0\0\1\0\3", 7); /* CH */
	p = fixture_ask(&f, buf, len);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_REFUSED);
	ldns_pkt_free(p);
	len = query_build("web.prod.svc.cluster.local.", DNS_A, 1232, buf);
	buf[len - 5] = 1; /* version of OPT */
	p = fixture_ask(&f, buf, len);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NOERROR);
	cr_expect_eq(ldns_pkt_edns_extended_rcode(p), 1); /* 16 = BADVERS */
	cr_expect_eq(ldns_pkt_edns_version(p), 0);
	cr_expect_eq(ldns_pkt_ancount(p), 0);
	ldns_pkt_free(p);
	fixture_done(&f);
}

Test(msg, longest_names)
{
	uint8_t buf[DNS_UDP_MIN], more[300] = {0};
	struct dns_query q;
	char text[DNS_TEXT_MAX];
	size_t at = 0;

	for (int i = 0; i < 3; i++) {
		more[at] = 63;
		memset(more + at + 1, 1, 63); /* each byte takes four characters as text */
		at += 64;
	}
	more[at] = 61;
	memset(more + at + 1, 1, 61);
	at += 62;
	memcpy(more + at, "\0\0\1\0\1", 5);
	cr_assert_eq(dns_query_parse(buf, raw(buf, 0, ONE, more, at + 5), &q), 0);
	cr_expect_eq(q.name.len, 255);
	cr_expect(strlen(dns_name_str(&q.name, text)) < DNS_TEXT_MAX);
	more[192] = 62; /* one byte more */
	memset(more + 193, 1, 62);
	memcpy(more + 255, "\0\0\1\0\1", 5);
	cr_expect_eq(dns_query_parse(buf, raw(buf, 0, ONE, more, 260), &q), -EPROTO);
}

/* What a pointer leads to ends before the pointer: bytes behind it may be cut off or rewritten later. */
Test(msg, names_do_not_run_into_what_follows)
{
	/* after the header: the label "ab" without an end, then a pointer to it */
	uint8_t open[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 0xc0, 12, 0};
	/* a label that reaches over the pointer */
	uint8_t over[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 'a', 'b', 0xc0, 12, 0};
	uint8_t whole[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 0, 1, 'c', 0xc0, 12};
	char text[DNS_TEXT_MAX];
	struct dns_name n;
	size_t at = 15;

	cr_expect_eq(dns_name_read(open, sizeof(open), &at, &n), -EBADMSG);
	cr_expect_eq(dns_name_read(over, sizeof(over), &at, &n), -EBADMSG);
	cr_expect_eq(at, 15);
	at = 16;
	cr_assert_eq(dns_name_read(whole, sizeof(whole), &at, &n), 0);
	cr_expect_str_eq(dns_name_str(&n, text), "c.ab.");
	cr_expect_eq(at, sizeof(whole));
}

Test(msg, names_as_text)
{
	static const char *const bad[] = {"", "..", "a..b", ".a", "a b", "a\\.b", "*.a", "\xc3\xa4.de"};
	struct dns_name n;
	char text[DNS_TEXT_MAX], longest[300];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(dns_name_parse(bad[i], &n), -EINVAL, "%s", bad[i]);
	memset(longest, 'a', 64);
	longest[64] = '\0';
	cr_expect_eq(dns_name_parse(longest, &n), -EINVAL);
	for (int i = 0; i < 260; i++)
		longest[i] = i % 2 ? '.' : 'a';
	longest[260] = '\0';
	cr_expect_eq(dns_name_parse(longest, &n), -EINVAL);
	longest[253] = '\0';
	cr_expect_eq(dns_name_parse(longest, &n), 0);
	cr_assert_eq(dns_name_parse("Web.Prod.", &n), 0);
	cr_expect_str_eq(dns_name_str(&n, text), "web.prod.");
	cr_assert_eq(dns_name_parse(".", &n), 0);
	cr_expect_str_eq(dns_name_str(&n, text), ".");
}

Test(msg, reverse_names)
{
	static const char *const ips[] = {"10.96.0.20", "0.0.0.0", "255.255.255.255", "fd00:96::20", "::", "2001:db8::abcd:ef01"};
	static const char *const bad[] = {"in-addr.arpa",	 "1.2.3.in-addr.arpa",	   "1.2.3.4.5.in-addr.arpa",
					  "256.1.1.1.in-addr.arpa", "01.1.1.1.in-addr.arpa",	   "a.1.1.1.in-addr.arpa",
					  "1.0.ip6.arpa",	 "1.2.3.4.in-addr.example"};
	struct dns_name n;
	struct ip ip, back;

	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		cr_assert(ip_parse(ips[i], &ip) == 0);
		dns_name_reverse(&ip, &n);
		cr_assert(dns_name_to_ip(&n, &back) == 0, "%s", ips[i]);
		cr_expect(ip_eq(&ip, &back), "%s", ips[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert(dns_name_parse(bad[i], &n) == 0);
		cr_expect_eq(dns_name_to_ip(&n, &back), -EINVAL, "%s", bad[i]);
	}
}

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	cr_assert(dns_name_parse(text, &n) == 0, "%s", text);
	return n;
}

/* What was written is read back, and each end of a name is there once. */
Test(msg, names_point_to_each_other)
{
	static const char *const targets[] = {"a.web.prod.svc.cluster.local", "b.web.prod.svc.cluster.local", "db.prod.svc.cluster.local",
					      "b.web.prod.svc.cluster.local", "x.example"};
	uint8_t msg[DNS_UDP_MIN], buf[DNS_UDP_MIN];
	struct dns_name owner = name_of("7.1.0.10.in-addr.arpa"), read;
	struct dns_writer w;
	struct dns_reader r;
	struct dns_query q;
	struct dns_rr rr;
	size_t len, at;

	cr_assert(dns_query_parse(msg, query_build("7.1.0.10.in-ADDR.arpa.", DNS_PTR, 0, msg), &q) == 0);
	dns_writer_begin(&w, &q, buf, sizeof(buf), sizeof(buf));
	for (size_t i = 0; i < 5; i++) {
		struct dns_name target = name_of(targets[i]);

		cr_assert(dns_put_name(&w, DNS_ANSWER, &owner, DNS_PTR, 5, &target));
	}
	len = dns_writer_end(&w, DNS_NOERROR, 0);
	cr_expect_eq(len, 12 + q.question_len + 5 * 12 + 30 + 4 + 5 + 2 + 11);
	cr_assert(dns_reader_begin(&r, buf, len) == 0);
	for (size_t i = 0; i < 5; i++) {
		struct dns_name target = name_of(targets[i]);

		cr_assert_eq(dns_reader_next(&r, &rr), 1);
		at = rr.rdata_at;
		cr_assert(dns_name_read(buf, len, &at, &read) == 0);
		cr_expect(dns_name_eq(&read, &target), "%s", targets[i]);
		cr_expect(dns_name_eq(&rr.owner, &owner));
	}
	cr_expect_eq(dns_reader_next(&r, &rr), 0);
}

/* More names than the table of them holds, and names past the reach of a pointer. */
Test(msg, names_beyond_the_table_are_written_out)
{
	enum { SIZE = 60000, N = 1500 };
	static uint8_t buf[SIZE];
	uint8_t msg[DNS_UDP_MIN];
	struct dns_name owner = name_of("x.example"), target, read;
	struct dns_writer w;
	struct dns_reader r;
	struct dns_query q;
	struct dns_rr rr;
	char text[64];
	size_t len, at;

	cr_assert(dns_query_parse(msg, query_build("x.example.", DNS_SRV, 0, msg), &q) == 0);
	dns_writer_begin(&w, &q, buf, sizeof(buf), sizeof(buf));
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(text, sizeof(text), "n%u.y%u.example", i, i % 700);
		target = name_of(text);
		cr_assert(i % 2 ? dns_put_srv(&w, &owner, 5, 1, 80, &target)
				: dns_put_name(&w, DNS_ANSWER, &owner, DNS_CNAME, 5, &target));
	}
	len = dns_writer_end(&w, DNS_NOERROR, 0);
	cr_assert(dns_reader_begin(&r, buf, len) == 0);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(text, sizeof(text), "n%u.y%u.example", i, i % 700);
		target = name_of(text);
		cr_assert_eq(dns_reader_next(&r, &rr), 1);
		at = rr.rdata_at + (i % 2 ? 6 : 0);
		cr_assert(dns_name_read(buf, len, &at, &read) == 0, "%u", i);
		cr_expect(dns_name_eq(&read, &target), "%u", i);
	}
	cr_expect_eq(dns_reader_next(&r, &rr), 0);
}

/* A response "x.example. A" with one answer of the TTL. */
static size_t response(uint8_t *buf, uint32_t ttl, uint8_t flags, uint8_t rcode)
{
	static const char question[] = "\1x\7example\0\0\1\0\1";
	uint8_t more[64];

	memcpy(more, question, 15);
	memcpy(more + 15, "\300\14\0\1\0\1", 6);
	ttl = htonl(ttl);
	memcpy(more + 21, &ttl, 4);
	memcpy(more + 25, "\0\4\1\2\3\4", 6);
	return raw(buf, (uint16_t)(0x8100 | flags << 8 | rcode), (const uint16_t[]){1, 1, 0, 0}, more, 31);
}

/* What does not exist behind a CNAME is known no longer than the CNAME is: it may point elsewhere then. */
Test(msg, a_negative_answer_lives_no_longer_than_what_led_to_it)
{
	static const char more[] = "\3www\7example\0\0\1\0\1"
				   "\300\14\0\5\0\1\0\0\0\74\0\4\1b\300\20"
				   "\300\20\0\6\0\1\0\0\7\10\0\30\300\20\300\20\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\7\10";
	uint8_t buf[DNS_UDP_MIN];
	struct dns_response_info info;
	size_t len = raw(buf, 0x8183, (const uint16_t[]){1, 1, 1, 0}, more, sizeof(more) - 1);

	cr_assert_eq(dns_response_strip(buf, &len, &info), 0);
	cr_expect_eq(info.rcode, 3);
	cr_expect(info.is_negative);
	cr_expect_eq(info.ttl, 60, "%u", info.ttl);
}

Test(cache, ages_and_forgets)
{
	uint8_t buf[DNS_UDP_MIN], out[DNS_UDP_MIN], msg[DNS_UDP_MIN];
	struct dns_cache_counts counts;
	struct dns_cache *c;
	struct dns_query q;
	struct dns_reader r;
	struct dns_rr rr;
	size_t len;

	cr_assert(dns_cache_new(2, 4096, &c) == 0);
	cr_assert(dns_query_parse(msg, query_build("X.example.", DNS_A, 0, msg), &q) == 0);
	len = response(buf, 60, 0, 0);
	dns_cache_put(c, &q, buf, len, 0);
	cr_assert_eq(dns_cache_get(c, &q, 25 * USEC_PER_SEC, out, sizeof(out)), len);
	cr_assert(dns_reader_begin(&r, out, len) == 0 && dns_reader_next(&r, &rr) == 1);
	cr_expect_eq(rr.ttl, 35);
	cr_expect_eq(r.id, q.id);
	cr_expect_eq(dns_cache_get(c, &q, 60 * USEC_PER_SEC, out, sizeof(out)), 0);
	len = response(buf, 0, 0, 0);
	dns_cache_put(c, &q, buf, len, 0);
	len = response(buf, 60, 2, 0); /* TC */
	dns_cache_put(c, &q, buf, len, 0);
	len = response(buf, 60, 0, 2); /* SERVFAIL */
	dns_cache_put(c, &q, buf, len, 0);
	len = response(buf, 60, 0, 3); /* NXDOMAIN without SOA */
	dns_cache_put(c, &q, buf, len, 0);
	dns_cache_counts(c, &counts);
	cr_expect_eq(counts.entries, 0);
	cr_expect_eq(counts.bytes, 0);
	for (uint16_t type = 1; type <= 20; type++) { /* more keys than it may hold */
		q.qtype = type;
		len = response(buf, 60, 0, 0);
		dns_cache_put(c, &q, buf, len, 0);
	}
	dns_cache_counts(c, &counts);
	cr_expect_eq(counts.entries, 2);
	cr_expect_eq(counts.evictions, 18);
	q.qtype = 19;
	cr_expect_neq(dns_cache_get(c, &q, 1, out, sizeof(out)), 0);
	dns_cache_free(c);
}
