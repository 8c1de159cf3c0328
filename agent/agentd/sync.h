/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the API server into the tables: one reflector for each kind, decoding, and what to do with
 * objects that are gone. Tables only; nothing here touches the kernel.
 */
#pragma once

#include "identity/port_claims.h"
#include "kube/cilium_config.h"
#include "kube/kube_client.h"
#include "kube/reflector.h"
#include "policy/policy_gate.h"
#include "service/service.h"
#include "store/endpoint_table.h"
#include "store/node_table.h"

struct sync;

/* What the objects go into; all borrowed, all outlive the sync. */
struct sync_tables {
	struct identity_table *identities;
	struct policy_gate *policies;
	struct service_table *services;
	struct service_table *imports; /* ServiceImports and their slices */
	struct endpoint_table *endpoints;
	struct port_claims *ports;
	struct node_table *nodes;
	bool ignores_knp, ignores_cnp, ignores_ccnp; /* as in struct cilium_config */
	bool has_node_labels; /* policies may select nodes by label */
	const char *cilium_namespace; /* where cilium-config is; NULL = CILIUM_NAMESPACE */
};

struct sync_callbacks {
	/* Some table changed, or a list became complete: recompute, in a while. */
	void (*on_change)(void *arg);
	/* A Namespace exists, with these labels (NULL = none, borrowed), or is gone. */
	void (*on_namespace)(const char *name, bool exists, const struct doc *labels, void *arg);
	/* The ConfigMap cilium-config is another one. */
	void (*on_config)(const json_t *configmap, void *arg);
	/* The credential was refused. */
	void (*on_unauthorized)(void *arg);
	/* Something could not be kept for lack of memory: the tables are not what the cluster says, and nothing brings it back. */
	void (*on_memory)(void *arg);
	/* A kind that was complete is read again, after a break or from the beginning. */
	void (*on_resumed)(void *arg);
	void *arg;
};

/* Starts all reflectors. 0 or -errno. */
int sync_new(struct loop *loop, struct kube_client *client, bool has_slices, const struct sync_tables *tables,
	     const struct sync_callbacks *callbacks, struct sync **ret);
void sync_free(struct sync *s);
DEFINE_CLEANUP(struct sync *, sync_free)

/* True once every kind was complete for the first time; ServiceImports, which only names depend on, may come later. */
bool sync_is_complete(const struct sync *s);
/* True once the ServiceImports were, or it is known that the cluster has no such kind. */
bool sync_has_imports(const struct sync *s);

/* The reflector of kind `i`, NULL past the end; for status. */
const struct reflector *sync_reflector(const struct sync *s, size_t i);

/*
 * True if the last attempt to read kind `i` failed. An optional kind that the cluster does not have is none of them, nor
 * are ServiceImports that could never be read.
 */
bool sync_is_failing(const struct sync *s, size_t i);

/* Of the kinds that fail so the one that has gone longest without news; NULL = none fails. `ret_n` gets how many do. */
const struct reflector *sync_failing(const struct sync *s, size_t *ret_n);

/* Objects of that kind that were not fit for use. */
uint64_t sync_rejected(const struct sync *s, size_t i);

/*
 * Policies that there was no room for: what they forbid, the tables do not know. sync_use_room() lists their kinds anew once
 * there is room, at most every two minutes; not from callbacks of a reflector.
 */
size_t sync_left_out(const struct sync *s);
void sync_use_room(struct sync *s);

/* A new credential came: waiting reflectors try again at once. */
void sync_kick(struct sync *s);
