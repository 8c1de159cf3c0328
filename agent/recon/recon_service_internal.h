/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of recon_service.c, and the queue of what it writes. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "plan/plan_service.h"
#include "recon/recon_service.h"

/* A frontend as it is in the maps. */
struct svc_entry {
	struct mesh_svc_key key;
	struct mesh_svc value;
	uint32_t *numbers; /* its slots */
	size_t n_slots;
	bool is_claimed; /* by the table; false for a leftover */
	bool is_queued;	 /* a change of it is */
	UT_hash_handle hh;
};

/* What is to become of a frontend. */
struct svc_change {
	struct svc_entry *e;
	struct plan_service p; /* of one that stays */
	bool is_removal;
	bool is_done; /* the programs see it so */
};

struct recon_service {
	const struct bpfobj *obj;
	struct service_table *table;
	struct svc_entry *entries;
	uint32_t last_set;
	ARRAY(struct svc_change) queue;
	size_t queued_slots;
	int failed; /* of the flush under way */
	bool write_all; /* the maps may differ from `entries` */
	uint16_t node_port_min, node_port_max;
	struct recon_service_stats stats;
};

void svc_entry_free(struct recon_service *r, struct svc_entry *e);

/*
 * Queues a change of `e`, of which none is queued: its removal, or `p`, which is taken unless that fails for lack of memory. A
 * full queue is written. 0; -ENOMEM; as below.
 */
int svc_queue_add(struct recon_service *r, struct svc_entry *e, struct plan_service *p, bool is_removal);

/* Writes what is queued, some of it also on failure, and frees the entries of what is removed. 0; errno of bpf(2). */
int svc_queue_write(struct recon_service *r);

/* Forgets what is queued. */
void svc_queue_clear(struct recon_service *r);
