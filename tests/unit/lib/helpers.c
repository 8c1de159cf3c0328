/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

enum { EVENT_MS = 15000 };

void world_start(struct world *w, const char *const *args)
{
	static unsigned n;
	struct err err = {0};

	cr_assert_eq(api_start(args, &w->api, &err), 0, "%s", err.text);
	w->ns = must_printf("mesh-api-%d-%u", (int)getpid(), n++);
	want_code(w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", w->ns),
		  "/api/v1/namespaces");
}

void world_stop(struct world *w)
{
	want_code(w, 200, "DELETE", NULL, "/api/v1/namespaces/%s", w->ns);
	cr_assert_eq(api_stop(w->api), 0, "the server must end well");
	free(w->ns);
}

struct kube_client *world_client(const struct world *w, struct loop *loop, const char *token)
{
	CLEANUP(buf_done) struct buf ca = {0};
	const char *servers[] = {w->api->url};
	struct kube_conf conf = {.servers = servers, .n_servers = 1, .token = token};
	struct kube_client *client = NULL;
	struct err err = {0};

	cr_assert_eq(file_read(w->api->ca_path, 1 << 20, &ca), 0);
	conf.ca_pem = ca.data;
	cr_assert_eq(kube_client_new(loop, &conf, &client, &err), 0, "%s", err.text);
	return client;
}

static json_t *vwant(struct world *w, int code, const char *method, json_t *body, char *path)
{
	json_t *ret = NULL;
	int r = api_request(w->api, method, path, body, &ret);

	cr_assert_eq(r, code, "%s %s: %d, not %d: %s", method, path, r, code,
		     text_at(ret, "message", NULL));
	json_decref(body);
	free(path);
	return ret;
}

json_t *want(struct world *w, int code, const char *method, json_t *body, const char *fmt, ...)
{
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = must_vprintf(fmt, ap);
	va_end(ap);
	return vwant(w, code, method, body, path);
}

void want_code(struct world *w, int code, const char *method, json_t *body, const char *fmt, ...)
{
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = must_vprintf(fmt, ap);
	va_end(ap);
	json_decref(vwant(w, code, method, body, path));
}

int await_code(struct world *w, const struct api_call *call, int code, const char *method,
	       const char *path)
{
	for (int i = 0; i < 600; i++) {
		if (api_request_as(w->api, call, method, path, NULL) == code)
			return code;
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000},
				NULL); /* an early end is harmless */
	}
	return -1;
}

json_t *config_map(const char *name, const char *app, const char *v)
{
	return json_pack("{s:{s:s,s:{s:s}},s:{s:s}}", "metadata", "name", name, "labels", "app",
			 app, "data", "v", v);
}

json_t *want_event(struct api_stream *s, const char *type, const char *name)
{
	json_t *e = api_stream_next(s, EVENT_MS);

	cr_assert(e, "no event %s %s; status %ld, ended %d", type, name, api_stream_status(s),
		  api_stream_ended(s, NULL));
	cr_assert_str_eq(text_at(e, "type", NULL), type);
	if (*name)
		cr_assert_str_eq(text_at(e, "object", "metadata", "name", NULL), name);
	return e;
}

struct api_stream *open_watch(struct world *w, const char *fmt, ...)
{
	struct api_stream *s;
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = must_vprintf(fmt, ap);
	va_end(ap);
	cr_assert_eq(api_stream_open(w->api, NULL, path, &s), 0);
	free(path);
	return s;
}

char *current_rv(struct world *w)
{
	CLEANUP(json) json_t *l =
		want(w, 200, "GET", NULL, "/api/v1/namespaces/%s/configmaps", w->ns);

	return must_strdup(text_at(l, "metadata", "resourceVersion", NULL));
}
