/* SPDX-License-Identifier: Apache-2.0 */
/* SelfSubjectAccessReview and SelfSubjectRulesReview: what the asking user may do. */
#include "apiserver_rbac.h"
#include "apiserver_status.h"
#include "apiserver_util.h"

static void access_review(struct req *q, json_t *o)
{
	json_t *res = json_at(o, "spec", "resourceAttributes", NULL);
	json_t *path = json_at(o, "spec", "nonResourceAttributes", NULL);
	struct attr a = {
		.verb = text_at(res ? res : path, "verb", NULL),
		.group = text_at(res, "group", NULL),
		.version = text_at(res, "version", NULL),
		.resource = text_at(res, "resource", NULL),
		.sub = text_at(res, "subresource", NULL),
		.ns = text_at(res, "namespace", NULL),
		.name = text_at(res, "name", NULL),
		.path = text_at(path, "path", NULL),
	};
	bool allowed;

	if (!res == !path) {
		fail_invalid(q, "", "FieldValueInvalid", "spec.resourceAttributes",
			     "Invalid value: exactly one of nonResourceAttributes or "
			     "resourceAttributes must "
			     "be specified");
		return;
	}
	allowed = rbac_allows(q->srv, &q->user, &a);
	json_put(o, "status", json_pack("{s:b}", "allowed", allowed));
	req_reply(q, 201, json_incref(o));
}

static bool collect_rule(const json_t *rule, void *arg)
{
	json_t *status = arg;
	bool is_path = json_object_get(rule, "nonResourceURLs") != NULL;

	must_ok(json_array_append(
		json_object_get(status, is_path ? "nonResourceRules" : "resourceRules"),
		(json_t *)rule));
	return false;
}

static void rules_review(struct req *q, json_t *o)
{
	json_t *status = must(
		json_pack("{s:[{s:[s],s:[s],s:[s,s]}],s:[{s:[s],s:[s,s,s,s,s]}],s:b}",
			  "resourceRules", "verbs", "create", "apiGroups", "authorization.k8s.io",
			  "resources", "selfsubjectaccessreviews", "selfsubjectrulesreviews",
			  "nonResourceRules", "verbs", "get", "nonResourceURLs", "/api", "/api/*",
			  "/apis", "/apis/*", "/version", "incomplete", 0));

	if (strv_has(&q->user.groups, "system:masters"))
		must_ok(json_array_append_new(json_object_get(status, "resourceRules"),
					      json_pack("{s:[s],s:[s],s:[s]}", "verbs", "*",
							"apiGroups", "*", "resources", "*")));
	(void)rbac_each_rule(q->srv, &q->user, text_at(o, "spec", "namespace", NULL), collect_rule,
			     status);
	json_put(o, "status", status);
	req_reply(q, 201, json_incref(o));
}

void review_handle(struct req *q)
{
	json_error_t error;
	CLEANUP(json) json_t *o = json_loadb(q->in.data ? q->in.data : "", q->in.len, 0, &error);
	char version[96];

	if (!str_eq(q->attr.verb, "create")) {
		fail_method(q);
		return;
	}
	if (!json_is_object(o)) {
		fail_bad_request(q, "the object provided is unrecognized: %s", error.text);
		return;
	}
	json_put_text(o, "kind", q->kind->name);
	json_put_text(o, "apiVersion", kind_api_version(q->kind, version));
	if (str_eq(q->kind->plural, "selfsubjectaccessreviews"))
		access_review(q, o);
	else
		rules_review(q, o);
}
