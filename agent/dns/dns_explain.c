/* SPDX-License-Identifier: Apache-2.0 */
/* For `meshctl dns query`: who answers a name, and with what. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/macro.h"
#include "dns/dns_server_private.h"
#include "json/json.h"

enum { TEXT_MAX = 16 * 1024 };

/* What is said of one question. */
struct explanation {
	struct buf text; /* sentences */
	const char *source;
	const char *rcode; /* NULL = only an upstream can tell */
	json_t *answers;
};

static void explanation_done(struct explanation *e)
{
	buf_done(&e->text);
	json_decref(e->answers);
}
DEFINE_CLEANUP_DONE(struct explanation, explanation_done)

static int say(struct explanation *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One sentence more. 0 or -errno. */
static int say(struct explanation *e, const char *fmt, ...)
{
	CLEANUP(free) char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return buf_addf(&e->text, "%s%s", e->text.len ? "; " : "", text);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The data of the types that our zones have; others as the length only. */
static int add_rdata(struct buf *b, const uint8_t *msg, const struct dns_rr *rr)
{
	const uint8_t *p = msg + rr->rdata_at;
	size_t at = rr->rdata_at;
	char text[DNS_TEXT_MAX], ip_text[IP_STRLEN];
	struct dns_name n;
	struct ip ip;

	if ((rr->type == DNS_A && rr->rdlen == 4) || (rr->type == DNS_AAAA && rr->rdlen == 16)) {
		ip = ip_from_bytes(rr->type == DNS_A ? AF_INET : AF_INET6, p);
		return buf_addf(b, "%s", ip_str(&ip, ip_text));
	}
	if (rr->type == DNS_SRV && rr->rdlen > 6) {
		at += 6;
		if (dns_name_read(msg, rr->end, &at, &n) >= 0)
			return buf_addf(b, "%u %u %u %s", get16(p), get16(p + 2), get16(p + 4),
					dns_name_str(&n, text));
	}
	if (rr->type == DNS_CNAME || rr->type == DNS_PTR || rr->type == DNS_NS ||
	    rr->type == DNS_SOA) {
		if (dns_name_read(msg, rr->end, &at, &n) >= 0)
			return buf_addf(b, "%s", dns_name_str(&n, text));
	}
	if (rr->type == DNS_TXT && rr->rdlen > 0 && p[0] < rr->rdlen) {
		n.b[0] = p[0] <= DNS_LABEL_MAX ? p[0] : 0; /* escapes as for a label */
		memcpy(n.b + 1, p + 1, n.b[0]);
		n.b[n.b[0] + 1] = 0;
		n.len = (uint8_t)(n.b[0] + 2);
		if (n.b[0])
			return buf_addf(b, "\"%s\"", dns_name_str(&n, text));
	}
	return buf_addf(b, "%u bytes", rr->rdlen);
}

/* The answers in it. What cannot be read any more is left out. */
static int add_message(struct explanation *e, const uint8_t *msg, size_t len)
{
	char owner[DNS_TEXT_MAX], type[16];
	struct dns_reader r;
	struct dns_rr rr;

	if (dns_reader_begin(&r, msg, len) < 0)
		return say(e, "the message is malformed");
	e->rcode = dns_rcode_str(r.flags & 0xf);
	while (dns_reader_next(&r, &rr) > 0) {
		CLEANUP(buf_done) struct buf data = {.max = TEXT_MAX};
		int ret;

		if (rr.type == DNS_OPT || r.section != 0)
			continue;
		ret = add_rdata(&data, msg, &rr);
		if (ret < 0)
			return ret;
		if (json_array_append_new(e->answers, json_pack("{s:s, s:s, s:I, s:s}", "name", dns_name_str(&rr.owner, owner), "type",
								dns_type_str(rr.type, type), "ttl_s", (json_int_t)rr.ttl, "data",
								data.data)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* A question as a client of this host would send it. */
static int make_query(const char *name, const char *type, uint8_t question[DNS_NAME_MAX + 4],
		      struct dns_query *ret, struct err *reterr)
{
	*ret = (struct dns_query){.qclass = DNS_CLASS_IN, .udp_size = DNS_UDP_MAX, .rd = true};
	if (dns_name_parse(name, &ret->name) < 0)
		return err_set(reterr, EINVAL, "%.64s is no DNS name", name);
	if (dns_type_parse(type, &ret->qtype) < 0)
		return err_set(reterr, EINVAL, "%.16s is no record type", type);
	memcpy(question, ret->name.b, ret->name.len);
	question[ret->name.len] = (uint8_t)(ret->qtype >> 8);
	question[ret->name.len + 1] = (uint8_t)ret->qtype;
	question[ret->name.len + 2] = 0;
	question[ret->name.len + 3] = DNS_CLASS_IN;
	ret->question = question;
	ret->question_len = (size_t)ret->name.len + 4;
	return 0;
}

/* 1 = the policies of this host refuse it. */
static int explain_gate(struct dns_server *s, const struct dns_query *q, bool is_cluster, struct explanation *e)
{
	int r;

	if (!s->gate.check || s->gate.check(s->gate.ctx, q, is_cluster, false) != DNS_GATE_REFUSE)
		return 0;
	e->source = "refused";
	e->rcode = dns_rcode_str(s->gate.refuse_rcode);
	r = say(e, "no dns rule of the policies about this host allows the name");
	return r < 0 ? r : 1;
}

/* 1 = a provider answered. */
static int explain_providers(struct dns_server *s, const struct dns_query *q, uint8_t *msg, struct explanation *e)
{
	char apex[DNS_TEXT_MAX], target[DNS_TEXT_MAX];

	for (size_t i = 0; i < s->n_providers; i++) {
		const struct dns_provider *p = &s->providers[i];
		struct dns_result res = {.rcode = DNS_NOERROR};
		enum dns_verdict v;
		struct dns_writer w;
		int r;

		if (!dns_name_below(&q->name, &p->apex))
			continue;
		dns_writer_begin(&w, q, msg, DNS_MSG_MAX, DNS_MSG_MAX);
		v = p->answer(p->ctx, q, &w, &res);
		if (v == DNS_VERDICT_PASS) {
			r = say(e, "zone %s knows nothing about it", dns_name_str(&p->apex, apex));
			if (r < 0)
				return r;
			continue;
		}
		r = explain_gate(s, q, true, e);
		if (r)
			return r;
		e->source = "cluster";
		r = say(e, "answered by zone %s", dns_name_str(&p->apex, apex));
		if (r >= 0)
			r = add_message(e, msg, dns_writer_end(&w, res.rcode, DNS_FLAG_AA));
		if (r >= 0 && v == DNS_VERDICT_CHASE)
			r = say(e, "then %s is looked up and added", dns_name_str(&res.target, target));
		return r < 0 ? r : 1;
	}
	return 0;
}

static int explain_outside(struct dns_server *s, const struct dns_query *q, uint8_t *msg, struct explanation *e)
{
	size_t n = dns_forward_n_upstreams(s->forward), len;
	int r = explain_gate(s, q, false, e);

	if (r)
		return r < 0 ? r : 0;
	if (n == 0) {
		e->source = "refused";
		e->rcode = dns_rcode_str(DNS_REFUSED);
		return say(e, "it is in no zone of the cluster and there are no upstreams");
	}
	len = dns_cache_get(s->cache, q, clock_boot_us(), msg, DNS_MSG_MAX);
	e->source = len ? "cache" : "upstream";
	if (len == 0)
		return say(e, "not cached: it goes to one of %zu upstreams, which are not asked for this", n);
	r = say(e, "from the cache of upstream answers");
	return r < 0 ? r : add_message(e, msg, len);
}

int dns_server_explain(struct dns_server *s, const char *name, const char *type, json_t **ret, struct err *reterr)
{
	CLEANUP(explanation_done) struct explanation e = {.text = {.max = TEXT_MAX}, .answers = json_array()};
	CLEANUP(free) uint8_t *msg = malloc(DNS_MSG_MAX + DNS_OPT_ROOM);
	uint8_t question[DNS_NAME_MAX + 4];
	struct dns_query q;
	int r = msg && e.answers ? make_query(name, type, question, &q, reterr) : -ENOMEM;

	if (r >= 0)
		r = explain_providers(s, &q, msg, &e);
	if (r == 0)
		r = explain_outside(s, &q, msg, &e);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s*, s:s, s:s, s:O}", "rcode", e.rcode, "source", e.source, "explanation", e.text.data, "answers", e.answers);
	return *ret ? 0 : -ENOMEM;
}
