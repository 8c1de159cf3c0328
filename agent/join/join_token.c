/* SPDX-License-Identifier: Apache-2.0 */
#include "join/join_token.h"

#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "base/limits.h"
#include "base/url.h"
#include "crypto/base64.h"
#include "crypto/jwt.h"
#include "crypto/secret.h"
#include "join/checksum.h"
#include "join/label_check.h"
#include "json/json.h"

static const char PREFIX[] = "mesh1.";

void join_token_done(struct join_token *t)
{
	strv_done(&t->servers);
	strv_done(&t->addresses);
	strv_done(&t->services);
	free(t->ca_pem);
	secret_free(t->jwt);
	free(t->host);
	free(t->namespace);
	free(t->cluster);
	free(t->cluster_uid);
	free(t->cilium_namespace);
	json_decref(t->labels);
	*t = (struct join_token){0};
}

bool join_token_is_expired(const struct join_token *t, int64_t now_s)
{
	return t->expires_s != 0 && now_s >= t->expires_s;
}

static json_t *strv_to_json(const struct strv *l)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < l->n; i++)
		if (json_array_append_new(array, json_string(l->v[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

int join_token_check_server(const char *server, struct err *reterr)
{
	struct url url;

	if (!str_has_prefix(server, "https://"))
		return err_set(reterr, EINVAL, "server %.120s must begin with https://", server);
	if (strlen(server) > JOIN_TOKEN_TEXT)
		return err_set(reterr, EINVAL, "server %.120s... is longer than %d bytes", server, JOIN_TOKEN_TEXT);
	if (url_split(server, &url) == 0) {
		for (char *p = url.host; *p; p++) /* DNS does not tell case apart */
			*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
		if (url.is_address6 || str_is_dns_subdomain(url.host))
			return 0;
	}
	return err_set(reterr, EINVAL, "server %.120s: write https://HOST or https://HOST:PORT", server);
}

static int check_list(const struct strv *l, size_t max, const char *what, struct err *reterr)
{
	if (l->n > max)
		return err_set(reterr, EINVAL, "a join token takes %zu %s at most", max, what);
	for (size_t i = 0; i < l->n; i++)
		if (!*l->v[i] || strlen(l->v[i]) > JOIN_TOKEN_TEXT)
			return err_set(reterr, EINVAL, "a join token takes texts of at most %d bytes: one of its %s is longer, or empty",
				       JOIN_TOKEN_TEXT, what);
	return 0;
}

/* The reader's limits, before the text is made: what is built can be read. */
static int check_parts(const struct join_token *t, struct err *reterr)
{
	int r = check_list(&t->servers, JOIN_TOKEN_SERVERS, "servers", reterr);

	for (size_t i = 0; i < t->servers.n && r == 0; i++)
		r = join_token_check_server(t->servers.v[i], reterr);
	if (r == 0)
		r = check_list(&t->addresses, LIMIT_ADDRESSES, "addresses", reterr);
	if (r == 0)
		r = check_list(&t->services, JOIN_TOKEN_SERVICES, "services", reterr);
	if (r < 0)
		return r;
	if (!str_is_dns_subdomain(t->host) || !str_is_dns_label(t->namespace) ||
	    (t->cilium_namespace && !str_is_dns_label(t->cilium_namespace)) || json_object_size(t->labels) > LIMIT_LABELS ||
	    t->identity >= 1 << 24)
		return err_set(reterr, EINVAL, "host, namespace, labels or identity cannot be put into a join token");
	return 0;
}

int join_token_build(const struct join_token *t, char **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *o = json_object();
	CLEANUP(buf_done) struct buf out = {.max = LIMIT_TOKEN_BYTES};
	CLEANUP(secret_free) char *text = NULL;
	char pin[X509_PIN_STRLEN], sum[CHECKSUM_STRLEN];
	int r = 0;

	if (!t->servers.n || !t->jwt || !t->host || !t->namespace || (!t->ca_pem && !t->has_pin))
		return err_set(reterr, EINVAL, "a join token needs servers, a CA or its pin, a credential, a host and a namespace");
	r = check_parts(t, reterr);
	if (r < 0)
		return r;
	if (!o)
		return err_set(reterr, ENOMEM, "out of memory");
	r |= json_object_set_new(o, "servers", strv_to_json(&t->servers));
	r |= json_object_set_new(o, "addresses", strv_to_json(&t->addresses));
	r |= json_object_set_new(o, "services", strv_to_json(&t->services));
	if (t->ca_pem)
		r |= json_object_set_new(o, "ca", json_string(t->ca_pem));
	if (t->has_pin)
		r |= json_object_set_new(o, "pin", json_string(x509_pin_str(&t->pin, pin)));
	r |= json_object_set_new(o, "jwt", json_string(t->jwt));
	r |= json_object_set_new(o, "host", json_string(t->host));
	r |= json_object_set_new(o, "namespace", json_string(t->namespace));
	r |= json_object_set_new(o, "labels", t->labels ? json_clone(t->labels) : json_object());
	r |= json_object_set_new(o, "cluster", json_string(t->cluster ? t->cluster : ""));
	r |= json_object_set_new(o, "uid", json_string(t->cluster_uid ? t->cluster_uid : ""));
	if (t->cilium_namespace)
		r |= json_object_set_new(o, "cilium_namespace", json_string(t->cilium_namespace));
	r |= json_object_set_new(o, "identity", json_integer((json_int_t)t->identity));
	if (r == 0)
		r = checksum_of(o, sum);
	if (r == 0)
		r = json_object_set_new(o, "sum", json_string(sum));
	text = r == 0 ? json_text(o) : NULL;
	if (!text || buf_add(&out, PREFIX, strlen(PREFIX)) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	r = base64url_encode(text, strlen(text), &out);
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "out of memory");
	if (r < 0)
		return err_set(reterr, -r, "the join token is longer than %d bytes: give a smaller CA bundle", LIMIT_TOKEN_BYTES);
	*ret = strdup(out.data);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

static int damaged(struct err *reterr, const char *what)
{
	return err_set(reterr, EBADMSG, "the join token is damaged (%s): copy it again, whole", what);
}

static int take_string(const json_t *o, const char *member, size_t max, char **ret, struct err *reterr)
{
	const char *s = json_string_value(json_object_get(o, member));

	if (!s || !*s || strlen(s) > max)
		return damaged(reterr, member);
	*ret = strdup(s);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

/* An array of at most `max` strings; one that is missing counts as empty. */
static int take_list(const json_t *o, const char *member, size_t max, struct strv *ret, struct err *reterr)
{
	const json_t *array = json_object_get(o, member);
	const json_t *v;
	size_t i;

	if (array && (!json_is_array(array) || json_array_size(array) > max))
		return damaged(reterr, member);
	json_array_foreach((json_t *)array, i, v)
	{
		const char *s = json_string_value(v);

		if (!s || !*s || strlen(s) > JOIN_TOKEN_TEXT)
			return damaged(reterr, member);
		if (strv_add(ret, s) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	}
	return 0;
}

static int take_labels(const json_t *o, json_t **ret, struct err *reterr)
{
	const json_t *labels = json_object_get(o, "labels");
	const char *key;
	json_t *v;

	if (!json_is_object(labels) || json_object_size(labels) > LIMIT_LABELS)
		return damaged(reterr, "labels");
	json_object_foreach((json_t *)labels, key, v)
	{
		int r = json_is_string(v) ? label_check(key, json_string_value(v), reterr) : -EINVAL;

		if (r < 0)
			return damaged(reterr, "labels");
	}
	*ret = json_clone(labels);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

/* CA, pin and credential. */
static int take_trust(const json_t *o, struct join_token *t, struct err *reterr)
{
	const char *ca = json_str(o, "ca", NULL), *pin = json_str(o, "pin", NULL);
	struct jwt_claims claims;
	int r;

	if (!ca && !pin)
		return damaged(reterr, "neither a CA nor a pin");
	if (pin && x509_pin_parse(pin, &t->pin) < 0)
		return damaged(reterr, "pin");
	t->has_pin = pin != NULL;
	if (ca) {
		CLEANUP(buf_done) struct buf pem = {.max = LIMIT_TOKEN_BYTES};

		if (x509_check_bundle(ca, NULL) < 0)
			return damaged(reterr, "ca");
		r = pin ? x509_pick_pinned(ca, &t->pin, &pem) : buf_add(&pem, ca, strlen(ca));
		if (r == -ENOMEM)
			return err_set(reterr, ENOMEM, "out of memory");
		if (r < 0)
			return damaged(reterr, "the pin is not that of the CA");
		t->ca_pem = strdup(pem.data);
		if (!t->ca_pem)
			return err_set(reterr, ENOMEM, "out of memory");
	}
	r = take_string(o, "jwt", LIMIT_TOKEN_BYTES, &t->jwt, reterr);
	if (r < 0)
		return r;
	r = jwt_read(t->jwt, &claims);
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "out of memory");
	if (r < 0)
		return damaged(reterr, "jwt");
	t->expires_s = claims.expires_s;
	return 0;
}

static int take_members(const json_t *o, struct join_token *t, struct err *reterr)
{
	json_int_t identity = json_int(o, "identity", 0);
	bool has_cilium = json_object_get(o, "cilium_namespace") != NULL; /* not in tokens of versions that knew one only */
	int r = take_list(o, "servers", JOIN_TOKEN_SERVERS, &t->servers, reterr);

	if (r == 0)
		r = take_list(o, "addresses", LIMIT_ADDRESSES, &t->addresses, reterr);
	if (r == 0)
		r = take_list(o, "services", JOIN_TOKEN_SERVICES, &t->services, reterr);
	if (r == 0)
		r = take_string(o, "host", LIMIT_NAME, &t->host, reterr);
	if (r == 0)
		r = take_string(o, "namespace", LIMIT_NAME, &t->namespace, reterr);
	if (r == 0 && has_cilium)
		r = take_string(o, "cilium_namespace", LIMIT_NAME, &t->cilium_namespace, reterr);
	if (r == 0)
		r = take_labels(o, &t->labels, reterr);
	if (r == 0)
		r = take_trust(o, t, reterr);
	if (r < 0)
		return r;
	if (!t->servers.n)
		return damaged(reterr, "servers");
	for (size_t i = 0; i < t->servers.n; i++)
		if (join_token_check_server(t->servers.v[i], NULL) < 0)
			return damaged(reterr, "servers");
	for (size_t i = 0; i < t->addresses.n; i++) {
		struct cidr c;

		if (cidr_parse(t->addresses.v[i], true, &c) < 0)
			return damaged(reterr, "addresses");
	}
	if (!str_is_dns_subdomain(t->host) || !str_is_dns_label(t->namespace) ||
	    (t->cilium_namespace && !str_is_dns_label(t->cilium_namespace)))
		return damaged(reterr, "names");
	if (identity < 0 || identity >= 1 << 24)
		return damaged(reterr, "identity");
	t->identity = (uint64_t)identity;
	t->cluster = strdup(json_str(o, "cluster", ""));
	t->cluster_uid = strdup(json_str(o, "uid", ""));
	return t->cluster && t->cluster_uid ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int join_token_parse(const char *text, struct join_token *ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf json = {.max = LIMIT_TOKEN_BYTES};
	CLEANUP(json_decref) json_t *o = NULL;
	CLEANUP(join_token_done) struct join_token t = {0};
	size_t len;
	char sum[CHECKSUM_STRLEN];
	int r;

	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (len == 0)
		return err_set(reterr, EBADMSG, "the join token is empty: give what `meshctl host add` printed");
	if (!str_has_prefix(text, PREFIX)) {
		if (str_has_prefix(text, "mesh") && strspn(text + 4, "0123456789") && text[4 + strspn(text + 4, "0123456789")] == '.')
			return err_set(reterr, EPROTONOSUPPORT,
				       "the join token is of version %.*s, this program knows version 1: update mesh-external-agent",
				       (int)strspn(text + 4, "0123456789"), text + 4);
		return err_set(reterr, EBADMSG, "this is no join token: it must begin with mesh1.");
	}
	if (len > LIMIT_TOKEN_BYTES)
		return damaged(reterr, "too long");
	r = base64url_decode(text + strlen(PREFIX), len - strlen(PREFIX), &json);
	if (r == 0)
		o = json_parse(json.data, json.len);
	if (r == -ENOMEM || (r == 0 && !o && errno == ENOMEM))
		return err_set(reterr, ENOMEM, "out of memory");
	if (r < 0)
		return damaged(reterr, "not base64url");
	if (!json_is_object(o))
		return damaged(reterr, "cut off or altered");
	if (checksum_of(o, sum) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	if (!str_eq(json_str(o, "sum", ""), sum))
		return damaged(reterr, "altered");
	r = take_members(o, &t, reterr);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct join_token){0};
	return 0;
}
