/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the datapath's events through the loop. Nothing wakes up while there are none. */
#pragma once

#include "bpf/bpf_obj.h"
#include "event/loop.h"

struct bpfevents;

/* `ev` is valid during the call only. */
typedef void (*bpfevents_fn)(const struct mesh_event *ev, void *arg);

/* 0 or -errno. */
int bpfevents_open(const struct bpfobj *o, struct loop *l, bpfevents_fn fn, void *arg,
		   struct bpfevents **ret);
void bpfevents_free(struct bpfevents *e);
DEFINE_CLEANUP(struct bpfevents *, bpfevents_free)

/* Delivers what is there now; the number of events or -errno. For tests and for the last look. */
int bpfevents_drain(struct bpfevents *e);
