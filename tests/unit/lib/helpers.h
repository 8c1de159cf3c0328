/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the API server share. Each works in a namespace of its own, on a real server
 * too. */
#pragma once

#include <criterion/criterion.h>

#include "apiserver.h"
#include "apiserver_util.h"
#include "kube/kube_client.h"

/* The server and this test's namespace, which is made. */
struct world {
	struct api *api;
	char *ns;
};

void world_start(struct world *w, const char *const *args);
/* Ends the server, which must end well. */
void world_stop(struct world *w);
/* A client of the server, with its CA and this credential; the caller's. */
struct kube_client *world_client(const struct world *w, struct loop *loop, const char *token);
/* Sends `body` (taken; NULL = none) and insists on a status. The answer is the caller's. */
json_t *want(struct world *w, int code, const char *method, json_t *body, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The same, without the answer. */
void want_code(struct world *w, int code, const char *method, json_t *body, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Asks again until the status is there, for what a real server does later; -1 after 30 s. */
int await_code(struct world *w, const struct api_call *call, int code, const char *method,
	       const char *path);
/* {"metadata":{"name":NAME,"labels":{"app":APP}},"data":{"v":V}} */
json_t *config_map(const char *name, const char *app, const char *v);
/* Insists on the next event's type and object name, which it returns. */
json_t *want_event(struct api_stream *s, const char *type, const char *name);
struct api_stream *open_watch(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The list's resourceVersion. */
char *current_rv(struct world *w);
