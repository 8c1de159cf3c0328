/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_list.h"

#include <inttypes.h>
#include <stdio.h>

#include "apiserver_status.h"
#include "apiserver_util.h"
#include "base/clock.h"

enum { WAIT_US = 3000000 }; /* how long the real server waits for a resourceVersion to come */

void list_options_fail(struct req *q, const char *cause, const char *field, const char *why)
{
	json_t *d = must(json_pack("{s:s,s:s,s:[{s:s,s:s,s:s}]}", "group", "meta.k8s.io", "kind",
				   "ListOptions", "causes", "reason", cause, "message", why,
				   "field", field));

	req_reply(q, 422,
		  status_new(422, "Invalid", d, "ListOptions.meta.k8s.io \"\" is invalid: %s: %s",
			     field, why));
}

bool list_parse_rv(struct req *q, uint64_t *ret_rv)
{
	const char *text = req_query(q, "resourceVersion");

	*ret_rv = 0;
	if (!*text || str_to_u64(text, UINT64_MAX - 1, ret_rv) == 0)
		return true;
	if (str_eq(q->attr.verb, "watch"))
		fail_request(q, 500, "resourceVersion: Invalid value: \"%s\": invalid syntax",
			     text);
	else
		fail_bad_request(q,
				 "invalid resource version: resourceVersion: Invalid value: "
				 "\"%s\": invalid syntax",
				 text);
	return false;
}

bool list_wait_for(struct req *q, uint64_t rv)
{
	uint64_t now = clock_boot_us();
	json_t *d;

	if (rv <= q->srv->store.rv)
		return false;
	if (now < q->start_us + WAIT_US) {
		q->wake_us = q->start_us + WAIT_US;
		q->wait_rv = rv;
		return true;
	}
	d = must(json_pack("{s:[{s:s,s:s}],s:i}", "causes", "reason", "ResourceVersionTooLarge",
			   "message", "Too large resource version", "retryAfterSeconds", 1));
	d = status_new(504, "Timeout", d,
		       "Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64, rv,
		       q->srv->store.rv);
	if (str_eq(q->attr.verb, "watch")) {
		watch_fail(q, d);
		return true;
	}
	q->has_retry_after = true;
	q->retry_after_s = 1;
	req_reply(q, 504, d);
	return true;
}

struct page {
	uint64_t rv;	/* state to show */
	uint64_t limit; /* 0 = all */
	char *after;	/* key of the last object of the previous page, NULL on the first */
};

static void page_done(struct page *p)
{
	free(p->after);
}

DEFINE_CLEANUP_DONE(struct page, page_done)

static bool continue_parse(const char *text, struct page *p)
{
	size_t len;
	CLEANUP(free) unsigned char *raw = base64url_decode(text, strlen(text), &len);
	CLEANUP(json) json_t *j = raw ? json_loadb((char *)raw, len, 0, NULL) : NULL;
	json_t *rv = json_object_get(j, "rv"), *start = json_object_get(j, "start");

	if (!json_is_integer(rv) || json_integer_value(rv) <= 0 || !json_is_string(start))
		return false;
	p->rv = (uint64_t)json_integer_value(rv);
	p->after = must_strdup(json_string_value(start));
	return true;
}

static char *continue_make(uint64_t rv, const char *last)
{
	CLEANUP(json) json_t *j =
		must(json_pack("{s:s,s:I,s:s}", "v", "meta.k8s.io/v1", "rv", (json_int_t)rv,
				   "start", last));
	CLEANUP(free) char *text = json_text(j);

	return base64url(text, strlen(text));
}

/* Reads the parameters; false if it answered. */
static bool page_parse(struct req *q, struct page *p)
{
	const char *match = req_query(q, "resourceVersionMatch"), *cont = req_query(q, "continue");
	const char *rv_text = req_query(q, "resourceVersion"), *limit = req_query(q, "limit");
	uint64_t rv, current = q->srv->store.rv;

	if (*limit && str_to_u64(limit, INT64_MAX, &p->limit) < 0) {
		fail_bad_request(q, "strconv.ParseInt: parsing \"%s\": invalid syntax", limit);
		return false;
	}
	if (*req_query(q, "sendInitialEvents")) {
		list_options_fail(q, "FieldValueForbidden", "sendInitialEvents",
				  "Forbidden: sendInitialEvents is forbidden for list");
		return false;
	}
	if (*match && !*rv_text) {
		list_options_fail(q, "FieldValueForbidden", "resourceVersionMatch",
				  "Forbidden: resourceVersionMatch is forbidden unless "
				  "resourceVersion is provided");
		return false;
	}
	if (*match && *cont) {
		list_options_fail(
			q, "FieldValueForbidden", "resourceVersionMatch",
			"Forbidden: resourceVersionMatch is forbidden when continue is provided");
		return false;
	}
	if (*match && !str_eq(match, "Exact") && !str_eq(match, "NotOlderThan")) {
		CLEANUP(free) char *why =
			must_printf("Unsupported value: \"%s\": supported values: \"Exact\", "
					"\"NotOlderThan\", \"\"",
					match);

		list_options_fail(q, "FieldValueNotSupported", "resourceVersionMatch", why);
		return false;
	}
	if (str_eq(match, "Exact") && str_eq(rv_text, "0")) {
		list_options_fail(q, "FieldValueForbidden", "resourceVersionMatch",
				  "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
				  "resourceVersion \"0\"");
		return false;
	}
	if (!list_parse_rv(q, &rv))
		return false;
	p->rv = current;
	if (*cont) {
		if (*rv_text && rv != 0) {
			fail_bad_request(
				q,
				"specifying resource version is not allowed when using continue");
			return false;
		}
		if (!continue_parse(cont, p)) {
			fail_bad_request(q, "continue key is not valid");
			return false;
		}
		return true;
	}
	if (rv > 0 && list_wait_for(q, rv))
		return false;
	if (rv > 0 && (str_eq(match, "Exact") || (!*match && p->limit > 0)))
		p->rv = rv;
	if (str_eq(rv_text, "0"))
		p->limit = 0; /* served whole from the cache */
	return true;
}

/* 410 of a continue token that is too old; carries one that goes on inconsistently. */
static void continue_expired(struct req *q, const struct page *p)
{
	CLEANUP(free) char *token = continue_make(q->srv->store.rv, p->after);
	json_t *s = status_expired(
		"The provided continue parameter is too old to display a consistent list "
		"result. You can start a new list without the continue parameter, or use "
		"the continue token in this response to retrieve the remainder of the "
		"results. Continuing with the provided token results in an inconsistent "
		"list - objects that were created, modified, or deleted between the time "
		"the first chunk was returned and now may show up in the list.");

	json_put_text(json_sub(s, "metadata"), "continue", token);
	req_reply(q, 410, s);
}

static void add_item(struct buf *b, const struct object *o)
{
	if (kind_is(o->kind, KIND_CUSTOM)) {
		must_add(b, o->text, o->text_len);
		return;
	}
	must_add(b, "{", 1); /* items of built-in kinds have no kind and apiVersion */
	must_add(b, o->text + o->head_len, o->text_len - o->head_len);
}

/* Adds the page's items; *ret_last is the key of the last, if more remain, whose number is
 * *ret_left. */
static void add_items(struct req *q, const struct page *p, const struct object_list *l,
		      const char **ret_last, size_t *ret_left)
{
	const char *last = NULL;
	uint64_t n = 0;

	*ret_left = 0;
	for (size_t i = 0; i < l->n; i++) {
		if ((p->after && strcmp(l->v[i]->key, p->after) <= 0) ||
		    !selector_matches(&q->selector, l->v[i]))
			continue;
		if (p->limit > 0 && n >= p->limit) {
			++*ret_left;
			continue;
		}
		if (n++ > 0)
			must_add(&q->out, ",", 1);
		add_item(&q->out, l->v[i]);
		last = l->v[i]->key;
	}
	*ret_last = *ret_left > 0 ? last : NULL;
}

static void list_reply(struct req *q, const struct page *p, const struct object_list *l)
{
	CLEANUP(json) json_t *meta = must(json_object());
	CLEANUP(free) char *token = NULL;
	CLEANUP(free) char *meta_text = NULL;
	CLEANUP(free) char *head = NULL;
	CLEANUP(free) char *tail = NULL;
	char version[96];
	const char *last;
	struct buf items;
	size_t left;

	add_items(q, p, l, &last, &left);
	items = q->out;
	q->out = (struct buf){0};
	if (kind_is(q->kind, KIND_CUSTOM))
		json_put_text(meta, "continue", ""); /* there even when it is empty */
	json_put(meta, "resourceVersion", json_sprintf("%" PRIu64, p->rv));
	if (last) {
		token = continue_make(p->rv, last);
		json_put_text(meta, "continue", token);
		if (selector_is_empty(&q->selector))
			json_put(meta, "remainingItemCount", json_integer((json_int_t)left));
	}
	meta_text = json_text(meta);
	kind_api_version(q->kind, version);
	/* custom resources have their members sorted: the items come before the metadata */
	if (kind_is(q->kind, KIND_CUSTOM)) {
		head = must_printf("{\"apiVersion\":\"%s\",\"items\":[", version);
		tail = must_printf("],\"kind\":\"%sList\",\"metadata\":%s}\n", q->kind->name,
				   meta_text);
	} else {
		head = must_printf(
			"{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":%s,\"items\":[",
			q->kind->name, version, meta_text);
		tail = must_strdup("]}\n");
	}
	must_add_str(&q->out, head);
	if (items.len > 0)
		must_add(&q->out, items.data, items.len);
	must_add_str(&q->out, tail);
	buf_done(&items);
	q->code = 200;
}

void list_handle(struct req *q)
{
	CLEANUP(object_list_done) struct object_list l = {0};
	CLEANUP(page_done) struct page p = {0};
	const struct store *st = &q->srv->store;

	if (q->fault && q->fault->action == FAULT_GONE) {
		fail_expired(q, "The resourceVersion for the provided list is too old.");
		return;
	}
	if (!page_parse(q, &p))
		return;
	if (q->fault && q->fault->action == FAULT_RV_BACK)
		p.rv = MAX(p.rv > q->fault->back ? p.rv - q->fault->back : 1, st->floor);
	if (q->fault && q->fault->action == FAULT_EMPTY) {
		list_reply(q, &p, &l);
		return;
	}
	if (p.rv < st->floor || !store_snapshot(st, q->kind, q->attr.ns, p.rv, &l)) {
		if (p.after)
			continue_expired(q, &p);
		else
			fail_expired(q, "The resourceVersion for the provided list is too old.");
		return;
	}
	list_reply(q, &p, &l);
}
