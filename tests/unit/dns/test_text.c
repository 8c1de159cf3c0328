/* SPDX-License-Identifier: Apache-2.0 */
/* Records as text: what they should be, and what nobody should send. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/buf.h"
#include "base/macro.h"
#include "dns/dns_sock.h"
#include "dns/dns_text.h"

/* A response with the question "a." and one record, whose owner is the question's name. */
static size_t response(uint16_t type, const void *rdata, size_t rdlen, uint8_t msg[512])
{
	static const uint8_t head[] = {0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};
	uint8_t rr[] = {0xc0, 12, (uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0, 9, (uint8_t)(rdlen >> 8), (uint8_t)rdlen};

	memcpy(msg, head, sizeof(head));
	memcpy(msg + sizeof(head), rr, sizeof(rr));
	memcpy(msg + sizeof(head) + sizeof(rr), rdata, rdlen);
	return sizeof(head) + sizeof(rr) + rdlen;
}

#define DATA(bytes) bytes, sizeof(bytes) - 1

Test(text, data_of_records)
{
	static const struct {
		uint16_t type;
		const char *data;
		size_t len;
		const char *want;
	} cases[] = {
		{DNS_A, DATA("\x0a\x60\x00\x14"), "10.96.0.20"},
		{DNS_A, DATA("\x0a\x60\x00"), "\\# 3 0a6000"}, /* too short for an address */
		{DNS_A, DATA("\x0a\x60\x00\x14\x00"), "\\# 5 0a60001400"},
		{DNS_A, DATA(""), "\\# 0"},
		{DNS_AAAA, DATA("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), "fd00::1"},
		{DNS_AAAA, DATA("\xfd\0\0\0"), "\\# 4 fd000000"},
		{DNS_CNAME, DATA("\3WWW\xc0\x0c"), "www.a."},
		{DNS_CNAME, DATA("\3www\xc0\x0c!"), "\\# 7 03777777c00c21"}, /* something after the name */
		{DNS_CNAME, DATA("\3www"), "\\# 4 03777777"},		      /* the name ends outside */
		{DNS_CNAME, DATA("\xc0\x1f"), "\\# 2 c01f"},		      /* points to itself */
		{DNS_CNAME, DATA("\xc0\xff"), "\\# 2 c0ff"},		      /* and forward */
		{DNS_CNAME, DATA("\4\x1b[2J\0"), "\\027[2j."},		      /* nothing for the terminal */
		{DNS_CNAME, DATA("\3a.b\0"), "a\\.b."},
		{DNS_NS, DATA("\1n\0"), "n."},
		{DNS_PTR, DATA("\1p\0"), "p."},
		{DNS_MX, DATA("\0\x0a\1m\0"), "10 m."},
		{DNS_MX, DATA("\0\x0a"), "\\# 2 000a"},
		{DNS_SRV, DATA("\0\0\0\x64\0\x35\1s\0"), "0 100 53 s."},
		{DNS_SRV, DATA("\0\0\0\x64\0\x35"), "\\# 6 000000640035"},
		{DNS_SRV, DATA("\0\0\0"), "\\# 3 000000"},
		{DNS_SOA, DATA("\1m\0\1r\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\xff\xff\xff\xff"), "m. r. 1 2 3 4 4294967295"},
		{DNS_SOA, DATA("\1m\0\1r\0\0\0\0\1"), "\\# 10 016d0001720000000001"},
		{DNS_TXT, DATA("\5hello\0\2\"\\"), "\"hello\" \"\" \"\\\"\\\\\""},
		{DNS_TXT, DATA("\2\x1b\n"), "\"\\027\\010\""},
		{DNS_TXT, DATA("\5hell"), "\\# 5 0568656c6c"}, /* a string longer than the record */
		{DNS_TXT, DATA("\1a\1"), "\\# 3 016101"},
		{DNS_TXT, DATA(""), "\\# 0"},
		{DNS_HINFO, DATA("\7RFC8482\0"), "\"RFC8482\" \"\""},
		{257, DATA("\1\2"), "\\# 2 0102"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {0};
		uint8_t msg[512];
		struct dns_reader r;
		struct dns_rr rr;

		cr_assert_eq(dns_reader_begin(&r, msg, response(cases[i].type, cases[i].data, cases[i].len, msg)), 0);
		cr_assert_eq(dns_reader_next(&r, &rr), 1);
		cr_expect_eq(dns_text_rdata(msg, &rr, &b), 0);
		cr_expect_str_eq(b.data, cases[i].want, "%zu: %s", i, b.data);
	}
}

Test(text, a_buffer_that_is_full)
{
	CLEANUP(buf_done) struct buf b = {.max = 16};
	uint8_t msg[512], data[64] = {63};
	struct dns_reader r;
	struct dns_rr rr;

	cr_assert_eq(dns_reader_begin(&r, msg, response(DNS_TXT, data, sizeof(data), msg)), 0);
	cr_assert_eq(dns_reader_next(&r, &rr), 1);
	cr_expect_eq(dns_text_rdata(msg, &rr, &b), -E2BIG);
}

Test(text, flags)
{
	char buf[DNS_FLAGS_TEXT];

	cr_expect_str_eq(dns_text_flags(0, buf), "");
	cr_expect_str_eq(dns_text_flags(0x8580, buf), "qr aa rd ra");
	cr_expect_str_eq(dns_text_flags(0xffff, buf), "qr aa tc rd ra ad cd");
}

Test(text, addresses_with_ports)
{
	static const char *const good[] = {"10.0.0.1:53", "[fd00::1]:5353"};
	static const char *const bad[] = {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "[10.0.0.1]:53", "fd00::1:53",
					  "[fd00::1]", "[]:53", "[fd00::1:53", "10.0.0.1:-1", "name:53",
					  "00000000000000000000000000000000000000000000000000000000:53"};
	char text[DNS_ADDR_STRLEN];
	struct ip ip;
	uint16_t port;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cr_assert_eq(dns_addr_parse(good[i], &ip, &port), 0, "%s", good[i]);
		cr_expect_str_eq(dns_addr_str(&ip, port, text), good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(dns_addr_parse(bad[i], &ip, &port), -EINVAL, "%s", bad[i]);
}
