/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations at work: watches both sides, moves the host's part of the traffic, and keeps its state on disk first, so
 * that a daemon that dies goes on where it was. One for each Service; one that has ended stays, as it says where the
 * host stands.
 */
#pragma once

#include "agentd/serving.h"
#include "service/migration.h"
#include "service/migration_backends.h"

struct agent;
struct migrating;

/*
 * Reads the state and goes on. A damaged file is raised as a condition, and until it is gone what is published stays
 * and no migration begins. `a` has its world. 0 or -errno with a text.
 */
int migrating_new(struct agent *a, struct migrating **ret, struct err *reterr);
/* Stops; the state stays. */
void migrating_free(struct migrating *g);
DEFINE_CLEANUP(struct migrating *, migrating_free)

/* For serving_new(); `arg` is the migrating. */
void migrating_role(const char *service, struct serve_role *ret, void *arg);

/* What a plan is made from. Borrowed, until the loop runs. */
struct migrating_facts {
	const struct kube_service *service;
	struct migration_check check;
	struct migration_rest base; /* where the host stands now */
	size_t pods;
	struct serving_state host;
};

/* -ENOENT, -EBUSY or another -errno with a text if this host does not stand behind the Service. */
int migrating_look(struct migrating *g, const char *service, struct migrating_facts *ret, struct err *reterr);
/* 0 if such a migration could begin; -errno with a text that says why not. */
int migrating_allows(const struct migrating *g, const struct migrating_facts *f, const struct migration_conf *c,
		     struct err *reterr);

/* What `meshctl migrate` does. 0 or -errno with a text. */
int migrating_start(struct migrating *g, const char *service, const struct migration_conf *c, struct err *reterr);
int migrating_pause(struct migrating *g, const char *service, bool is_paused, struct err *reterr);
int migrating_abort(struct migrating *g, const char *service, struct err *reterr);

/* Calls fn for each migration, sorted by Service. */
typedef void (*migrating_fn)(const struct migration *m, size_t pods, const struct migration_check *check, void *arg);
void migrating_each(struct migrating *g, migrating_fn fn, void *arg);
