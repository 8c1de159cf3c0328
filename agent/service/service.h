/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All Services and EndpointSlices of the cluster, joined by namespace and the service-name label.
 * An upsert or removal only marks the Service dirty; service_table_flush() recomputes the dirty
 * ones and tells which frontends appeared, changed or went. The cost is that of what changed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "service/service_select.h"

struct service_table;

/* 0 or -ENOMEM. `opt` may be NULL: the default proxy, no node name. */
int service_table_new(const struct service_options *opt, struct service_table **ret);
void service_table_free(struct service_table *t);
DEFINE_CLEANUP(struct service_table *, service_table_free)

/* Copies the options; if they differ, every Service is dirty. `opt` may be NULL. 0; -ENOMEM with the old options kept. */
int service_table_set_options(struct service_table *t, const struct service_options *opt);

/*
 * Add or replace an object, keyed by namespace and name. Takes the object, also on failure.
 * -ENOMEM; -E2BIG past LIMIT_SERVICES or LIMIT_BACKENDS addresses, the old object then stays.
 */
int service_table_upsert(struct service_table *t, struct kube_service *s);
int service_table_upsert_slice(struct service_table *t, struct kube_slice *s);

/* Unknown names are fine. */
void service_table_remove(struct service_table *t, const char *ns, const char *name);
void service_table_remove_slice(struct service_table *t, const char *ns, const char *name);

/*
 * One frontend before and after: old NULL = new, now NULL = gone. Both are valid during the call.
 * Where two Services claim one frontend the older one has it, then the lesser namespace/name; the
 * other gets it when the first lets go.
 */
typedef void (*service_change_fn)(const struct frontend *old, const struct frontend *now,
				  void *arg);

/*
 * Recomputes the dirty Services and reports each frontend that differs. fn may be NULL. On -ENOMEM
 * the Services not done yet stay dirty: call again. -ENOSPC if ids ran out: that Service keeps its
 * old frontends and stays dirty, the others are done.
 */
int service_table_flush(struct service_table *t, service_change_fn fn, void *arg);
bool service_table_is_dirty(const struct service_table *t);

/* Calls fn for each frontend as of the last flush, in no order. Stops at the first non-zero and returns it. */
typedef int (*service_frontend_fn)(const struct frontend *f, void *arg);
int service_table_each(const struct service_table *t, service_frontend_fn fn, void *arg);

/* Calls fn for each Service known. Stops at the first non-zero and returns it. */
typedef int (*service_fn)(const struct kube_service *s, void *arg);
int service_table_each_service(const struct service_table *t, service_fn fn, void *arg);

/* Those of the table. Valid until they are set anew. */
const struct service_options *service_table_options(const struct service_table *t);

/* service_skip_reason() with the options of the table. */
const char *service_table_skip_reason(const struct service_table *t, const struct kube_service *s);

/*
 * Reserves the id of a frontend or backend before the first flush, so that ids survive a restart.
 * -EEXIST if either is taken; -ERANGE for an id out of range; -ENOMEM.
 * service_table_forget_unused() drops reserved ids that nothing took.
 */
int service_table_restore_frontend(struct service_table *t, const struct ip *ip, uint16_t port,
				   uint8_t proto, uint32_t id);
int service_table_restore_backend(struct service_table *t, const struct ip *ip, uint16_t port,
				  uint8_t proto, uint32_t id);
void service_table_forget_unused(struct service_table *t);

/* What a backend is to the Services as of the last flush. */
enum service_use {
	SERVICE_USE_NONE,   /* no slice has it */
	SERVICE_USE_LISTED, /* a slice has it, for whatever condition no frontend does */
	SERVICE_USE_ACTIVE, /* a frontend has it */
};
enum service_use service_table_backend_use(const struct service_table *t, const struct ip *ip, uint16_t port,
					   uint8_t proto);

/*
 * Calls fn from service_table_flush() for each backend that no frontend has any more. It may be in use again
 * at the end of the flush: ask service_table_backend_use() then. fn may be NULL.
 */
typedef void (*service_unused_fn)(const struct ip *ip, uint16_t port, uint8_t proto, void *arg);
void service_table_on_unused(struct service_table *t, service_unused_fn fn, void *arg);

/* One Service with its slices, for DNS and the control socket. Valid until the table changes. */
struct service_view {
	const struct kube_service *service; /* NULL while only slices are known */
	const struct kube_slice *const *slices;
	size_t n_slices;
};

/* Names are given by length and need no NUL; they are compared byte by byte. False if not known. */
bool service_table_find(const struct service_table *t, const char *ns, size_t ns_len,
			const char *name, size_t name_len, struct service_view *ret);

/* The Service that owns the ClusterIP; the older one if two do. NULL if none. */
const struct kube_service *service_table_by_cluster_ip(const struct service_table *t,
							const struct ip *ip);

/* Calls fn for each slice endpoint that has the address. Stops at the first non-zero and returns it. */
typedef int (*service_addr_fn)(const struct kube_slice *s, const struct kube_slice_endpoint *ep,
			       const struct kube_slice_addr *addr, void *arg);
int service_table_by_addr(const struct service_table *t, const struct ip *ip, service_addr_fn fn,
			  void *arg);

struct service_counts {
	size_t services, slices, addresses, frontends, backends, conflicts;
	uint64_t generation; /* grows with every change of an object */
	int64_t changed_s;   /* wall clock of the last change; 0 = none yet */
};
void service_table_counts(const struct service_table *t, struct service_counts *ret);
