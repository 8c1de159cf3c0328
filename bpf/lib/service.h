/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Service address -> backend at the socket, so that no packet needs rewriting. */
#pragma once

#include "config.h"
#include "counters.h"
#include "ipcache.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct mesh_svc_key);
	__type(value, struct mesh_svc);
} mesh_svc SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct mesh_svc_slot_key);
	__type(value, struct mesh_svc_slot);
} mesh_svc_slot SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct mesh_sock_rev_key);
	__type(value, struct mesh_sock_rev);
} mesh_sock_rev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_affinity_key);
	__type(value, struct mesh_affinity);
} mesh_affinity SEC(".maps");

/* Set by the loader: bpf_set_retval() exists from 5.18 on. */
const volatile bool has_set_retval = false;

#define ERRNO_HOSTUNREACH 113
#define SOCK_ALLOW	  1
#define SOCK_DENY	  0

/* NULL: leave this socket alone, as none of `states` is on or it is not of this host. */
INLINE const struct mesh_config *sock_config(struct bpf_sock_addr *ctx, __u64 states)
{
	const struct mesh_config *c = config_get();

	if (!c || !(config_state(c) & states))
		return NULL;
	if (bpf_get_netns_cookie(ctx) !=
	    (c->netns_cookie ? c->netns_cookie : bpf_get_netns_cookie(NULL)))
		return NULL;
	return c;
}

INLINE const struct mesh_svc_slot *service_slot(__u32 set, __u32 slot)
{
	struct mesh_svc_slot_key k = {.set = set, .slot = slot};

	return bpf_map_lookup_elem(&mesh_svc_slot, &k);
}

/* The backend this host used last, if it is still one; notes which one is used now. */
INLINE const struct mesh_svc_slot *service_sticky(const struct mesh_config *c,
						  const struct mesh_svc *svc, __u32 slot)
{
	struct mesh_affinity_key k = {.netns_cookie = c->netns_cookie,
				      .service_id = svc->service_id};
	struct mesh_affinity fresh = {.last_ticks = bpf_jiffies64()};
	struct mesh_affinity *a = bpf_map_lookup_elem(&mesh_affinity, &k);
	const struct mesh_svc_slot *b;

	if (a && fresh.last_ticks - a->last_ticks < (__u64)svc->affinity_s * c->ticks_per_s) {
		b = service_slot(svc->set, MESH_SLOT_BACKEND | a->backend_id);
		if (b) {
			a->last_ticks = fresh.last_ticks;
			return b;
		}
	}
	b = service_slot(svc->set, slot);
	if (b) {
		fresh.backend_id = b->backend_id;
		bpf_map_update_elem(&mesh_affinity, &k, &fresh, BPF_ANY);
	}
	return b;
}

/* Turns an address into that of "every node". */
INLINE void service_to_node_port(struct mesh_svc_key *k)
{
	__u32 *w = (__u32 *)k->addr;

	if (!w[0] && !w[1] && w[2] == bpf_htonl(0xffff)) {
		w[3] = 0;
	} else {
		w[0] = 0;
		w[1] = 0;
		w[2] = 0;
		w[3] = 0;
	}
	k->scope = MESH_SVC_NODE_PORT;
}

/* Most connections are to no port in the range, and end here. */
INLINE bool service_is_node_port(const struct mesh_config *c, const struct mesh_svc_key *k)
{
	const __u32 *w = (const __u32 *)k->addr;
	bool v6 = w[0] || w[1] || w[2] != bpf_htonl(0xffff);
	__u16 port = bpf_ntohs(k->port);
	union addr a = {};

	if (port > c->node_port_max || port < c->node_port_min)
		return false;
	if (v6)
		memcpy(a.b, k->addr, 16);
	else
		a.w[0] = w[3];
	return ipcache_is_node(&a, v6);
}

/*
 * Chooses a backend. A user space that replaces the set between the two look-ups has removed the
 * slot, so the service is read a second time. `k` becomes the key of the service that was found.
 */
INLINE const struct mesh_svc_slot *service_choose(const struct mesh_config *c,
						  struct mesh_svc_key *k, __u32 pick,
						  __u32 *service_id, bool *is_service)
{
	const struct mesh_svc_slot *b;
	const struct mesh_svc *found;
	struct mesh_svc svc;
	int i;

	*is_service = false;
#pragma unroll
	for (i = 0; i < 2; i++) {
		found = bpf_map_lookup_elem(&mesh_svc, k);
		if (!found && k->scope == MESH_SVC_ADDRESS && service_is_node_port(c, k)) {
			service_to_node_port(k);
			found = bpf_map_lookup_elem(&mesh_svc, k);
		}
		if (!found)
			return NULL;
		*is_service = true;
		svc = *found;
		*service_id = svc.service_id;
		if (!svc.count)
			return NULL;
		if (svc.flags & MESH_SVC_AFFINITY)
			b = service_sticky(c, &svc, pick % svc.count);
		else
			b = service_slot(svc.set, pick % svc.count);
		if (b)
			return b;
	}
	return NULL;
}

INLINE bool addr_same(const __u8 a[16], const __u8 b[16])
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

/* So that answers and getpeername() show the service again. */
INLINE void service_remember(struct bpf_sock_addr *ctx, const struct mesh_svc_key *k, __u8 scope,
			     const struct mesh_svc_slot *b, __u32 service_id)
{
	struct mesh_sock_rev_key rk = {
		.cookie = bpf_get_socket_cookie(ctx), .port = b->port, .proto = k->proto};
	struct mesh_sock_rev rv = {.port = k->port, .scope = scope, .service_id = service_id};
	const struct mesh_sock_rev *old;

	memcpy(rk.addr, b->addr, 16);
	memcpy(rv.addr, k->addr, 16);
	/* a socket that sends again and again would else write every time */
	old = bpf_map_lookup_elem(&mesh_sock_rev, &rk);
	if (old && old->port == rv.port && old->service_id == service_id &&
	    addr_same(old->addr, rv.addr))
		return;
	bpf_map_update_elem(&mesh_sock_rev, &rk, &rv, BPF_ANY);
}

enum service_result { SERVICE_NONE, SERVICE_FOUND, SERVICE_REFUSED };

/* `sticks_to_socket`: datagrams of one socket go to one backend. */
INLINE enum service_result service_translate(struct bpf_sock_addr *ctx, struct mesh_svc_key *k,
					     struct mesh_svc_slot *ret, bool sticks_to_socket)
{
	const struct mesh_config *c = sock_config(ctx, MESH_STATE_SERVICES);
	const struct mesh_svc_slot *b;
	struct mesh_svc_key at = *k;
	__u32 service_id = 0, pick;
	bool is_service;

	if (!c)
		return SERVICE_NONE;
	pick = sticks_to_socket ? (__u32)bpf_get_socket_cookie(ctx) : bpf_get_prandom_u32();
	b = service_choose(c, &at, pick, &service_id, &is_service);
	if (!is_service)
		return SERVICE_NONE;
	if (!b) {
		count(MESH_DROP_SERVICE_NO_BACKEND, MESH_EGRESS, 0);
		if (has_set_retval)
			bpf_set_retval(-ERRNO_HOSTUNREACH);
		return SERVICE_REFUSED;
	}
	*ret = *b;
	service_remember(ctx, k, at.scope, ret, service_id);
	count(MESH_PASS_SERVICE, MESH_EGRESS, 0);
	return SERVICE_FOUND;
}

/* Backend -> service. False: the address is what the application expects. */
INLINE bool service_reverse(struct bpf_sock_addr *ctx, const struct mesh_svc_key *backend,
			    struct mesh_sock_rev *ret)
{
	struct mesh_sock_rev_key rk = {.cookie = bpf_get_socket_cookie(ctx),
				       .port = backend->port,
				       .proto = backend->proto};
	const struct mesh_sock_rev *rv;
	const struct mesh_svc *svc;
	struct mesh_svc_key k = {.proto = backend->proto};

	if (!sock_config(ctx, MESH_STATE_SERVICES | MESH_STATE_DNS))
		return false;
	memcpy(rk.addr, backend->addr, 16);
	rv = bpf_map_lookup_elem(&mesh_sock_rev, &rk);
	if (!rv)
		return false;
	if (rv->service_id == MESH_SVC_DNS) {
		*ret = *rv;
		return true;
	}
	k.port = rv->port;
	memcpy(k.addr, rv->addr, 16);
	if (rv->scope == MESH_SVC_NODE_PORT)
		service_to_node_port(&k);
	svc = bpf_map_lookup_elem(&mesh_svc, &k);
	if (!svc || svc->service_id != rv->service_id) {
		bpf_map_delete_elem(&mesh_sock_rev, &rk);
		return false;
	}
	*ret = *rv;
	return true;
}
