/* SPDX-License-Identifier: Apache-2.0 */
#include "join/join_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "crypto/jwt.h"
#include "crypto/secret.h"
#include "crypto/x509.h"
#include "join/checksum.h"
#include "join/state_file.h"
#include "json/json.h"

#define JOINED "joined.json"
#define MARK   "left.json" /* what joined.json becomes while the rest is removed */

enum { STATE_VERSION = 1 };

void join_state_done(struct join_state *s)
{
	strv_done(&s->servers);
	strv_done(&s->addresses);
	strv_done(&s->services);
	free(s->ca_pem);
	free(s->host);
	free(s->namespace);
	free(s->cluster);
	free(s->cluster_uid);
	free(s->cilium_namespace);
	json_decref(s->labels);
	*s = (struct join_state){0};
}

static char *path_of(const char *dir, const char *name)
{
	return str_printf("%s/%s", dir, name);
}

static json_t *list(const struct strv *l)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < l->n; i++)
		if (json_array_append_new(array, json_string(l->v[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* The document, to be freed. */
static char *text_of(const struct join_state *s)
{
	CLEANUP(json_decref) json_t *o = json_pack(
		"{s:i, s:o, s:s, s:s, s:s, s:O, s:o, s:o, s:s, s:s, s:I, s:b}", "version", STATE_VERSION, "servers", list(&s->servers), "ca",
		s->ca_pem, "host", s->host, "namespace", s->namespace, "labels", s->labels, "addresses", list(&s->addresses), "services",
		list(&s->services), "cluster", s->cluster, "cluster_uid", s->cluster_uid, "identity", (json_int_t)s->identity, "complete", (int)s->is_complete);
	char sum[CHECKSUM_STRLEN];

	/* not by "s*", which leaves out what there is no memory for */
	if (!o || (s->cilium_namespace && json_object_set_new(o, "cilium_namespace", json_string(s->cilium_namespace)) < 0))
		return NULL;
	if (checksum_of(o, sum) < 0 || json_object_set_new(o, "sum", json_string(sum)) < 0)
		return NULL;
	return json_text(o);
}

int join_state_save(const char *dir, const struct join_state *s, struct err *reterr)
{
	CLEANUP(free) char *text = text_of(s);
	int r = text ? file_mkdirs(dir, 0700) : -ENOMEM;

	if (r < 0)
		return err_set(reterr, -r, "%s: %s", dir, err_name(r));
	return state_file_write(dir, JOINED, text, strlen(text), reterr);
}

int join_state_keep_spare(const char *dir, const struct join_state *s, struct err *reterr)
{
	CLEANUP(free) char *text = text_of(s);
	CLEANUP(free) char *path = path_of(dir, JOIN_STATE_SPARE);
	int r = text && path ? file_keep(path, text, strlen(text), 0600) : -ENOMEM;

	return r < 0 ? err_set(reterr, -r, "%s/" JOIN_STATE_SPARE ": %s", dir, err_name(r)) : 0;
}

static int take_list(const json_t *o, const char *member, struct strv *ret)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, member), i, v)
	{
		const char *s = json_string_value(v);

		int r = s ? strv_add(ret, s) : -EBADMSG;

		if (r < 0)
			return r;
	}
	return 0;
}

static int take_string(const json_t *o, const char *member, char **ret)
{
	const char *s = json_string_value(json_object_get(o, member));

	if (!s)
		return -EBADMSG;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int take_all(const json_t *o, struct join_state *s)
{
	static const char *const lists[] = {"servers", "addresses", "services"};
	static const char *const names[] = {"ca", "host", "namespace", "cluster", "cluster_uid"};
	struct strv *to[] = {&s->servers, &s->addresses, &s->services};
	char **at[] = {&s->ca_pem, &s->host, &s->namespace, &s->cluster, &s->cluster_uid};
	json_int_t identity = json_int(o, "identity", -1);
	int r = 0;

	if (json_int(o, "version", 0) != STATE_VERSION || identity < 0 || identity >= 1 << 24 || !json_is_object(json_object_get(o, "labels")))
		return -EBADMSG;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
		r = take_list(o, lists[i], to[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(names); i++)
		r = take_string(o, names[i], at[i]);
	if (r == 0 && json_object_get(o, "cilium_namespace")) /* not in states of versions that knew one only */
		r = take_string(o, "cilium_namespace", &s->cilium_namespace);
	if (r < 0)
		return r;
	s->labels = json_clone(json_object_get(o, "labels"));
	if (!s->labels)
		return -ENOMEM;
	s->identity = (uint32_t)identity;
	s->is_complete = json_is_true(json_object_get(o, "complete"));
	if (s->cilium_namespace && !str_is_dns_label(s->cilium_namespace))
		return -EBADMSG;
	r = s->servers.n ? x509_check_bundle(s->ca_pem, NULL) : -EBADMSG;
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

static int load(const char *dir, const char *name, struct join_state *ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_CONFIG_BYTES};
	CLEANUP(free) char *path = path_of(dir, name);
	CLEANUP(json_decref) json_t *o = NULL;
	CLEANUP(join_state_done) struct join_state s = {0};
	char sum[CHECKSUM_STRLEN];
	int r = path ? file_read(path, LIMIT_CONFIG_BYTES, &text) : -ENOMEM;

	if (r == -ENOENT)
		return err_set(reterr, ENOENT, "this host has not joined a cluster: run mesh-join");
	if (r < 0)
		return err_set(reterr, -r, "%s/%s: %s", dir, name, err_name(r));
	o = text.data ? json_parse(text.data, text.len) : NULL;
	r = text.data && !o && errno == ENOMEM ? -ENOMEM : json_is_object(o) ? checksum_of(o, sum) : -EBADMSG;
	if (r == 0)
		r = str_eq(json_str(o, "sum", ""), sum) ? take_all(o, &s) : -EBADMSG;
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "%s: %s", path, err_name(r));
	if (r < 0)
		return err_set(reterr, EBADMSG, "%s is damaged or of another version: remove it and run mesh-join with a new token", path);
	*ret = s;
	s = (struct join_state){0};
	return 0;
}

int join_state_load(const char *dir, struct join_state *ret, struct err *reterr)
{
	return load(dir, JOINED, ret, reterr);
}

int join_state_load_spare(const char *dir, struct join_state *ret, struct err *reterr)
{
	return load(dir, JOIN_STATE_SPARE, ret, reterr);
}

int join_state_load_token(const char *dir, char **ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_TOKEN_BYTES};
	CLEANUP(free) char *path = path_of(dir, "token");
	struct jwt_claims claims;
	int r = path ? file_read(path, LIMIT_TOKEN_BYTES, &text) : -ENOMEM;

	if (r == -ENOENT)
		return err_set(reterr, ENOENT, "%s is gone: run mesh-join with a new join token", path);
	if (r < 0)
		return err_set(reterr, -r, "%s/token: %s", dir, err_name(r));
	r = text.data && strlen(text.data) == text.len ? jwt_read(text.data, &claims) : -EBADMSG;
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "%s/token: %s", dir, err_name(r));
	if (r < 0)
		return err_set(reterr, EBADMSG, "%s is no token: run mesh-join with a new join token", path);
	*ret = strdup(text.data);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int join_state_save_token(const char *dir, const char *token, struct err *reterr)
{
	int r = file_mkdirs(dir, 0700);

	if (r < 0)
		return err_set(reterr, -r, "%s: %s", dir, err_name(r));
	return state_file_write(dir, "token", token, strlen(token), reterr);
}

/*
 * The host is no member from the first step on, and until the last one its mark says that there is more to do: so each
 * step is on the disk before the next.
 */
int join_state_remove(const char *dir, struct err *reterr)
{
	static const char *const names[] = {"token", JOIN_STATE_IN_FORCE, "guard.json", "shadow.json", "migrations.json",
					    JOIN_STATE_COPY, JOIN_STATE_LEARNED, JOIN_STATE_CONF, JOIN_STATE_SPARE};
	CLEANUP(free) char *joined = path_of(dir, JOINED);
	CLEANUP(free) char *mark = path_of(dir, MARK);
	int r = 0;

	if (!joined || !mark)
		return err_set(reterr, ENOMEM, "out of memory");
	if (rename(joined, mark) == 0)
		r = file_sync_dir(dir);
	else if (errno != ENOENT)
		r = -errno;
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", joined, err_name(r));
	r = state_file_remove_all(dir, names, ARRAY_LEN(names), reterr);
	return r < 0 ? r : state_file_remove(dir, MARK, reterr);
}

int join_state_finish_removal(const char *dir, struct err *reterr)
{
	CLEANUP(free) char *joined = path_of(dir, JOINED);
	CLEANUP(free) char *mark = path_of(dir, MARK);

	if (!joined || !mark)
		return err_set(reterr, ENOMEM, "out of memory");
	if (access(joined, F_OK) == 0) /* joined since, by a version that knows no mark */
		return state_file_remove(dir, MARK, reterr);
	return access(mark, F_OK) == 0 ? join_state_remove(dir, reterr) : 0;
}
