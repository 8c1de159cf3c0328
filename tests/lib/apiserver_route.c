/* SPDX-License-Identifier: Apache-2.0 */
/* From the path to the handler: authentication, attributes, authorisation. */
#include "apiserver_auth.h"
#include "apiserver_rbac.h"
#include "apiserver_status.h"
#include "apiserver_util.h"

static const char *part(const struct req *q, size_t i)
{
	return i < q->parts.n ? q->parts.v[i] : "";
}

static bool is_watch_query(const struct req *q)
{
	return req_query_bool(q, "watch");
}

static const char *verb_of(const struct req *q)
{
	if (str_eq(q->method, "GET") || str_eq(q->method, "HEAD"))
		return *q->attr.name || !*q->attr.resource ? "get"
		       : is_watch_query(q)		   ? "watch"
							   : "list";
	if (str_eq(q->method, "POST"))
		return "create";
	if (str_eq(q->method, "PUT"))
		return "update";
	if (str_eq(q->method, "PATCH"))
		return "patch";
	if (str_eq(q->method, "DELETE"))
		return *q->attr.name ? "delete" : "deletecollection";
	return "";
}

/* Splits /api/v1/... and /apis/group/version/... */
static void parse_path(struct req *q)
{
	struct attr *a = &q->attr;
	bool is_core = str_eq(part(q, 0), "api");
	size_t i = is_core ? 2 : 3;

	*a = (struct attr){.path = q->url,
			   .group = "",
			   .version = "",
			   .resource = "",
			   .sub = "",
			   .ns = "",
			   .name = ""};
	if ((is_core || str_eq(part(q, 0), "apis")) && q->parts.n > i) {
		a->group = is_core ? "" : part(q, 1);
		a->version = part(q, i - 1);
		if (str_eq(part(q, i), "namespaces") && q->parts.n >= i + 3 &&
		    !str_eq(part(q, i + 2), "status") && !str_eq(part(q, i + 2), "finalize")) {
			a->ns = part(q, i + 1);
			i += 2;
		}
		a->resource = part(q, i);
		a->name = part(q, i + 1);
		a->sub = part(q, i + 2);
		q->kind = kind_find(a->group, a->version, a->resource);
		if (q->kind) {
			CLEANUP(free) char *full =
				must_printf("%s.%s", q->kind->plural, q->kind->group);

			if (strv_has(&q->srv->opt.without, full))
				q->kind = NULL;
		}
	}
	a->verb = verb_of(q);
}

/* Selectors come before authorisation: an exact name is what resourceNames are checked against. */
static bool parse_selectors(struct req *q)
{
	struct err err = {0};
	const char *name;

	if (!str_eq(q->attr.verb, "list") && !str_eq(q->attr.verb, "watch"))
		return true;
	if (selector_parse(req_query(q, "labelSelector"), req_query(q, "fieldSelector"),
			   &q->selector, &err) < 0) {
		fail_bad_request(q, "%s", err.text);
		return false;
	}
	name = selector_exact_name(&q->selector);
	if (name)
		q->attr.name = name;
	return true;
}

static bool is_token_request(const struct req *q)
{
	return str_eq(q->kind->plural, "serviceaccounts") && str_eq(q->attr.sub, "token");
}

static void dispatch(struct req *q)
{
	const struct attr *a = &q->attr;
	bool is_collection = str_eq(a->verb, "list") || str_eq(a->verb, "watch");

	if (!q->kind || q->parts.n > (*a->ns ? 8U : 6U)) {
		fail_path(q);
	} else if (kind_is(q->kind, KIND_REVIEW)) {
		review_handle(q);
	} else if (is_token_request(q)) {
		token_handle(q);
	} else if (*a->sub && !(str_eq(a->sub, "status") && kind_is(q->kind, KIND_STATUS))) {
		fail_path(q);
	} else if (kind_is(q->kind, KIND_NAMESPACED) ? !*a->ns && !is_collection : *a->ns != '\0') {
		fail_path(q);
	} else if (str_eq(a->verb, "watch")) {
		watch_handle(q);
	} else if (str_eq(a->verb, "list")) {
		list_handle(q);
	} else if (str_eq(a->verb, "create") && *a->name) {
		fail_method(q);
	} else {
		rest_handle(q);
	}
}

/* Faults that replace the whole answer. */
static bool fault_answers(struct req *q)
{
	const struct fault *f = q->fault;

	if (!f)
		return false;
	if (f->action == FAULT_STATUS) {
		fail_request(q, f->status, "injected failure");
		return true;
	}
	if (f->action != FAULT_RETRY_AFTER)
		return false;
	q->has_retry_after = true;
	q->retry_after_s = f->retry_after;
	req_reply(q, 429,
		  status_new(429, "TooManyRequests",
			     json_pack("{s:i}", "retryAfterSeconds", (int)f->retry_after),
			     "too many requests, please try again later"));
	return true;
}

static bool is_public(const struct req *q)
{
	return str_eq(q->url, "/readyz") || str_eq(q->url, "/livez") ||
	       str_eq(q->url, "/healthz") || str_eq(q->url, "/version");
}

void route_request(struct req *q)
{
	selector_done(&q->selector);
	strv_done(&q->parts);
	user_done(&q->user);
	must_ok(strv_split(&q->parts, q->url, '/'));
	parse_path(q);
	if (q->is_too_long) {
		fail_request(q, 413, "Request entity too large: limit is 3145728");
		return;
	}
	if (fault_answers(q))
		return;
	if (!auth_user(q) && !is_public(q)) {
		fail_request(q, 401, "Unauthorized");
		return;
	}
	if (!parse_selectors(q))
		return;
	if (str_eq(part(q, 0), "test")) {
		admin_handle(q);
		return;
	}
	if (!is_public(q) && !rbac_allows(q->srv, &q->user, &q->attr))
		rbac_deny(q, &q->attr);
	else if (!*q->attr.resource)
		discovery_handle(q);
	else
		dispatch(q);
}
