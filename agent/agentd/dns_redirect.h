/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host asks DNS servers past the agent's own comes to it nevertheless while dns rules are in force:
 * the socket programs send it to addresses where only such queries arrive, and the kernel tells whom each was
 * meant for.
 */
#pragma once

#include "agentd/world.h"
#include "bpf/bpf_obj.h"
#include "dns/dns_server.h"

struct dns_redirect;

struct dns_redirect_setup {
	struct dns_server *dns;
	const struct bpfobj *obj;
	const struct world *world;
};

/*
 * Listens, after the server does for its own, and tells the socket programs where; they do nothing before MESH_STATE_DNS is on. Pointers are
 * borrowed. 0 or -errno with text.
 */
int dns_redirect_new(const struct dns_redirect_setup *setup, struct dns_redirect **ret, struct err *reterr);
/* After the server. NULL is fine. */
void dns_redirect_free(struct dns_redirect *d);
DEFINE_CLEANUP(struct dns_redirect *, dns_redirect_free)
