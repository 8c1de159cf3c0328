/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "dns/dns_server_private.h"
#include "dns/dns_sock.h"

enum {
	DEFAULT_PENDING = 512,
	DEFAULT_CACHE_BYTES = 4 * 1024 * 1024,
};

int dns_server_new(struct loop *l, const struct dns_server_options *opt, struct dns_server **ret)
{
	CLEANUP(dns_server_free) struct dns_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->opt = *opt;
	if (s->opt.max_pending == 0)
		s->opt.max_pending = DEFAULT_PENDING;
	s->big = malloc(DNS_MSG_MAX + DNS_OPT_ROOM);
	if (!s->big)
		return -ENOMEM;
	r = dns_udp_batch_new(&s->batch);
	if (r >= 0)
		r = dns_forward_new(l, &opt->forward, &s->forward);
	if (r >= 0)
		r = dns_cache_new(opt->cache_entries,
				  opt->cache_bytes ? opt->cache_bytes : DEFAULT_CACHE_BYTES, &s->cache);
	if (r >= 0)
		r = loop_add_timer(l, dns_tcp_accept_later, s, &s->accept_timer);
	if (r >= 0)
		r = dns_holds_init(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void dns_server_free(struct dns_server *s)
{
	if (!s)
		return;
	dns_tcp_close_all(s);
	dns_server_forget_conn(s, NULL);
	source_free(s->holds.timer);
	for (size_t i = 0; i < s->n_listeners; i++) {
		source_free(s->listeners[i].udp);
		source_free(s->listeners[i].tcp);
		close_fd(s->listeners[i].udp_fd);
		close_fd(s->listeners[i].tcp_fd);
	}
	source_free(s->accept_timer);
	dns_forward_free(s->forward);
	dns_cache_free(s->cache);
	dns_udp_batch_free(s->batch);
	free(s->local);
	free(s->big);
	free(s);
}

int dns_server_add_provider(struct dns_server *s, const struct dns_provider *p)
{
	size_t i = s->n_providers;

	if (i == DNS_MAX_PROVIDERS)
		return -ENOSPC;
	for (; i > 0 && s->providers[i - 1].apex.len < p->apex.len; i--)
		s->providers[i] = s->providers[i - 1];
	s->providers[i] = *p;
	s->n_providers++;
	return 0;
}

static int listen_on(struct dns_server *s, const struct ip *ip, uint16_t port, bool is_for_others, uint16_t *ret_port,
		     struct err *reterr)
{
	struct dns_listener *l = &s->listeners[s->n_listeners];
	char text[IP_STRLEN];
	uint16_t got = port;
	int r = -EADDRINUSE;

	if (s->n_listeners == DNS_MAX_LISTENERS)
		return err_set(reterr, ENOSPC, "more than %d addresses to listen on",
			       DNS_MAX_LISTENERS);
	if (dns_forward_has_upstream(s->forward, ip, port))
		return err_set(reterr, ELOOP, "%s port %u is an upstream as well", ip_str(ip, text),
			       port);
	/* a free UDP port may be taken for TCP: with port 0 another one is tried */
	for (int i = 0; i < (port ? 1 : 16) && r == -EADDRINUSE; i++) {
		*l = (struct dns_listener){.server = s, .ip = *ip, .udp_fd = -1, .tcp_fd = -1};
		l->is_loopback = ip_is_loopback(ip);
		l->is_for_others = is_for_others;
		r = dns_udp_open(l, port, &got);
		if (r >= 0)
			r = dns_tcp_open(l, got);
		if (r < 0) {
			source_free(l->udp);
			close_fd(l->udp_fd);
		}
	}
	if (r < 0)
		return err_set(reterr, -r, "cannot listen on %s port %u: %s", ip_str(ip, text),
			       port,
			       err_name(r));
	l->port = got;
	s->n_listeners++;
	if (ret_port)
		*ret_port = got;
	return 0;
}

int dns_server_listen(struct dns_server *s, const struct ip *ip, uint16_t port, uint16_t *ret_port,
		      struct err *reterr)
{
	return listen_on(s, ip, port, false, ret_port, reterr);
}

int dns_server_listen_for_others(struct dns_server *s, const struct ip *ip, uint16_t port, const struct dns_finder *finder,
				 uint16_t *ret_port, struct err *reterr)
{
	s->finder = *finder;
	return listen_on(s, ip, port, true, ret_port, reterr);
}

bool dns_server_find_asked(const struct dns_listener *l, uint8_t proto, const struct sockaddr_storage *peer,
			   struct dns_asked *ret)
{
	const struct dns_finder *f = &l->server->finder;
	const struct dns_upstream own = {.ip = l->ip, .port = l->port};
	struct dns_upstream client;

	*ret = (struct dns_asked){.port = 0};
	if (!l->is_for_others)
		return true;
	client.ip = dns_sockaddr_ip(peer, &client.port);
	if (!f->find(f->ctx, proto, &client, &own, ret)) {
		l->server->counts.dropped++;
		return false;
	}
	l->server->counts.others += ret->port != 0;
	return true;
}

size_t dns_server_listeners(const struct dns_server *s, struct dns_upstream *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_listeners && n < max; i++)
		if (!s->listeners[i].is_for_others)
			ret[n++] = (struct dns_upstream){.ip = s->listeners[i].ip, .port = s->listeners[i].port};
	return n;
}

int dns_server_set_local(struct dns_server *s, const struct ip *ips, size_t n)
{
	struct ip *copy = NULL;

	if (n) {
		copy = calloc(n, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, ips, n * sizeof(*copy));
	}
	free(s->local);
	s->local = copy;
	s->n_local = n;
	return 0;
}

bool dns_server_is_local(const struct dns_server *s, const struct dns_listener *l,
			 const struct sockaddr_storage *peer)
{
	struct ip ip = dns_sockaddr_ip(peer, NULL);

	/* the kernel drops packets from the wire that carry an address of this host as their source */
	if (ip_is_loopback(&ip) || ip_eq(&ip, &l->ip))
		return true;
	for (size_t i = 0; i < s->n_local; i++)
		if (ip_eq(&ip, &s->local[i]))
			return true;
	return false;
}

const struct dns_forward *dns_server_forward(const struct dns_server *s)
{
	return s->forward;
}

int dns_server_set_upstreams(struct dns_server *s, const struct dns_upstream *u, size_t n,
			     struct err *reterr)
{
	char text[IP_STRLEN];
	int r;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < s->n_listeners; j++)
			if (s->listeners[j].port == u[i].port &&
			    ip_eq(&s->listeners[j].ip, &u[i].ip))
				return err_set(reterr, ELOOP,
					       "upstream %s port %u is this server itself",
					       ip_str(&u[i].ip, text), u[i].port);
	r = dns_forward_set_upstreams(s->forward, u, n);
	if (r < 0)
		return err_set(reterr, -r, "too many upstreams");
	dns_cache_flush(s->cache); /* others may see other names */
	return 0;
}

void dns_server_flush_cache(struct dns_server *s)
{
	dns_cache_flush(s->cache);
}

void dns_server_counts(const struct dns_server *s, struct dns_server_counts *ret)
{
	struct dns_cache_counts c;

	dns_cache_counts(s->cache, &c);
	*ret = s->counts;
	ret->cache_entries = c.entries;
	ret->cache_bytes = c.bytes;
	ret->cache_hits = c.hits;
	ret->cache_misses = c.misses;
	ret->cache_evictions = c.evictions;
}

void dns_server_set_gate(struct dns_server *s, const struct dns_gate *gate)
{
	s->gate = *gate;
}
