/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "crypto/base64.h"
#include "crypto/secret.h"
#include "json/json.h"
#include "kube/kubeconfig_exec.h"
#include "kube/yaml_json.h"

enum { FILES_MAX = 32 };

/* One file of the list, and where its relative paths begin. */
struct source_file {
	json_t *doc;
	char *dir;
};

struct sources {
	struct source_file v[FILES_MAX];
	size_t n;
};

static void sources_done(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		json_decref(s->v[i].doc);
		free(s->v[i].dir);
	}
	s->n = 0;
}
DEFINE_CLEANUP_DONE(struct sources, sources_done)

void kubeconfig_done(struct kubeconfig *k)
{
	free(k->context);
	free(k->server);
	free(k->ca_pem);
	free(k->client_cert_pem);
	free(k->namespace);
	secret_free(k->token);
	secret_free(k->client_key_pem);
	*k = (struct kubeconfig){0};
}

static int load_file(const char *path, struct sources *s, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_CONFIG_BYTES};
	CLEANUP(json_decref) json_t *docs = NULL;
	const char *slash = strrchr(path, '/');
	struct source_file f;
	int r = file_read(path, LIMIT_CONFIG_BYTES, &text);

	if (r == -E2BIG)
		return err_set(reterr, E2BIG, "%s is longer than %d bytes: this is no kubeconfig", path, LIMIT_CONFIG_BYTES);
	if (r == -ENOENT)
		return err_set(reterr, ENOENT, "there is no kubeconfig %s: name one with --kubeconfig FILE or in $KUBECONFIG", path);
	if (r < 0)
		return err_set(reterr, -r, "kubeconfig %s: %s", path, err_name(r));
	r = yaml_to_json(text.data, text.len, &docs, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "%s", path);
	if (json_array_size(docs) == 0)
		return 0;
	if (json_array_size(docs) > 1 || !json_is_object(json_array_get(docs, 0)))
		return err_set(reterr, EINVAL, "%s: this is no kubeconfig", path);
	if (s->n == FILES_MAX)
		return err_set(reterr, EINVAL, "more than %d kubeconfig files", FILES_MAX);
	f.dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!f.dir)
		return err_set(reterr, ENOMEM, "out of memory");
	f.doc = json_incref(json_array_get(docs, 0));
	s->v[s->n++] = f;
	return 0;
}

static int load_sources(const char *path, struct sources *s, struct err *reterr)
{
	CLEANUP(strv_done) struct strv files = {0};
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
	int r;

	if (path)
		return load_file(path, s, reterr);
	if (env && *env) {
		if (strv_split(&files, env, ':') < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	} else {
		CLEANUP(free) char *usual = str_printf("%s/.kube/config", home && *home ? home : "/root");

		if (!usual || strv_add(&files, usual) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < files.n; i++) {
		r = load_file(files.v[i], s, reterr);
		/* kubectl, too, goes on if some of the list are missing. */
		if (r < 0 && !(r == -ENOENT && files.n > 1))
			return r;
	}
	if (s->n)
		return 0;
	return files.n == 1 ? err_set(reterr, ENOENT, "kubeconfig %s is empty: name another with --kubeconfig FILE or in $KUBECONFIG",
				      files.v[0]) :
			      err_set(reterr, ENOENT, "none of the files in $KUBECONFIG is there, or all are empty: name one with "
						      "--kubeconfig FILE");
}

/* The body of the named entry of a list, and the directory of its file. First definition wins. */
static const json_t *find(const struct sources *s, const char *list, const char *body, const char *name, const char **ret_dir)
{
	for (size_t i = 0; i < s->n; i++) {
		const json_t *v;
		size_t k;

		json_array_foreach(json_object_get(s->v[i].doc, list), k, v)
			if (str_eq(json_str(v, "name", ""), name)) {
				if (ret_dir)
					*ret_dir = s->v[i].dir;
				return json_object_get(v, body);
			}
	}
	return NULL;
}

static int copy(const char *s, char **ret, struct err *reterr)
{
	*ret = strdup(s);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

static int read_path(const char *dir, const char *path, struct buf *ret, struct err *reterr)
{
	CLEANUP(free) char *full = path[0] == '/' ? strdup(path) : str_printf("%s/%s", dir, path);
	int r = full ? file_read(full, LIMIT_CONFIG_BYTES, ret) : -ENOMEM;

	return r < 0 ? err_set(reterr, -r, "%s: %s", full ? full : path, err_name(r)) : 0;
}

/* A value given as base64 (`NAME-data`) or as a file (`NAME`). `ret` stays NULL if there is none. */
static int load_data(const json_t *o, const char *name, const char *dir, char **ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf data = {.max = LIMIT_CONFIG_BYTES};
	char member[64];
	const char *inline_data, *path = json_string_value(json_object_get(o, name));
	int r;

	(void)snprintf(member, sizeof(member), "%s-data", name);
	inline_data = json_string_value(json_object_get(o, member));
	if (inline_data && *inline_data) {
		if (base64_decode(inline_data, strlen(inline_data), &data) < 0)
			return err_set(reterr, EINVAL, "%s is not base64", member);
	} else if (path && *path) {
		r = read_path(dir, path, &data, reterr);
		if (r < 0)
			return err_prefix(reterr, r, "%s", name);
	} else {
		return 0;
	}
	if (!data.data || strlen(data.data) != data.len)
		return err_set(reterr, EINVAL, "%s is not text", name);
	return copy(data.data, ret, reterr);
}

static int load_cluster(const struct sources *s, const char *name, struct kubeconfig *k, struct err *reterr)
{
	const char *dir = ".";
	const json_t *c = find(s, "clusters", "cluster", name, &dir);
	const char *server;
	int r;

	if (!c)
		return err_set(reterr, ENOENT, "cluster %.120s is not in the kubeconfig", name);
	server = json_str(c, "server", "");
	if (json_is_true(json_object_get(c, "insecure-skip-tls-verify")))
		return err_set(reterr, EINVAL,
			       "cluster %.120s has insecure-skip-tls-verify: this program never talks to a server that it cannot "
			       "verify; give certificate-authority-data instead",
			       name);
	if (!str_has_prefix(server, "https://"))
		return err_set(reterr, EINVAL, "cluster %.120s: the server must begin with https://", name);
	if (*json_str(c, "proxy-url", "") || *json_str(c, "tls-server-name", ""))
		return err_set(reterr, EINVAL, "cluster %.120s: proxy-url and tls-server-name are not supported", name);
	r = load_data(c, "certificate-authority", dir, &k->ca_pem, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "cluster %.120s", name);
	if (!k->ca_pem)
		return err_set(reterr, EINVAL, "cluster %.120s has no certificate-authority-data", name);
	r = copy(server, &k->server, reterr);
	if (r == 0)
		while (str_has_suffix(k->server, "/"))
			k->server[strlen(k->server) - 1] = '\0';
	return r;
}

static int take_exec_status(const json_t *status, struct kubeconfig *k, struct err *reterr)
{
	const char *token = json_str(status, "token", NULL);
	const char *cert = json_str(status, "clientCertificateData", NULL), *key = json_str(status, "clientKeyData", NULL);
	int r = 0;

	if (token)
		r = copy(token, &k->token, reterr);
	if (r == 0 && cert && key) {
		r = copy(cert, &k->client_cert_pem, reterr);
		if (r == 0)
			r = copy(key, &k->client_key_pem, reterr);
	}
	if (r == 0 && !token && !(cert && key))
		return err_set(reterr, EINVAL, "the exec plugin gave no credential");
	return r;
}

static int load_token(const json_t *u, const char *dir, struct kubeconfig *k, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_TOKEN_BYTES};
	const char *file = json_str(u, "tokenFile", ""), *token = json_str(u, "token", "");
	int r;

	if (!*file)
		return *token ? copy(token, &k->token, reterr) : 0;
	r = read_path(dir, file, &text, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "tokenFile");
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		text.data[--text.len] = '\0';
	return copy(text.data ? text.data : "", &k->token, reterr);
}

static int load_user(const struct sources *s, const char *name, struct kubeconfig *k, struct err *reterr)
{
	CLEANUP(json_decref) json_t *status = NULL;
	const char *dir = ".";
	const json_t *u = find(s, "users", "user", name, &dir);
	int r;

	if (!u)
		return err_set(reterr, ENOENT, "user %.120s is not in the kubeconfig", name);
	r = load_data(u, "client-certificate", dir, &k->client_cert_pem, reterr);
	if (r == 0)
		r = load_data(u, "client-key", dir, &k->client_key_pem, reterr);
	if (r == 0)
		r = load_token(u, dir, k, reterr);
	if (r == 0 && json_is_object(json_object_get(u, "exec")) && !k->token && !k->client_cert_pem) {
		r = kubeconfig_exec(json_object_get(u, "exec"), dir, KUBECONFIG_EXEC_TIMEOUT_S, &status, reterr);
		if (r == 0)
			r = take_exec_status(status, k, reterr);
	}
	if (r < 0)
		return err_prefix(reterr, r, "user %.120s", name);
	if (!k->client_cert_pem != !k->client_key_pem)
		return err_set(reterr, EINVAL, "user %.120s: client-certificate and client-key belong together", name);
	if (!k->token && !k->client_cert_pem)
		return err_set(reterr, EINVAL, "user %.120s has no token, client certificate or exec plugin", name);
	return 0;
}

static const char *current_context(const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *name = json_string_value(json_object_get(s->v[i].doc, "current-context"));

		if (name && *name)
			return name;
	}
	return NULL;
}

int kubeconfig_load(const char *path, const char *context, struct kubeconfig *ret, struct err *reterr)
{
	CLEANUP(sources_done) struct sources s = {.n = 0};
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	const json_t *ctx;
	int r = load_sources(path, &s, reterr);

	if (r < 0)
		return r;
	if (!context)
		context = current_context(&s);
	if (!context)
		return err_set(reterr, ENOENT, "the kubeconfig has no current-context: give --context");
	ctx = find(&s, "contexts", "context", context, NULL);
	if (!ctx)
		return err_set(reterr, ENOENT, "context %.120s is not in the kubeconfig", context);
	r = load_cluster(&s, json_str(ctx, "cluster", ""), &k, reterr);
	if (r == 0)
		r = load_user(&s, json_str(ctx, "user", ""), &k, reterr);
	if (r == 0)
		r = copy(context, &k.context, reterr);
	if (r == 0)
		r = copy(json_str(ctx, "namespace", "default"), &k.namespace, reterr);
	if (r < 0)
		return r;
	*ret = k;
	k = (struct kubeconfig){0};
	return 0;
}

int kubeconfig_client(const struct kubeconfig *k, struct loop *loop, struct kube_client **ret, struct err *reterr)
{
	const char *servers[] = {k->server};
	const struct kube_conf conf = {
		.servers = servers,
		.n_servers = 1,
		.ca_pem = k->ca_pem,
		.token = k->token,
		.client_cert_pem = k->client_cert_pem,
		.client_key_pem = k->client_key_pem,
	};

	return kube_client_new(loop, &conf, ret, reterr);
}
