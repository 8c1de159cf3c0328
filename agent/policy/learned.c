/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/learned.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/macro.h"
#include "policy/learned_private.h"

int learned_new(const struct learned_options *opt, struct learned **ret)
{
	struct learned *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->opt = *opt;
	if (l->opt.max_ips == 0 || l->opt.max_ips > LIMIT_FQDN_IPS)
		l->opt.max_ips = LIMIT_FQDN_IPS;
	if (l->opt.max_zombies == 0 || l->opt.max_zombies > LIMIT_FQDN_ZOMBIES)
		l->opt.max_zombies = LIMIT_FQDN_ZOMBIES;
	*ret = l;
	return 0;
}

static void drop_name(struct learned *l, struct learned_name *n)
{
	HASH_DEL(l->names, n);
	l->addresses -= n->n;
	free(n->v);
	free(n->name);
	free(n);
}

void learned_free(struct learned *l)
{
	struct learned_name *n, *ntmp;
	struct learned_zombie *z, *ztmp;

	if (!l)
		return;
	HASH_ITER (hh, l->names, n, ntmp)
		drop_name(l, n);
	HASH_ITER (hh, l->zombies, z, ztmp) {
		HASH_DEL(l->zombies, z);
		free(z);
	}
	free(l);
}

/* Zombies */

static struct learned_zombie *find_zombie(const struct learned *l, const struct ip *ip)
{
	struct learned_zombie *z;

	HASH_FIND(hh, l->zombies, ip, sizeof(*ip), z);
	return z;
}

bool learned_add_zombie(struct learned *l, const struct ip *ip, uint64_t now_us)
{
	struct learned_zombie *z = find_zombie(l, ip);

	if (z) {
		z->since_us = now_us; /* of another name, or again */
		return true;
	}
	if (HASH_COUNT(l->zombies) >= l->opt.max_zombies) {
		l->cut++;
		return false;
	}
	z = calloc(1, sizeof(*z));
	if (!z)
		return false;
	z->ip = *ip;
	z->since_us = now_us;
	hash_oom = false;
	HASH_ADD(hh, l->zombies, ip, sizeof(z->ip), z);
	if (hash_oom)
		free(z);
	return !hash_oom;
}

void learned_saw(struct learned *l, const struct ip *ip, uint64_t now_us)
{
	struct learned_zombie *z = find_zombie(l, ip);

	if (z)
		z->seen_us = now_us;
}

static void remove_address(struct learned *l, struct learned_name *n, size_t i)
{
	memmove(&n->v[i], &n->v[i + 1], (n->n - i - 1) * sizeof(n->v[0]));
	n->n--;
	l->addresses--;
	n->is_dirty = true;
}

static void expire_address(struct learned *l, struct learned_name *n, size_t i, uint64_t now_us)
{
	if (learned_add_zombie(l, &n->v[i].ip, now_us))
		n->v[i].is_zombie = true; /* what is allowed stays as it is */
	else
		remove_address(l, n, i);
}

size_t learned_expire(struct learned *l, uint64_t now_us)
{
	struct learned_name *n, *tmp;

	HASH_ITER (hh, l->names, n, tmp)
		for (size_t i = n->n; i-- > 0;)
			if (!n->v[i].is_zombie && n->v[i].expires_us <= now_us)
				expire_address(l, n, i, now_us);
	return HASH_COUNT(l->zombies);
}

void learned_bury(struct learned *l, uint64_t since_us)
{
	struct learned_name *n, *ntmp;
	struct learned_zombie *z, *ztmp;

	HASH_ITER (hh, l->names, n, ntmp)
		for (size_t i = n->n; i-- > 0;) {
			z = n->v[i].is_zombie ? find_zombie(l, &n->v[i].ip) : NULL;
			if (n->v[i].is_zombie && (!z || (z->since_us < since_us && z->seen_us < since_us)))
				remove_address(l, n, i);
		}
	HASH_ITER (hh, l->zombies, z, ztmp)
		if (z->since_us < since_us && z->seen_us < since_us) {
			HASH_DEL(l->zombies, z);
			free(z);
		}
}

/* Names */

static uint64_t last_expiry(const struct learned_name *n)
{
	uint64_t last = 0;

	for (size_t i = 0; i < n->n; i++)
		last = MAX(last, n->v[i].expires_us);
	return last;
}

/* Makes room by the name that no policy looks at and that expires first; never by `kept`, which may be NULL. */
static bool evict_name(struct learned *l, const struct learned_name *kept)
{
	struct learned_name *n, *tmp, *first = NULL;
	uint64_t of_first = UINT64_MAX;

	HASH_ITER (hh, l->names, n, tmp) {
		uint64_t last = n == kept || n->is_wanted ? UINT64_MAX : last_expiry(n);

		if (last < of_first) {
			first = n;
			of_first = last;
		}
	}
	if (first)
		drop_name(l, first);
	return first != NULL;
}

int learned_get(struct learned *l, const char *text, size_t len, struct learned_name **ret)
{
	char lower[LEARNED_NAME_MAX + 1];
	struct learned_name *n;

	if (len && text[len - 1] == '.')
		len--;
	if (len == 0 || len > LEARNED_NAME_MAX || text[len - 1] == '.') /* one more would go at the next reading */
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			return -EINVAL;
		lower[i] = (char)tolower((unsigned char)text[i]);
	}
	lower[len] = '\0';
	HASH_FIND(hh, l->names, lower, len, n);
	if (n) {
		*ret = n;
		return 0;
	}
	if (HASH_COUNT(l->names) >= LIMIT_FQDN_NAMES && !evict_name(l, NULL))
		return -ENOSPC;
	n = calloc(1, sizeof(*n));
	if (n)
		n->name = strdup(lower);
	if (!n || !n->name) {
		free(n);
		return -ENOMEM;
	}
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, l->names, n->name, len, n);
	if (hash_oom) {
		free(n->name);
		free(n);
		return -ENOMEM;
	}
	*ret = n;
	return 0;
}

int learned_put(struct learned *l, struct learned_name *n, const struct learned_address *a)
{
	int r;

	/* Anybody's name may have a thousand addresses, for a week: it must not keep those out that policies speak of. */
	if (l->addresses >= LIMIT_FQDN_ADDRESSES && !evict_name(l, n))
		return -ENOSPC;
	r = ARRAY_ADD(n, *a);
	if (r < 0)
		return r;
	l->addresses++;
	n->is_dirty = true;
	return 0;
}

static struct learned_address *find_address(const struct learned_name *n, const struct ip *ip)
{
	for (size_t i = 0; i < n->n; i++)
		if (ip_eq(&n->v[i].ip, ip))
			return &n->v[i];
	return NULL;
}

/* Past the cap of a name, what expires first is treated as expired. */
static void cap_name(struct learned *l, struct learned_name *n, uint64_t now_us)
{
	size_t live = 0;

	for (size_t i = 0; i < n->n; i++)
		live += !n->v[i].is_zombie;
	for (; live > l->opt.max_ips; live--) {
		size_t first = SIZE_MAX;

		for (size_t i = 0; i < n->n; i++)
			if (!n->v[i].is_zombie &&
			    (first == SIZE_MAX || n->v[i].expires_us < n->v[first].expires_us))
				first = i;
		expire_address(l, n, first, now_us);
	}
}

/* 1 if the address is new. A later answer with a shorter life takes nothing back. */
static int add_address(struct learned *l, struct learned_name *n, const struct ip *ip, uint64_t expires_us)
{
	struct learned_address *a = find_address(n, ip);
	int r;

	if (a) {
		a->expires_us = MAX(a->expires_us, expires_us);
		a->is_zombie = false; /* its mark as one goes with the next burial */
		return 0;
	}
	r = learned_put(l, n, &(struct learned_address){.ip = *ip, .expires_us = expires_us});
	return r < 0 ? r : 1;
}

int learned_add(struct learned *l, const char *name, bool is_wanted, const struct ip *ips, size_t n,
		uint32_t ttl_s, uint64_t now_us)
{
	uint64_t ttl = MIN(MAX((uint64_t)ttl_s, l->opt.min_ttl_s), (uint64_t)LIMIT_FQDN_TTL_S);
	struct learned_name *entry = NULL;
	int r = 0, grown = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (ip_is_special(&ips[i]))
			continue; /* never a peer */
		if (!entry)
			r = learned_get(l, name, strlen(name), &entry);
		if (r >= 0)
			r = add_address(l, entry, &ips[i], now_us + ttl * USEC_PER_SEC);
		grown |= r > 0;
	}
	if (entry) {
		entry->is_wanted = is_wanted;
		cap_name(l, entry, now_us);
		if (entry->n == 0)
			drop_name(l, entry); /* there was room for the name only */
	}
	l->refused += r == -ENOSPC;
	return r < 0 ? r : grown;
}

static int tell(struct learned_name *n, learned_flush_fn fn, void *arg)
{
	CLEANUP(free) struct ip *ips = calloc(n->n + 1, sizeof(*ips));

	if (!ips)
		return -ENOMEM;
	for (size_t i = 0; i < n->n; i++)
		ips[i] = n->v[i].ip;
	return fn(n->name, ips, n->n, arg);
}

int learned_flush(struct learned *l, learned_flush_fn fn, void *arg)
{
	struct learned_name *n, *tmp;
	int r;

	HASH_ITER (hh, l->names, n, tmp) {
		if (!n->is_dirty)
			continue;
		r = tell(n, fn, arg);
		if (r < 0)
			return r;
		n->is_dirty = false;
		n->is_wanted = r > 0;
		if (n->n == 0)
			drop_name(l, n);
	}
	return 0;
}

void learned_mark_all(struct learned *l)
{
	struct learned_name *n, *tmp;

	HASH_ITER (hh, l->names, n, tmp)
		n->is_dirty = true;
}

static int name_cmp(const struct learned_name *a, const struct learned_name *b)
{
	return strcmp(a->name, b->name);
}

int learned_each(struct learned *l, learned_fn fn, void *arg)
{
	struct learned_name *n, *tmp;
	int r;

	HASH_SORT(l->names, name_cmp);
	HASH_ITER (hh, l->names, n, tmp) {
		r = fn(n->name, n->is_wanted, n->v, n->n, arg);
		if (r)
			return r;
	}
	return 0;
}

struct learned_counts learned_get_counts(const struct learned *l)
{
	return (struct learned_counts){
		.names = HASH_COUNT(l->names),
		.addresses = l->addresses,
		.zombies = HASH_COUNT(l->zombies),
		.refused = l->refused,
		.cut = l->cut,
	};
}
