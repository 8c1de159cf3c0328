/* SPDX-License-Identifier: Apache-2.0 */
/* Objects, lists and watches as clients see them, against the in-tree server or a real one. */
#include "base/str.h"
#include "helpers.h"

static const char maps[] = "/api/v1/namespaces/%s/configmaps";
static const char map_a[] = "/api/v1/namespaces/%s/configmaps/a";

Test(apiserver, create_get_and_conflict)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *again = NULL;
	CLEANUP(json) json_t *changed = NULL;
	struct world w;
	json_t *stale;

	world_start(&w, NULL);
	made = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	cr_assert_str_neq(text_at(made, "metadata", "uid", NULL), "");
	cr_assert_str_neq(text_at(made, "metadata", "creationTimestamp", NULL), "");
	again = want(&w, 409, "POST", config_map("a", "x", "1"), maps, w.ns);
	cr_assert_str_eq(text_at(again, "reason", NULL), "AlreadyExists");
	cr_assert_str_eq(text_at(again, "details", "name", NULL), "a");

	stale = json_deep_copy(made);
	json_put_text(json_sub(stale, "data"), "v", "2");
	changed = want(&w, 200, "PUT", json_incref(stale), map_a, w.ns);
	cr_assert_str_neq(text_at(changed, "metadata", "resourceVersion", NULL),
			  text_at(made, "metadata", "resourceVersion", NULL));
	want_code(&w, 409, "PUT", stale, map_a, w.ns);
	json_decref(want(&w, 422, "POST", json_pack("{s:{}}", "metadata"), maps, w.ns));
	want_code(&w, 422, "POST", config_map("Not_A_Name", "x", "1"), maps, w.ns);
	want_code(&w, 404, "GET", NULL, "/api/v1/namespaces/%s/configmaps/none", w.ns);
	want_code(&w, 404, "POST", config_map("a", "x", "1"), maps, "no-such-namespace");
	want_code(&w, 400, "PUT", config_map("b", "x", "1"), map_a, w.ns);
	world_stop(&w);
}

Test(apiserver, updates_of_what_is_not_there)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *other = NULL;
	struct world w;

	world_start(&w, NULL);
	want_code(&w, 404, "PUT", config_map("a", "x", "1"), map_a, w.ns);
	made = want(&w, 201, "PUT",
		    json_pack("{s:{s:s},s:{s:s}}", "metadata", "name", "l", "spec",
			      "holderIdentity", "x"),
		    "/apis/coordination.k8s.io/v1/namespaces/%s/leases/l", w.ns);
	json_put_text(json_object_get(made, "metadata"), "uid", "another");
	json_put_text(json_object_get(made, "metadata"), "resourceVersion", "1");
	other = want(&w, 409, "PUT", json_incref(made),
		     "/apis/coordination.k8s.io/v1/namespaces/%s/leases/l", w.ns);
	cr_assert(strstr(text_at(other, "message", NULL), "UID in precondition: another"));
	world_stop(&w);
}

Test(apiserver, an_update_of_nothing_writes_nothing)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *same = NULL;
	struct world w;

	world_start(&w, NULL);
	made = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	same = want(&w, 200, "PUT", json_incref(made), map_a, w.ns);
	cr_assert_str_eq(text_at(made, "metadata", "resourceVersion", NULL),
			 text_at(same, "metadata", "resourceVersion", NULL));
	world_stop(&w);
}

Test(apiserver, generate_name)
{
	CLEANUP(json) json_t *made = NULL;
	struct world w;

	world_start(&w, NULL);
	made = want(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "generateName", "pre-"),
		    maps, w.ns);
	cr_assert(str_has_prefix(text_at(made, "metadata", "name", NULL), "pre-"));
	cr_assert_eq(strlen(text_at(made, "metadata", "name", NULL)), strlen("pre-12345"));
	world_stop(&w);
}

static int patch(struct world *w, const char *type, const char *body, const char *path,
		 json_t **ret)
{
	return api_request_as(w->api, &(struct api_call){.content_type = type, .body = body},
			      "PATCH", path, ret);
}

Test(apiserver, patches_of_a_built_in)
{
	CLEANUP(free) char *path = NULL;
	CLEANUP(json) json_t *merged = NULL;
	CLEANUP(json) json_t *patched = NULL;
	CLEANUP(json) json_t *failed = NULL;
	CLEANUP(json) json_t *applied = NULL;
	struct world w;

	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	path = must_printf("/api/v1/namespaces/%s/configmaps/a", w.ns);
	cr_assert_eq(patch(&w, "application/merge-patch+json",
			   "{\"data\":{\"v\":null,\"n\":\"2\"}}", path, &merged),
		     200);
	cr_assert_str_eq(text_at(merged, "data", "n", NULL), "2");
	cr_assert_null(json_at(merged, "data", "v", NULL));
	cr_assert_eq(patch(&w, "application/json-patch+json",
			   "[{\"op\":\"test\",\"path\":\"/data/n\",\"value\":\"2\"},"
			   "{\"op\":\"add\",\"path\":\"/metadata/labels/a.b~1c\",\"value\":\"d\"}]",
			   path, &patched),
		     200);
	cr_assert_str_eq(text_at(patched, "metadata", "labels", "a.b/c", NULL), "d");
	cr_assert_eq(patch(&w, "application/json-patch+json",
			   "[{\"op\":\"test\",\"path\":\"/data/n\",\"value\":\"3\"},"
			   "{\"op\":\"remove\",\"path\":\"/data/n\"}]",
			   path, &failed),
		     422);
	cr_assert_str_eq(text_at(failed, "reason", NULL), "Invalid");
	cr_assert_eq(patch(&w, "application/strategic-merge-patch+json", "{\"data\":{\"s\":\"1\"}}",
			   path, NULL),
		     200);
	cr_assert_eq(patch(&w, "application/merge-patch+json",
			   "{\"metadata\":{\"resourceVersion\":\"1\"},\"data\":{\"v\":\"9\"}}",
			   path, NULL),
		     409);
	cr_assert_eq(patch(&w, "application/json", "{}", path, NULL), 415);
	free(path);
	path = must_printf("/api/v1/namespaces/%s/configmaps/applied", w.ns);
	cr_assert_eq(patch(&w, "application/apply-patch+yaml",
			   "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}", path, NULL),
		     422);
	free(path);
	path = must_printf("/api/v1/namespaces/%s/configmaps/applied?fieldManager=test", w.ns);
	cr_assert_eq(patch(&w, "application/apply-patch+yaml",
			   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {k: "
			   "\"1\"}\n",
			   path, &applied),
		     201);
	cr_assert_str_eq(text_at(applied, "data", "k", NULL), "1");
	cr_assert_eq(patch(&w, "application/apply-patch+yaml",
			   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {k: "
			   "\"2\"}\n",
			   path, NULL),
		     200);
	world_stop(&w);
}

Test(apiserver, custom_resources_are_stricter)
{
	CLEANUP(free) char *name = NULL;
	CLEANUP(free) char *path = NULL;
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *with_status = NULL;
	CLEANUP(json) json_t *refused = NULL;
	json_t *node, *update;
	struct world w;

	world_start(&w, NULL);
	name = must_printf("%s-node", w.ns);
	node = json_pack("{s:s,s:s,s:{s:s},s:{s:{s:i}},s:{s:{}}}", "apiVersion", "cilium.io/v2",
			 "kind", "CiliumNode", "metadata", "name", name, "spec", "encryption",
			 "key", 1, "status", "azure");
	made = want(&w, 201, "POST", json_incref(node), "/apis/cilium.io/v2/ciliumnodes");
	cr_assert_null(json_at(made, "status", NULL), "status is a subresource");
	cr_assert_eq(json_integer_value(json_at(made, "metadata", "generation", NULL)), 1);
	refused = want(&w, 422, "PUT", node, "/apis/cilium.io/v2/ciliumnodes/%s", name);
	cr_assert_str_eq(text_at(refused, "reason", NULL), "Invalid");
	path = must_printf("/apis/cilium.io/v2/ciliumnodes/%s/status", name);
	cr_assert_eq(patch(&w, "application/merge-patch+json",
			   "{\"spec\":{\"encryption\":{\"key\":9}},\"status\":{\"azure\":{}}}",
			   path, &with_status),
		     200);
	cr_assert_eq(json_integer_value(json_at(with_status, "spec", "encryption", "key", NULL)),
		     1);
	cr_assert_eq(json_integer_value(json_at(with_status, "metadata", "generation", NULL)), 1);
	cr_assert(json_at(with_status, "status", "azure", NULL));
	update = json_deep_copy(with_status);
	json_put(json_at(update, "spec", "encryption", NULL), "key", json_integer(2));
	(void)json_object_del(update, "status");
	json_decref(with_status);
	with_status = want(&w, 200, "PUT", update, "/apis/cilium.io/v2/ciliumnodes/%s", name);
	cr_assert_eq(json_integer_value(json_at(with_status, "metadata", "generation", NULL)), 2);
	cr_assert(json_at(with_status, "status", "azure", NULL),
		  "the main resource leaves the status alone");
	free(path);
	path = must_printf("/apis/cilium.io/v2/ciliumnodes/%s", name);
	cr_assert_eq(patch(&w, "application/strategic-merge-patch+json", "{}", path, NULL), 415);
	want_code(&w, 200, "DELETE", NULL, "%s", path);
	world_stop(&w);
}

Test(apiserver, delete_with_preconditions)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *gone = NULL;
	struct world w;

	world_start(&w, NULL);
	made = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 409, "DELETE", json_pack("{s:{s:s}}", "preconditions", "uid", "other"), map_a,
		  w.ns);
	want_code(&w, 409, "DELETE",
		  json_pack("{s:{s:s}}", "preconditions", "resourceVersion", "1"), map_a, w.ns);
	gone = want(&w, 200, "DELETE",
		    json_pack("{s:{s:s}}", "preconditions", "uid",
			      text_at(made, "metadata", "uid", NULL)),
		    map_a, w.ns);
	cr_assert_str_eq(text_at(gone, "status", NULL), "Success");
	want_code(&w, 404, "DELETE", NULL, map_a, w.ns);
	world_stop(&w);
}

static const char leases[] = "/apis/coordination.k8s.io/v1/namespaces/%s/leases";

static json_t *lease(const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata",
			 "name", name, "spec");
}

/* Of Leases: a controller puts a ConfigMap of its own into each namespace. */
Test(apiserver, lists_in_pages_show_one_moment)
{
	CLEANUP(free) char *cont = must_strdup("");
	CLEANUP(free) char *rv = must_strdup("");
	size_t seen = 0, pages = 0;
	char name[16];
	struct world w;

	world_start(&w, NULL);
	for (int i = 0; i < 25; i++) {
		(void)snprintf(name, sizeof(name), "m-%02d", i);
		want_code(&w, 201, "POST", lease(name), leases, w.ns);
	}
	do {
		CLEANUP(json) json_t *l =
			want(&w, 200, "GET", NULL,
			     "/apis/coordination.k8s.io/v1/namespaces/%s/leases?limit=10&continue=%s", w.ns, cont);
		json_t *item;
		size_t i;

		if (pages++ == 0) {
			rv = (free(rv),
			      must_strdup(text_at(l, "metadata", "resourceVersion", NULL)));
			cr_assert_eq(json_integer_value(
					     json_at(l, "metadata", "remainingItemCount", NULL)),
				     15);
			/* what happens now is on no later page */
			want_code(&w, 200, "DELETE", NULL,
				  "/apis/coordination.k8s.io/v1/namespaces/%s/leases/m-20", w.ns);
			want_code(&w, 201, "POST", lease("m-11-new"), leases, w.ns);
		}
		cr_assert_str_eq(text_at(l, "metadata", "resourceVersion", NULL), rv);
		json_array_foreach (json_object_get(l, "items"), i, item) {
			(void)snprintf(name, sizeof(name), "m-%02zu", seen++);
			cr_assert_str_eq(text_at(item, "metadata", "name", NULL), name);
			cr_assert_null(json_object_get(item, "kind"),
				       "items of built-in kinds have none");
		}
		free(cont);
		cont = must_strdup(text_at(l, "metadata", "continue", NULL));
	} while (*cont);
	cr_assert_eq(seen, 25);
	cr_assert_eq(pages, 3);
	world_stop(&w);
}

static size_t count(struct world *w, const char *query)
{
	CLEANUP(json) json_t *l =
		want(w, 200, "GET", NULL, "/api/v1/namespaces/%s/configmaps?%s", w->ns, query);
	json_t *item;
	size_t i, n = 0;

	json_array_foreach (json_object_get(l, "items"), i, item)
		n += !str_eq(text_at(item, "metadata", "name", NULL), "kube-root-ca.crt");
	return n;
}

Test(apiserver, selectors)
{
	struct world w;

	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 201, "POST", config_map("b", "y", "1"), maps, w.ns);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "c"), maps, w.ns);
	cr_assert_eq(count(&w, "labelSelector=app%3Dx"), 1);
	cr_assert_eq(count(&w, "labelSelector=app%3D%3Dx"), 1);
	cr_assert_eq(count(&w, "labelSelector=app%21%3Dx"), 2);
	cr_assert_eq(count(&w, "labelSelector=app%20in%20%28x%2Cy%29"), 2);
	cr_assert_eq(count(&w, "labelSelector=app%20notin%20%28x%29"), 2);
	cr_assert_eq(count(&w, "labelSelector=app"), 2);
	cr_assert_eq(count(&w, "labelSelector=%21app"), 1);
	cr_assert_eq(count(&w, "labelSelector=app%2Capp%21%3Dy"), 1);
	cr_assert_eq(count(&w, "fieldSelector=metadata.name%3Db"), 1);
	want_code(&w, 400, "GET", NULL,
		  "/api/v1/namespaces/%s/configmaps?fieldSelector=no.such%%3Db", w.ns);
	want_code(&w, 400, "GET", NULL,
		  "/api/v1/namespaces/%s/configmaps?labelSelector=a%%3D%%3D%%3Db", w.ns);
	world_stop(&w);
}

Test(apiserver, lists_at_a_version)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *late = NULL;
	CLEANUP(free) char *exact = NULL;
	struct world w;

	world_start(&w, NULL);
	made = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 201, "POST", config_map("b", "x", "1"), maps, w.ns);
	exact = must_printf("labelSelector=app&resourceVersionMatch=Exact&resourceVersion=%s",
			    text_at(made, "metadata", "resourceVersion", NULL));
	cr_assert_eq(count(&w, exact), 1);
	cr_assert_eq(count(&w, "labelSelector=app&resourceVersion=0"), 2);
	want_code(&w, 422, "GET", NULL, "/api/v1/configmaps?resourceVersionMatch=Exact");
	want_code(&w, 422, "GET", NULL,
		  "/api/v1/configmaps?resourceVersionMatch=Exact&resourceVersion=0");
	want_code(&w, 400, "GET", NULL, "/api/v1/configmaps?resourceVersion=abc");
	want_code(&w, 422, "GET", NULL, "/api/v1/configmaps?sendInitialEvents=true");
	late = want(
		&w, 504, "GET", NULL,
		"/api/v1/configmaps?resourceVersionMatch=NotOlderThan&resourceVersion=99999999");
	cr_assert_str_eq(text_at(late, "reason", NULL), "Timeout");
	world_stop(&w);
}

Test(apiserver, watch_from_a_version)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(free) char *rv = NULL;
	json_t *e, *changed;
	struct api_stream *s;
	struct world w;

	world_start(&w, NULL);
	rv = current_rv(&w);
	s = open_watch(&w,
		       "/api/v1/namespaces/%s/"
		       "configmaps?watch=1&resourceVersion=%s&labelSelector=app%%3Dx",
		       w.ns, rv);
	made = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 201, "POST", config_map("other", "y", "1"), maps, w.ns);
	e = want_event(s, "ADDED", "a");
	cr_assert_str_eq(text_at(e, "object", "kind", NULL), "ConfigMap");
	json_decref(e);
	changed = json_deep_copy(made);
	json_put_text(json_at(changed, "metadata", "labels", NULL), "app", "y");
	want_code(&w, 200, "PUT", changed, map_a, w.ns);
	e = want_event(s, "DELETED",
		       "a"); /* it left the selection, in the last state that was in it */
	cr_assert_str_eq(text_at(e, "object", "metadata", "labels", "app", NULL), "x");
	cr_assert_str_neq(text_at(e, "object", "metadata", "resourceVersion", NULL),
			  text_at(made, "metadata", "resourceVersion", NULL));
	json_decref(e);
	api_stream_close(s);
	s = open_watch(
		&w, "/api/v1/namespaces/%s/configmaps?watch=1&timeoutSeconds=1&resourceVersion=%s",
		w.ns, text_at(made, "metadata", "resourceVersion", NULL));
	json_decref(want_event(s, "ADDED", "other"));
	json_decref(want_event(s, "MODIFIED", "a"));
	cr_assert_null(api_stream_next(s, 5000));
	cr_assert(api_stream_ended(s, NULL), "timeoutSeconds ends it");
	api_stream_close(s);
	world_stop(&w);
}

Test(apiserver, watch_list)
{
	CLEANUP(json) json_t *mark = NULL;
	struct api_stream *s;
	struct world w;

	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 201, "POST", config_map("b", "x", "1"), maps, w.ns);
	s = open_watch(&w,
		       "/api/v1/namespaces/%s/"
		       "configmaps?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
		       "&resourceVersionMatch=NotOlderThan&labelSelector=app",
		       w.ns);
	json_decref(want_event(s, "ADDED", ""));
	json_decref(want_event(s, "ADDED", ""));
	mark = want_event(s, "BOOKMARK", "");
	cr_assert_str_eq(text_at(mark, "object", "metadata", "annotations",
				 "k8s.io/initial-events-end", NULL),
			 "true");
	cr_assert_str_neq(text_at(mark, "object", "metadata", "resourceVersion", NULL), "");
	want_code(&w, 200, "DELETE", NULL, map_a, w.ns);
	json_decref(want_event(s, "DELETED", "a"));
	api_stream_close(s);
	want_code(&w, 422, "GET", NULL, "/api/v1/configmaps?watch=1&sendInitialEvents=true");
	want_code(&w, 422, "GET", NULL,
		  "/api/v1/configmaps?watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1");
	world_stop(&w);
}

Test(apiserver, owners_take_their_own_along)
{
	CLEANUP(json) json_t *owner = NULL;
	CLEANUP(free) char *path = NULL;
	json_t *child = config_map("child", "x", "1");
	struct world w;

	world_start(&w, NULL);
	owner = want(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	json_put(json_object_get(child, "metadata"), "ownerReferences",
		 json_pack("[{s:s,s:s,s:s,s:s}]", "apiVersion", "v1", "kind", "ConfigMap", "name",
			   "a", "uid", text_at(owner, "metadata", "uid", NULL)));
	want_code(&w, 201, "POST", child, maps, w.ns);
	path = must_printf("/api/v1/namespaces/%s/configmaps/child", w.ns);
	want_code(&w, 200, "GET", NULL, "%s", path);
	want_code(&w, 200, "DELETE", json_pack("{s:s}", "propagationPolicy", "Background"), map_a,
		  w.ns);
	cr_assert_eq(await_code(&w, &(struct api_call){0}, 404, "GET", path), 404);
	world_stop(&w);
}

Test(apiserver, a_namespace_takes_its_content_along)
{
	CLEANUP(json) json_t *marked = NULL;
	CLEANUP(free) char *path = NULL;
	CLEANUP(free) char *map_path = NULL;
	struct world w;

	world_start(&w, NULL);
	path = must_printf("/api/v1/namespaces/%s-two", w.ns);
	map_path = must_printf("%s/configmaps/a", path);
	want_code(&w, 201, "POST",
		  json_pack("{s:{s:o}}", "metadata", "name", json_sprintf("%s-two", w.ns)),
		  "/api/v1/namespaces");
	want_code(&w, 201, "POST", config_map("a", "x", "1"), "%s/configmaps", path);
	marked = want(&w, 200, "DELETE", NULL, "%s", path);
	cr_assert_str_eq(text_at(marked, "status", "phase", NULL), "Terminating");
	cr_assert_eq(await_code(&w, &(struct api_call){0}, 404, "GET", map_path), 404);
	cr_assert_eq(await_code(&w, &(struct api_call){0}, 404, "GET", path), 404);
	world_stop(&w);
}

Test(apiserver, finalizers_hold)
{
	CLEANUP(free) char *path = NULL;
	json_t *o = config_map("a", "x", "1");
	CLEANUP(json) json_t *marked = NULL;
	struct world w;

	world_start(&w, NULL);
	path = must_printf("/api/v1/namespaces/%s/configmaps/a", w.ns);
	json_put(json_object_get(o, "metadata"), "finalizers",
		 json_pack("[s]", "example.org/hold"));
	want_code(&w, 201, "POST", o, maps, w.ns);
	want_code(&w, 200, "DELETE", NULL, map_a, w.ns);
	marked = want(&w, 200, "GET", NULL, map_a, w.ns);
	cr_assert_str_neq(text_at(marked, "metadata", "deletionTimestamp", NULL), "");
	cr_assert_eq(patch(&w, "application/merge-patch+json",
			   "{\"metadata\":{\"finalizers\":null}}", path, NULL),
		     200);
	want_code(&w, 404, "GET", NULL, map_a, w.ns);
	world_stop(&w);
}

Test(apiserver, discovery)
{
	CLEANUP(json) json_t *list = NULL;
	bool node_status = false, endpoint = false, endpoint_status = false;
	struct world w;
	json_t *r;
	size_t i;

	world_start(&w, NULL);
	list = want(&w, 200, "GET", NULL, "/apis/cilium.io/v2");
	json_array_foreach (json_object_get(list, "resources"), i, r) {
		node_status |= str_eq(text_at(r, "name", NULL), "ciliumnodes/status");
		endpoint |= str_eq(text_at(r, "name", NULL), "ciliumendpoints");
		endpoint_status |= str_eq(text_at(r, "name", NULL), "ciliumendpoints/status");
	}
	cr_assert(node_status && endpoint && !endpoint_status);
	want_code(&w, 200, "GET", NULL, "/version");
	want_code(&w, 200, "GET", NULL, "/api/v1");
	want_code(&w, 200, "GET", NULL, "/apis");
	want_code(&w, 404, "GET", NULL, "/api/v1/nothing");
	world_stop(&w);
}
