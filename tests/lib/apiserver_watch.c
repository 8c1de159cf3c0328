/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: a position in the event history that moves as fast as the client reads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apiserver_list.h"
#include "apiserver_status.h"
#include "apiserver_util.h"
#include "base/clock.h"
#include "base/rng.h"

enum { FILL_BYTES = 64 * 1024 };

struct watch {
	struct object_list initial; /* still to be shown as ADDED */
	size_t initial_at;
	uint64_t initial_rv;
	uint64_t next_rv; /* first write not yet looked at */
	bool has_bookmarks, wants_end_mark, is_over, is_final_sent;
	uint64_t bookmark_us; /* when the next one is due */
	uint64_t final_us;    /* when the last one before the end is due; 0 = never */
	uint64_t end_us;
};

void watch_free(struct watch *w)
{
	if (w)
		object_list_done(&w->initial);
	free(w);
}

static void add_event(struct req *q, const char *type, const struct object *o)
{
	must_add_str(&q->out, "{\"type\":\"");
	must_add_str(&q->out, type);
	must_add_str(&q->out, "\",\"object\":");
	must_add(&q->out, o->text, o->text_len);
	must_add_str(&q->out, "}\n");
}

static void add_bookmark(struct req *q, uint64_t rv, bool is_end_mark)
{
	static const char *const mark = "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"},";
	CLEANUP(free) char *line = NULL;
	char version[96];

	kind_api_version(q->kind, version);
	line = must_printf(
		"{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"%s\",\"kind\":\"%s\","
		"\"metadata\":{%s\"resourceVersion\":\"%" PRIu64 "\"}}}\n",
		version, q->kind->name, is_end_mark ? mark : "", rv);
	must_add_str(&q->out, line);
}

/* An ERROR event, after which the stream ends. Takes the status. */
static void add_error(struct req *q, json_t *status)
{
	CLEANUP(json) json_t *s = status;
	CLEANUP(free) char *text = json_text(s);

	must_add_str(&q->out, "{\"type\":\"ERROR\",\"object\":");
	must_add_str(&q->out, text);
	must_add_str(&q->out, "}\n");
	q->watch->is_over = true;
}

/* One write as this watcher sees it: leaving the selection is a deletion. */
static void add_change(struct req *q, const struct event *e)
{
	bool was, is;

	if (e->now->kind != q->kind || (*q->attr.ns && !str_eq(e->now->ns, q->attr.ns)))
		return;
	was = e->before && selector_matches(&q->selector, e->before);
	is = e->type != EVENT_DELETED && selector_matches(&q->selector, e->now);
	if (is) {
		add_event(q, was ? "MODIFIED" : "ADDED", e->now);
	} else if (was) {
		CLEANUP(object_unref) struct object *last = object_at_rv(e->before, e->rv);

		add_event(q, "DELETED", last);
	}
}

static void fill_initial(struct req *q)
{
	struct watch *w = q->watch;

	for (; w->initial_at < w->initial.n && q->out.len < FILL_BYTES; w->initial_at++)
		if (selector_matches(&q->selector, w->initial.v[w->initial_at]))
			add_event(q, "ADDED", w->initial.v[w->initial_at]);
	if (w->initial_at < w->initial.n)
		return;
	object_list_done(&w->initial);
	w->initial_at = 0;
	if (w->wants_end_mark)
		add_bookmark(q, w->initial_rv, true);
	w->wants_end_mark = false;
}

/* Bookmarks and the end, which come by time. */
static void fill_timed(struct req *q, uint64_t now)
{
	struct watch *w = q->watch;
	bool is_final = w->final_us && now >= w->final_us && !w->is_final_sent;

	if (w->has_bookmarks && (now >= w->bookmark_us || is_final)) {
		add_bookmark(q, q->srv->store.rv, false);
		w->bookmark_us = now + q->srv->opt.bookmark_us;
		w->is_final_sent = w->is_final_sent || is_final;
	}
	if (now >= w->end_us)
		w->is_over = true;
}

bool watch_is_due(const struct req *q, uint64_t now_us)
{
	return q->watch->next_rv <= q->srv->store.last_rv[kind_index(q->kind)] ||
	       q->watch->next_rv <= q->srv->store.floor || (q->wake_us && now_us >= q->wake_us);
}

bool watch_fill(struct req *q)
{
	const struct store *st = &q->srv->store;
	struct watch *w = q->watch;
	uint64_t now = clock_boot_us();

	if (w->is_over)
		return false;
	if (w->initial.n > 0 || w->wants_end_mark)
		fill_initial(q);
	if (q->fault && q->fault->action == FAULT_GONE && w->initial.n == 0) {
		add_error(q,
			  status_expired("The resourceVersion for the provided watch is too old."));
		return true;
	}
	while (w->initial.n == 0 && w->next_rv <= st->rv && q->out.len < FILL_BYTES) {
		const struct event *e;

		if (w->next_rv <= st->floor) {
			w->is_over = true; /* too slow: the history went on without it */
			return q->out.len > 0;
		}
		e = store_event(st, w->next_rv++);
		if (e)
			add_change(q, e);
	}
	if (q->out.len == 0)
		fill_timed(q, now);
	q->wake_us = w->end_us;
	if (w->has_bookmarks)
		q->wake_us = MIN(q->wake_us, w->bookmark_us);
	if (w->has_bookmarks && w->final_us && !w->is_final_sent)
		q->wake_us = MIN(q->wake_us, w->final_us);
	return q->out.len > 0 || !w->is_over;
}

/* Checks the parameters that only some servers know; false if it answered. */
static bool check_initial_events(struct req *q)
{
	const char *initial = req_query(q, "sendInitialEvents"),
		   *match = req_query(q, "resourceVersionMatch");

	if (!*initial && *match) {
		list_options_fail(q, "FieldValueForbidden", "resourceVersionMatch",
				  "Forbidden: resourceVersionMatch is forbidden for watch unless "
				  "sendInitialEvents is provided");
		return false;
	}
	if (*initial && q->srv->opt.no_watchlist) {
		list_options_fail(
			q, "FieldValueForbidden", "sendInitialEvents",
			"Forbidden: sendInitialEvents is forbidden for watch unless the WatchList "
			"feature gate is enabled");
		return false;
	}
	if (*initial && !str_eq(match, "NotOlderThan")) {
		list_options_fail(
			q, "FieldValueForbidden", "resourceVersionMatch",
			"Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
			"NotOlderThan");
		return false;
	}
	return true;
}

static uint64_t watch_timeout_us(struct req *q)
{
	uint64_t s;

	if (str_to_u64(req_query(q, "timeoutSeconds"), 1U << 30, &s) == 0 && s > 0)
		return s * USEC_PER_SEC;
	return (1800 + (uint64_t)rng_below(1800)) * USEC_PER_SEC;
}

void watch_fail(struct req *q, json_t *status)
{
	q->watch = must(calloc(1, sizeof(*q->watch)));
	q->code = 200;
	add_error(q, status);
}

void watch_handle(struct req *q)
{
	const struct store *st = &q->srv->store;
	bool has_initial, is_list = req_query_bool(q, "sendInitialEvents");
	uint64_t rv, now = clock_boot_us(), timeout_us;
	struct watch *w;

	if (!check_initial_events(q) || !list_parse_rv(q, &rv))
		return;
	if (is_list && rv > 0 && list_wait_for(q, rv))
		return;
	has_initial = is_list || (rv == 0 && !*req_query(q, "sendInitialEvents"));
	w = q->watch = must(calloc(1, sizeof(*w)));
	timeout_us = watch_timeout_us(q);
	w->has_bookmarks = req_query_bool(q, "allowWatchBookmarks");
	w->bookmark_us = now + q->srv->opt.bookmark_us;
	w->end_us = now + timeout_us;
	w->final_us = timeout_us > 4 * USEC_PER_SEC ? w->end_us - 2 * USEC_PER_SEC : 0;
	w->next_rv = has_initial || rv == 0 ? st->rv + 1 : rv + 1;
	w->initial_rv = st->rv;
	w->wants_end_mark = is_list && w->has_bookmarks;
	q->is_gzip = is_list && strstr(req_header(q, "Accept-Encoding"), "gzip"); /* as Kubernetes 1.37 */
	q->code = 200;
	if (rv > 0 && !has_initial && rv < st->floor)
		add_error(q, status_new(410, "Expired", NULL,
					"too old resource version: %" PRIu64 " (%" PRIu64 ")", rv,
					st->floor));
	else if (has_initial && !(q->fault && q->fault->action == FAULT_EMPTY))
		(void)store_snapshot(st, q->kind, q->attr.ns, st->rv,
				     &w->initial); /* now is known */
}
