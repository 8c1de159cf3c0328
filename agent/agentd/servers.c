/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/servers.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"

enum { HTTPS_PORT = 443, TOLD_MAX = 64 };

void servers_done(struct servers *s)
{
	ARRAY_DONE(&s->ips);
	ARRAY_DONE(&s->ports);
}

static int add(struct servers *s, const struct ip *ip, uint16_t port)
{
	int r;

	for (size_t i = 0; i < s->ips.n; i++)
		if (ip_eq(&s->ips.v[i], ip) && s->ports.v[i] == port)
			return 0;
	r = ARRAY_ADD(&s->ports, port);
	if (r < 0)
		return r;
	r = ARRAY_ADD(&s->ips, *ip);
	if (r < 0)
		s->ports.n--;
	return r;
}

static int resolve(struct servers *s, const char *url)
{
	char host[256], port[8] = "443";
	const char *p = url + strlen("https://"), *end;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	uint64_t number;
	int r = 0;

	end = *p == '[' ? strchr(p, ']') : p + strcspn(p, ":/");
	if (!end || (size_t)(end - p) >= sizeof(host))
		return -EINVAL;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(end - p), *p == '[' ? p + 1 : p);
	if (*p == '[')
		host[end - p - 1] = '\0';
	end += *end == ']';
	if (*end == ':')
		(void)snprintf(port, sizeof(port), "%.*s", (int)strcspn(end + 1, "/"), end + 1);
	if (str_to_u64(port, UINT16_MAX, &number) < 0)
		number = HTTPS_PORT;
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return 0; /* no way to let through what has no address; curl will report it */
	for (const struct addrinfo *i = list; r == 0 && i; i = i->ai_next) {
		struct ip ip = i->ai_family == AF_INET
				       ? ip_from_bytes(AF_INET, &((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr)
				       : ip_from_bytes(AF_INET6, &((const struct sockaddr_in6 *)(const void *)i->ai_addr)->sin6_addr);

		r = add(s, &ip, (uint16_t)number);
	}
	freeaddrinfo(list);
	return r;
}

int servers_resolve(struct servers *s, const struct strv *urls)
{
	int r = 0;

	s->ips.n = s->ports.n = 0;
	for (size_t i = 0; r == 0 && i < urls->n; i++)
		r = resolve(s, urls->v[i]);
	s->n_given = s->ips.n;
	s->is_stale = true;
	return r;
}

static bool same_tail(const struct servers *s, const struct servers *now)
{
	size_t n = s->ips.n - s->n_given;

	return now->ips.n == s->ips.n && now->n_given == s->n_given &&
	       (n == 0 || (memcmp(s->ips.v + s->n_given, now->ips.v + s->n_given, n * sizeof(*s->ips.v)) == 0 &&
			   memcmp(s->ports.v + s->n_given, now->ports.v + s->n_given, n * sizeof(*s->ports.v)) == 0));
}

int servers_update(struct servers *s, const struct service_table *t)
{
	struct servers now = {.n_given = s->n_given, .is_stale = true};
	struct service_view view;
	int r = 0;

	if (!service_table_find(t, "default", strlen("default"), "kubernetes", strlen("kubernetes"), &view) || !view.n_slices)
		return 0;
	for (size_t i = 0; r == 0 && i < s->n_given; i++)
		r = add(&now, &s->ips.v[i], s->ports.v[i]);
	for (size_t i = 0; i < view.n_slices; i++)
		for (size_t j = 0; j < view.slices[i]->n_addrs; j++)
			for (size_t k = 0; r == 0 && k < view.slices[i]->n_ports && now.ips.n < s->n_given + TOLD_MAX; k++)
				r = add(&now, &view.slices[i]->addrs[j].ip, view.slices[i]->ports[k].port);
	if (r < 0 || same_tail(s, &now)) {
		servers_done(&now);
		return r;
	}
	servers_done(s);
	*s = now;
	return 0;
}
