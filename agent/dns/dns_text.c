/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

enum { SOA_NUMBERS = 5 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 3597, section 5. */
static int add_unknown(const uint8_t *p, size_t len, struct buf *b)
{
	int r = buf_addf(b, len ? "\\# %zu " : "\\# %zu", len);

	for (size_t i = 0; r == 0 && i < len; i++)
		r = buf_addf(b, "%02x", p[i]);
	return r;
}

/* One <character-string>, in quotes. */
static int add_string(const uint8_t *p, size_t len, struct buf *b)
{
	int r = buf_add(b, "\"", 1);

	for (size_t i = 0; r == 0 && i < len; i++) {
		if (p[i] < ' ' || p[i] > '~')
			r = buf_addf(b, "\\%03u", p[i]);
		else
			r = buf_addf(b, p[i] == '"' || p[i] == '\\' ? "\\%c" : "%c", p[i]);
	}
	return r < 0 ? r : buf_add(b, "\"", 1);
}

/* Strings one after the other that fill the data exactly. 1 = they do not. */
static int add_strings(const uint8_t *p, size_t len, struct buf *b)
{
	int r = 0;

	if (len == 0)
		return 1;
	for (size_t at = 0; at < len; at += (size_t)p[at] + 1)
		if (p[at] >= len - at)
			return 1;
	for (size_t at = 0; r == 0 && at < len; at += (size_t)p[at] + 1) {
		if (at)
			r = buf_add(b, " ", 1);
		if (r == 0)
			r = add_string(p + at + 1, p[at], b);
	}
	return r;
}

/* A name after `skip` bytes, which must end where the data ends. 1 = it does not. */
static int read_name(const uint8_t *msg, const struct dns_rr *rr, size_t skip, struct dns_name *ret)
{
	size_t at = rr->rdata_at + skip;

	return rr->rdlen <= skip || dns_name_read(msg, rr->end, &at, ret) < 0 || at != rr->end;
}

static int add_soa(const uint8_t *msg, const struct dns_rr *rr, struct buf *b)
{
	char mname[DNS_TEXT_MAX], rname[DNS_TEXT_MAX];
	size_t at = rr->rdata_at;
	struct dns_name m, n;
	int r;

	if (dns_name_read(msg, rr->end, &at, &m) < 0 || dns_name_read(msg, rr->end, &at, &n) < 0 ||
	    rr->end - at != SOA_NUMBERS * 4)
		return 1;
	r = buf_addf(b, "%s %s", dns_name_str(&m, mname), dns_name_str(&n, rname));
	for (; r == 0 && at < rr->end; at += 4)
		r = buf_addf(b, " %u", get32(msg + at));
	return r;
}

/* 1 = the data is not what the type says, and nothing was added. */
static int add_known(const uint8_t *msg, const struct dns_rr *rr, struct buf *b)
{
	const uint8_t *p = msg + rr->rdata_at;
	char text[DNS_TEXT_MAX], ip_text[IP_STRLEN];
	struct dns_name n;
	struct ip ip;

	if (rr->class != DNS_CLASS_IN)
		return 1;
	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		if (rr->rdlen != (rr->type == DNS_A ? 4 : 16))
			return 1;
		ip = ip_from_bytes(rr->type == DNS_A ? AF_INET : AF_INET6, p);
		return buf_addf(b, "%s", ip_str(&ip, ip_text));
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		return read_name(msg, rr, 0, &n) ? 1 : buf_addf(b, "%s", dns_name_str(&n, text));
	case DNS_MX:
		return read_name(msg, rr, 2, &n) ? 1 : buf_addf(b, "%u %s", get16(p), dns_name_str(&n, text));
	case DNS_SRV:
		return read_name(msg, rr, 6, &n) ? 1 :
						   buf_addf(b, "%u %u %u %s", get16(p), get16(p + 2), get16(p + 4),
							    dns_name_str(&n, text));
	case DNS_SOA:
		return add_soa(msg, rr, b);
	case DNS_TXT:
	case DNS_HINFO:
		return add_strings(p, rr->rdlen, b);
	}
	return 1;
}

int dns_text_rdata(const uint8_t *msg, const struct dns_rr *rr, struct buf *b)
{
	int r = add_known(msg, rr, b);

	return r > 0 ? add_unknown(msg + rr->rdata_at, rr->rdlen, b) : r;
}

const char *dns_text_flags(uint16_t flags, char buf[DNS_FLAGS_TEXT])
{
	static const struct {
		uint16_t bit;
		const char *name;
	} names[] = {{0x8000, "qr"}, {0x0400, "aa"}, {0x0200, "tc"}, {0x0100, "rd"},
		     {0x0080, "ra"}, {0x0020, "ad"}, {0x0010, "cd"}};
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (flags & names[i].bit)
			len += (size_t)snprintf(buf + len, DNS_FLAGS_TEXT - len, len ? " %s" : "%s", names[i].name);
	return buf;
}
