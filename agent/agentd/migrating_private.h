/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of migrating.h share: the list of migrations and its file, what is behind a Service, the work itself. */
#pragma once

#include "agentd/migrating.h"
#include "agentd/migrating_watch.h"

#define MIGRATING_FILE "migrations.json" /* in the state directory */

/* A migration with what the daemon has for it. */
struct migrating_one {
	struct migrating *g;
	struct migration m;
	struct migrating_watch *watch;
	uint64_t seen_us; /* of the last tick; 0 = none yet */
	bool is_role_known;
	struct migration_role role; /* that was last asked for */
	char text[160]; /* why it stands by */
};

struct migrating {
	struct agent *a;
	struct source *timer;
	struct http *http;
	struct migrating_one **v; /* sorted by Service */
	size_t n;
	bool is_damaged;
};

/* NULL if there is none of this Service. */
struct migrating_one *migrating_find(const struct migrating *g, const char *service);
/* Takes the content of `m`, also if there is one of the Service already, which the new one stands behind. 0 or -ENOMEM. */
int migrating_add(struct migrating *g, struct migration *m, struct migrating_one **ret);
/* Out of the list, and freed. */
void migrating_drop(struct migrating *g, struct migrating_one *o);
/* NULL is fine; not if it is in the list. */
void migrating_one_free(struct migrating_one *o);

/* Writes the file, or removes it if there is no migration. A failure is a condition, too. 0 or -errno with a text. */
int migrating_save(struct migrating *g, struct err *reterr);
/* Reads it, if there is one. A damaged one is a condition, and is_damaged. 0, -ENOMEM. */
int migrating_load(struct migrating *g);

/* False if there is no such Service in this host's namespace. What it has is borrowed, until the loop runs. */
bool migrating_find_service(const struct migrating *g, const char *name, struct service_view *ret);
/* Adds the backends of `v` that are not this host, none if there is nothing to ask them. 0 or -ENOMEM. */
int migrating_backends(const struct migrating *g, const struct service_view *v, const struct migration_check *check,
		       struct migration_backends *ret);

/* One condition for all that were taken back, until the next migration of the Service. */
void migrating_tell_rolled_back(struct migrating *g);
/* Follows all that run, and comes back by itself. What those say that have ended is asked for with each change of the Services. */
void migrating_run(struct migrating *g);
