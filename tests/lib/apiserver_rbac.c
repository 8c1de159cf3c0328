/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_rbac.h"

#include "apiserver_status.h"
#include "apiserver_util.h"

static const char group_name[] = "rbac.authorization.k8s.io";

static bool subject_is(const json_t *subject, const struct user *u, const char *binding_ns)
{
	const char *kind = text_at(subject, "kind", NULL), *name = text_at(subject, "name", NULL);
	const char *ns = text_at(subject, "namespace", NULL);
	CLEANUP(free) char *full = NULL;

	if (str_eq(kind, "User"))
		return str_eq(name, u->name);
	if (str_eq(kind, "Group"))
		return strv_has(&u->groups, name);
	if (!str_eq(kind, "ServiceAccount"))
		return false;
	full = must_printf("system:serviceaccount:%s:%s", *ns ? ns : binding_ns, name);
	return str_eq(full, u->name);
}

static bool each_role_rule(const struct server *s, const struct object *binding, rbac_rule_fn fn,
			   void *arg)
{
	const char *kind = text_at(binding->json, "roleRef", "kind", NULL);
	const struct kind *k =
		kind_find(group_name, "v1", str_eq(kind, "Role") ? "roles" : "clusterroles");
	const struct object *role = store_get(&s->store, k, binding->ns,
					      text_at(binding->json, "roleRef", "name", NULL));
	json_t *rule;
	size_t i;

	if (!role)
		return false;
	json_array_foreach (json_object_get(role->json, "rules"), i, rule)
		if (fn(rule, arg))
			return true;
	return false;
}

static bool each_binding_rule(const struct server *s, const char *plural, const char *ns,
			      const struct user *u, rbac_rule_fn fn, void *arg)
{
	const struct object_list *l =
		&s->store.tables[kind_index(kind_find(group_name, "v1", plural))];

	for (size_t i = 0; i < l->n; i++) {
		json_t *subject;
		size_t j;

		if (!str_eq(l->v[i]->ns, ns))
			continue;
		json_array_foreach (json_object_get(l->v[i]->json, "subjects"), j, subject)
			if (subject_is(subject, u, ns)) {
				if (each_role_rule(s, l->v[i], fn, arg))
					return true;
				break;
			}
	}
	return false;
}

bool rbac_each_rule(const struct server *s, const struct user *u, const char *ns, rbac_rule_fn fn,
		    void *arg)
{
	return each_binding_rule(s, "clusterrolebindings", "", u, fn, arg) ||
	       (*ns && each_binding_rule(s, "rolebindings", ns, u, fn, arg));
}

static bool list_has(const json_t *rule, const char *key, const char *value)
{
	json_t *l = json_object_get(rule, key);

	return json_has_text(l, value) || json_has_text(l, "*");
}

static bool path_matches(const json_t *rule, const char *path)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(rule, "nonResourceURLs"), i, item) {
		const char *p = json_string_value(item);
		size_t n = p ? strlen(p) : 0;

		if (n > 0 && (p[n - 1] == '*' ? strncmp(path, p, n - 1) == 0 : str_eq(path, p)))
			return true;
	}
	return false;
}

static bool rule_allows(const json_t *rule, void *arg)
{
	const struct attr *a = arg;
	json_t *names = json_object_get(rule, "resourceNames"),
	       *resources = json_object_get(rule, "resources");
	CLEANUP(free) char *full = NULL;
	CLEANUP(free) char *any = NULL;

	if (!list_has(rule, "verbs", a->verb))
		return false;
	if (!*a->resource)
		return path_matches(rule, a->path);
	if (!list_has(rule, "apiGroups", a->group))
		return false;
	if (*a->sub) {
		full = must_printf("%s/%s", a->resource, a->sub);
		any = must_printf("*/%s", a->sub);
	}
	if (!json_has_text(resources, "*") &&
	    !json_has_text(resources, full ? full : a->resource) &&
	    !(any && json_has_text(resources, any)))
		return false;
	return json_array_size(names) == 0 || (*a->name && json_has_text(names, a->name));
}

/* What the roles system:discovery, system:public-info-viewer and system:basic-user give to
 * everyone. */
static bool is_for_everyone(const struct attr *a)
{
	static const char *const paths[] = {"/api",   "/apis",	  "/version", "/readyz",
					    "/livez", "/healthz", "/openapi"};

	if (*a->resource)
		return str_eq(a->verb, "create") && str_eq(a->group, "authorization.k8s.io") &&
		       str_has_prefix(a->resource, "selfsubject");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (str_eq(a->verb, "get") && str_has_prefix(a->path, paths[i]))
			return true;
	return false;
}

bool rbac_allows(const struct server *s, const struct user *u, const struct attr *a)
{
	if (strv_has(&u->groups, "system:masters") || is_for_everyone(a))
		return true;
	return rbac_each_rule(s, u, a->ns, rule_allows, (void *)a);
}

void rbac_deny(struct req *q, const struct attr *a)
{
	CLEANUP(free) char *what = NULL;
	CLEANUP(free) char *where = NULL;
	json_t *d = must(json_object());

	if (!*a->resource) {
		req_reply(q, 403,
			  status_new(403, "Forbidden", d,
				     "forbidden: User \"%s\" cannot %s path \"%s\"", q->user.name,
				     a->verb, a->path));
		return;
	}
	what = must_printf("%s%s%s", a->resource, *a->sub ? "/" : "", a->sub);
	where = *a->ns ? must_printf("in the namespace \"%s\"", a->ns)
		       : must_strdup("at the cluster scope");
	if (*a->name)
		json_put_text(d, "name", a->name);
	if (*a->group)
		json_put_text(d, "group", a->group);
	json_put_text(d, "kind", a->resource);
	req_reply(q, 403,
		  status_new(
			  403, "Forbidden", d,
			  "%s%s%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API "
			  "group \"%s\" %s",
			  a->resource, *a->group ? "." : "", a->group, *a->name ? " \"" : "",
			  a->name, *a->name ? "\"" : "", q->user.name, a->verb, what, a->group,
			  where));
}
