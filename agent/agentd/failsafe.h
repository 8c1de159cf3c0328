/* SPDX-License-Identifier: Apache-2.0 */
/* The failsafe set: what no policy can cut off. From the configuration and from what the host needs to live. */
#pragma once

#include "agentd/datapath.h"

struct failsafe_list {
	struct failsafe_entry *v;
	size_t n, cap;
};

/*
 * Builds the set: configured entries; if automatic ones are wanted, DNS to the resolvers of dns.upstreams and resolv.conf and
 * to those behind a resolver of this host; and always the API servers. The host's DHCP needs none: see frame_is_infra() in
 * bpf/lib/verdict.h. At most MESH_FAILSAFE_MAX, the rest is left out. 0 or -ENOMEM.
 */
int failsafe_build(const struct conf *conf, const struct ip *servers, const uint16_t *ports, size_t n_servers,
		   struct failsafe_list *ret);

/*
 * Writes the set into the map and `c`. Removes what is not in it, unless `is_partial`: then not everything is known yet
 * that belongs to it. 0 or -errno.
 */
int failsafe_apply(const struct bpfobj *o, struct bpfconfig *c, const struct failsafe_list *list, bool is_partial);
