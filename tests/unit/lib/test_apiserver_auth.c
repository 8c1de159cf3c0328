/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of ServiceAccounts, what ends them, and RBAC. */
#include "base/str.h"
#include "helpers.h"

static void add_account(struct world *w, const char *name)
{
	want_code(w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", name),
		  "/api/v1/namespaces/%s/serviceaccounts", w->ns);
}

/* A token, bound to a Secret unless that is NULL. */
static char *get_token(struct world *w, const char *account, const char *secret)
{
	json_t *body = json_pack("{s:{s:i}}", "spec", "expirationSeconds", 600);
	CLEANUP(json) json_t *ret = NULL;

	if (secret)
		json_put(json_object_get(body, "spec"), "boundObjectRef",
			 json_pack("{s:s,s:s,s:s}", "kind", "Secret", "apiVersion", "v1", "name",
				   secret));
	ret = want(w, 201, "POST", body, "/api/v1/namespaces/%s/serviceaccounts/%s/token", w->ns,
		   account);
	cr_assert_str_neq(text_at(ret, "status", "expirationTimestamp", NULL), "");
	return must_strdup(text_at(ret, "status", "token", NULL));
}

/* A Role with one rule, bound to the account. */
static void grant(struct world *w, const char *account, const char *role, json_t *rule)
{
	want_code(w, 201, "POST",
		  json_pack("{s:{s:s},s:[o]}", "metadata", "name", role, "rules", rule),
		  "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles", w->ns);
	want_code(w, 201, "POST",
		  json_pack("{s:{s:s},s:{s:s,s:s,s:s},s:[{s:s,s:s,s:s}]}", "metadata", "name", role,
			    "roleRef", "apiGroup", "rbac.authorization.k8s.io", "kind", "Role",
			    "name", role, "subjects", "kind", "ServiceAccount", "name", account,
			    "namespace", w->ns),
		  "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings", w->ns);
}

/* What anyone with a valid credential may ask. */
static int ask(struct world *w, const char *token)
{
	return api_request_as(w->api, &(struct api_call){.token = token}, "GET", "/apis", NULL);
}

Test(apiserver_auth, credentials)
{
	CLEANUP(free) char *token = NULL;
	CLEANUP(free) char *forged = NULL;
	CLEANUP(json) json_t *refused = NULL;
	struct world w;
	char *last;
	int code;

	world_start(&w, NULL);
	add_account(&w, "host");
	token = get_token(&w, "host", NULL);
	cr_assert_eq(ask(&w, token), 200);
	forged = must_strdup(token);
	last = forged + strlen(forged) - 10;
	*last = *last == 'A' ? 'B' : 'A';
	cr_assert_eq(ask(&w, forged), 401);
	cr_assert_eq(ask(&w, "not-a-token"), 401);
	/* a server may let everybody ask, as somebody without rights */
	code = api_request_as(w.api, &(struct api_call){.token = ""}, "GET", "/api/v1/nodes", &refused);
	cr_assert(code == 401 || (w.api->is_foreign && code == 403), "%d", code);
	cr_assert_str_eq(text_at(refused, "reason", NULL), code == 401 ? "Unauthorized" : "Forbidden");
	want_code(&w, 422, "POST", json_pack("{s:{s:i}}", "spec", "expirationSeconds", 60),
		  "/api/v1/namespaces/%s/serviceaccounts/host/token", w.ns);
	want_code(&w, 404, "POST", json_pack("{s:{}}", "spec"),
		  "/api/v1/namespaces/%s/serviceaccounts/none/token", w.ns);
	want_code(&w, 404, "POST",
		  json_pack("{s:{s:{s:s,s:s,s:s}}}", "spec", "boundObjectRef", "kind", "Secret",
			    "apiVersion", "v1", "name", "none"),
		  "/api/v1/namespaces/%s/serviceaccounts/host/token", w.ns);
	world_stop(&w);
}

Test(apiserver_auth, deleting_the_secret_ends_the_token)
{
	CLEANUP(free) char *bound = NULL;
	CLEANUP(free) char *unbound = NULL;
	struct world w;

	world_start(&w, NULL);
	add_account(&w, "host");
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "join"),
		  "/api/v1/namespaces/%s/secrets", w.ns);
	bound = get_token(&w, "host", "join");
	unbound = get_token(&w, "host", NULL);
	cr_assert_eq(ask(&w, bound), 200);
	want_code(&w, 200, "DELETE", NULL, "/api/v1/namespaces/%s/secrets/join", w.ns);
	cr_assert_eq(await_code(&w, &(struct api_call){.token = bound}, 401, "GET", "/apis"), 401);
	cr_assert_eq(ask(&w, unbound), 200);
	/* one of the same name is another one */
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "join"),
		  "/api/v1/namespaces/%s/secrets", w.ns);
	cr_assert_eq(ask(&w, bound), 401);
	want_code(&w, 200, "DELETE", NULL, "/api/v1/namespaces/%s/serviceaccounts/host", w.ns);
	cr_assert_eq(await_code(&w, &(struct api_call){.token = unbound}, 401, "GET", "/apis"),
		     401);
	world_stop(&w);
}

Test(apiserver_auth, rbac_by_name)
{
	CLEANUP(free) char *token = NULL;
	CLEANUP(free) char *one = NULL;
	CLEANUP(free) char *two = NULL;
	CLEANUP(free) char *all = NULL;
	CLEANUP(free) char *field = NULL;
	CLEANUP(free) char *other = NULL;
	CLEANUP(json) json_t *refused = NULL;
	struct world w;
	struct api_call as = {0};

	world_start(&w, NULL);
	add_account(&w, "host");
	grant(&w, "host", "read-one",
	      json_pack("{s:[s],s:[s],s:[s,s,s],s:[s]}", "apiGroups", "", "resources", "configmaps",
			"verbs", "get", "list", "watch", "resourceNames", "one"));
	want_code(&w, 201, "POST", config_map("one", "x", "1"), "/api/v1/namespaces/%s/configmaps",
		  w.ns);
	want_code(&w, 201, "POST", config_map("two", "x", "1"), "/api/v1/namespaces/%s/configmaps",
		  w.ns);
	token = get_token(&w, "host", NULL);
	as.token = token;
	all = must_printf("/api/v1/namespaces/%s/configmaps", w.ns);
	one = must_printf("%s/one", all);
	two = must_printf("%s/two", all);
	field = must_printf("%s?fieldSelector=metadata.name%%3Done", all);
	other = must_printf("%s?fieldSelector=metadata.name%%3Dtwo", all);
	cr_assert_eq(await_code(&w, &as, 200, "GET", one), 200);
	cr_assert_eq(api_request_as(w.api, &as, "GET", two, &refused), 403);
	cr_assert_str_eq(text_at(refused, "reason", NULL), "Forbidden");
	cr_assert(strstr(text_at(refused, "message", NULL),
			 "cannot get resource \"configmaps\" in API group \"\""));
	cr_assert_eq(api_request_as(w.api, &as, "GET", all, NULL), 403);
	cr_assert_eq(api_request_as(w.api, &as, "GET", field, NULL), 200);
	cr_assert_eq(api_request_as(w.api, &as, "GET", other, NULL), 403);
	cr_assert_eq(api_request_as(w.api, &as, "DELETE", one, NULL), 403);
	world_stop(&w);
}

Test(apiserver_auth, an_account_may_renew_only_its_own_token)
{
	CLEANUP(free) char *token = NULL;
	CLEANUP(free) char *own = NULL;
	CLEANUP(free) char *other = NULL;
	struct world w;
	struct api_call as = {.body = "{\"spec\":{\"expirationSeconds\":600}}"};

	world_start(&w, NULL);
	add_account(&w, "host");
	add_account(&w, "rival");
	grant(&w, "host", "renew",
	      json_pack("{s:[s],s:[s],s:[s],s:[s]}", "apiGroups", "", "resources",
			"serviceaccounts/token", "verbs", "create", "resourceNames", "host"));
	token = get_token(&w, "host", NULL);
	as.token = token;
	own = must_printf("/api/v1/namespaces/%s/serviceaccounts/host/token", w.ns);
	other = must_printf("/api/v1/namespaces/%s/serviceaccounts/rival/token", w.ns);
	cr_assert_eq(await_code(&w, &as, 201, "POST", own), 201);
	cr_assert_eq(api_request_as(w.api, &as, "POST", other, NULL), 403);
	world_stop(&w);
}

static bool may(struct world *w, const char *token, const char *verb, const char *name)
{
	CLEANUP(json) json_t *ret = NULL;
	CLEANUP(json) json_t *o = json_pack("{s:s,s:s,s:{s:{s:s,s:s,s:s,s:s,s:s}}}", "apiVersion",
			      "authorization.k8s.io/v1", "kind", "SelfSubjectAccessReview", "spec",
			      "resourceAttributes", "namespace", w->ns, "verb", verb, "group", "",
			      "resource", "services", "name", name);
	CLEANUP(free) char *text = json_text(o);

	cr_assert_eq(api_request_as(w->api, &(struct api_call){.token = token, .body = text},
				    "POST",
				    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &ret),
		     201);
	return json_is_true(json_at(ret, "status", "allowed", NULL));
}

Test(apiserver_auth, access_reviews_know_verbs_of_our_own)
{
	CLEANUP(free) char *token = NULL;
	CLEANUP(free) char *services = NULL;
	struct world w;

	world_start(&w, NULL);
	add_account(&w, "host");
	grant(&w, "host", "serve",
	      json_pack("{s:[s],s:[s],s:[s,s],s:[s]}", "apiGroups", "", "resources", "services",
			"verbs", "serve", "get", "resourceNames", "ahch-to"));
	token = get_token(&w, "host", NULL);
	services = must_printf("/api/v1/namespaces/%s/services/ahch-to", w.ns);
	cr_assert_eq(await_code(&w, &(struct api_call){.token = token}, 404, "GET", services), 404);
	cr_assert(may(&w, token, "serve", "ahch-to"));
	cr_assert(!may(&w, token, "serve", "other"));
	cr_assert(!may(&w, token, "update", "ahch-to"));
	cr_assert(may(&w, NULL, "update", "ahch-to"), "the admin may do all");
	world_stop(&w);
}
