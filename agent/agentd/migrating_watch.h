/* SPDX-License-Identifier: Apache-2.0 */
/* Asks both sides of a migration, the same question of the same port, about once a second. */
#pragma once

#include "http/http.h"
#include "service/migration.h"
#include "service/migration_backends.h"

struct migrating_watch;

/* All borrowed; `m` gets the samples. 0 or -ENOMEM. */
int migrating_watch_new(struct loop *loop, struct http *http, struct migration *m, struct migrating_watch **ret);
void migrating_watch_free(struct migrating_watch *w);
DEFINE_CLEANUP(struct migrating_watch *, migrating_watch_free)

/*
 * Starts a round, unless the last one began less than a second ago: this host at `own`, unless its family is 0, and some
 * of the pods, others each time. One that has not answered yet is not asked again; one that failed counts with the
 * next round, if it is a pod of the Service then: those that are about to go are no error.
 */
void migrating_watch_ask(struct migrating_watch *w, const struct migration_check *check, const struct ip *own,
			 const struct migration_backends *pods);
/* The answers under way are of another level: they do not count. */
void migrating_watch_begin(struct migrating_watch *w);
