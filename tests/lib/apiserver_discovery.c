/* SPDX-License-Identifier: Apache-2.0 */
/* /version, /readyz, /api, /apis and the lists of resources below them. */
#include "apiserver_status.h"
#include "apiserver_util.h"

static bool is_served(const struct req *q, const struct kind *k)
{
	CLEANUP(free) char *full = must_printf("%s.%s", k->plural, k->group);

	return !strv_has(&q->srv->opt.without, full);
}

static json_t *verbs_of(const struct kind *k)
{
	return kind_is(k, KIND_REVIEW) ? json_pack("[s]", "create")
				       : json_pack("[s,s,s,s,s,s,s]", "create", "delete", "get",
						   "list", "patch", "update", "watch");
}

static void add_resource(json_t *list, const struct kind *k)
{
	bool is_ns = kind_is(k, KIND_NAMESPACED);
	json_t *r = must(json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", k->plural, "singularName",
				   k->singular, "namespaced", is_ns, "kind", k->name, "verbs",
				   must(verbs_of(k))));

	if (k->short_name)
		json_put(r, "shortNames", json_pack("[s]", k->short_name));
	must_ok(json_array_append_new(list, r));
	if (kind_is(k, KIND_STATUS))
		must_ok(json_array_append_new(
			list, must(json_pack("{s:o,s:s,s:b,s:s,s:[s,s,s]}", "name",
					     json_sprintf("%s/status", k->plural), "singularName",
					     "", "namespaced", is_ns, "kind", k->name, "verbs",
					     "get", "patch", "update"))));
	if (str_eq(k->plural, "serviceaccounts"))
		must_ok(json_array_append_new(
			list,
			must(json_pack("{s:s,s:s,s:b,s:s,s:s,s:s,s:[s]}", "name",
				       "serviceaccounts/token", "singularName", "", "namespaced", 1,
				       "group", "authentication.k8s.io", "version", "v1", "kind",
				       "TokenRequest", "verbs", "create"))));
}

static void reply_resources(struct req *q, const char *group, const char *version)
{
	CLEANUP(free) char *gv = must_printf("%s%s%s", group, *group ? "/" : "", version);
	CLEANUP(json) json_t *list = must(json_array());

	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].group, group) && str_eq(kinds[i].version, version) &&
		    is_served(q, &kinds[i]))
			add_resource(list, &kinds[i]);
	if (json_array_size(list) == 0)
		fail_path(q);
	else
		req_reply(
			q, 200,
			must(json_pack("{s:s,s:s,s:s,s:O}", "kind", "APIResourceList", "apiVersion",
				       "v1", "groupVersion", gv, "resources", list)));
}

/* The APIGroup with its versions; NULL if there is none of that name. */
static json_t *group_of(const struct req *q, const char *group)
{
	CLEANUP(json) json_t *versions = must(json_array());
	const char *last = "";

	for (size_t i = 0; i < kinds_n; i++) {
		if (!str_eq(kinds[i].group, group) || str_eq(kinds[i].version, last) ||
		    !is_served(q, &kinds[i]))
			continue;
		last = kinds[i].version;
		must_ok(json_array_append_new(
			versions,
			must(json_pack("{s:o,s:s}", "groupVersion",
				       json_sprintf("%s/%s", group, last), "version", last))));
	}
	if (json_array_size(versions) == 0)
		return NULL;
	return must(json_pack("{s:s,s:O,s:O}", "name", group, "versions", versions,
			      "preferredVersion", json_array_get(versions, 0)));
}

static void reply_groups(struct req *q)
{
	json_t *groups = must(json_array());

	for (size_t i = 0; i < kinds_n; i++) {
		json_t *g;
		bool seen = *kinds[i].group == '\0';

		for (size_t j = 0; j < i && !seen; j++)
			seen = str_eq(kinds[i].group, kinds[j].group);
		g = seen ? NULL : group_of(q, kinds[i].group);
		if (g)
			must_ok(json_array_append_new(groups, g));
	}
	req_reply(q, 200,
		  must(json_pack("{s:s,s:s,s:o}", "kind", "APIGroupList", "apiVersion", "v1",
				 "groups", groups)));
}

static void reply_group(struct req *q, const char *group)
{
	json_t *g = group_of(q, group);

	if (!g) {
		fail_path(q);
		return;
	}
	json_put_text(g, "kind", "APIGroup");
	json_put_text(g, "apiVersion", "v1");
	req_reply(q, 200, g);
}

void discovery_handle(struct req *q)
{
	const char *first = q->parts.n > 0 ? q->parts.v[0] : "";

	if (!str_eq(q->method, "GET")) {
		fail_method(q);
	} else if (str_eq(first, "readyz") || str_eq(first, "livez") || str_eq(first, "healthz")) {
		q->is_plain = true;
		req_reply_text(q, 200, "ok");
	} else if (str_eq(first, "version")) {
		req_reply(q, 200,
			  must(json_pack("{s:s,s:s,s:s,s:s}", "major", "1", "minor", "36",
					 "gitVersion", "v1.36.0-mesh-test", "platform",
					 "linux/amd64")));
	} else if (str_eq(first, "api") && q->parts.n == 1) {
		req_reply(q, 200,
			  must(json_pack("{s:s,s:[s],s:[]}", "kind", "APIVersions", "versions",
					 "v1", "serverAddressByClientCIDRs")));
	} else if (str_eq(first, "api") && q->parts.n == 2) {
		reply_resources(q, "", q->parts.v[1]);
	} else if (str_eq(first, "apis") && q->parts.n == 1) {
		reply_groups(q);
	} else if (str_eq(first, "apis") && q->parts.n == 2) {
		reply_group(q, q->parts.v[1]);
	} else if (str_eq(first, "apis") && q->parts.n == 3) {
		reply_resources(q, q->parts.v[1], q->parts.v[2]);
	} else {
		fail_path(q);
	}
}
