/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_status.h"

#include "apiserver_util.h"

static json_t *status_vnew(int code, const char *reason, json_t *details, char *message)
{
	json_t *s = must(json_pack("{s:s,s:s,s:{},s:s,s:s,s:s}", "kind", "Status", "apiVersion",
				   "v1", "metadata", "status", "Failure", "message", message,
				   "reason", reason));

	if (details)
		json_put(s, "details", details);
	json_put(s, "code", json_integer(code));
	free(message);
	return s;
}

json_t *status_new(int code, const char *reason, json_t *details, const char *fmt, ...)
{
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = must_vprintf(fmt, ap);
	va_end(ap);
	return status_vnew(code, reason, details, message);
}

const char *status_reason(int code)
{
	static const struct {
		int code;
		const char *reason;
	} reasons[] = {
		{400, "BadRequest"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "NotFound"},
		{405, "MethodNotAllowed"},
		{406, "NotAcceptable"},
		{409, "Conflict"},
		{410, "Expired"},
		{413, "RequestEntityTooLarge"},
		{415, "UnsupportedMediaType"},
		{422, "Invalid"},
		{429, "TooManyRequests"},
		{500, "InternalError"},
		{503, "ServiceUnavailable"},
		{504, "Timeout"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].code == code)
			return reasons[i].reason;
	return "";
}

void fail_request(struct req *q, int code, const char *fmt, ...)
{
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = must_vprintf(fmt, ap);
	va_end(ap);
	req_reply(q, code, status_vnew(code, status_reason(code), NULL, message));
}

void fail_bad_request(struct req *q, const char *fmt, ...)
{
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = must_vprintf(fmt, ap);
	va_end(ap);
	req_reply(q, 400, status_vnew(400, "BadRequest", NULL, message));
}

/* details of a failure about one object; "kind" holds the plural there. */
static json_t *details_of(const struct kind *k, const char *name)
{
	json_t *d = must(json_object());

	if (*name)
		json_put_text(d, "name", name);
	if (*k->group)
		json_put_text(d, "group", k->group);
	json_put_text(d, "kind", k->plural);
	return d;
}

void fail_not_found(struct req *q, const struct kind *k, const char *name)
{
	char res[96];

	req_reply(q, 404,
		  status_new(404, "NotFound", details_of(k, name), "%s \"%s\" not found",
			     kind_resource(k, res), name));
}

void fail_path(struct req *q)
{
	if (str_has_prefix(q->url, "/apis/") && !kind_is_built_in_group(q->attr.group)) {
		q->is_plain = true;
		req_reply_text(q, 404, "404 page not found\n");
		return;
	}
	req_reply(q, 404,
		  status_new(404, "NotFound", json_object(),
			     "the server could not find the requested resource"));
}

void fail_method(struct req *q)
{
	req_reply(q, 405,
		  status_new(405, "MethodNotAllowed", json_object(),
			     "the server does not allow this method on the requested resource"));
}

void fail_exists(struct req *q, const struct kind *k, const char *name)
{
	char res[96];

	req_reply(q, 409,
		  status_new(409, "AlreadyExists", details_of(k, name), "%s \"%s\" already exists",
			     kind_resource(k, res), name));
}

void fail_conflict(struct req *q, const struct kind *k, const char *name, const char *why)
{
	char res[96];

	req_reply(q, 409,
		  status_new(409, "Conflict", details_of(k, name),
			     "Operation cannot be fulfilled on %s \"%s\": %s",
			     kind_resource(k, res), name, why));
}

void fail_terminating(struct req *q, const char *name)
{
	CLEANUP(free) char *why = must_printf("namespace %s is being terminated", q->attr.ns);
	json_t *d = details_of(q->kind, name);
	char res[96];

	json_put(d, "causes",
		 json_pack("[{s:s,s:s,s:s}]", "reason", "NamespaceTerminating", "message", why,
			   "field", "metadata.namespace"));
	req_reply(q, 403,
		  status_new(403, "Forbidden", d,
			     "%s \"%s\" is forbidden: unable to create new content in namespace %s "
			     "because it is being terminated",
			     kind_resource(q->kind, res), name, q->attr.ns));
}

void fail_conflict_kind(struct req *q, const struct kind *k, const char *name, const char *why)
{
	json_t *d = details_of(k, name);

	json_put_text(d, "kind", k->name);
	req_reply(q, 409,
		  status_new(409, "Conflict", d,
			     "Operation cannot be fulfilled on %s%s%s \"%s\": %s", k->name,
			     *k->group ? "." : "", k->group, name, why));
}

void fail_no_version(struct req *q, const char *name)
{
	static const char *const why = "Invalid value: 0: must be specified for an update";
	json_t *d = details_of(q->kind, name);
	char res[96];

	json_put(d, "causes",
		 json_pack("[{s:s,s:s,s:s}]", "reason", "FieldValueInvalid", "message", why,
			   "field", "metadata.resourceVersion"));
	req_reply(q, 422,
		  status_new(422, "Invalid", d,
			     "%s \"%s\" is invalid: metadata.resourceVersion: %s",
			     kind_resource(q->kind, res), name, why));
}

void fail_invalid(struct req *q, const char *name, const char *cause, const char *field,
		  const char *why)
{
	const struct kind *k = q->kind;
	json_t *d = details_of(k, name);
	json_t *causes =
		must(json_pack("[{s:s,s:s,s:s}]", "reason", cause, "message", why, "field", field));

	json_put_text(d, "kind", k->name);
	json_put(d, "causes", causes);
	req_reply(q, 422,
		  status_new(422, "Invalid", d, "%s%s%s \"%s\" is invalid: %s: %s", k->name,
			     *k->group ? "." : "", k->group, name, field, why));
}

json_t *status_expired(const char *why)
{
	return status_new(410, "Expired", NULL, "%s", why);
}

void fail_expired(struct req *q, const char *why)
{
	req_reply(q, 410, status_expired(why));
}
