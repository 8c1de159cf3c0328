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

/* Once the server listens for its own queries; does nothing yet. Pointers are borrowed. 0 or -ENOMEM. */
int dns_redirect_new(const struct dns_redirect_setup *setup, struct dns_redirect **ret);
/* After the server. NULL is fine. */
void dns_redirect_free(struct dns_redirect *d);
DEFINE_CLEANUP(struct dns_redirect *, dns_redirect_free)

/*
 * Listens, and tells the socket programs where; they do nothing before MESH_STATE_DNS is on. After a failure, again: it goes on where it came to. 0 or -errno with text.
 */
int dns_redirect_start(struct dns_redirect *d, struct err *reterr);

/* Whether all is there that MESH_STATE_DNS needs. NULL: no. */
bool dns_redirect_is_on(const struct dns_redirect *d);
