/* SPDX-License-Identifier: Apache-2.0 */
/* What only the in-tree server has: injected faults, levers, options. */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "helpers.h"

static const char maps[] = "/api/v1/namespaces/%s/configmaps";

static bool is_ours(void)
{
	return !getenv("MESH_TEST_APISERVER_URL");
}

#define ONLY_OURS()                                                                                \
	do {                                                                                       \
		if (!is_ours())                                                                    \
			cr_skip_test("the real server has no such levers");                        \
	} while (0)

static void fault(struct world *w, json_t *f)
{
	want_code(w, 200, "POST", json_pack("[o]", f), "/test/faults");
}

Test(apiserver_faults, status_and_retry_after)
{
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	fault(&w, json_pack("{s:{s:s},s:s,s:i,s:i}", "match", "pathPrefix", "/api/v1/nodes",
			    "action", "status", "status", 503, "count", 2));
	want_code(&w, 503, "GET", NULL, "/api/v1/nodes");
	want_code(&w, 200, "GET", NULL, "/api/v1/services");
	want_code(&w, 503, "GET", NULL, "/api/v1/nodes");
	want_code(&w, 200, "GET", NULL, "/api/v1/nodes");
	fault(&w, json_pack("{s:{s:s},s:s,s:i}", "match", "method", "POST", "action", "retry-after",
			    "retry_after", 7));
	want_code(&w, 200, "GET", NULL, "/api/v1/nodes");
	{
		CLEANUP(json) json_t *s =
			want(&w, 429, "POST", config_map("a", "x", "1"), maps, w.ns);

		cr_assert_eq(json_integer_value(json_at(s, "details", "retryAfterSeconds", NULL)),
			     7);
	}
	want_code(&w, 400, "POST", json_pack("[{s:s}]", "action", "nonsense"), "/test/faults");
	world_stop(&w);
}

Test(apiserver_faults, broken_answers)
{
	json_t *l = NULL;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	fault(&w, json_pack("{s:s,s:i}", "action", "cut", "after_bytes", 20));
	cr_assert_eq(api_request(w.api, "GET", "/api/v1/namespaces", NULL, NULL), -EIO);
	fault(&w, json_pack("{s:s,s:i}", "action", "garbage", "after_bytes", 20));
	cr_assert_eq(api_request(w.api, "GET", "/api/v1/namespaces", NULL, &l), -EBADMSG);
	fault(&w, json_pack("{s:s}", "action", "hang"));
	cr_assert_eq(api_request_as(w.api, &(struct api_call){.timeout_ms = 300}, "GET",
				    "/api/v1/namespaces", NULL),
		     -EIO);
	fault(&w, json_pack("{s:s,s:i}", "action", "hang", "after_bytes", 10));
	cr_assert_eq(api_request_as(w.api, &(struct api_call){.timeout_ms = 300}, "GET",
				    "/api/v1/namespaces", NULL),
		     -EIO);
	fault(&w, json_pack("{s:s}", "action", "empty"));
	l = want(&w, 200, "GET", NULL, "/api/v1/namespaces");
	cr_assert_eq(json_array_size(json_object_get(l, "items")), 0);
	json_decref(l);
	fault(&w, json_pack("{s:s}", "action", "gone"));
	want_code(&w, 410, "GET", NULL, "/api/v1/namespaces");
	want_code(&w, 200, "GET", NULL, "/api/v1/namespaces");
	world_stop(&w);
}

Test(apiserver_faults, slow_answers_are_whole)
{
	uint64_t start;
	json_t *l;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	fault(&w, json_pack("{s:s,s:i,s:i}", "action", "slow", "after_bytes", 100, "delay_ms", 20));
	start = clock_boot_us();
	l = want(&w, 200, "GET", NULL, "/api/v1/namespaces");
	cr_assert_eq(json_array_size(json_object_get(l, "items")), 5);
	cr_assert_geq(clock_boot_us() - start, 100 * USEC_PER_MSEC);
	json_decref(l);
	fault(&w, json_pack("{s:s,s:i}", "action", "delay", "delay_ms", 200));
	start = clock_boot_us();
	want_code(&w, 200, "GET", NULL, "/api/v1/namespaces");
	cr_assert_geq(clock_boot_us() - start, 200 * USEC_PER_MSEC);
	world_stop(&w);
}

Test(apiserver_faults, a_lagging_server)
{
	CLEANUP(json) json_t *now = NULL;
	CLEANUP(json) json_t *back = NULL;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	now = want(&w, 200, "GET", NULL, maps, w.ns);
	fault(&w, json_pack("{s:s,s:i}", "action", "rv-back", "back", 1));
	back = want(&w, 200, "GET", NULL, maps, w.ns);
	cr_assert_eq(json_array_size(json_object_get(now, "items")), 1);
	cr_assert_eq(json_array_size(json_object_get(back, "items")), 0);
	cr_assert_str_neq(text_at(back, "metadata", "resourceVersion", NULL),
			  text_at(now, "metadata", "resourceVersion", NULL));
	world_stop(&w);
}

Test(apiserver_faults, watches_that_go_wrong)
{
	struct api_stream *s;
	bool is_clean = true;
	json_t *e;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	fault(&w, json_pack("{s:{s:b},s:s}", "match", "watch", 1, "action", "gone"));
	want_code(&w, 200, "GET", NULL, maps, w.ns);
	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1&resourceVersion=101", w.ns);
	e = want_event(s, "ERROR", "");
	cr_assert_eq(json_integer_value(json_at(e, "object", "code", NULL)), 410);
	json_decref(e);
	cr_assert_null(api_stream_next(s, 5000));
	cr_assert(api_stream_ended(s, &is_clean) && is_clean);
	api_stream_close(s);

	fault(&w, json_pack("{s:{s:b},s:s,s:i}", "match", "watch", 1, "action", "cut",
			    "after_bytes", 30));
	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1", w.ns);
	cr_assert_null(api_stream_next(s, 5000));
	cr_assert(api_stream_ended(s, &is_clean) && !is_clean);
	api_stream_close(s);

	fault(&w, json_pack("{s:{s:b},s:s,s:i,s:i}", "match", "watch", 1, "action", "slow",
			    "after_bytes", 50, "delay_ms", 10));
	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1", w.ns);
	json_decref(want_event(s, "ADDED", "a"));
	want_code(&w, 201, "POST", config_map("later", "x", "1"), maps, w.ns);
	json_decref(want_event(s, "ADDED", "later"));
	api_stream_close(s);

	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1", w.ns);
	json_decref(want_event(s, "ADDED", "a"));
	json_decref(want_event(s, "ADDED", "later"));
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", "/api/v1/namespaces/"),
		  "/test/cut");
	cr_assert_null(api_stream_next(s, 5000));
	cr_assert(api_stream_ended(s, &is_clean) && !is_clean);
	api_stream_close(s);
	world_stop(&w);
}

Test(apiserver_faults, history_that_is_gone)
{
	CLEANUP(json) json_t *page = NULL;
	CLEANUP(json) json_t *expired = NULL;
	struct api_stream *s;
	json_t *e;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	want_code(&w, 201, "POST", config_map("b", "x", "1"), maps, w.ns);
	page = want(&w, 200, "GET", NULL, "/api/v1/namespaces/%s/configmaps?limit=1", w.ns);
	want_code(&w, 201, "POST", config_map("c", "x", "1"), maps, w.ns);
	want_code(&w, 200, "POST", NULL, "/test/compact");
	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1&resourceVersion=101", w.ns);
	e = want_event(s, "ERROR", "");
	cr_assert_str_eq(text_at(e, "object", "reason", NULL), "Expired");
	json_decref(e);
	api_stream_close(s);
	expired = want(&w, 410, "GET", NULL, "/api/v1/namespaces/%s/configmaps?limit=1&continue=%s",
		       w.ns, text_at(page, "metadata", "continue", NULL));
	cr_assert_str_neq(text_at(expired, "metadata", "continue", NULL), "");
	world_stop(&w);
}

Test(apiserver_faults, a_short_history_drops_old_events)
{
	static const char *const args[] = {"--history", "4", NULL};
	struct api_stream *s;
	char name[8];
	struct world w;

	ONLY_OURS();
	world_start(&w, args);
	for (int i = 0; i < 6; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		want_code(&w, 201, "POST", config_map(name, "x", "1"), maps, w.ns);
	}
	s = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1&resourceVersion=105", w.ns);
	json_decref(want_event(s, "ERROR", ""));
	api_stream_close(s);
	world_stop(&w);
}

Test(apiserver_faults, bookmarks_come_by_themselves)
{
	static const char *const args[] = {"--bookmarks", "50ms", NULL};
	struct api_stream *s;
	struct world w;

	ONLY_OURS();
	world_start(&w, args);
	s = open_watch(&w,
		       "/api/v1/namespaces/%s/"
		       "configmaps?watch=1&allowWatchBookmarks=true&resourceVersion=101",
		       w.ns);
	json_decref(want_event(s, "BOOKMARK", ""));
	json_decref(want_event(s, "BOOKMARK", ""));
	api_stream_close(s);
	world_stop(&w);
}

Test(apiserver_faults, options_of_old_servers)
{
	static const char *const args[] = {"--no-watchlist", "--without",
					   "ciliumendpointslices.cilium.io", "--without",
					   "ciliumnodeconfigs.cilium.io", NULL};
	struct world w;

	ONLY_OURS();
	world_start(&w, args);
	want_code(&w, 422, "GET", NULL,
		  "/api/v1/"
		  "configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
	cr_assert_eq(api_request(w.api, "GET", "/apis/cilium.io/v2alpha1", NULL, NULL), 404);
	cr_assert_eq(api_request(w.api, "GET", "/apis/cilium.io/v2alpha1/ciliumendpointslices",
				 NULL, NULL),
		     404);
	world_stop(&w);
}

Test(apiserver_faults, many_watches_see_every_write)
{
	enum { WATCHES = 80, WRITES = 20 };
	struct api_stream *streams[WATCHES];
	CLEANUP(json) json_t *stats = NULL;
	char name[16];
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	for (size_t i = 0; i < WATCHES; i++) {
		streams[i] = open_watch(
			&w,
			"/api/v1/namespaces/%s/configmaps?watch=1&allowWatchBookmarks=true&"
			"sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
			w.ns);
		json_decref(want_event(streams[i], "BOOKMARK", ""));
	}
	for (int i = 0; i < WRITES; i++) {
		(void)snprintf(name, sizeof(name), "m-%02d", i);
		want_code(&w, 201, "POST", config_map(name, "x", "1"), maps, w.ns);
	}
	for (size_t i = 0; i < WATCHES; i++) {
		for (int j = 0; j < WRITES; j++) {
			(void)snprintf(name, sizeof(name), "m-%02d", j);
			json_decref(want_event(streams[i], "ADDED", name));
		}
	}
	stats = want(&w, 200, "GET", NULL, "/test/stats");
	cr_assert_eq(json_integer_value(json_object_get(stats, "watches_open")), WATCHES);
	cr_assert_eq(json_integer_value(json_at(stats, "requests", "create configmaps", NULL)),
		     WRITES);
	for (size_t i = 0; i < WATCHES; i++)
		api_stream_close(streams[i]);
	for (int i = 0; i < 100; i++) { /* it sees that the clients left */
		json_decref(stats);
		stats = want(&w, 200, "GET", NULL, "/test/stats");
		if (json_integer_value(json_object_get(stats, "watches_open")) == 0)
			break;
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	cr_assert_eq(json_integer_value(json_object_get(stats, "watches_open")), 0);
	world_stop(&w);
}

Test(apiserver_faults, manifests)
{
	char dir[] = "/tmp/mesh-manifests-XXXXXX";
	const char *args[] = {"--manifests", dir, NULL};
	static const char yaml[] =
		"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec:\n  "
		"clusterIP: 10.96.1.1\n"
		"  ports: [{port: 80}]\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n---\n"
		"apiVersion: cilium.io/v2\nkind: CiliumIdentity\nmetadata: {name: \"1234\"}\n"
		"security-labels: {\"k8s:app\": \"007\"}\n";
	static const char list[] = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{"
				   "\"apiVersion\":\"v1\",\"kind\":"
				   "\"Node\",\"metadata\":{\"name\":\"n1\"}}]}";
	CLEANUP(free) char *a = NULL;
	CLEANUP(free) char *b = NULL;
	CLEANUP(json) json_t *web = NULL;
	CLEANUP(json) json_t *id = NULL;
	struct world w;
	FILE *f;

	ONLY_OURS();
	cr_assert(mkdtemp(dir));
	a = must_printf("%s/a.yaml", dir);
	b = must_printf("%s/b.json", dir);
	f = fopen(a, "we");
	cr_assert(f && fputs(yaml, f) >= 0 && fclose(f) == 0);
	f = fopen(b, "we");
	cr_assert(f && fputs(list, f) >= 0 && fclose(f) == 0);
	world_start(&w, args);
	web = want(&w, 200, "GET", NULL, "/api/v1/namespaces/shop/services/web");
	cr_assert_eq(json_array_size(json_at(web, "status", "loadBalancer", "ingress", NULL)), 1);
	id = want(&w, 200, "GET", NULL, "/apis/cilium.io/v2/ciliumidentities/1234");
	cr_assert_str_eq(text_at(id, "security-labels", "k8s:app", NULL), "007",
			 "a quoted number is text");
	want_code(&w, 200, "GET", NULL, "/api/v1/nodes/n1");
	want_code(&w, 200, "GET", NULL, "/api/v1/namespaces/shop");
	world_stop(&w);
	cr_assert(unlink(a) == 0 && unlink(b) == 0 && rmdir(dir) == 0);
}

Test(apiserver_faults, a_cluster_scoped_owner_takes_along)
{
	CLEANUP(json) json_t *node = NULL;
	CLEANUP(free) char *path = NULL;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	node = want(&w, 201, "POST",
		    json_pack("{s:s,s:s,s:{s:s},s:{}}", "apiVersion", "cilium.io/v2", "kind",
			      "CiliumNode", "metadata", "name", "ahch-to", "spec"),
		    "/apis/cilium.io/v2/ciliumnodes");
	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s,s:[{s:s,s:s,s:s,s:s}]},s:{s:{s:i}}}", "apiVersion",
			    "cilium.io/v2", "kind", "CiliumEndpoint", "metadata", "name", "ahch-to",
			    "ownerReferences", "apiVersion", "cilium.io/v2", "kind", "CiliumNode",
			    "name", "ahch-to", "uid", text_at(node, "metadata", "uid", NULL),
			    "status", "identity", "id", 1234),
		  "/apis/cilium.io/v2/namespaces/%s/ciliumendpoints", w.ns);
	path = must_printf("/apis/cilium.io/v2/namespaces/%s/ciliumendpoints/ahch-to", w.ns);
	{
		CLEANUP(json) json_t *cep = want(&w, 200, "GET", NULL, "%s", path);

		cr_assert_eq(json_integer_value(json_at(cep, "status", "identity", "id", NULL)),
			     1234, "the status is part of the main resource");
	}
	want_code(&w, 200, "DELETE", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	cr_assert_eq(await_code(&w, &(struct api_call){0}, 404, "GET", path), 404);
	world_stop(&w);
}

/* How a request goes to a server started with these. */
static int first_request(const char *const *args)
{
	CLEANUP(api_free) struct api *a = NULL;
	struct err err = {0};

	cr_assert_eq(api_start(args, &a, &err), 0, "%s", err.text);
	return api_request(a, "GET", "/version", NULL, NULL);
}

Test(apiserver_faults, certificates_that_are_wrong)
{
	ONLY_OURS();
	cr_assert_eq(first_request((const char *const[]){"--expired-cert", NULL}), -EIO);
	cr_assert_eq(first_request((const char *const[]){"--san", "other.example", NULL}), -EIO);
	cr_assert_eq(first_request((const char *const[]){"--san", "127.0.0.1", NULL}), 200);
	cr_assert_eq(first_request((const char *const[]){"--listen", "[::1]:0", "--listen",
							 "127.0.0.1:0", NULL}), 200);
}

Test(apiserver_faults, only_the_admin_has_levers)
{
	CLEANUP(json) json_t *t = NULL;
	struct world w;

	ONLY_OURS();
	world_start(&w, NULL);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "host"),
		  "/api/v1/namespaces/%s/serviceaccounts", w.ns);
	t = want(&w, 201, "POST", json_pack("{s:{}}", "spec"),
		 "/api/v1/namespaces/%s/serviceaccounts/host/token", w.ns);
	cr_assert_eq(
		api_request_as(w.api,
			       &(struct api_call){.token = text_at(t, "status", "token", NULL)},
			       "GET", "/test/stats", NULL),
		403);
	cr_assert_eq(
		api_request_as(w.api, &(struct api_call){.token = ""}, "GET", "/test/stats", NULL),
		401);
	world_stop(&w);
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

static int n_fds(const struct world *w)
{
	CLEANUP(free) char *path = must_printf("/proc/%d/fd", (int)w->api->pid);
	DIR *d = must(opendir(path));
	int n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* A fleet that comes and goes, beside a client that was there before and goes on, does not use up the connections. */
Test(apiserver_faults, connections_of_clients_that_left)
{
	struct api_stream *streams[12];
	CURL *old = must(curl_easy_init());
	struct world w;
	int before;

	ONLY_OURS();
	world_start(&w, NULL);
	cr_assert_eq(curl_easy_setopt(old, CURLOPT_URL, w.api->url) | curl_easy_setopt(old, CURLOPT_CAINFO, w.api->ca_path) |
		     curl_easy_setopt(old, CURLOPT_PROXY, "") | curl_easy_setopt(old, CURLOPT_WRITEFUNCTION, ignore), 0);
	cr_assert_eq(curl_easy_perform(old), 0);
	want_code(&w, 201, "POST", config_map("a", "x", "1"), maps, w.ns);
	before = n_fds(&w);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		streams[i] = open_watch(&w, "/api/v1/namespaces/%s/configmaps?watch=1&labelSelector=app%%3Dx", w.ns);
		json_decref(want_event(streams[i], "ADDED", "a"));
	}
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		api_stream_close(streams[i]);
	for (unsigned i = 0; i < 500 && n_fds(&w) > before; i++) {
		cr_assert_eq(curl_easy_perform(old), 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	cr_expect_leq(n_fds(&w), before);
	curl_easy_cleanup(old);
	world_stop(&w);
}
