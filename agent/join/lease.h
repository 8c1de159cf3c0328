/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heartbeat: renews the Lease mesh-hosts/HOST, so that an admin sees which hosts live; and who holds it may
 * write as this host, so that a copy of a machine, with the same credential, does not. As in Kubernetes' leader
 * election, a holder that was not heard of for leaseDurationSeconds has lost it, by the clock of who watches it.
 *
 * spec.holderIdentity is HOST/BOOT-ID of the holder. A machine that it keeps waiting puts itself behind,
 * HOST/BOOT-ID,HOST/BOOT-ID: the holder meets a conflict at its next renewal, reads why, and writes its own again.
 * HOST alone is nobody: `meshctl host add`, or a machine that was shut down in order.
 */
#pragma once

#include "kube/kube_client.h"

struct lease;

enum lease_state {
	LEASE_UNKNOWN, /* not read yet */
	LEASE_HELD,    /* ours; or there is none that could be held, which is told once, like this */
	LEASE_WAITING, /* held by another boot, of this machine or of a copy: lives it? */
	LEASE_REFUSED, /* it lives, so we are the copy; stays so, whatever becomes of the other */
	LEASE_LOST,    /* was ours, and somebody else took it: for good, in this run */
};

struct lease_conf {
	const char *host;   /* borrowed, outlives the lease */
	const char *holder; /* HOST/BOOT-ID: tells this machine from a copy of it; borrowed */
	bool is_copy;	    /* it was refused before: it never takes the Lease, LEASE_REFUSED from the start */
	/* A new state; `other` is who holds it if not we. Not LEASE_UNKNOWN. */
	void (*on_state)(enum lease_state state, const char *other, void *arg);
	/* Another machine waits for what we hold. NULL: it has stayed away for some minutes. */
	void (*on_conflict)(const char *other, void *arg);
	void *arg;
};

int lease_new(struct loop *loop, struct kube_client *client, const struct lease_conf *conf, struct lease **ret);
void lease_free(struct lease *l);
DEFINE_CLEANUP(struct lease *, lease_free)

/* Starts, or renews at once. */
void lease_kick(struct lease *l);

enum lease_state lease_get_state(const struct lease *l);

/* Why the last attempt failed, in words of the API server, if it is for a person to solve: the Lease is gone, or may not be
 * written. Else "". */
const char *lease_error(const struct lease *l);

/*
 * Gives it back, so that the next boot need not wait, and renews no more. `on_done` comes when that is written or
 * was refused, once; the caller does not wait for ever. 0, or -errno and no call: -ENODATA if it is not held.
 */
int lease_release(struct lease *l, void (*on_done)(void *arg), void *arg);
