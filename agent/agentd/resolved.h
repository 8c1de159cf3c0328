/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes systemd-resolved ask the agent for the names of the cluster, and for no others: they are routed to a link
 * of ours, which holds nothing but the address where the DNS server listens for it. What is told goes with the link,
 * so taking it back is to remove the link, whatever state systemd-resolved is in.
 */
#pragma once

#include "agentd/health.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "event/loop.h"

#define RESOLVED_DEVICE	 "mesh_dns"
#define RESOLVED_ALIAS	 "mesh-external-agent DNS" /* not that of the tunnel: of that there is only one */
#define RESOLVED_ADDRESS "198.18.53.53" /* of the range for tests of devices (RFC 2544): nobody's */

/* Makes the link, before the server listens there. 0 or -errno with text. */
int resolved_link_make(struct ip *ret_ip, int *ret_ifindex, struct err *reterr);
/* Removes it, ours only; none is fine. 0 or -errno. */
int resolved_link_remove(void);

struct resolved;

struct resolved_setup {
	struct loop *loop;
	struct health *health;
	const struct strv *domains; /* see resolver_domains.h */
	struct ip ip;	    /* of the server */
	int ifindex;	    /* of the link */
	bool is_asking;	    /* first of all whether it knows already */
	/* We cannot tell it, for lack of polkit or its rule: somebody else is to. Then that is found out. May be NULL. */
	void (*on_refused)(void *arg);
	void *arg;
};

/*
 * Tells systemd-resolved, now and whenever it starts again; while it is away it is tried again. Pointers are borrowed,
 * `domains` too. 0, -ENOMEM or errno of a timer.
 */
int resolved_new(const struct resolved_setup *setup, struct resolved **ret);
/* Whether it asks us, as far as it said so. */
bool resolved_is_told(const struct resolved *r);
/* Says no more; what was said stays until the link goes. NULL is fine. */
void resolved_free(struct resolved *r);
DEFINE_CLEANUP(struct resolved *, resolved_free)
