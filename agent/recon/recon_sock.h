/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends connections that went to a service and whose backend has vanished, so that clients connect anew at
 * once instead of waiting for answers that cannot come. A backend has vanished when no EndpointSlice lists it
 * any more and, for TCP, the cluster has no endpoint with its address either: what was only taken out of a
 * Service still serves the connections that it has. Only sockets that the socket programs translated are
 * touched, never those that connected to the address of the backend itself.
 */
#pragma once

#include <stdint.h>

#include "bpf/bpf_map.h"
#include "netlink/nl_sock.h"
#include "service/service.h"

struct loop;
struct recon_sock;

enum recon_sock_end { RECON_SOCK_NONE, RECON_SOCK_UDP, RECON_SOCK_ALL };

/* True if the cluster has an endpoint, one that runs, with this address. */
typedef bool (*recon_sock_endpoint_fn)(const struct ip *ip, void *arg);

/*
 * Follows the backends of `t` (service_table_on_unused()). All pointers but `l` are borrowed for its life, as
 * is `l`. 0; -ENOMEM; errno of socket(2).
 */
int recon_sock_new(struct loop *l, const struct bpfobj *o, struct service_table *t, recon_sock_endpoint_fn fn,
		   void *arg, struct recon_sock **ret);
void recon_sock_free(struct recon_sock *r);
DEFINE_CLEANUP(struct recon_sock *, recon_sock_free)

/* Which connections are ended, from the next look on; RECON_SOCK_ALL at first. */
void recon_sock_set(struct recon_sock *r, enum recon_sock_end end);

/*
 * Looks which of the backends that went out of use have vanished meanwhile; their connections end some
 * milliseconds later, from the loop. Call it after the services or the endpoints of the cluster changed. The first
 * call also asks about what an earlier run of the agent left. What fails, now or later, is looked at again by itself.
 * 0; -ENOMEM or errno of bpf(2).
 */
int recon_sock_look(struct recon_sock *r);

struct recon_sock_stats {
	uint64_t ended;	 /* connections */
	uint64_t failed; /* those that the kernel would not end */
	size_t waiting;	 /* backends out of use that have not vanished */
	bool is_unsupported; /* the kernel cannot end connections of others */
};
struct recon_sock_stats recon_sock_get_stats(const struct recon_sock *r);

/* True if the socket programs sent this socket there, for a service. */
bool recon_sock_is_translated(const struct bpfobj *o, const struct nl_sock *s, uint8_t proto);
