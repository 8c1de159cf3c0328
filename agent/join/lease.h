/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heartbeat: renews the Lease mesh-hosts/HOST, so that an admin sees which hosts live, and finds
 * out when a second machine uses the same identity: two holders renew one Lease.
 */
#pragma once

#include "kube/kube_client.h"

struct lease;

struct lease_conf {
	const char *host;   /* borrowed, outlives the lease */
	const char *holder; /* tells this machine from a copy of it; borrowed */
	/* Another holder renewed the lease while we hold it. NULL: that one has stayed away for some minutes. */
	void (*on_conflict)(const char *other, void *arg);
	void *arg;
};

int lease_new(struct loop *loop, struct kube_client *client, const struct lease_conf *conf, struct lease **ret);
void lease_free(struct lease *l);
DEFINE_CLEANUP(struct lease *, lease_free)

/* Starts, or renews at once. */
void lease_kick(struct lease *l);
