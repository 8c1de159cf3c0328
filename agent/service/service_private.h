/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the service table, shared by its two source files only. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "service/addr_index.h"
#include "service/id_table.h"
#include "service/service_options.h"

/* A Service's wish to own a frontend. */
struct claim {
	struct frontend f;
	struct service_entry *owner;
	struct frontend_slot *slot;
	struct claim *next; /* of the same slot */
};

struct frontend_key {
	struct ip ip;
	uint8_t proto;
	uint16_t port;
};

struct frontend_slot {
	struct frontend_key key;
	struct claim *claims;
	struct claim *active;
	uint32_t id;
	UT_hash_handle hh;
};

struct service_entry {
	struct kube_service *s;	    /* NULL while only slices are known */
	struct kube_service *shown; /* what the claims' texts point into; often the same as s */
	ARRAY(const struct kube_slice *) slices;
	ARRAY(struct claim *) claims; /* sorted by frontend_cmp() */
	struct service_entry *next_dirty;
	bool is_dirty;
	UT_hash_handle hh;
	char key[];
};

struct slice_entry {
	struct kube_slice *s;
	struct service_entry *service;
	UT_hash_handle hh;
	char key[];
};

struct service_table {
	struct options_copy opt;
	struct service_entry *services;
	struct slice_entry *slices;
	struct frontend_slot *slots;
	struct service_entry *dirty_first, *dirty_last;
	struct id_table backend_ids, frontend_ids;
	struct addr_index by_addr, by_cluster_ip;
	size_t n_services, n_addresses, n_conflicts;
	uint64_t generation;
	int64_t changed_s;
	service_unused_fn on_unused; /* may be NULL */
	void *unused_arg;
};

/* Queues a Service for the next flush. */
void service_mark_dirty(struct service_table *t, struct service_entry *e);
/* Drops an entry that nothing refers to any more. */
void service_release(struct service_table *t, struct service_entry *e);
