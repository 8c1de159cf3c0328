/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"

enum {
	FLAG_QR = 0x8000,
	FLAG_RD = 0x0100,
	FLAG_AD = 0x0020,
	FLAG_CD = 0x0010,
	OPT_DO = 0x8000,
	RR_FIXED = 10, /* type, class, ttl, rdlength */
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

int dns_name_skip(const uint8_t *msg, size_t len, size_t *at)
{
	size_t pos = *at;

	for (;;) {
		if (pos >= len)
			return -EBADMSG;
		if ((msg[pos] & 0xc0) == 0xc0) {
			pos += 2;
			break;
		}
		if (msg[pos] & 0xc0)
			return -EBADMSG;
		if (msg[pos] == 0) {
			pos++;
			break;
		}
		pos += (size_t)msg[pos] + 1;
	}
	if (pos > len)
		return -EBADMSG;
	*at = pos;
	return 0;
}

static uint16_t clamp_size(uint16_t size)
{
	if (size < DNS_UDP_MIN)
		return DNS_UDP_MIN;
	return size > DNS_UDP_MAX ? DNS_UDP_MAX : size;
}

/* Records of a query: only OPT matters (RFC 6891: one, owned by the root, in the additional section). */
static int query_records(const uint8_t *msg, size_t len, size_t at, struct dns_query *q)
{
	unsigned n_before = (unsigned)get16(msg + 6) + get16(msg + 8), n = n_before + get16(msg + 10);

	for (unsigned i = 0; i < n; i++) {
		size_t owner = at;
		uint16_t type, rdlen;

		if (dns_name_skip(msg, len, &at) < 0 || len - at < RR_FIXED)
			return -EPROTO;
		type = get16(msg + at);
		rdlen = get16(msg + at + 8);
		if (type == DNS_OPT) {
			if (q->has_edns || i < n_before || msg[owner] != 0)
				return -EPROTO;
			q->has_edns = true;
			q->udp_size = clamp_size(get16(msg + at + 2));
			q->edns_version = msg[at + 5];
			q->dnssec_ok = get16(msg + at + 6) & OPT_DO;
		}
		at += RR_FIXED;
		if (len - at < rdlen)
			return -EPROTO;
		at += rdlen;
	}
	return at == len ? 0 : -EPROTO;
}

int dns_query_parse(const uint8_t *msg, size_t len, struct dns_query *ret)
{
	size_t at = DNS_HEADER_LEN;
	uint16_t flags;

	if (len < DNS_HEADER_LEN || len > DNS_MSG_MAX)
		return -EBADMSG;
	flags = get16(msg + 2);
	if (flags & FLAG_QR)
		return -EBADMSG;
	ret->id = get16(msg);
	ret->opcode = flags >> 11 & 0xf;
	ret->rd = flags & FLAG_RD;
	ret->cd = flags & FLAG_CD;
	ret->ad = flags & FLAG_AD;
	ret->qtype = ret->qclass = 0;
	ret->udp_size = DNS_UDP_MIN;
	ret->edns_version = 0;
	ret->has_edns = ret->dnssec_ok = false;
	ret->question = NULL;
	ret->question_len = 0;
	ret->name.len = 0;
	if (ret->opcode != 0)
		return -EOPNOTSUPP;
	if (get16(msg + 4) != 1)
		return -EPROTO;
	if (dns_name_read(msg, len, &at, &ret->name) < 0 ||
	    at != DNS_HEADER_LEN + (size_t)ret->name.len ||
	    len - at < 4) {
		ret->name.len = 0;
		return -EPROTO;
	}
	ret->qtype = get16(msg + at);
	ret->qclass = get16(msg + at + 2);
	at += 4;
	ret->question = msg + DNS_HEADER_LEN;
	ret->question_len = at - DNS_HEADER_LEN;
	return query_records(msg, len, at, ret);
}

int dns_reader_begin(struct dns_reader *r, const uint8_t *msg, size_t len)
{
	size_t at = DNS_HEADER_LEN;

	*r = (struct dns_reader){.msg = msg, .len = len};
	if (len < DNS_HEADER_LEN || len > DNS_MSG_MAX)
		return -EBADMSG;
	r->id = get16(msg);
	r->flags = get16(msg + 2);
	r->qdcount = get16(msg + 4);
	for (size_t i = 0; i < 3; i++)
		r->counts[i] = get16(msg + 6 + 2 * i);
	if (!(r->flags & FLAG_QR) || r->qdcount != 1)
		return -EBADMSG;
	if (dns_name_read(msg, len, &at, &r->qname) < 0 ||
	    at != DNS_HEADER_LEN + (size_t)r->qname.len ||
	    len - at < 4)
		return -EBADMSG;
	r->qtype = get16(msg + at);
	r->qclass = get16(msg + at + 2);
	r->question_end = r->at = at + 4;
	return 0;
}

int dns_reader_next(struct dns_reader *r, struct dns_rr *ret)
{
	size_t at = r->at;

	while (r->section < 3 && r->seen >= r->counts[r->section]) {
		r->section++;
		r->seen = 0;
	}
	if (r->section == 3)
		return 0;
	if (dns_name_read(r->msg, r->len, &at, &ret->owner) < 0 || r->len - at < RR_FIXED)
		return -EBADMSG;
	ret->type = get16(r->msg + at);
	ret->class = get16(r->msg + at + 2);
	ret->ttl_at = at + 4;
	ret->ttl = get32(r->msg + at + 4);
	ret->rdlen = get16(r->msg + at + 8);
	ret->rdata_at = at + RR_FIXED;
	if (r->len - ret->rdata_at < ret->rdlen)
		return -EBADMSG;
	ret->end = r->at = ret->rdata_at + ret->rdlen;
	r->seen++;
	return 1;
}

static const struct {
	uint16_t type;
	const char *name;
} types[] = {
	{DNS_A, "A"},	     {DNS_NS, "NS"},	   {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"},
	{DNS_PTR, "PTR"},    {DNS_HINFO, "HINFO"}, {DNS_MX, "MX"},	 {DNS_TXT, "TXT"},
	{DNS_AAAA, "AAAA"},  {DNS_SRV, "SRV"},	   {DNS_OPT, "OPT"},	 {DNS_IXFR, "IXFR"},
	{DNS_AXFR, "AXFR"},  {DNS_ANY, "ANY"},
};

const char *dns_type_str(uint16_t type, char buf[16])
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return types[i].name;
	(void)snprintf(buf, 16, "TYPE%u", type); /* fits always */
	return buf;
}

int dns_type_parse(const char *text, uint16_t *ret)
{
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcasecmp(types[i].name, text) == 0) {
			*ret = types[i].type;
			return 0;
		}
	if (strncasecmp(text, "TYPE", 4) != 0 || str_to_u64(text + 4, UINT16_MAX, &v) < 0)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

const char *dns_rcode_str(int rcode)
{
	switch (rcode) {
	case DNS_NOERROR:
		return "NOERROR";
	case DNS_FORMERR:
		return "FORMERR";
	case DNS_SERVFAIL:
		return "SERVFAIL";
	case DNS_NXDOMAIN:
		return "NXDOMAIN";
	case DNS_NOTIMP:
		return "NOTIMP";
	case DNS_REFUSED:
		return "REFUSED";
	case DNS_BADVERS:
		return "BADVERS";
	default:
		return "RCODE";
	}
}
