/* SPDX-License-Identifier: Apache-2.0 */
#include "join/serve_rules.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "join/names.h"
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

static bool is_zone(const char *s)
{
	return *s && strlen(s) <= LIMIT_NAME && !str_eq(s, "*");
}

static int add_names(const json_t *names, bool (*is_name)(const char *s), struct strv *l)
{
	const json_t *v;
	size_t i;

	json_array_foreach (names, i, v) {
		const char *s = json_string_value(v);
		int r;

		if (!s || !is_name(s))
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

static bool is_right(const json_t *rule, const char *verb, const char *group, const char *resource)
{
	return has(json_at(rule, "verbs"), verb) && has(json_at(rule, "apiGroups"), group) && has(json_at(rule, "resources"), resource);
}

int serve_rules_parse(const json_t *review, struct serve_rules *ret)
{
	CLEANUP(serve_rules_done) struct serve_rules now = {0};
	const json_t *rules = json_at(review, "status.resourceRules"), *rule;
	size_t i;
	int r = 0;

	if (!json_is_object(json_at(review, "status")) || (rules && !json_is_array(rules) && !json_is_null(rules)))
		return -EBADMSG;
	json_array_foreach (rules, i, rule) {
		if (is_right(rule, "serve", "", "services"))
			r = add_names(json_at(rule, "resourceNames"), str_is_dns_label, &now.services);
		if (r == 0 && is_right(rule, "use", MESH_RIGHTS, MESH_ZONES))
			r = add_names(json_at(rule, "resourceNames"), is_zone, &now.zones);
		if (r < 0)
			return r;
	}
	sort_unique(&now.services);
	sort_unique(&now.zones);
	*ret = now;
	now = (struct serve_rules){0};
	return 0;
}

void serve_rules_done(struct serve_rules *r)
{
	strv_done(&r->services);
	strv_done(&r->zones);
}

static bool is_same(const struct strv *a, const struct strv *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!str_eq(a->v[i], b->v[i]))
			return false;
	return a->n == b->n;
}

bool serve_rules_same(const struct serve_rules *a, const struct serve_rules *b)
{
	return is_same(&a->services, &b->services) && is_same(&a->zones, &b->zones);
}
