/* SPDX-License-Identifier: Apache-2.0 */
/* The side of nl_change.h that has the rights: it makes changes that can be those of the agent, and no others. */
#pragma once

#include "netlink/nl_sock.h"
#include "priv/priv.h"

struct nl_sync;

struct nlserve {
	const char *tunnel_device; /* the one device to make, change and remove... */
	const char *alias;	   /* ...besides those that have been marked with this */
	/* The device of nl_dummy.h, its alias and its address. */
	const char *dummy_device, *dummy_alias;
	struct ip dummy_ip;
	/* Whether a connection is one to end: the agent's programs have sent it to a backend. */
	bool (*may_destroy)(const struct nl_sock *s, uint8_t proto, void *arg);
	void *arg;
	struct nl_sync *route, *sock; /* opened on demand */
};

/* The functions for priv_start(). Their argument is a struct nlserve. */
extern const struct priv_op nlserve_ops[];
extern const size_t nlserve_n_ops;
