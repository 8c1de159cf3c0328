/* SPDX-License-Identifier: Apache-2.0 */
#include "join/join.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/url.h"
#include "crypto/secret.h"
#include "join/guard_file.h"
#include "join/label_check.h"
#include "join/names.h"
#include "join/state_file.h"
#include "json/json.h"
#include "kube/cilium_config.h"

enum { FETCH_TIMEOUT_MS = 10000 };

void join_session_done(struct join_session *s)
{
	kube_client_free(s->client);
	loop_free(s->loop);
	free(s->ca_pem);
	json_decref(s->cilium_config);
	*s = (struct join_session){0};
}

static enum join_exit fail(enum join_exit code, struct err *reterr, const char *text)
{
	(void)err_set(reterr, EINVAL, "%s", text); /* its return value is for functions that return errno */
	return code;
}

static enum join_exit no_memory(struct err *reterr)
{
	return fail(JOIN_LOCAL, reterr, "out of memory");
}

enum join_exit join_check_wanted(const struct join_token *t, const json_t *labels, const char *name, struct err *reterr)
{
	CLEANUP(free) char *enrolled = label_list_str(t->labels);

	if (name && !str_eq(name, t->host)) {
		(void)err_set(reterr, EEXIST, "the token is for host %s, not %.80s", t->host, name);
		return JOIN_LABELS;
	}
	if (labels && label_compare(labels, t->labels, reterr) != 0) {
		(void)err_prefix(reterr, -EEXIST,
				 "the labels differ from what the token allows (%s); leave --labels out, or have the host removed and enrolled with yours",
				 enrolled ? enrolled : "?");
		return JOIN_LABELS;
	}
	return JOIN_OK;
}

/* The CA itself is in the token, or one of the servers must show it. */
static enum join_exit find_ca(const struct join_token *t, char **ret, struct err *reterr)
{
	enum join_exit code = JOIN_UNREACHABLE;

	if (t->ca_pem) {
		*ret = strdup(t->ca_pem);
		return *ret ? JOIN_OK : no_memory(reterr);
	}
	for (size_t i = 0; i < t->servers.n; i++) {
		CLEANUP(buf_done) struct buf pem = {.max = LIMIT_TOKEN_BYTES};
		struct url url;
		int r = url_split(t->servers.v[i], &url);

		if (r == 0)
			r = x509_fetch_pinned(url.host, url.port, &t->pin, FETCH_TIMEOUT_MS, &pem, reterr);
		if (r == 0) {
			*ret = strdup(pem.data);
			return *ret ? JOIN_OK : no_memory(reterr);
		}
		if (r == -ENOENT)
			code = JOIN_WRONG_CA;
	}
	if (code == JOIN_WRONG_CA)
		(void)err_prefix(reterr, -ENOENT,
				 "either this is another server, or it does not present its CA; `meshctl host add` without --pin-only puts "
				 "the CA into the token");
	return code;
}

static enum join_exit code_of(int r)
{
	switch (r) {
	case -EKEYREJECTED:
		return JOIN_WRONG_CA;
	case -EKEYEXPIRED:
		return JOIN_CLOCK;
	case -EACCES:
		return JOIN_USED;
	case -EPERM:
	case -EINVAL:
	case -ENOENT:
		return JOIN_DENIED;
	default:
		return JOIN_UNREACHABLE;
	}
}

/* Says why a server does not accept the join token. */
static enum join_exit refused(const struct join_token *t, const struct join_session *s, int r, struct err *reterr)
{
	enum join_exit code = code_of(r);
	struct err said = *reterr;

	if (code == JOIN_USED && join_token_is_expired(t, clock_wall_s() + s->skew_s)) {
		(void)err_set(reterr, EACCES, "the join token has expired: `meshctl host add %s` makes a new one", t->host);
		return JOIN_EXPIRED;
	}
	if (code == JOIN_USED)
		(void)err_set(reterr, EACCES,
			      "the join token is not accepted: it was used already, replaced by a newer one, or the host was removed. "
			      "`meshctl host add %s` makes a new one",
			      t->host);
	if (code == JOIN_CLOCK) {
		char now[28];

		clock_rfc3339_micro(clock_wall_us(), now);
		(void)err_set(reterr, ETIME,
			      "the certificate of %s is not valid at the time of this machine's clock, %.19sZ: set the clock right "
			      "(timedatectl set-ntp true) or, if it is right, have the server's certificate renewed. (%.160s)",
			      kube_client_server(s->client), now, said.text);
	}
	if (code == JOIN_WRONG_CA)
		(void)err_set(reterr, EKEYREJECTED,
			      "%s does not prove to be the cluster's API server: its certificate is not signed by the CA that the token names, "
			      "or is for another name. Nothing was sent to it. (%.200s)",
			      kube_client_server(s->client), said.text);
	return code;
}

static enum join_exit check_clock(struct join_session *s, struct err *reterr)
{
	s->skew_s = kube_client_skew_s(s->client);
	if (s->skew_s <= JOIN_SKEW_MAX_S && s->skew_s >= -JOIN_SKEW_MAX_S)
		return JOIN_OK;
	(void)err_set(reterr, ETIME, "this machine's clock is %lld s %s the API server's: set it right (timedatectl set-ntp true)",
		      (long long)(s->skew_s > 0 ? s->skew_s : -s->skew_s), s->skew_s > 0 ? "behind" : "ahead of");
	return JOIN_CLOCK;
}

enum join_exit join_connect(const struct join_token *t, struct join_session *ret, struct err *reterr)
{
	CLEANUP(join_session_done) struct join_session s = {0};
	CLEANUP(json_decref) json_t *system = NULL;
	CLEANUP(free) char *config = NULL;
	struct kube_conf conf = {.servers = (const char *const *)t->servers.v, .n_servers = t->servers.n, .token = t->jwt};
	enum join_exit code = find_ca(t, &s.ca_pem, reterr);
	int r;

	if (code != JOIN_OK)
		return code;
	conf.ca_pem = s.ca_pem;
	r = loop_new(&s.loop);
	if (r == 0)
		r = kube_client_new(s.loop, &conf, &s.client, reterr);
	if (r < 0)
		return r == -EINVAL ? JOIN_DAMAGED : no_memory(reterr);

	r = kube_call(s.loop, s.client, "GET", "/api/v1/namespaces/kube-system", NULL, &system, reterr);
	code = check_clock(&s, r < 0 ? NULL : reterr);
	if (r < 0)
		return refused(t, &s, r, reterr);
	if (code != JOIN_OK)
		return code;
	if (*t->cluster_uid && !str_eq(json_str(system, "metadata.uid", ""), t->cluster_uid))
		return fail(JOIN_WRONG_CA, reterr, "the API server is of another cluster than the token was made for");
	/* Only for the preflight, which says that it was not there. */
	config = cilium_config_path(t->cilium_namespace);
	r = config ? kube_call(s.loop, s.client, "GET", config, NULL, &s.cilium_config, NULL) : -ENOMEM;
	if (r < 0)
		s.cilium_config = NULL;
	*ret = s;
	s = (struct join_session){0};
	return JOIN_OK;
}

enum join_exit join_check_state(const char *dir, const struct join_token *t, enum join_progress *ret, struct err *reterr)
{
	CLEANUP(join_state_done) struct join_state old = {0};
	int r = join_state_load(dir, &old, reterr);

	*ret = JOIN_NONE;
	if (r == -ENOENT || r == -EBADMSG) /* a damaged state is replaced by a whole one */
		return JOIN_OK;
	if (r < 0)
		return JOIN_LOCAL;
	if (!str_eq(old.host, t->host) || !str_eq(old.cluster_uid, t->cluster_uid)) {
		(void)err_set(reterr, EEXIST, "this machine is joined already, as %s to cluster %s: run `meshctl leave` first", old.host, old.cluster);
		return JOIN_OTHER;
	}
	*ret = old.is_complete ? JOIN_COMPLETE : JOIN_INTERRUPTED;
	return JOIN_OK;
}

/* The host's own credential, bound to its account alone. */
static enum join_exit mint(struct join_session *s, const struct join_token *t, char **ret, struct err *reterr)
{
	CLEANUP(free) char *path = str_printf("/api/v1/namespaces/%s/serviceaccounts/%s/token", MESH_NAMESPACE, t->host);
	CLEANUP(json_decref) json_t *body = json_pack("{s:s, s:s, s:{s:i}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest",
						      "spec", "expirationSeconds", MESH_TOKEN_SECONDS);
	CLEANUP(json_decref) json_t *answer = NULL;
	const char *token;
	int r;

	if (!path || !body)
		return no_memory(reterr);
	r = kube_call(s->loop, s->client, "POST", path, body, &answer, reterr);
	if (r < 0)
		return refused(t, s, r, reterr);
	token = json_str(answer, "status.token", "");
	if (!*token || strlen(token) >= LIMIT_TOKEN_BYTES)
		return fail(JOIN_DENIED, reterr, "the API server answered without a token");
	*ret = strdup(token);
	return *ret ? JOIN_OK : no_memory(reterr);
}

static int copy_list(const struct strv *from, struct strv *to)
{
	for (size_t i = 0; i < from->n; i++)
		if (strv_add(to, from->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int make_state(const struct join_session *s, const struct join_token *t, struct join_state *ret)
{
	ret->ca_pem = strdup(s->ca_pem);
	ret->host = strdup(t->host);
	ret->namespace = strdup(t->namespace);
	ret->cluster = strdup(t->cluster);
	ret->cluster_uid = strdup(t->cluster_uid);
	ret->labels = json_clone(t->labels);
	ret->cilium_namespace = t->cilium_namespace ? strdup(t->cilium_namespace) : NULL;
	ret->identity = (uint32_t)t->identity;
	if (!ret->ca_pem || !ret->host || !ret->namespace || !ret->cluster || !ret->cluster_uid || !ret->labels ||
	    (t->cilium_namespace && !ret->cilium_namespace))
		return -ENOMEM;
	return copy_list(&t->servers, &ret->servers) < 0 || copy_list(&t->addresses, &ret->addresses) < 0 ||
			       copy_list(&t->services, &ret->services) < 0 ?
		       -ENOMEM :
		       0;
}

enum join_exit join_finish(struct join_session *s, const struct join_token *t, const char *dir, const struct guard *guard,
			   struct err *reterr)
{
	CLEANUP(join_state_done) struct join_state state = {0}, old = {0};
	CLEANUP(secret_free) char *token = NULL;
	CLEANUP(free) char *secret = str_printf("/api/v1/namespaces/%s/secrets/%s-join", MESH_NAMESPACE, t->host);
	bool is_again = join_state_load(dir, &old, NULL) == 0; /* of this host, see join_check_state() */
	enum join_exit code = mint(s, t, &token, reterr);
	int r;

	if (code != JOIN_OK)
		return code;
	if (!secret || make_state(s, t, &state) < 0)
		return no_memory(reterr);
	/* The credential first: a state without one would keep the daemon from starting. */
	r = join_state_finish_removal(dir, reterr); /* or a daemon that starts just now would take it for the old one */
	if (r == 0)
		r = join_state_save_token(dir, token, reterr);
	if (r == 0 && (guard->state != GUARD_OFF || !is_again))
		r = guard_file_save(dir, guard, reterr);
	if (r == 0)
		r = join_state_save(dir, &state, reterr);
	if (r == 0)
		r = state_file_remove(dir, JOIN_STATE_COPY, reterr);
	if (r < 0)
		return JOIN_LOCAL;
	/* With the new credential, which proves it before the old one dies. */
	if (kube_client_set_token(s->client, token) < 0)
		return no_memory(reterr);
	r = kube_call(s->loop, s->client, "DELETE", secret, NULL, NULL, reterr);
	if (r == -ENOENT && !is_again) { /* it was there when the token was, so it is gone by somebody else's hand */
		(void)join_state_remove(dir, NULL); /* what stays is refused as that of a copied machine */
		(void)err_set(reterr, EEXIST, "another machine used this join token at the same time, and is %s now: if it should not be, "
			      "run `meshctl host remove %s` as the cluster's admin, then `meshctl host add`", t->host, t->host);
		return JOIN_USED;
	}
	if (r < 0 && r != -ENOENT)
		return code_of(r) == JOIN_USED ? JOIN_DENIED : code_of(r);
	state.is_complete = true;
	r = join_state_save(dir, &state, reterr);
	return r < 0 ? JOIN_LOCAL : JOIN_OK;
}

enum join_exit join_resume(const char *dir, bool is_dry_run, struct err *reterr)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	CLEANUP(secret_free) char *token = NULL;
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(kube_client_free) struct kube_client *client = NULL;
	struct kube_conf conf;
	struct err err = {0};
	int r;

	if (join_state_load(dir, &s, NULL) < 0 || join_state_load_token(dir, &token, NULL) < 0)
		return JOIN_USED;
	if (loop_new(&loop) < 0)
		return no_memory(reterr);
	conf = (struct kube_conf){
		.servers = (const char *const *)s.servers.v, .n_servers = s.servers.n, .ca_pem = s.ca_pem, .token = token};
	if (kube_client_new(loop, &conf, &client, NULL) < 0)
		return JOIN_USED;
	r = kube_call(loop, client, "GET", "/api/v1/namespaces/kube-system", NULL, NULL, &err);
	if (r < 0) {
		if (code_of(r) != JOIN_UNREACHABLE)
			return JOIN_USED;
		(void)err_set(reterr, -r, "%s", err.text);
		return JOIN_UNREACHABLE;
	}
	if (s.is_complete || is_dry_run)
		return JOIN_OK;
	s.is_complete = true;
	return join_state_save(dir, &s, reterr) < 0 ? JOIN_LOCAL : JOIN_OK;
}
