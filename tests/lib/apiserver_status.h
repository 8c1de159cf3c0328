/* SPDX-License-Identifier: Apache-2.0 */
/* Failures as the API machinery words them: kind Status with code, reason, message and details. */
#pragma once

#include "apiserver_server.h"

/* `details` is taken and may be NULL. */
json_t *status_new(int code, const char *reason, json_t *details, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The reason that goes with a bare HTTP code. */
const char *status_reason(int code);

void fail_request(struct req *q, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fail_bad_request(struct req *q, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fail_not_found(struct req *q, const struct kind *k, const char *name);
void fail_path(struct req *q);
void fail_method(struct req *q);
void fail_exists(struct req *q, const struct kind *k, const char *name);
void fail_conflict(struct req *q, const struct kind *k, const char *name, const char *why);
/* 403 of a create in a namespace that is going. */
void fail_terminating(struct req *q, const char *name);
/* The same as some paths word it: with the kind instead of the resource. */
void fail_conflict_kind(struct req *q, const struct kind *k, const char *name, const char *why);
/* 422 of an update of a custom resource without resourceVersion. */
void fail_no_version(struct req *q, const char *name);
/* cause: FieldValueRequired, FieldValueInvalid, FieldValueForbidden. */
void fail_invalid(struct req *q, const char *name, const char *cause, const char *field,
		  const char *why);
void fail_expired(struct req *q, const char *why);
json_t *status_expired(const char *why);
