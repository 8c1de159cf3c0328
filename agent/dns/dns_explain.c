/* SPDX-License-Identifier: Apache-2.0 */
/* For `meshctl dns query`: who answers a name and why so, as text. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/macro.h"
#include "dns/dns_server_private.h"
#include "dns/dns_sock.h"

enum { TEXT_MAX = 64 * 1024, UPSTREAMS_MAX = 8 };

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

static int add_upstream(const struct dns_upstream *u, struct buf *b)
{
	char text[DNS_ADDR_STRLEN];

	return buf_addf(b, "%s", dns_addr_str(&u->ip, u->port, text));
}

/* "10.0.0.1:53 (no answer in time), ..." */
static int add_upstreams(const struct dns_server *s, struct buf *b)
{
	struct dns_upstream_status v[UPSTREAMS_MAX];
	size_t n = dns_forward_status(s->forward, v, UPSTREAMS_MAX);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i)
			r = buf_addf(b, ", ");
		if (r == 0)
			r = add_upstream(&v[i].at, b);
		if (r == 0 && v[i].error && v[i].failed_us > v[i].answered_us)
			r = buf_addf(b, " (%s)", v[i].error);
	}
	return r;
}

/* The provider that knows the name, and its verdict; NULL if none does. */
static const struct dns_provider *find_provider(struct dns_server *s, const struct dns_query *q, uint8_t *msg,
						enum dns_verdict *ret, struct dns_result *ret_result)
{
	const struct dns_provider *p;

	for (size_t i = 0; (p = dns_provider_next(s, &q->name, &i));) {
		struct dns_writer w;

		dns_writer_begin(&w, q, msg, DNS_MSG_MAX, DNS_MSG_MAX);
		*ret_result = (struct dns_result){.rcode = DNS_NOERROR};
		*ret = p->answer(p->ctx, q, &w, ret_result);
		if (*ret != DNS_VERDICT_PASS)
			return p;
	}
	return NULL;
}

static int add_zone(const struct dns_provider *p, const struct dns_query *q, struct buf *b)
{
	char apex[DNS_TEXT_MAX];
	int r = buf_addf(b, "zone %s of the cluster: ", dns_name_str(&p->apex, apex));

	if (r == 0)
		r = p->explain ? p->explain(p->ctx, q, b) : buf_addf(b, "it knows the name");
	return r < 0 ? r : buf_addf(b, "\n");
}

/* Where the address at the end of an ExternalName came from, or would. */
static int add_chase(struct dns_server *s, const struct dns_result *res, const struct dns_traced *traced, struct buf *b)
{
	char target[DNS_TEXT_MAX];
	int r = buf_addf(b, "%s is looked up and added", dns_name_str(&res->target, target));

	if (r == 0 && traced && traced->upstream.port) {
		r = buf_addf(b, ": ");
		if (r == 0)
			r = add_upstream(&traced->upstream, b);
	} else if (r == 0 && dns_forward_n_upstreams(s->forward) == 0) {
		r = buf_addf(b, ", but there are no upstreams to ask");
	}
	return r < 0 ? r : buf_addf(b, "\n");
}

/* A name that no zone of ours answers. */
static int add_outside(struct dns_server *s, const struct dns_traced *t, struct buf *b)
{
	int r = 0;

	switch (t->source) {
	case DNS_SOURCE_CACHE:
		return buf_addf(b, "from the cache of answers of the upstreams\n");
	case DNS_SOURCE_REFUSED:
		return buf_addf(b, "refused: it is in no zone of the cluster and there are no upstreams\n");
	case DNS_SOURCE_UPSTREAM:
		break;
	case DNS_SOURCE_NONE:
	case DNS_SOURCE_ZONE:
	case DNS_SOURCE_DENIED:
		return buf_addf(b, "a question that nobody is asked\n");
	}
	if (t->upstream.port) {
		r = buf_addf(b, "forwarded to ");
		if (r == 0)
			r = add_upstream(&t->upstream, b);
	} else {
		r = buf_addf(b, "forwarded, without a usable answer, to ");
		if (r == 0)
			r = add_upstreams(s, b);
	}
	return r < 0 ? r : buf_addf(b, "\n");
}

/* What would become of a query for a name outside of the cluster now. */
static int foresee_outside(struct dns_server *s, const struct dns_query *q, uint8_t *msg, enum dns_source *ret,
			   struct buf *b)
{
	struct dns_traced t = {.source = DNS_SOURCE_REFUSED};
	int r;

	if (dns_forward_n_upstreams(s->forward) > 0) {
		*ret = DNS_SOURCE_UPSTREAM;
		if (dns_cache_get(s->cache, q, clock_boot_us(), msg, DNS_MSG_MAX) == 0) {
			r = buf_addf(b, "not cached: it would be forwarded to ");
			if (r == 0)
				r = add_upstreams(s, b);
			return r < 0 ? r : buf_addf(b, "\n");
		}
		t.source = DNS_SOURCE_CACHE;
	}
	*ret = t.source;
	return add_outside(s, &t, b);
}

static int add_gate(const struct dns_traced *t, struct buf *b)
{
	int r = 0;

	if (t->is_watched)
		r = buf_addf(b, "allowed by a dns rule; its addresses count for toFQDNs\n");
	if (r == 0 && t->is_held)
		r = buf_addf(b, "held back until the policies allowed its addresses\n");
	return r;
}

static int explain(struct dns_server *s, const struct dns_query *q, const struct dns_traced *traced,
		   enum dns_source *ret, uint8_t *msg, struct buf *b)
{
	struct dns_traced now = {.source = DNS_SOURCE_NONE};
	struct dns_result res;
	enum dns_verdict v = DNS_VERDICT_PASS;
	const struct dns_provider *p = find_provider(s, q, msg, &v, &res);
	int r;

	if (!traced && s->gate.check) {
		const struct dns_asked us = {.port = 0};
		enum dns_gate_verdict g = s->gate.check(s->gate.ctx, q, &us, p != NULL, false);

		now.is_watched = g == DNS_GATE_WATCH || g == DNS_GATE_ALLOW;
		now.source = g == DNS_GATE_REFUSE ? DNS_SOURCE_DENIED : DNS_SOURCE_NONE;
	}
	*ret = traced ? traced->source : now.source;
	if (*ret == DNS_SOURCE_DENIED)
		return buf_addf(b, "refused: no dns rule of the policies about this host allows the name\n");
	/* a name that came or went since is told as it is now, with the truth about who was asked */
	if (p && (!traced || traced->source == DNS_SOURCE_ZONE)) {
		*ret = DNS_SOURCE_ZONE;
		r = add_zone(p, q, b);
		if (r == 0 && v == DNS_VERDICT_CHASE)
			r = add_chase(s, &res, traced, b);
	} else if (traced) {
		r = add_outside(s, traced, b);
	} else {
		r = foresee_outside(s, q, msg, ret, b);
	}
	return r < 0 ? r : add_gate(traced ? traced : &now, b);
}

int dns_server_explain(struct dns_server *s, const char *name, const char *type,
		       const struct dns_traced *traced, struct dns_explanation *ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf b = {.max = TEXT_MAX};
	CLEANUP(free) uint8_t *msg = malloc(DNS_MSG_MAX + DNS_OPT_ROOM);
	uint8_t question[DNS_NAME_MAX + 4];
	enum dns_source source = DNS_SOURCE_NONE;
	struct dns_query q;
	int r = msg ? make_query(name, type, question, &q, reterr) : -ENOMEM;

	if (r == 0)
		r = explain(s, &q, traced, &source, msg, &b);
	if (r < 0)
		return r;
	ret->source = source;
	ret->text = TAKE_PTR(b.data);
	return 0;
}
