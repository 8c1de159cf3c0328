/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what is in force in the state directory, and puts it in force again when the host boots, as datapath.boot
 * says: before the network is up, and before the API server can be asked.
 */
#pragma once

#include "agentd/datapath.h"
#include "join/join_state.h"

struct keeping;

/* `join` is copied as far as needed; the others must outlive it. 0 or -ENOMEM. */
int keeping_new(struct loop *loop, const struct conf *conf, struct health *health, const struct join_state *join,
		struct datapath *datapath, struct keeping **ret);
void keeping_free(struct keeping *k);
DEFINE_CLEANUP(struct keeping *, keeping_free)

/*
 * Prepares what a boot begins with; datapath_enforce() is the caller's. After a restart, where a policy is in force
 * already, does nothing. What goes wrong is raised as a condition, and then nothing passes but the failsafe set. 0, or
 * -errno if not even that could be prepared.
 */
int keeping_restore(struct keeping *k);

/* What the API server says is in force now: the conditions of the boot end, and the state is saved soon. */
void keeping_settled(struct keeping *k);

/* Something may have changed, or a day may have passed: saves soon if so. Cheap. */
void keeping_look(struct keeping *k);

/* Saves now what has to be: the process stops. */
void keeping_flush(struct keeping *k);

/* Nothing of ours is in force any more: neither will anything be after a boot. Never saves again. */
void keeping_forget(struct keeping *k);

/* The same without a daemon. 0 or -errno with a text. */
int keeping_remove(const char *state_dir, struct err *reterr);
