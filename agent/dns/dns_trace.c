/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the last queries, so that `meshctl dns query` can tell it of its own. */
#include "base/hash.h"
#include "dns/dns_server_private.h"
#include "dns/dns_sock.h"

void dns_trace_add(struct dns_server *s, const struct dns_client *client, const struct dns_query *q,
		   const struct dns_upstream *from, bool is_held)
{
	struct dns_trace *t = &s->trace[s->n_traced % DNS_TRACE_MAX];
	uint16_t port = 0;
	struct ip ip;

	if (client->conn)
		return; /* what is asked by TCP was answered by UDP before */
	s->n_traced++;
	ip = dns_sockaddr_ip(&client->peer, &port);
	*t = (struct dns_trace){
		.port = port,
		.id = q->id,
		.ip = ip,
		.name = hash_bytes(q->name.b, q->name.len),
		.what = {.source = (enum dns_source)q->source, .is_watched = q->is_watched, .is_held = is_held},
	};
	if (from)
		t->what.upstream = *from;
}

bool dns_server_traced(const struct dns_server *s, uint16_t port, uint16_t id, struct dns_traced *ret)
{
	/* the youngest first: ports are used again */
	for (unsigned i = 1; i <= DNS_TRACE_MAX; i++) {
		const struct dns_trace *t = &s->trace[(s->n_traced - i) % DNS_TRACE_MAX];

		if (t->port != port || t->id != id || !port)
			continue;
		*ret = t->what;
		return true;
	}
	return false;
}

bool dns_server_asked(const struct dns_server *s, const struct dns_name *name, struct ip *ret)
{
	uint64_t hash = hash_bytes(name->b, name->len);

	for (unsigned i = 1; i <= DNS_TRACE_MAX; i++) {
		const struct dns_trace *t = &s->trace[(s->n_traced - i) % DNS_TRACE_MAX];

		if (!t->port || t->name != hash)
			continue;
		*ret = t->ip;
		return true;
	}
	return false;
}
