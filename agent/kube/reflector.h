/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a copy of one kind of object true: lists, watches, resumes, lists again. Prefers a streaming
 * list (WatchList, KEP-3157), falls back to pages. An outage changes nothing in the copy. A list that
 * has lost most objects, or is older than what is known, counts only when a second one says the same.
 */
#pragma once

#include <stdbool.h>

#include "event/loop.h"
#include "json/json_stream.h"
#include "kube/kube_client.h"

struct reflector;

/* Field id that every packed kind gives to "metadata.resourceVersion". */
enum { REFLECTOR_FIELD_VERSION = 0 };

struct reflector_ops {
	/*
	 * Packed kinds: an object starts; its fields follow, then on_object() with doc NULL. A pick or
	 * an object that is not fit for use is to be dropped by the callee: one bad object never stops
	 * the stream. NULL for document kinds.
	 */
	void (*on_begin)(void *arg);
	void (*on_pick)(const struct json_pick *pick, void *arg);
	/* An object is there in its present state, or (is_deleted) is gone. `doc` is borrowed. */
	void (*on_object)(bool is_deleted, const struct doc *doc, void *arg);
	/* A full list starts: objects not seen again until on_replace_end() do not exist any more. */
	void (*on_replace_begin)(void *arg);
	void (*on_replace_end)(void *arg);
};

enum reflector_state {
	REFLECTOR_SYNCING, /* no complete list yet, or on the way to a new one */
	REFLECTOR_SYNCED,  /* watching */
	REFLECTOR_WAITING, /* for the next attempt; see reflector_error() */
};

struct reflector_conf {
	const char *name; /* for logs and status: "ciliumendpoints" */
	const char *path; /* "/apis/cilium.io/v2/ciliumendpoints" */
	const char *other_path; /* of another version of the same kind, where the first is not served; NULL = none */
	const char *query; /* escaped selectors, "labelSelector=..."; NULL = none */
	bool is_optional;  /* the kind may not exist in the cluster: then the copy is empty and complete */
	bool is_guarded;   /* without its objects the host is open: empty lists count only if they go on for two minutes */
	uint64_t confirm_us; /* from a list that is not believed to the next; 0 = 30 s */
	uint64_t overdue_us; /* without a byte of an answer, or of a list that is not complete: then it is asked for anew; 0 = 40 s */
	const struct json_paths *paths; /* packed kinds; NULL = documents. Borrowed */
	const struct reflector_ops *ops;
	void *arg;
	/* After each change of state, and when the first list is complete. May be NULL. */
	void (*on_state)(struct reflector *r, void *arg);
	/* The API server does not accept our credential. May be NULL. */
	void (*on_unauthorized)(void *arg);
	/* The API server is believed to have gone back in time: reflector_relist() is for the other kinds. May be NULL. */
	void (*on_older)(void *arg);
	void *state_arg; /* of the three above */
};

/*
 * `conf` is copied, its strings are borrowed. Starts after `delay_us`. No callback may free the reflector;
 * it must be freed before its client.
 */
int reflector_new(struct loop *loop, struct kube_client *client, const struct reflector_conf *conf,
		  uint64_t delay_us, struct reflector **ret);
void reflector_free(struct reflector *r);
DEFINE_CLEANUP(struct reflector *, reflector_free)

const char *reflector_name(const struct reflector *r);
enum reflector_state reflector_get_state(const struct reflector *r);

/* True once the copy was complete for the first time; stays so. */
bool reflector_has_synced(const struct reflector *r);

/* Why it waits; "" if it does not. */
const char *reflector_error(const struct reflector *r);

/* True if it waits because the last attempt failed: not for a list that confirms another, not for an absent kind. */
bool reflector_is_failing(const struct reflector *r);

/* True if it fails because our credential has no right to read this kind. */
bool reflector_is_forbidden(const struct reflector *r);

/* True while the cluster does not have this kind, which is optional: nothing is wrong with the empty copy. */
bool reflector_is_absent(const struct reflector *r);

/* A list that is not believed yet, while what was known before stays. */
struct reflector_doubt {
	uint64_t listed, known; /* objects */
	bool is_older;		/* its version is */
};
/* Whether there is one. */
bool reflector_get_doubt(const struct reflector *r, struct reflector_doubt *ret);

/* The server that was asked last; NULL = none yet. It lives as long as the client. */
const char *reflector_server(const struct reflector *r);

/*
 * CLOCK_BOOTTIME of the last proof that the copy is fresh; 0 = none yet. Of a watch that is open: its last event, as a
 * quiet one says nothing; of one that ended: its end, which for a peer that vanished is when that was noticed.
 */
uint64_t reflector_fresh_us(const struct reflector *r);

/* Objects in the copy, and full lists and events so far, for status and tests. */
struct reflector_stats {
	uint64_t objects, lists, events, reconnects;
};
struct reflector_stats reflector_get_stats(const struct reflector *r);

/*
 * Lists anew though nothing is known to be missing: another kind saw that the server went back in time. A kind whose last
 * change is older than what the server had come to by the time it was asked cannot see that, and its watch went on as if
 * nothing had been undone. Does nothing before the first list, nor within two minutes of the last time. Not from callbacks of
 * this reflector.
 */
void reflector_relist(struct reflector *r);

/*
 * Lists anew, as not all of the copy could be kept and now it may be; `why` is borrowed for the call. Does nothing before the
 * first list. Not from callbacks of this reflector.
 */
void reflector_reread(struct reflector *r, const char *why);

/* Tries at once instead of waiting out a backoff; after a new credential came. */
void reflector_kick(struct reflector *r);
