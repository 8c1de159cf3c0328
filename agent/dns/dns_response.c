/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_response.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"

enum {
	OPT_LEN = 11,
	FLAG_AA = 0x04, /* of byte 2 */
	FLAG_TC = 0x02,
	FLAG_RD = 0x01,
	FLAG_RA = 0x80, /* of byte 3 */
	FLAG_AD = 0x20,
	FLAG_CD = 0x10,
	SOA_TAIL = 20,
	QUESTION_TAIL = 4, /* type, class */
	RR_FIXED = 10,	   /* type, class, ttl, rdlength */
};

static void set16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* State of the walk over a response. */
struct strip {
	size_t additional_at; /* where the additional section begins */
	size_t opt_at, opt_end;
	uint32_t min_ttl, soa_ttl;
	uint8_t ext_rcode;
	bool has_rr, has_soa;
};

static void note_record(struct strip *st, const struct dns_reader *r, const struct dns_rr *rr,
			size_t start)
{
	if (rr->type == DNS_OPT && r->section == DNS_ADDITIONAL) {
		st->opt_at = start;
		st->opt_end = rr->end;
		st->ext_rcode = (uint8_t)(rr->ttl >> 24);
		return;
	}
	st->min_ttl = st->has_rr ? MIN(st->min_ttl, rr->ttl) : rr->ttl;
	st->has_rr = true;
	if (rr->type == DNS_SOA && r->section == DNS_AUTHORITY && rr->rdlen > SOA_TAIL) {
		st->soa_ttl = MIN(rr->ttl, get32(r->msg + rr->end - 4));
		st->has_soa = true;
	}
}

int dns_response_strip(uint8_t *msg, size_t *len, struct dns_response_info *ret)
{
	struct strip st = {0};
	struct dns_reader r;
	struct dns_rr rr;
	int more;

	if (dns_reader_begin(&r, msg, *len) < 0)
		return -EBADMSG;
	for (;;) {
		size_t start = r.at;

		more = dns_reader_next(&r, &rr);
		if (more <= 0)
			break;
		if (r.section == DNS_ADDITIONAL && !st.additional_at)
			st.additional_at = start;
		note_record(&st, &r, &rr, start);
	}
	if (more < 0)
		return -EBADMSG;
	*len = r.at; /* what follows the last record is noise */
	if (st.opt_at && st.opt_end == r.at) {
		*len = st.opt_at;
		set16(msg + 10, r.counts[2] - 1U);
	} else if (st.opt_at) {
		*len = st.additional_at;
		set16(msg + 10, 0);
	}
	*ret = (struct dns_response_info){
		.rcode = (r.flags & 0xf) | st.ext_rcode << 4,
		.is_truncated = msg[2] & FLAG_TC,
		.question_end = r.question_end,
	};
	ret->is_negative = ret->rcode == DNS_NXDOMAIN || (ret->rcode == DNS_NOERROR &&
							  r.counts[0] == 0);
	if (ret->is_negative)
		ret->ttl = st.has_soa ? MIN(st.soa_ttl, st.min_ttl) : 0; /* no longer than a CNAME that led there */
	else
		ret->ttl = st.has_rr ? st.min_ttl : 0;
	return 0;
}

void dns_response_age(uint8_t *msg, size_t len, uint32_t age_s)
{
	size_t at = DNS_HEADER_LEN;
	unsigned n = 0;

	if (len < DNS_HEADER_LEN || dns_name_skip(msg, len, &at) < 0)
		return;
	at += QUESTION_TAIL;
	for (size_t i = 6; i < DNS_HEADER_LEN; i += 2)
		n += (unsigned)msg[i] << 8 | msg[i + 1];
	for (; n > 0; n--) {
		uint32_t ttl;

		if (dns_name_skip(msg, len, &at) < 0 || len - at < RR_FIXED)
			return;
		ttl = get32(msg + at + 4);
		ttl = ttl > age_s ? ttl - age_s : 0;
		set16(msg + at + 4, ttl >> 16);
		set16(msg + at + 6, ttl & 0xffff);
		at += RR_FIXED + ((size_t)msg[at + 8] << 8 | msg[at + 9]);
		if (at > len)
			return;
	}
}

size_t dns_response_finish(uint8_t *msg, size_t len, const struct dns_query *q, int rcode,
			   size_t limit)
{
	size_t room = q->has_edns ? OPT_LEN : 0;
	unsigned additional = (unsigned)msg[10] << 8 | msg[11];

	set16(msg, q->id);
	msg[2] = (uint8_t)((msg[2] & ~(FLAG_AA | FLAG_RD)) | (q->rd ? FLAG_RD : 0));
	/* AD says nothing to a client that did not ask (RFC 6840, 5.8) */
	msg[3] = (uint8_t)((msg[3] & (q->ad || q->dnssec_ok ? FLAG_AD : 0)) | FLAG_RA |
			   (q->cd ? FLAG_CD : 0) | (rcode & 0xf));
	memcpy(msg + DNS_HEADER_LEN, q->question, q->question_len);
	if (len + room > limit) {
		len = DNS_HEADER_LEN + q->question_len;
		msg[2] |= FLAG_TC;
		memset(msg + 6, 0, 6);
		additional = 0;
	}
	if (q->has_edns) {
		uint8_t *p = msg + len;

		set16(msg + 10, additional + 1);
		p[0] = 0;
		set16(p + 1, DNS_OPT);
		set16(p + 3, DNS_UDP_MAX);
		p[5] = (uint8_t)((unsigned)rcode >> 4);
		p[6] = 0;
		set16(p + 7, q->dnssec_ok ? 0x8000 : 0);
		set16(p + 9, 0);
		len += OPT_LEN;
	}
	return len;
}

int dns_response_append(struct dns_writer *w, const uint8_t *msg, size_t len,
			const struct dns_name *target, uint16_t qtype)
{
	struct dns_name at = *target;
	struct dns_reader r;
	struct dns_rr rr;
	int more;

	if (dns_reader_begin(&r, msg, len) < 0)
		return -EBADMSG;
	while ((more = dns_reader_next(&r, &rr)) > 0 && r.section == DNS_ANSWER) {
		size_t rdata = rr.rdata_at;
		struct dns_name next;

		if (rr.class != DNS_CLASS_IN || !dns_name_eq(&rr.owner, &at))
			continue;
		if (rr.type == qtype && rr.rdlen == (qtype == DNS_A ? 4 : 16)) {
			(void)dns_put_raw(w, DNS_ANSWER, &at, qtype, rr.ttl, msg + rr.rdata_at,
					  rr.rdlen); /* TC if full */
		} else if (rr.type == DNS_CNAME) {
			if (dns_name_read(msg, rr.end, &rdata, &next) < 0)
				return -EBADMSG;
			(void)dns_put_name(w, DNS_ANSWER, &at, DNS_CNAME, rr.ttl, &next); /* TC if full */
			at = next;
		}
	}
	return more < 0 ? -EBADMSG : 0;
}
