/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_addr.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "identity/identity.h"
#include "recon/map_batch.h"

_Static_assert((int)IPCACHE_IS_NODE == MESH_IP_NODE, "flags of cache and datapath differ");
_Static_assert((int)IPCACHE_IS_TUNNELLED == MESH_IP_TUNNEL, "flags of cache and datapath differ");

struct recon_addr {
	const struct bpfobj *obj;
	struct ipcache *cache;
	bool is_unsure; /* a write failed: the maps may hold what the cache has forgotten */
	bool is_owed;	/* something changed that flows have not been judged by */
	struct recon_addr_stats stats;
};

static int read_node(struct recon_addr *r, uint32_t number, const struct mesh_node *n)
{
	static const uint8_t none[16];
	struct ip ip;
	int e;

	if (n->v4)
		ip = ip_from_bytes(AF_INET, &n->v4);
	else if (memcmp(n->v6, none, sizeof(none)) != 0)
		ip = ip_from_bytes(AF_INET6, n->v6);
	else
		return 0;
	if (number == 0 || number > UINT16_MAX)
		return 0;
	e = ipcache_node_seed(r->cache, &ip, (uint16_t)number);
	return e == -EEXIST ? 0 : e; /* one address under two numbers: the first is as good */
}

static int read_nodes(const void *keys, const void *values, size_t n, void *arg)
{
	const uint32_t *numbers = keys;
	const struct mesh_node *nodes = values;
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		e = read_node(arg, numbers[i], &nodes[i]);
	return e;
}

int recon_addr_new(const struct bpfobj *o, struct ipcache *c, struct recon_addr **ret)
{
	CLEANUP(recon_addr_free) struct recon_addr *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->obj = o;
	r->cache = c;
	e = bpfmap_read(o, BPFOBJ_NODES, read_nodes, r);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void recon_addr_free(struct recon_addr *r)
{
	free(r);
}

struct local_numbers {
	uint32_t base, max;
};

static int note_local(const void *keys, const void *values, size_t n, void *arg)
{
	const struct mesh_ipinfo *v = values;
	struct local_numbers *l = arg;

	(void)keys;
	for (size_t i = 0; i < n; i++)
		if (identity_is_local(v[i].identity, l->base))
			l->max = MAX(l->max, v[i].identity);
	return 0;
}

int recon_addr_max_local(const struct recon_addr *r, uint32_t base, uint32_t *ret)
{
	struct local_numbers l = {.base = base};
	int e = bpfmap_read(r->obj, BPFOBJ_IPCACHE4, note_local, &l);

	if (e == 0)
		e = bpfmap_read(r->obj, BPFOBJ_IPCACHE6, note_local, &l);
	if (e < 0)
		return e;
	*ret = l.max;
	return 0;
}

/* Tunnel endpoints first: addresses refer to them. */
static int apply_nodes(struct recon_addr *r)
{
	uint16_t number;

	while ((number = ipcache_node_next_dirty(r->cache))) {
		struct ip ip = ipcache_node_ip(r->cache, number);
		uint32_t key = number;
		struct mesh_node n = {0};
		int e;

		if (ip.family == AF_INET)
			memcpy(&n.v4, ip.b, 4);
		else
			memcpy(n.v6, ip.b, 16);
		e = bpfmap_put(r->obj, BPFOBJ_NODES, &key, &n);
		if (e < 0) {
			ipcache_node_mark(r->cache, number);
			return e;
		}
		r->stats.writes++;
	}
	return 0;
}

struct applying {
	struct map_batch v4, v6;
	recon_addr_overlay_fn overlay;
	void *arg;
	bool changed;
};

static int apply_one(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct applying *a = arg;
	struct map_batch *b = ip->family == AF_INET ? &a->v4 : &a->v6;
	struct mesh_ipinfo info;
	int e;

	a->changed = true;
	if (!claim)
		return map_batch_del(b, ip->b);
	info = (struct mesh_ipinfo){.identity = claim->identity, .node = claim->node, .flags = claim->flags,
				    .key = claim->key};
	if (a->overlay) {
		e = a->overlay(ip, claim->identity, &info.identity, a->arg);
		if (e < 0)
			return e;
	}
	return map_batch_put(b, ip->b, &info);
}

struct sweeping {
	struct recon_addr *r;
	struct map_batch batch;
	int family;
};

static int sweep_one(const void *key, const void *value, void *arg)
{
	struct sweeping *s = arg;
	struct ip ip = ip_from_bytes(s->family, key);
	struct ipcache_claim claim;

	(void)value;
	return ipcache_get(s->r->cache, &ip, &claim) ? 0 : map_batch_del(&s->batch, key);
}

static int sweep(struct recon_addr *r, enum bpfobj_map map, int family)
{
	struct sweeping s = {.r = r, .family = family};
	int e;

	map_batch_init(&s.batch, r->obj, map);
	e = bpfmap_each(r->obj, map, sweep_one, &s);
	if (e == 0)
		e = map_batch_flush(&s.batch);
	r->stats.deletes += s.batch.n_del;
	if (e == 0)
		e = (int)s.batch.n_del;
	map_batch_done(&s.batch);
	return e;
}

static int sweep_maps(struct recon_addr *r)
{
	int v4 = sweep(r, BPFOBJ_IPCACHE4, AF_INET), v6;

	if (v4 < 0)
		return v4;
	v6 = sweep(r, BPFOBJ_IPCACHE6, AF_INET6);
	return v6 < 0 ? v6 : v4 + v6;
}

static int write_addresses(struct recon_addr *r, recon_addr_overlay_fn overlay, void *arg)
{
	struct applying a = {.overlay = overlay, .arg = arg};
	int e;

	map_batch_init(&a.v4, r->obj, BPFOBJ_IPCACHE4);
	map_batch_init(&a.v6, r->obj, BPFOBJ_IPCACHE6);
	e = ipcache_flush(r->cache, apply_one, &a);
	if (e == 0)
		e = map_batch_flush(&a.v4);
	if (e == 0)
		e = map_batch_flush(&a.v6);
	r->stats.writes += a.v4.n_put + a.v6.n_put;
	r->stats.deletes += a.v4.n_del + a.v6.n_del;
	map_batch_done(&a.v4);
	map_batch_done(&a.v6);
	r->is_owed = r->is_owed || a.changed;
	if (e < 0) {
		ipcache_mark_all(r->cache); /* what reached the kernel is not known: write all again */
		r->is_unsure = true;
	}
	return e;
}

int recon_addr_apply(struct recon_addr *r, recon_addr_overlay_fn overlay, void *arg)
{
	bool changed;
	int e = apply_nodes(r);

	if (e == 0 && r->is_unsure) {
		/* Deletions that failed come from no list again; and what they leave may be what fills the map. */
		e = sweep_maps(r);
		r->is_owed = r->is_owed || e > 0;
		r->is_unsure = e < 0;
	}
	if (e >= 0 && ipcache_is_dirty(r->cache))
		e = write_addresses(r, overlay, arg);
	if (e < 0)
		return e;
	changed = r->is_owed;
	r->is_owed = false;
	return changed;
}

int recon_addr_sweep(struct recon_addr *r)
{
	int n = sweep_maps(r);

	if (n >= 0)
		ipcache_node_drop_unused(r->cache);
	return n;
}

struct recon_addr_stats recon_addr_get_stats(const struct recon_addr *r)
{
	return r->stats;
}
