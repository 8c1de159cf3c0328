/* SPDX-License-Identifier: Apache-2.0 */
/* From a query to its answer: out of the zones, the cache, or from an upstream later. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "dns/dns_response.h"
#include "dns/dns_server_private.h"

enum { HINFO_TTL_S = 8482 /* any long time: the answer never changes */ };

static void pending_free(struct dns_pending *p)
{
	*p->prevp = p->next;
	if (p->next)
		p->next->prevp = p->prevp;
	p->server->counts.pending--;
	if (p->client.conn)
		dns_tcp_wait(p->client.conn, -1);
	dns_flight_cancel(p->flight);
	free(p);
}

void dns_server_forget_conn(struct dns_server *s, const struct dns_conn *c)
{
	struct dns_pending *next;

	dns_holds_forget(s, c);
	for (struct dns_pending *p = s->pending; p; p = next) {
		next = p->next;
		if (!c || p->client.conn == c)
			pending_free(p);
	}
}

static bool has_upstreams(const struct dns_server *s)
{
	return dns_forward_n_upstreams(s->forward) > 0;
}

static size_t limit_of(const struct dns_query *q, const struct dns_client *c)
{
	return c->conn ? DNS_MSG_MAX : q->udp_size;
}

/* False: refused. Notes whether the answer is to be watched. */
static bool gate_admits(struct dns_server *s, struct dns_query *q, const struct dns_client *c,
			bool is_cluster)
{
	enum dns_gate_verdict v = DNS_GATE_PASS;

	if (s->gate.check)
		v = s->gate.check(s->gate.ctx, q, &c->asked, is_cluster, c->conn != NULL);
	q->is_watched = v == DNS_GATE_WATCH || v == DNS_GATE_ALLOW;
	q->is_allowed = v == DNS_GATE_ALLOW;
	if (v != DNS_GATE_REFUSE)
		return true;
	q->source = DNS_SOURCE_DENIED;
	s->counts.denied++;
	return false;
}

/* True: the answer is not to be sent now. */
static bool gate_holds(struct dns_server *s, const struct dns_query *q, const struct dns_client *c,
		       const uint8_t *msg, size_t len)
{
	return q->is_watched && s->gate.answered(s->gate.ctx, q, msg, len) &&
	       dns_hold(s, c, msg, len);
}

void dns_server_send(const struct dns_client *c, const uint8_t *msg, size_t len)
{
	if (c->conn)
		dns_tcp_send(c->conn, msg, len);
	else
		dns_udp_send(c->listener, c, msg, len);
}

static size_t end(const struct dns_server *s, struct dns_writer *w, int rcode, bool is_ours)
{
	bool has_aa = is_ours && (rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN);

	return dns_writer_end(w, rcode,
			      (has_aa ? DNS_FLAG_AA : 0) | (has_upstreams(s) ? DNS_FLAG_RA : 0));
}

/* Turns an upstream's response in `buf` into the client's answer; 0 if it is no legal message. */
static size_t relay(const struct dns_query *q, uint8_t *buf, size_t len, size_t limit)
{
	struct dns_response_info info;

	if (dns_response_strip(buf, &len, &info) < 0)
		return 0;
	return dns_response_finish(buf, len, q, info.rcode, limit);
}

static void on_upstream(const uint8_t *msg, size_t len, const struct dns_upstream *from, void *arg);

/* Asks an upstream for `q`, or for the address of `target` on its behalf. */
static int ask(struct dns_server *s, const struct dns_query *q, const struct dns_name *target,
	       const struct dns_client *client)
{
	struct dns_upstream only = {.ip = client->asked.ip, .port = client->asked.port};
	struct dns_query sub;
	uint8_t question[DNS_NAME_MAX + 4];
	struct dns_pending *p;
	int r;

	if (s->counts.pending >= s->opt.max_pending)
		return -EBUSY;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->server = s;
	p->client = *client;
	p->q = *q;
	memcpy(p->question, q->question, q->question_len);
	p->q.question = p->question;
	sub = p->q;
	if (target) {
		p->target = sub.name = *target;
		memcpy(question, target->b, target->len);
		memcpy(question + target->len, q->question + q->question_len - 4, 4);
		sub.question = question;
		sub.question_len = (size_t)target->len + 4;
		sub.rd = true;
	}
	p->next = s->pending;
	p->prevp = &s->pending;
	if (p->next)
		p->next->prevp = &p->next;
	s->pending = p;
	s->counts.pending++;
	if (client->conn)
		dns_tcp_wait(client->conn, 1);
	r = dns_forward_query(s->forward, &sub, only.port ? &only : NULL, on_upstream, p, &p->flight);
	if (r < 0)
		pending_free(p);
	else
		s->counts.forwarded++;
	return r;
}

/* A query for the end of a chain, as if the client had asked it. */
static void sub_query(const struct dns_query *q, const struct dns_name *target,
		      struct dns_query *ret)
{
	*ret = *q;
	ret->name = *target;
	ret->has_edns = false;
	ret->rd = true;
	ret->question = NULL;
	ret->question_len = 0;
}

const struct dns_provider *dns_provider_next(const struct dns_server *s, const struct dns_name *name, size_t *i)
{
	while (*i < s->n_providers) {
		const struct dns_provider *p = &s->providers[(*i)++];

		if (dns_name_below(name, &p->apex))
			return p;
	}
	return NULL;
}

/* Looks for a chased name in the other providers and the cache; 0 = ask an upstream. */
static size_t chase_here(struct dns_server *s, const struct dns_query *q,
			 const struct dns_name *target,
			 uint8_t *buf, size_t cap)
{
	uint8_t question[DNS_NAME_MAX + 4];
	const struct dns_provider *p;
	struct dns_query sub;
	struct dns_writer w;

	sub_query(q, target, &sub);
	memcpy(question, target->b, target->len);
	memcpy(question + target->len, q->question + q->question_len - 4, 4);
	sub.question = question;
	sub.question_len = (size_t)target->len + 4;
	for (size_t i = 0; (p = dns_provider_next(s, target, &i));) {
		struct dns_result res = {.rcode = DNS_NOERROR};

		dns_writer_begin(&w, &sub, buf, cap, cap);
		switch (p->answer(p->ctx, &sub, &w, &res)) {
		case DNS_VERDICT_ANSWER:
			return dns_writer_end(&w, res.rcode, 0);
		case DNS_VERDICT_CHASE: /* a chain that leaves two zones is not followed */
			dns_writer_reset(&w);
			return dns_writer_end(&w, DNS_SERVFAIL, 0);
		case DNS_VERDICT_PASS:
			break;
		}
	}
	return dns_cache_get(s->cache, &sub, clock_boot_us(), buf, cap);
}

/*
 * Completes CNAMEs in `w` by what was found for their target. NXDOMAIN there leaves the CNAMEs
 * alone; a failure takes them back and is NODATA, as in CoreDNS.
 */
static size_t chase_end(struct dns_server *s, struct dns_writer *w, const struct dns_result *res,
			const uint8_t *msg, size_t len)
{
	int rcode = msg && len >= DNS_HEADER_LEN ? msg[3] & 0xf : DNS_SERVFAIL;

	if ((rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) ||
	    dns_response_append(w, msg, len, &res->target, w->query->qtype) < 0) {
		dns_writer_reset(w);
		(void)dns_put_soa(w, DNS_AUTHORITY, res->apex, res->negative_ttl, res->serial, /* TC if full */
				  res->negative_ttl);
	}
	return end(s, w, DNS_NOERROR, true);
}

/* Follows an ExternalName out of the zone. 0 = waits for an upstream. */
static size_t chase(struct dns_server *s, const struct dns_query *q,
		    const struct dns_client *client,
		    struct dns_writer *w, const struct dns_result *res)
{
	CLEANUP(free) uint8_t *found = malloc(DNS_MSG_MAX + DNS_OPT_ROOM);
	size_t len = found ? chase_here(s, q, &res->target, found, DNS_MSG_MAX) : 0;

	if (len == 0 && ask(s, q, &res->target, client) >= 0)
		return 0;
	return chase_end(s, w, res, found, len);
}

/* An upstream's answer for a chased name: the CNAMEs are written anew, as the zone is now. */
static size_t resume_chase(struct dns_server *s, const struct dns_pending *p, const uint8_t *msg,
			   size_t len, uint8_t *buf)
{
	const struct dns_provider *pr;
	struct dns_writer w;

	dns_writer_begin(&w, &p->q, buf, DNS_MSG_MAX, limit_of(&p->q, &p->client));
	for (size_t i = 0; (pr = dns_provider_next(s, &p->q.name, &i));) {
		struct dns_result res = {.rcode = DNS_NOERROR};
		enum dns_verdict v = pr->answer(pr->ctx, &p->q, &w, &res);
		if (v == DNS_VERDICT_ANSWER)
			return end(s, &w, res.rcode, true);
		if (v == DNS_VERDICT_CHASE)
			return chase_end(s, &w, &res,
					 dns_name_eq(&res.target, &p->target) ? msg : NULL,
					 dns_name_eq(&res.target, &p->target) ? len : 0);
	}
	return end(s, &w, DNS_SERVFAIL, false);
}

static void on_upstream(const uint8_t *msg, size_t len, const struct dns_upstream *from, void *arg)
{
	struct dns_pending *p = arg;
	struct dns_server *s = p->server;
	struct dns_client client = p->client;
	CLEANUP(free) uint8_t *buf = malloc(DNS_MSG_MAX + DNS_OPT_ROOM);
	struct dns_query key = p->q;
	size_t n = 0;
	bool is_held;

	p->flight = NULL; /* it is over */
	if (!buf) {
		pending_free(p);
		return;
	}
	if (p->target.len)
		sub_query(&p->q, &p->target, &key);
	if (len && !client.asked.port) /* another server may know other names */
		dns_cache_put(s->cache, &key, msg, len, clock_boot_us());
	if (p->target.len) {
		n = resume_chase(s, p, msg, len, buf);
	} else {
		if (len) {
			memcpy(buf, msg, len);
			n = relay(&p->q, buf, len, limit_of(&p->q, &client));
		}
		if (n == 0) {
			s->counts.failed++;
			n = dns_error_build(&p->q, DNS_SERVFAIL, buf);
		}
	}
	is_held = gate_holds(s, &p->q, &client, buf, n);
	dns_trace_add(s, &client, &p->q, from, is_held);
	pending_free(p); /* first, because sending may close the connection */
	if (!is_held)
		dns_server_send(&client, buf, n);
}

/* An answer of an upstream that is still good; 0 = none. */
static size_t cached(struct dns_server *s, struct dns_query *q, const struct dns_client *client, uint8_t *buf, size_t cap)
{
	size_t len = dns_cache_get(s->cache, q, clock_boot_us(), s->big, DNS_MSG_MAX);

	if (len == 0)
		return 0;
	/* it was stripped when it was put there, and its rcode has no upper bits */
	len = dns_response_finish(s->big, len, q, s->big[3] & 0xf, limit_of(q, client));
	if (len > cap + DNS_OPT_ROOM)
		return 0;
	if (buf != s->big) /* for TCP it is the same */
		memcpy(buf, s->big, len);
	q->source = DNS_SOURCE_CACHE;
	s->counts.cached++;
	return len;
}

/* Names of nobody here: from the cache or an upstream; from whom it was meant for, if that is another. */
static size_t outside(struct dns_server *s, struct dns_query *q, const struct dns_client *client,
		      uint8_t *buf, size_t cap)
{
	size_t len;
	int r;

	if (!gate_admits(s, q, client, false))
		return dns_error_build(q, s->gate.refuse_rcode, buf);
	if (!has_upstreams(s) && !client->asked.port) {
		q->source = DNS_SOURCE_REFUSED;
		s->counts.refused++;
		return dns_error_build(q, DNS_REFUSED, buf);
	}
	len = client->asked.port ? 0 : cached(s, q, client, buf, cap);
	if (len > 0)
		return len;
	q->source = DNS_SOURCE_UPSTREAM;
	r = ask(s, q, NULL, client);
	if (r >= 0)
		return 0;
	s->counts.failed++;
	return dns_error_build(q, DNS_SERVFAIL, buf);
}

/* Queries that get the same answer whatever name they are for. */
static bool answer_fixed(const struct dns_query *q, struct dns_writer *w, int *ret_rcode)
{
	*ret_rcode = DNS_REFUSED;
	if (q->has_edns && q->edns_version != 0) {
		*ret_rcode = DNS_BADVERS;
		return true;
	}
	if (q->qclass != DNS_CLASS_IN || q->qtype == DNS_AXFR || q->qtype == DNS_IXFR ||
	    q->qtype == DNS_OPT)
		return true;
	if (q->qtype != DNS_ANY)
		return false;
	*ret_rcode = DNS_NOERROR;
	(void)dns_put_hinfo(w, &q->name, HINFO_TTL_S, "RFC8482", ""); /* fits always */
	return true;
}

/* Fills `q` from the message, and answers it as dns_server_handle(). */
static size_t answer(struct dns_server *s, const uint8_t *msg, size_t len,
		     const struct dns_client *client, uint8_t *buf, size_t cap, struct dns_query *q)
{
	const struct dns_provider *p;
	struct dns_writer w;
	int r = dns_query_parse(msg, len, q), rcode;

	if (r == -EBADMSG) {
		s->counts.dropped++;
		return 0;
	}
	s->counts.queries++;
	if (r < 0)
		return dns_error_build(q, r == -EOPNOTSUPP ? DNS_NOTIMP : DNS_FORMERR, buf);
	dns_writer_begin(&w, q, buf, cap, limit_of(q, client));
	if (answer_fixed(q, &w, &rcode)) {
		s->counts.refused += rcode == DNS_REFUSED;
		return end(s, &w, rcode, false);
	}
	if (client->asked.port && !client->asked.is_cluster)
		return outside(s, q, client, buf, cap);
	for (size_t i = 0; (p = dns_provider_next(s, &q->name, &i));) {
		struct dns_result res = {.rcode = DNS_NOERROR};
		enum dns_verdict v = p->answer(p->ctx, q, &w, &res);
		if (v != DNS_VERDICT_PASS && !gate_admits(s, q, client, true))
			return dns_error_build(q, s->gate.refuse_rcode, buf);
		q->source = DNS_SOURCE_ZONE;
		switch (v) {
		case DNS_VERDICT_ANSWER:
			s->counts.local++;
			return end(s, &w, res.rcode, true);
		case DNS_VERDICT_CHASE:
			s->counts.local++;
			return chase(s, q, client, &w, &res);
		case DNS_VERDICT_PASS:
			dns_writer_reset(&w);
			break;
		}
	}
	return outside(s, q, client, buf, cap);
}

size_t dns_server_handle(struct dns_server *s, const uint8_t *msg, size_t len,
			 const struct dns_client *client, uint8_t *buf, size_t cap)
{
	struct dns_query q;
	bool is_held;
	size_t n;

	q.is_watched = q.is_allowed = false; /* the rest is the parser's */
	q.source = DNS_SOURCE_NONE;
	n = answer(s, msg, len, client, buf, cap, &q);
	if (n == 0)
		return 0;
	is_held = gate_holds(s, &q, client, buf, n);
	dns_trace_add(s, client, &q, NULL, is_held);
	return is_held ? 0 : n;
}
