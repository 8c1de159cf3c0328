/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_faults.h"

#include <string.h>

#include "apiserver_util.h"
#include "base/str.h"

static const char *const action_names[] = {
	[FAULT_STATUS] = "status",   [FAULT_RETRY_AFTER] = "retry-after",
	[FAULT_CUT] = "cut",	     [FAULT_EMPTY] = "empty",
	[FAULT_SLOW] = "slow",	     [FAULT_HANG] = "hang",
	[FAULT_GARBAGE] = "garbage", [FAULT_GONE] = "gone",
	[FAULT_RV_BACK] = "rv-back", [FAULT_DELAY] = "delay",
};

static void fault_done(struct fault *f)
{
	free(f->method);
	free(f->path_prefix);
}

void fault_free(struct fault *f)
{
	if (f)
		fault_done(f);
	free(f);
}

/* The number at o[key]; `def` if it is absent. */
static uint64_t number_at(const json_t *o, const char *key, uint64_t def)
{
	json_t *j = json_object_get(o, key);

	return json_is_integer(j) && json_integer_value(j) >= 0 ? (uint64_t)json_integer_value(j)
								: def;
}

static int fault_parse(const json_t *o, struct fault *f, struct err *reterr)
{
	const char *action = text_at(o, "action", NULL);
	const char *method = text_at(o, "match", "method", NULL);
	const char *prefix = text_at(o, "match", "pathPrefix", NULL);
	json_t *watch = json_at(o, "match", "watch", NULL);
	size_t i;

	for (i = 0; i < ARRAY_LEN(action_names); i++)
		if (str_eq(action, action_names[i]))
			break;
	if (i == ARRAY_LEN(action_names))
		return err_set(reterr, EINVAL, "unknown fault action \"%s\"", action);
	*f = (struct fault){
		.method = *method ? must_strdup(method) : NULL,
		.path_prefix = *prefix ? must_strdup(prefix) : NULL,
		.watch = json_is_boolean(watch) ? json_is_true(watch) : -1,
		.action = (enum fault_action)i,
		.count = number_at(o, "count", 1),
		.after_bytes = number_at(o, "after_bytes", 0),
		.delay_ms = number_at(o, "delay_ms", i == FAULT_SLOW ? 10 : 0),
		.back = number_at(o, "back", 1),
		.retry_after = (unsigned)MIN(number_at(o, "retry_after", 1), 3600U),
		.status = (int)MIN(number_at(o, "status", 500), 599U),
	};
	if (f->status < 200)
		f->status = 500;
	return 0;
}

int faults_add(struct fault_list *l, const json_t *list, struct err *reterr)
{
	size_t old = l->items.n, i;
	json_t *o;

	if (!json_is_array(list))
		return err_set(reterr, EINVAL, "faults must be a JSON list");
	json_array_foreach (list, i, o) {
		struct fault f;
		int r = fault_parse(o, &f, reterr);

		if (r < 0) {
			while (l->items.n > old)
				fault_done(&l->items.v[--l->items.n]);
			return r;
		}
		must_ok(ARRAY_ADD(&l->items, f));
	}
	return 0;
}

void faults_clear(struct fault_list *l)
{
	for (size_t i = 0; i < l->items.n; i++)
		fault_done(&l->items.v[i]);
	ARRAY_DONE(&l->items);
}

struct fault *faults_take(struct fault_list *l, const char *method, const char *path, bool is_watch)
{
	for (size_t i = 0; i < l->items.n; i++) {
		struct fault *f = &l->items.v[i], *copy;

		if (f->count == 0 || (f->method && !str_eq(f->method, method)) ||
		    (f->path_prefix && !str_has_prefix(path, f->path_prefix)) ||
		    (f->watch >= 0 && (f->watch == 1) != is_watch))
			continue;
		f->count--;
		copy = must(malloc(sizeof(*copy)));
		*copy = *f;
		copy->method = NULL;
		copy->path_prefix = NULL;
		return copy;
	}
	return NULL;
}

json_t *faults_json(const struct fault_list *l)
{
	json_t *list = must(json_array());

	for (size_t i = 0; i < l->items.n; i++)
		must_ok(json_array_append_new(
			list,
			must(json_pack("{s:s,s:I}", "action", action_names[l->items.v[i].action],
				       "count", (json_int_t)l->items.v[i].count))));
	return list;
}
