/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/servers.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/url.h"

enum { NOWHERE = -1 };

static void list_done(struct server_list *l)
{
	ARRAY_DONE(&l->ips);
	ARRAY_DONE(&l->ports);
}
DEFINE_CLEANUP_DONE(struct server_list, list_done)

void servers_done(struct servers *s)
{
	list_done(&s->given);
	list_done(&s->learned);
	list_done(&s->all);
}

static ssize_t find(const struct server_list *l, const struct ip *ip, uint16_t port)
{
	for (size_t i = 0; i < l->ips.n; i++)
		if (ip_eq(&l->ips.v[i], ip) && l->ports.v[i] == port)
			return (ssize_t)i;
	return NOWHERE;
}

static int add(struct server_list *l, const struct ip *ip, uint16_t port)
{
	int r;

	if (find(l, ip, port) != NOWHERE)
		return 0;
	r = ARRAY_ADD(&l->ports, port);
	if (r < 0)
		return r;
	r = ARRAY_ADD(&l->ips, *ip);
	if (r < 0)
		l->ports.n--;
	return r;
}

static int add_all(struct server_list *l, const struct server_list *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->ips.n; i++)
		r = add(l, &more->ips.v[i], more->ports.v[i]);
	return r;
}

static bool is_same(const struct server_list *a, const struct server_list *b)
{
	return a->ips.n == b->ips.n && (a->ips.n == 0 || (memcmp(a->ips.v, b->ips.v, a->ips.n * sizeof(*a->ips.v)) == 0 &&
							  memcmp(a->ports.v, b->ports.v, a->ips.n * sizeof(*a->ports.v)) == 0));
}

/* `to` becomes `from`, which is empty then. */
static void move(struct server_list *to, struct server_list *from)
{
	list_done(to);
	*to = *from;
	*from = (struct server_list){0};
}

static int merge(struct servers *s)
{
	CLEANUP(list_done) struct server_list all = {0};
	int r = add_all(&all, &s->given);

	if (r == 0)
		r = add_all(&all, &s->learned);
	if (r < 0 || is_same(&all, &s->all))
		return r;
	move(&s->all, &all);
	s->is_stale = true;
	return 0;
}

int servers_give(struct servers *s, const struct strv *urls)
{
	CLEANUP(list_done) struct server_list now = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < urls->n; i++) {
		struct url url;
		struct ip ip;

		if (url_split(urls->v[i], &url) == 0 && ip_parse(url.host, &ip) == 0)
			r = add(&now, &ip, url.port);
	}
	if (r < 0)
		return r;
	move(&s->given, &now);
	s->is_stale = true; /* also an empty set is one to write */
	return merge(s);
}

static void forget(struct server_list *l, size_t i)
{
	l->ips.n--;
	l->ports.n--;
	memmove(&l->ips.v[i], &l->ips.v[i + 1], (l->ips.n - i) * sizeof(*l->ips.v));
	memmove(&l->ports.v[i], &l->ports.v[i + 1], (l->ports.n - i) * sizeof(*l->ports.v));
}

int servers_learn(struct servers *s, const struct ip *ip, uint16_t port)
{
	ssize_t at = find(&s->learned, ip, port);
	bool is_new = find(&s->all, ip, port) == NOWHERE;
	int r;

	if (!is_new && at == NOWHERE)
		return 0; /* given */
	if (at != NOWHERE)
		forget(&s->learned, (size_t)at);
	else if (s->learned.ips.n == SERVERS_LEARNED_MAX)
		forget(&s->learned, 0);
	r = add(&s->learned, ip, port);
	if (r == 0 && is_new)
		r = merge(s);
	return r < 0 ? r : is_new;
}
