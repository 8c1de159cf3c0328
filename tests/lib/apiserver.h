/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-tree API server as a child process of a test, and plain blocking requests to it. With
 * MESH_TEST_APISERVER_URL, _CA (a file) and _TOKEN in the environment, api_start() hands out that
 * server instead: the same test then shows what the real one does.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

struct api {
	pid_t pid;	 /* 0 for a server that is not ours */
	bool is_foreign; /* no /test/, other objects may be there */
	char *url;	 /* https://127.0.0.1:PORT */
	char *state_dir; /* NULL for a foreign one; holds admin.conf, ca.crt, admin.token */
	char *ca_path;
	char *token; /* of the admin */
};

/*
 * Starts the server on a free port with a state directory of its own and waits until it is ready.
 * `args` are more arguments, ended by NULL, or NULL. The program is $MESH_TEST_APISERVER or
 * tests/lib/mesh-test-apiserver of the build. -ENOENT when there is none, -ETIMEDOUT, other errno.
 */
int api_start(const char *const *args, struct api **ret, struct err *reterr);
/* Ends the child and removes its state. Returns its exit status, -errno when it did not end well.
 */
int api_stop(struct api *a);
void api_free(struct api *a);
DEFINE_CLEANUP(struct api *, api_free)

/*
 * One request as the admin. `body` is borrowed and may be NULL; ret may be NULL. Returns the HTTP
 * status, or -errno: -EIO when the answer broke off or never came, -EBADMSG when it is no JSON.
 */
int api_request(struct api *a, const char *method, const char *path, const json_t *body,
		json_t **ret);

/* What api_request_as() may set. */
struct api_call {
	const char *token;	  /* NULL = the admin's, "" = none */
	const char *content_type; /* NULL = application/json */
	const char *body;	  /* text, instead of JSON */
	long timeout_ms;	  /* 0 = 10 s */
};
int api_request_as(struct api *a, const struct api_call *call, const char *method, const char *path,
		   json_t **ret);

/* A watch, or any answer that comes as lines. */
struct api_stream;
int api_stream_open(struct api *a, const char *token, const char *path, struct api_stream **ret);
/* The HTTP status; 0 before the headers came. */
long api_stream_status(const struct api_stream *s);
/*
 * The next event, owned by the caller. NULL after `timeout_ms`, at the end of the stream, or when a
 * line is no JSON; api_stream_ended() tells.
 */
json_t *api_stream_next(struct api_stream *s, int timeout_ms);
/* True after the end; *ret_clean: by the server in good order. */
bool api_stream_ended(const struct api_stream *s, bool *ret_clean);
void api_stream_close(struct api_stream *s);
DEFINE_CLEANUP(struct api_stream *, api_stream_close)
