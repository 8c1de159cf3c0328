/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "bpf/bpf_map.h"
#include "netlink/nl_sock.h"

struct seed {
	const struct bpfobj *obj;
	struct mesh_ct entry;
	ARRAY(struct nl_sock) listening, connected;
};

static int collect(const struct nl_sock *s, void *arg)
{
	struct seed *seed = arg;

	if (s->state != TCP_LISTEN && (ip_is_loopback(&s->remote) || ip_eq(&s->local, &s->remote)))
		return 0;
	return s->state == TCP_LISTEN ? ARRAY_ADD(&seed->listening, *s) : ARRAY_ADD(&seed->connected, *s);
}

static int cmp_port(const void *a, const void *b)
{
	const struct nl_sock *x = a, *y = b;

	return (x->local_port > y->local_port) - (x->local_port < y->local_port);
}

/* The address does not matter: one that listens is not one that connects. */
static bool is_inbound(const struct seed *seed, const struct nl_sock *s)
{
	return seed->listening.n &&
	       bsearch(s, seed->listening.v, seed->listening.n, sizeof(*s), cmp_port) != NULL;
}

static int put4(const struct seed *seed, const struct nl_sock *s, const struct mesh_ct *e)
{
	struct mesh_ct4_key k = {.local_port = htons(s->local_port), .remote_port = htons(s->remote_port), .proto = IPPROTO_TCP};

	memcpy(&k.local, s->local.b, sizeof(k.local));
	memcpy(&k.remote, s->remote.b, sizeof(k.remote));
	return bpfmap_add(seed->obj, BPFOBJ_CT4, &k, e);
}

static int put6(const struct seed *seed, const struct nl_sock *s, const struct mesh_ct *e)
{
	struct mesh_ct6_key k = {.local_port = htons(s->local_port), .remote_port = htons(s->remote_port), .proto = IPPROTO_TCP};

	memcpy(k.local, s->local.b, sizeof(k.local));
	memcpy(k.remote, s->remote.b, sizeof(k.remote));
	return bpfmap_add(seed->obj, BPFOBJ_CT6, &k, e);
}

static int put(const struct seed *seed, const struct nl_sock *s)
{
	struct mesh_ct e = seed->entry;

	if (!is_inbound(seed, s))
		e.flags |= MESH_CT_EGRESS;
	return s->remote.family == AF_INET ? put4(seed, s, &e) : put6(seed, s, &e);
}

static int put_all(const struct seed *seed, size_t *ret_n)
{
	int r;

	for (size_t i = 0; i < seed->connected.n; i++) {
		r = put(seed, &seed->connected.v[i]);
		if (r < 0 && r != -EEXIST)
			return r;
		*ret_n += r == 0;
	}
	return 0;
}

int recon_flows_seed(const struct bpfobj *o, struct bpfconfig *c, size_t *ret_n)
{
	const struct mesh_config *m = bpfconfig_get(c);
	struct seed seed = {.obj = o,
			    .entry = {.expires = bpfconfig_ticks_now(m->ticks_per_s) + m->ct_tcp_ticks,
				      .generation = bpfconfig_generation(c) - 1, /* not the one in force */
				      .tcp = MESH_TCP_SEEN_DATA | MESH_TCP_SEEN_REPLY}};
	int r;

	*ret_n = 0;
	r = nl_sock_list(AF_INET, collect, &seed);
	if (r == 0)
		r = nl_sock_list(AF_INET6, collect, &seed);
	if (r == 0) {
		ARRAY_SORT(&seed.listening, cmp_port);
		r = put_all(&seed, ret_n);
	}
	ARRAY_DONE(&seed.listening);
	ARRAY_DONE(&seed.connected);
	return r;
}
