/* SPDX-License-Identifier: Apache-2.0 */
#include "join/serve_rules.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "json/json.h"

json_t *serve_rules_request(const char *ns)
{
	return json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "authorization.k8s.io/v1", "kind",
			 "SelfSubjectRulesReview", "spec", "namespace", ns);
}

/* True if the list of strings has `text` or "*". */
static bool has(const json_t *list, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *s = json_string_value(v);

		if (s && (str_eq(s, text) || str_eq(s, "*")))
			return true;
	}
	return false;
}

static int add_names(const json_t *names, struct strv *l)
{
	const json_t *v;
	size_t i;

	json_array_foreach (names, i, v) {
		const char *s = json_string_value(v);
		int r;

		if (!s || !str_is_dns_label(s))
			continue;
		if (l->n >= LIMIT_SERVICES)
			return -EBADMSG;
		r = strv_add(l, s);
		if (r < 0)
			return r;
	}
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_unique(struct strv *l)
{
	size_t n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), name_cmp);
	for (size_t i = 0; i < l->n; i++) {
		if (n && str_eq(l->v[n - 1], l->v[i]))
			free(l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

int serve_rules_parse(const json_t *review, struct strv *ret)
{
	CLEANUP(strv_done) struct strv l = {0};
	const json_t *rules = json_at(review, "status.resourceRules"), *rule;
	size_t i;

	if (!json_is_object(json_at(review, "status")) || (rules && !json_is_array(rules) && !json_is_null(rules)))
		return -EBADMSG;
	json_array_foreach (rules, i, rule) {
		int r;

		if (!has(json_at(rule, "verbs"), "serve") || !has(json_at(rule, "apiGroups"), "") ||
		    !has(json_at(rule, "resources"), "services"))
			continue;
		r = add_names(json_at(rule, "resourceNames"), &l);
		if (r < 0)
			return r;
	}
	for (i = 0; i < ret->n; i++) {
		int r = strv_add(&l, ret->v[i]);

		if (r < 0)
			return r;
	}
	sort_unique(&l);
	strv_done(ret);
	*ret = l;
	l = (struct strv){0};
	return 0;
}
