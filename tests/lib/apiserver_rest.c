/* SPDX-License-Identifier: Apache-2.0 */
/* Get, create, update, patch and delete of stored objects. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "apiserver_defaults.h"
#include "apiserver_patch.h"
#include "apiserver_rbac.h"
#include "apiserver_status.h"
#include "apiserver_util.h"

/* The request's body as an object; answers with 400 or 415 and returns NULL if it is none. */
static json_t *body_object(struct req *q)
{
	const char *type = req_header(q, "Content-Type");
	json_error_t error;
	json_t *j;

	if (str_has_prefix(type, "application/yaml") ||
	    str_has_prefix(type, "application/apply-patch+yaml")) {
		struct err err = {0};

		j = manifest_parse(q->in.data, q->in.len, &err);
		if (!j)
			fail_bad_request(q, "error decoding YAML: %s", err.text);
	} else if (*type && !str_has_prefix(type, "application/json") &&
		   !strstr(type, "patch+json")) {
		fail_request(
			q, 415,
			"the body of the request was in an unknown format - accepted media types "
			"include: application/json, application/yaml");
		return NULL;
	} else {
		j = json_loadb(q->in.data ? q->in.data : "", q->in.len, JSON_REJECT_DUPLICATES,
			       &error);
		if (!j)
			fail_bad_request(
				q, "the object provided is unrecognized (must be of type %s): %s",
				q->kind->name, error.text);
	}
	return j;
}

/* Checks kind, apiVersion, name and namespace against the URL and fills in what is missing. */
static bool body_fits(struct req *q, json_t *o)
{
	const char *kind = text_at(o, "kind", NULL), *version = text_at(o, "apiVersion", NULL);
	const char *ns = text_at(o, "metadata", "namespace", NULL);
	const char *name = text_at(o, "metadata", "name", NULL);
	char own[96];

	kind_api_version(q->kind, own);
	if (!json_is_object(o)) {
		fail_bad_request(q, "the object provided is unrecognized (must be of type %s)",
				 q->kind->name);
		return false;
	}
	if ((*kind && !str_eq(kind, q->kind->name)) || (*version && !str_eq(version, own)) ||
	    (kind_is(q->kind, KIND_CUSTOM) && (!*kind || !*version))) {
		fail_bad_request(q,
				 "the object provided is unrecognized (must be of type %s in %s): "
				 "it says kind \"%s\" in \"%s\"",
				 q->kind->name, own, kind, version);
		return false;
	}
	if (kind_is(q->kind, KIND_NAMESPACED) && *ns && !str_eq(ns, q->attr.ns)) {
		fail_bad_request(
			q, "the namespace of the provided object does not match the namespace "
			   "sent on the request");
		return false;
	}
	if (*q->attr.name && *name && !str_eq(name, q->attr.name)) {
		fail_bad_request(
			q, "the name of the object (%s) does not match the name on the URL (%s)",
			name, q->attr.name);
		return false;
	}
	if (kind_is(q->kind, KIND_NAMESPACED))
		json_put_text(json_sub(o, "metadata"), "namespace", q->attr.ns);
	else
		(void)json_object_del(json_sub(o, "metadata"), "namespace");
	return true;
}

static void reply_stored(struct req *q, int code, json_t *o)
{
	if (q->is_dry_run)
		req_reply(q, code, o);
	else
		req_reply_object(q, code, store_put(&q->srv->store, q->kind, o));
}

/* Stores a new object, which it takes. */
static void create_object(struct req *q, json_t *taken)
{
	CLEANUP(json) json_t *o = taken;
	struct store *st = &q->srv->store;
	struct err err = {0};
	const char *name;

	if (*text_at(o, "metadata", "resourceVersion", NULL)) {
		/* the real server fails so, too: no reason, and a code that sounds like its own
		 * fault */
		req_reply(
			q, 500,
			must(json_pack("{s:s,s:s,s:{},s:s,s:s,s:i}", "kind", "Status", "apiVersion",
				       "v1", "metadata", "status", "Failure", "message",
				       "resourceVersion should not be set on objects to be created",
				       "code", 500)));
		return;
	}
	if (kind_is(q->kind, KIND_NAMESPACED)) {
		const struct kind *nk = kind_find("", "v1", "namespaces");
		const struct object *ns = store_get(st, nk, "", q->attr.ns);

		if (!ns) {
			fail_not_found(q, nk, q->attr.ns);
			return;
		}
		if (json_at(ns->json, "metadata", "deletionTimestamp", NULL)) {
			fail_terminating(q, text_at(o, "metadata", "name", NULL));
			return;
		}
	}
	if (!defaults_name(q->kind, o, &err)) {
		fail_invalid(q, text_at(o, "metadata", "name", NULL),
			     *text_at(o, "metadata", "name", NULL) ? "FieldValueInvalid"
								   : "FieldValueRequired",
			     "metadata.name", err.text);
		return;
	}
	name = text_at(o, "metadata", "name", NULL);
	if (store_get(st, q->kind, q->attr.ns, name)) {
		fail_exists(q, q->kind, name);
		return;
	}
	if (kind_is(q->kind, KIND_STATUS) && !(str_eq(q->kind->plural, "nodes")))
		(void)json_object_del(o, "status");
	(void)json_object_del(json_sub(o, "metadata"), "uid");
	(void)json_object_del(json_sub(o, "metadata"), "creationTimestamp");
	defaults_new(q->srv, q->kind, o);
	reply_stored(q, 201, TAKE_PTR(o));
}

/* True if what counts for metadata.generation differs. */
static bool spec_differs(const struct kind *k, const json_t *a, const json_t *b)
{
	CLEANUP(json) json_t *x =
		json_without(a, "metadata", kind_is(k, KIND_STATUS) ? "status" : NULL);
	CLEANUP(json) json_t *y =
		json_without(b, "metadata", kind_is(k, KIND_STATUS) ? "status" : NULL);

	return !json_equal(x, y);
}

/* Gives `o` the fields that only the server sets. */
static void keep_system_fields(const struct object *old, json_t *o)
{
	static const char *const fields[] = {"uid",
					     "creationTimestamp",
					     "generation",
					     "deletionTimestamp",
					     "deletionGracePeriodSeconds",
					     "resourceVersion",
					     "name"};
	json_t *meta = json_sub(o, "metadata"), *before = json_object_get(old->json, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		json_t *v = json_object_get(before, fields[i]);

		if (v)
			must_ok(json_object_set(meta, fields[i], v));
		else
			(void)json_object_del(meta, fields[i]);
	}
	(void)json_object_del(meta, "managedFields");
}

/* An update that says another uid than the object has. */
static void fail_uid(struct req *q, const struct object *old, const char *uid)
{
	bool is_custom = kind_is(q->kind, KIND_CUSTOM);
	CLEANUP(free) char *why = NULL;

	if (str_eq(q->method, "PATCH")) {
		why = must_printf("Invalid value: \"%s\": field is immutable", uid);
		fail_invalid(q, old->name, "FieldValueInvalid", "metadata.uid", why);
		return;
	}
	why = must_printf(
		"StorageError: invalid object, Code: 4, Key: /registry/%s%s%s/%s, ResourceVersion: "
		"0, "
		"AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object "
		"meta: %s",
		is_custom ? q->kind->group : "", is_custom ? "/" : "", q->kind->plural, old->key,
		uid, old->uid);
	fail_conflict(q, q->kind, old->name, why);
}

/* True if the conditions in the new object's metadata hold; else it has answered. */
static bool update_allowed(struct req *q, const struct object *old, const json_t *o)
{
	const char *rv = text_at(o, "metadata", "resourceVersion", NULL);
	const char *uid = text_at(o, "metadata", "uid", NULL);
	uint64_t number;

	if (*uid && !str_eq(uid, old->uid)) {
		fail_uid(q, old, uid);
		return false;
	}
	if (!*rv && kind_is(q->kind, KIND_CUSTOM) && str_eq(q->method, "PUT")) {
		fail_no_version(q, old->name);
		return false;
	}
	if (*rv && str_to_u64(rv, UINT64_MAX, &number) < 0) {
		fail_invalid(q, old->name, "FieldValueInvalid", "metadata.resourceVersion",
			     "Invalid value: must be a number");
		return false;
	}
	if (*rv && number != 0 && number != old->rv) {
		fail_conflict(
			q, q->kind, old->name,
			"the object has been modified; please apply your changes to the latest "
			"version and try again");
		return false;
	}
	if (str_has_suffix(q->kind->plural, "rolebindings") &&
	    !json_equal(json_object_get(o, "roleRef"), json_object_get(old->json, "roleRef"))) {
		fail_invalid(q, old->name, "FieldValueInvalid", "roleRef",
			     "Invalid value: cannot change roleRef");
		return false;
	}
	return true;
}

/* Replaces `old` by `taken`. */
static void update_object(struct req *q, struct object *old, json_t *taken)
{
	CLEANUP(json) json_t *o = taken;
	json_t *meta, *finalizers;

	if (!update_allowed(q, old, o))
		return;
	if (str_eq(q->attr.sub, "status")) {
		json_t *full = must(json_deep_copy(old->json)),
		       *status = json_object_get(o, "status");

		if (status)
			must_ok(json_object_set(full, "status", status));
		else
			(void)json_object_del(full, "status");
		json_decref(o);
		o = full;
	} else if (kind_is(q->kind, KIND_STATUS)) {
		json_t *status = json_object_get(old->json, "status");

		if (status)
			must_ok(json_object_set(o, "status", status));
		else
			(void)json_object_del(o, "status");
	}
	keep_system_fields(old, o);
	defaults_fill(q->srv, q->kind, o);
	if (json_equal(o, old->json)) {
		req_reply_object(q, 200, old); /* nothing is written for a change of nothing */
		return;
	}
	meta = json_sub(o, "metadata");
	if (kind_is(q->kind, KIND_GENERATION) && spec_differs(q->kind, o, old->json))
		json_put(meta, "generation",
			 json_integer(json_integer_value(json_object_get(meta, "generation")) + 1));
	finalizers = json_object_get(meta, "finalizers");
	if (!q->is_dry_run && json_object_get(meta, "deletionTimestamp") &&
	    json_array_size(finalizers) == 0 && !str_eq(q->kind->plural, "namespaces")) {
		req_reply(q, 200, json_incref(o));
		(void)store_remove(&q->srv->store, old);
		return;
	}
	reply_stored(q, 200, TAKE_PTR(o));
}

/* Creates by way of an update or apply, which needs the right to create as well. Takes `o`. */
static void create_instead(struct req *q, json_t *o)
{
	struct attr create = q->attr;

	create.verb = "create";
	if (rbac_allows(q->srv, &q->user, &create)) {
		json_put_text(json_sub(o, "metadata"), "name", q->attr.name);
		create_object(q, o);
		return;
	}
	rbac_deny(q, &create);
	json_decref(o);
}

static void put_handle(struct req *q, struct object *old)
{
	CLEANUP(json) json_t *o = body_object(q);

	if (!o || !body_fits(q, o))
		return;
	if (!*text_at(o, "metadata", "name", NULL)) {
		fail_bad_request(q, "name must be provided");
		return;
	}
	if (old)
		update_object(q, old, TAKE_PTR(o));
	else if (kind_is(q->kind, KIND_PUT_CREATES) && !*q->attr.sub)
		create_instead(q, TAKE_PTR(o));
	else
		fail_not_found(q, q->kind, q->attr.name);
}

/* Server-side apply, reduced to "create or merge": no field ownership, lists replaced whole. */
static void apply_handle(struct req *q, struct object *old, json_t *patch)
{
	json_t *merged;

	if (!*req_query(q, "fieldManager")) {
		req_reply(
			q, 422,
			status_new(
				422, "Invalid",
				json_pack("{s:s,s:s,s:[{s:s,s:s,s:s}]}", "group", "meta.k8s.io",
					  "kind", "PatchOptions", "causes", "reason",
					  "FieldValueRequired", "message",
					  "Required value: is required for apply patch", "field",
					  "fieldManager"),
				"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required "
				"value: is required for apply patch"));
		return;
	}
	if (!body_fits(q, patch))
		return;
	if (!old) {
		create_instead(q, json_incref(patch));
		return;
	}
	merged = patch_merge(old->json, patch, false);
	update_object(q, old, merged);
}

static void patch_handle(struct req *q, struct object *old)
{
	const char *type = req_header(q, "Content-Type");
	bool is_strategic = str_has_prefix(type, "application/strategic-merge-patch+json");
	bool is_merge = str_has_prefix(type, "application/merge-patch+json");
	bool is_json = str_has_prefix(type, "application/json-patch+json");
	bool is_apply = str_has_prefix(type, "application/apply-patch+yaml");
	CLEANUP(json) json_t *patch = NULL;
	CLEANUP(json) json_t *o = NULL;
	struct err err = {0};

	if ((is_strategic && kind_is(q->kind, KIND_CUSTOM)) ||
	    !(is_strategic || is_merge || is_json || is_apply)) {
		fail_request(
			q, 415,
			"the body of the request was in an unknown format - accepted media types "
			"include: application/json-patch+json, application/merge-patch+json, "
			"%sapplication/apply-patch+yaml",
			kind_is(q->kind, KIND_CUSTOM) ? ""
						      : "application/strategic-merge-patch+json, ");
		return;
	}
	patch = body_object(q);
	if (!patch)
		return;
	if (is_apply) {
		apply_handle(q, old, patch);
		return;
	}
	if (!old) {
		fail_not_found(q, q->kind, q->attr.name);
		return;
	}
	if (is_json ? !json_is_array(patch) : !json_is_object(patch)) {
		fail_bad_request(q, "error decoding patch: json: cannot unmarshal");
		return;
	}
	o = is_json ? patch_json(old->json, patch, &err)
		    : patch_merge(old->json, patch, is_strategic);
	if (!o) {
		req_reply(
			q, 422,
			status_new(
				422, "Invalid", json_object(),
				"the server rejected our request due to an error in our request"));
		return;
	}
	if (body_fits(q, o))
		update_object(q, old, TAKE_PTR(o));
}

/* True if the preconditions of DeleteOptions hold; else it has answered. */
static bool delete_allowed(struct req *q, const struct object *o, const json_t *options)
{
	const char *uid = text_at(options, "preconditions", "uid", NULL);
	const char *rv = text_at(options, "preconditions", "resourceVersion", NULL);
	const char *own = text_at(o->json, "metadata", "resourceVersion", NULL);
	CLEANUP(free) char *why = NULL;

	if (*uid && !str_eq(uid, o->uid))
		why = must_printf(
			"the UID in the precondition (%s) does not match the UID in record (%s). "
			"The object might have been deleted and then recreated",
			uid, o->uid);
	else if (*rv && !str_eq(rv, own))
		why = must_printf(
			"the ResourceVersion in the precondition (%s) does not match the "
			"ResourceVersion in record (%s). The object might have been modified",
			rv, own);
	if (why)
		fail_conflict_kind(q, q->kind, o->name, why);
	return !why;
}

/* Marks an object that something still holds; it goes when the last finalizer does. */
static void mark_deleted(struct req *q, struct object *o)
{
	json_t *copy;

	if (json_at(o->json, "metadata", "deletionTimestamp", NULL) || q->is_dry_run) {
		req_reply_object(q, 200, o);
		return;
	}
	copy = must(json_deep_copy(o->json));
	defaults_stamp(json_sub(copy, "metadata"), "deletionTimestamp");
	if (str_eq(q->kind->plural, "namespaces"))
		json_put_text(json_sub(copy, "status"), "phase", "Terminating");
	else
		json_put(json_sub(copy, "metadata"), "deletionGracePeriodSeconds", json_integer(0));
	req_reply_object(q, 200, store_put(&q->srv->store, q->kind, copy));
}

static void delete_handle(struct req *q, struct object *o)
{
	CLEANUP(json) json_t *options = NULL;
	json_t *details;

	if (!o) {
		fail_not_found(q, q->kind, q->attr.name);
		return;
	}
	if (q->in.len > 0) {
		options = body_object(q);
		if (!options)
			return;
	}
	if (!delete_allowed(q, o, options))
		return;
	if (json_array_size(json_at(o->json, "metadata", "finalizers", NULL)) > 0 ||
	    str_eq(q->kind->plural, "namespaces")) {
		mark_deleted(q, o);
		return;
	}
	if (str_eq(q->kind->plural, "pods") || str_eq(q->kind->plural, "serviceaccounts")) {
		req_reply_object(q, 200, o); /* these strategies return the object */
	} else {
		details = must(json_pack("{s:s}", "name", o->name));
		if (*q->kind->group)
			json_put_text(details, "group", q->kind->group);
		json_put_text(details, "kind", q->kind->plural);
		json_put_text(details, "uid", o->uid);
		req_reply(
			q, 200,
			must(json_pack("{s:s,s:s,s:{},s:s,s:o}", "kind", "Status", "apiVersion",
				       "v1", "metadata", "status", "Success", "details", details)));
	}
	if (!q->is_dry_run)
		(void)store_remove(&q->srv->store, o);
}

void rest_handle(struct req *q)
{
	struct object *o = NULL;

	q->is_dry_run = str_eq(req_query(q, "dryRun"), "All");
	if (*q->attr.name)
		o = store_get(&q->srv->store, q->kind, q->attr.ns, q->attr.name);
	if (str_eq(q->attr.verb, "create")) {
		json_t *body = body_object(q);

		if (body && body_fits(q, body))
			create_object(q, json_incref(body));
		json_decref(body);
	} else if (str_eq(q->attr.verb, "update")) {
		put_handle(q, o);
	} else if (str_eq(q->attr.verb, "patch")) {
		patch_handle(q, o);
	} else if (str_eq(q->attr.verb, "delete") && !*q->attr.sub) {
		delete_handle(q, o);
	} else if (!str_eq(q->attr.verb, "get")) {
		fail_method(q);
	} else if (!o) {
		fail_not_found(q, q->kind, q->attr.name);
	} else {
		req_reply_object(q, 200, o);
	}
}
