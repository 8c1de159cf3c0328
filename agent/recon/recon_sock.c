/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "event/loop.h"
#include "netlink/nl_sock.h"
#include "plan/plan_service.h"

enum {
	GATHER_MS = 50, /* one walk over the sockets for all that vanish within it, as Cilium does */
	/* How long a backend that nothing lists may keep its address before it is taken for moved, not vanished. */
	HOLD_S = 600,
};

struct target_key {
	struct ip ip;
	uint8_t proto;
	uint16_t port;
};

struct target {
	struct target_key key;
	uint64_t since_us; /* when the last slice let go of it; 0 = some still lists it */
	bool is_doomed;
	UT_hash_handle hh;
};

struct recon_sock {
	struct loop *loop;
	const struct bpfobj *obj;
	struct service_table *table;
	recon_sock_endpoint_fn is_endpoint;
	void *arg;
	struct nl *nl;
	struct source *timer;
	struct source *again; /* a look, after a failure */
	struct backoff backoff;
	struct target *waiting; /* out of use; those of the next walk are marked */
	struct target *walked;	/* those of the walk under way */
	unsigned dumps;		/* of it, not finished */
	enum recon_sock_end end;
	bool has_looked;
	bool has_doomed;
	bool has_failed; /* since the last look */
	struct recon_sock_stats stats;
};

static struct target_key key_of(const struct ip *ip, uint16_t port, uint8_t proto)
{
	struct target_key key;

	memset(&key, 0, sizeof(key)); /* padding is part of the hash key */
	key.ip = *ip;
	key.port = port;
	key.proto = proto;
	return key;
}

static void target_free(struct target **list, struct target *t)
{
	HASH_DEL(*list, t);
	free(t);
}

static void targets_clear(struct target **list)
{
	struct target *t, *next;

	HASH_ITER (hh, *list, t, next)
		target_free(list, t);
}

static int target_add(struct recon_sock *r, const struct ip *ip, uint16_t port, uint8_t proto)
{
	struct target_key key = key_of(ip, port, proto);
	struct target *t;

	HASH_FIND(hh, r->waiting, &key, sizeof(key), t);
	if (t)
		return 0;
	if (HASH_COUNT(r->waiting) >= LIMIT_BACKENDS)
		return -E2BIG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->key = key;
	hash_oom = false;
	HASH_ADD(hh, r->waiting, key, sizeof(t->key), t);
	if (hash_oom) {
		free(t);
		return -ENOMEM;
	}
	return 0;
}

static void on_unused(const struct ip *ip, uint16_t port, uint8_t proto, void *arg)
{
	struct recon_sock *r = arg;

	if (r->end == RECON_SOCK_NONE || r->stats.is_unsupported || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return;
	/* Without memory its connections end as they would without this: by themselves. */
	(void)target_add(r, ip, port, proto);
}

/* What failed leaves connections that only a look at all that were ever translated finds. */
static void look_later(struct recon_sock *r)
{
	if (r->has_failed)
		return;
	r->has_failed = true;
	r->has_looked = false;
	(void)source_arm(r->again, backoff_next_us(&r->backoff, clock_boot_us()), 0); /* a live timer */
}

static void look_again(void *arg)
{
	struct recon_sock *r = arg;

	(void)recon_sock_look(r); /* comes here once more, if it fails */
}

/* Walking the sockets */

static void on_destroyed(int e, const struct err *why, void *arg)
{
	struct recon_sock *r = arg;

	if (e == 0) {
		r->stats.ended++;
	} else if (e == -EOPNOTSUPP && !r->stats.is_unsupported) {
		r->stats.is_unsupported = true;
		log_event(LOG_WARNING, "service.destroy",
			  "this kernel cannot end connections to backends that vanished: clients wait until they give up (CONFIG_INET_DIAG_DESTROY)",
			  F_ERRNO(e));
	} else if (e != -ENOENT && e != -EOPNOTSUPP) { /* -ENOENT: it ended by itself */
		r->stats.failed++;
		log_event(LOG_DEBUG, "service.destroy", "a connection to a backend that vanished could not be ended",
			  F_STR("why", why->text));
		look_later(r);
	}
}

bool recon_sock_is_translated(const struct bpfobj *o, const struct nl_sock *s, uint8_t proto)
{
	struct mesh_sock_rev_key key = {.cookie = s->cookie, .port = htons(s->remote_port), .proto = proto};
	struct mesh_sock_rev rev;

	ip_mapped(&s->remote, key.addr);
	return bpfmap_get(o, BPFOBJ_SOCK_REV, &key, &rev) == 0 && rev.service_id != MESH_SVC_DNS;
}

static int on_socket(const struct nlmsghdr *msg, uint8_t proto, struct recon_sock *r)
{
	struct nl_reply reply = {.done = on_destroyed, .arg = r};
	struct target_key key;
	struct target *t;
	char text[IP_STRLEN];
	struct nl_sock s;
	int e = nl_sock_decode(msg, &s);

	if (e < 0)
		return e == -ENOMSG ? 0 : e;
	key = key_of(&s.remote, s.remote_port, proto);
	HASH_FIND(hh, r->walked, &key, sizeof(key), t);
	if (!t || s.is_closed || !recon_sock_is_translated(r->obj, &s, proto))
		return 0;
	log_event(LOG_INFO, "service.vanished", "a connection is ended: the backend of its service has vanished",
		  F_STR("backend", ip_str(&s.remote, text)), F_U64("port", s.remote_port));
	return nl_sock_destroy(r->nl, &s, proto, &reply);
}

static int on_tcp(const struct nlmsghdr *msg, void *arg)
{
	return on_socket(msg, IPPROTO_TCP, arg);
}

static int on_udp(const struct nlmsghdr *msg, void *arg)
{
	return on_socket(msg, IPPROTO_UDP, arg);
}

static void walk_end(struct recon_sock *r)
{
	targets_clear(&r->walked);
	if (r->has_doomed)
		(void)source_arm(r->timer, GATHER_MS * USEC_PER_MSEC, 0); /* a live source */
}

static void on_dumped(int e, const struct err *why, void *arg)
{
	struct recon_sock *r = arg;

	if (e < 0 && e != -ENOENT) { /* no such sockets can be listed: nothing to end */
		log_event(LOG_WARNING, "service.sockets", "cannot list sockets: connections to backends that vanished stay for now",
			  F_STR("why", why->text));
		look_later(r);
	}
	if (--r->dumps == 0)
		walk_end(r);
}

/* One backend: the kernel picks its sockets. Several: all are looked at, once. */
static void dump(struct recon_sock *r, uint8_t family, uint8_t proto, const struct target *only)
{
	struct nl_reply reply = {.part = proto == IPPROTO_TCP ? on_tcp : on_udp, .done = on_dumped, .arg = r};

	if (nl_sock_dump(r->nl, family, proto, only ? &only->key.ip : NULL, only ? only->key.port : 0, &reply) == 0)
		r->dumps++;
	else
		look_later(r);
}

static void walk(struct recon_sock *r)
{
	bool has_v4[2] = {false}, has_any[2] = {false}; /* TCP, UDP */
	const struct target *t, *next, *only = HASH_COUNT(r->walked) == 1 ? r->walked : NULL;

	HASH_ITER (hh, r->walked, t, next) {
		bool is_udp = t->key.proto == IPPROTO_UDP;

		has_any[is_udp] = true;
		has_v4[is_udp] = has_v4[is_udp] || t->key.ip.family == AF_INET;
	}
	for (unsigned udp = 0; udp < 2; udp++) {
		uint8_t proto = udp ? IPPROTO_UDP : IPPROTO_TCP;

		if (has_v4[udp])
			dump(r, AF_INET, proto, only);
		if (has_any[udp]) /* IPv4 from sockets of IPv6, too */
			dump(r, AF_INET6, proto, only);
	}
	if (r->dumps == 0)
		walk_end(r);
}

static void on_timer(void *arg)
{
	struct recon_sock *r = arg;
	struct target *t, *next;

	if (r->dumps > 0)
		return; /* its end arms the timer again */
	r->has_doomed = false;
	HASH_ITER (hh, r->waiting, t, next) {
		/* it may have come back since */
		if (!t->is_doomed || service_table_backend_use(r->table, &t->key.ip, t->key.port, t->key.proto) != SERVICE_USE_NONE) {
			t->is_doomed = false;
			continue;
		}
		HASH_DEL(r->waiting, t);
		hash_oom = false;
		HASH_ADD(hh, r->walked, key, sizeof(t->key), t);
		if (hash_oom) {
			free(t);
			look_later(r);
		}
	}
	if (r->walked)
		walk(r);
}

/* Looking */

/* Whether the connections of a backend are to end now. */
static bool is_vanished(const struct recon_sock *r, const struct target *t)
{
	return t->key.proto == IPPROTO_UDP || !r->is_endpoint(&t->key.ip, r->arg);
}

static bool is_wanted(const struct recon_sock *r, const struct target *t)
{
	return r->end == RECON_SOCK_ALL || (r->end == RECON_SOCK_UDP && t->key.proto == IPPROTO_UDP);
}

static int add_left(const void *key, const void *value, void *arg)
{
	const struct mesh_sock_rev_key *k = key;
	const struct mesh_sock_rev *rev = value;
	struct ip ip = ip_unmapped(k->addr);

	if (rev->service_id == MESH_SVC_DNS)
		return 0; /* a query that was sent to the agent's DNS server */
	if (k->proto != IPPROTO_TCP && k->proto != IPPROTO_UDP)
		return 0;
	return target_add(arg, &ip, ntohs(k->port), k->proto);
}

int recon_sock_look(struct recon_sock *r)
{
	uint64_t now = clock_boot_us();
	struct target *t, *next;
	int e = 0;

	r->has_failed = false;
	if (r->stats.is_unsupported) {
		targets_clear(&r->waiting);
		return 0;
	}
	if (!r->has_looked && r->end != RECON_SOCK_NONE)
		e = bpfmap_each(r->obj, BPFOBJ_SOCK_REV, add_left, r);
	if (e < 0) {
		look_later(r);
		return e;
	}
	r->has_looked = r->end != RECON_SOCK_NONE;
	HASH_ITER (hh, r->waiting, t, next) {
		enum service_use use = service_table_backend_use(r->table, &t->key.ip, t->key.port, t->key.proto);

		t->is_doomed = false;
		if (use == SERVICE_USE_LISTED) {
			t->since_us = 0;
			continue;
		}
		if (use == SERVICE_USE_ACTIVE || !is_wanted(r, t)) {
			target_free(&r->waiting, t);
			continue;
		}
		t->since_us = t->since_us ? t->since_us : now;
		if (is_vanished(r, t)) {
			t->is_doomed = true;
			r->has_doomed = true;
		} else if (now - t->since_us > HOLD_S * USEC_PER_SEC) {
			target_free(&r->waiting, t);
		}
	}
	return r->has_doomed && r->dumps == 0 ? source_arm(r->timer, GATHER_MS * USEC_PER_MSEC, 0) : 0;
}

/* Interface */

int recon_sock_new(struct loop *l, const struct bpfobj *o, struct service_table *t, recon_sock_endpoint_fn fn,
		   void *arg, struct recon_sock **ret)
{
	CLEANUP(recon_sock_free) struct recon_sock *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->loop = l;
	r->obj = o;
	r->table = t;
	r->is_endpoint = fn;
	r->arg = arg;
	r->end = RECON_SOCK_ALL;
	e = nl_new_sock(l, &r->nl);
	if (e == 0)
		e = loop_add_timer(l, look_again, r, &r->again);
	if (e == 0)
		e = loop_add_timer(l, on_timer, r, &r->timer);
	if (e < 0)
		return e;
	service_table_on_unused(t, on_unused, r);
	*ret = TAKE_PTR(r);
	return 0;
}

void recon_sock_free(struct recon_sock *r)
{
	if (!r)
		return;
	if (r->timer) /* it was made as a whole: the table knows it */
		service_table_on_unused(r->table, NULL, NULL);
	source_free(r->timer);
	source_free(r->again);
	nl_free(r->nl);
	targets_clear(&r->waiting);
	targets_clear(&r->walked);
	free(r);
}

void recon_sock_set(struct recon_sock *r, enum recon_sock_end end)
{
	if (end != r->end)
		r->has_looked = false; /* what was of no interest until now */
	r->end = end;
}

struct recon_sock_stats recon_sock_get_stats(const struct recon_sock *r)
{
	struct recon_sock_stats s = r->stats;

	s.waiting = HASH_COUNT(r->waiting);
	return s;
}
