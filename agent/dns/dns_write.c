/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on the wire. A record is written whole or not at all. */
#include <string.h>

#include "base/macro.h"
#include "dns/dns_compress.h"
#include "dns/dns_msg.h"

enum {
	OPT_LEN = 11,
	FLAG_QR = 0x8000,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
};

static void set16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void set32(uint8_t *p, uint32_t v)
{
	set16(p, v >> 16);
	set16(p + 2, v & 0xffff);
}

void dns_writer_begin(struct dns_writer *w, const struct dns_query *q, uint8_t *buf, size_t cap,
		      size_t limit)
{
	w->buf = buf; /* each by itself: the table of names is large, and most answers do not need it */
	w->cap = cap;
	w->query = q;
	w->limit = MIN(cap, limit) - (q->has_edns ? OPT_LEN : 0);
	w->mark = 0;
	w->is_full = false;
	memset(w->counts, 0, sizeof(w->counts));
	dns_compress_reset(&w->names);
	w->question_len = (uint16_t)q->question_len;
	if (q->question_len)
		memcpy(buf + DNS_HEADER_LEN, q->question, q->question_len);
	w->len = DNS_HEADER_LEN + q->question_len;
}

void dns_writer_reset(struct dns_writer *w)
{
	w->len = DNS_HEADER_LEN + (size_t)w->question_len;
	memset(w->counts, 0, sizeof(w->counts));
	w->is_full = false;
	dns_compress_reset(&w->names);
}

/* Room for `n` bytes, or NULL with the message marked as full. */
static uint8_t *room(struct dns_writer *w, size_t n)
{
	uint8_t *p = w->buf + w->len;

	if (w->is_full || w->limit - w->len < n) {
		w->is_full = true;
		return NULL;
	}
	w->len += n;
	return p;
}

static void note_name(struct dns_writer *w, const struct dns_name *n, size_t head, size_t at)
{
	if (w->names.n == 0 && w->question_len)
		dns_compress_note(&w->names, w->buf, &w->query->name, w->query->name.len, DNS_HEADER_LEN);
	dns_compress_note(&w->names, w->buf, n, head, at);
}

/* Where the question has the whole of `n`, 0 if it does not: the usual case, and the cheap one. */
static size_t place_in_question(const struct dns_writer *w, const struct dns_name *n)
{
	const struct dns_name *q = &w->query->name;

	return w->question_len && n->len > 1 && dns_name_below(q, n) ? DNS_HEADER_LEN + (size_t)q->len - n->len : 0;
}

/* Length of the head of `n` that the message does not have yet, and the place of the rest, 0 if it has nothing. */
static size_t head_of(struct dns_writer *w, const struct dns_name *n, size_t *ret_place)
{
	size_t head = 0;

	*ret_place = place_in_question(w, n);
	if (*ret_place)
		return 0;
	note_name(w, n, 0, 0); /* so that the table has those of the question */
	*ret_place = dns_compress_find(&w->names, w->buf, n, &head);
	return head;
}

static bool put_bytes(struct dns_writer *w, const void *data, size_t n)
{
	uint8_t *p = room(w, n);

	if (p)
		memcpy(p, data, n);
	return p != NULL;
}

static bool put_compressed(struct dns_writer *w, const struct dns_name *n)
{
	size_t place, head = head_of(w, n, &place);
	uint8_t *p = room(w, place ? head + 2 : head + 1);

	if (!p)
		return false;
	memcpy(p, n->b, head);
	if (place)
		set16(p + head, 0xc000 | (unsigned)place);
	else
		p[head] = 0;
	if (head)
		note_name(w, n, head, (size_t)(p - w->buf));
	return true;
}

/* Owner and fixed part; the length of the data is set by rr_end(). */
static bool rr_begin(struct dns_writer *w, const struct dns_name *owner, uint16_t type,
		     uint32_t ttl)
{
	uint8_t *p;

	w->mark = w->len;
	if (w->is_full || !put_compressed(w, owner))
		return false;
	p = room(w, 10);
	if (!p)
		return false;
	set16(p, type);
	set16(p + 2, DNS_CLASS_IN);
	set32(p + 4, ttl);
	return true;
}

static bool rr_end(struct dns_writer *w, enum dns_section s, bool is_whole, size_t rdata_at)
{
	if (!is_whole || w->counts[s] == UINT16_MAX) {
		w->len = w->mark;
		w->is_full = true;
		return false;
	}
	set16(w->buf + rdata_at - 2, (unsigned)(w->len - rdata_at));
	w->counts[s]++;
	return true;
}

bool dns_put_raw(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		 uint16_t type, uint32_t ttl, const uint8_t *rdata, size_t rdlen)
{
	bool ok = rr_begin(w, owner, type, ttl);
	size_t at = w->len;

	ok = ok && rdlen <= UINT16_MAX && put_bytes(w, rdata, rdlen);
	return rr_end(w, s, ok, at);
}

bool dns_put_ip(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		uint32_t ttl,
		const struct ip *ip)
{
	return dns_put_raw(w, s, owner, ip->family == AF_INET ? DNS_A : DNS_AAAA, ttl, ip->b,
			   ip_len(ip));
}

bool dns_put_name(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		  enum dns_type type, uint32_t ttl, const struct dns_name *target)
{
	bool ok = rr_begin(w, owner, (uint16_t)type, ttl);
	size_t at = w->len;

	ok = ok && put_compressed(w, target);
	return rr_end(w, s, ok, at);
}

bool dns_put_srv(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl, uint16_t weight,
		 uint16_t port, const struct dns_name *target)
{
	uint8_t rdata[6 + DNS_NAME_MAX];

	set16(rdata, 0);
	set16(rdata + 2, weight);
	set16(rdata + 4, port);
	memcpy(rdata + 6, target->b, target->len); /* RFC 2782: the target is not compressed, but others may point to it */
	if (!dns_put_raw(w, DNS_ANSWER, owner, DNS_SRV, ttl, rdata, 6 + (size_t)target->len))
		return false;
	note_name(w, target, target->len, w->len - target->len);
	return true;
}

/* Appends a character-string, cut at its maximum. */
static size_t text_append(uint8_t *p, const char *text)
{
	size_t n = MIN(strlen(text), (size_t)255);

	p[0] = (uint8_t)n;
	memcpy(p + 1, text, n);
	return n + 1;
}

bool dns_put_txt(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl, const char *text)
{
	uint8_t rdata[256];

	return dns_put_raw(w, DNS_ANSWER, owner, DNS_TXT, ttl, rdata, text_append(rdata, text));
}

bool dns_put_hinfo(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl,
		   const char *cpu,
		   const char *os)
{
	uint8_t rdata[512];
	size_t n = text_append(rdata, cpu);

	n += text_append(rdata + n, os);
	return dns_put_raw(w, DNS_ANSWER, owner, DNS_HINFO, ttl, rdata, n);
}

/* A name below the apex made of two more parts, as in ns.dns.<apex>. */
static bool put_prefixed(struct dns_writer *w, const char *prefix, size_t prefix_len,
			 const struct dns_name *apex)
{
	size_t place = place_in_question(w, apex);
	struct dns_name n;
	uint8_t *p;

	if (place) { /* of every negative answer: without the table */
		p = room(w, prefix_len + 2);
		if (!p)
			return false;
		memcpy(p, prefix, prefix_len);
		set16(p + prefix_len, 0xc000 | (unsigned)place);
		return true;
	}
	if (prefix_len + apex->len > DNS_NAME_MAX)
		return false;
	memcpy(n.b, prefix, prefix_len);
	memcpy(n.b + prefix_len, apex->b, apex->len);
	n.len = (uint8_t)(prefix_len + apex->len);
	return put_compressed(w, &n);
}

bool dns_put_soa(struct dns_writer *w, enum dns_section s, const struct dns_name *apex,
		 uint32_t ttl,
		 uint32_t serial, uint32_t minimum)
{
	static const char ns[] = "\2ns\3dns", admin[] = "\12hostmaster";
	bool ok = rr_begin(w, apex, DNS_SOA, ttl);
	size_t at = w->len;
	uint8_t *p;

	ok = ok && put_prefixed(w, ns, sizeof(ns) - 1, apex) &&
	     put_prefixed(w, admin, sizeof(admin) - 1, apex);
	p = ok ? room(w, 20) : NULL;
	if (p) {
		set32(p, serial);
		set32(p + 4, 7200);   /* refresh, retry, expire: nobody transfers the zone */
		set32(p + 8, 1800);
		set32(p + 12, 86400);
		set32(p + 16, minimum);
	}
	return rr_end(w, s, p != NULL, at);
}

size_t dns_writer_end(struct dns_writer *w, int rcode, unsigned flags)
{
	const struct dns_query *q = w->query;
	unsigned f = FLAG_QR | (unsigned)q->opcode << 11 | (q->rd ? FLAG_RD : 0) | (q->cd ? FLAG_CD : 0);

	f |= (flags & DNS_FLAG_AA ? FLAG_AA : 0) | (flags & DNS_FLAG_RA ? FLAG_RA : 0);
	f |= (w->is_full ? FLAG_TC : 0) | ((unsigned)rcode & 0xf);
	set16(w->buf, q->id);
	set16(w->buf + 2, f);
	set16(w->buf + 4, w->question_len ? 1 : 0);
	for (size_t i = 0; i < 3; i++)
		set16(w->buf + 6 + 2 * i, w->counts[i]);
	if (q->has_edns) {
		uint8_t *p = w->buf + w->len;

		set16(w->buf + 10, w->counts[2] + 1U);
		p[0] = 0;
		set16(p + 1, DNS_OPT);
		set16(p + 3, DNS_UDP_MAX);
		p[5] = (uint8_t)((unsigned)rcode >> 4);
		p[6] = 0; /* version */
		set16(p + 7, q->dnssec_ok ? 0x8000 : 0);
		set16(p + 9, 0);
		w->len += OPT_LEN;
	}
	return w->len;
}

size_t dns_error_build(const struct dns_query *q, int rcode, uint8_t buf[DNS_UDP_MIN])
{
	struct dns_writer w;

	dns_writer_begin(&w, q, buf, DNS_UDP_MIN, DNS_UDP_MIN);
	return dns_writer_end(&w, rcode, 0);
}
