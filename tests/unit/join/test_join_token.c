/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../crypto/certs.h"
#include "base/buf.h"
#include "crypto/base64.h"
#include "crypto/secret.h"
#include "join/checksum.h"
#include "join/join_token.h"
#include "json/json.h"

/* {"exp":2000000000,"sub":"system:serviceaccount:mesh-hosts:ahch-to"} */
#define JWT                                                                                        \
	"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjIwMDAwMDAwMDAsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDptZXNoLWhv" \
	"c3RzOmFoY2gtdG8ifQ.c2ln"

static void make(struct join_token *t)
{
	*t = (struct join_token){0};
	cr_assert_eq(strv_add(&t->servers, "https://192.0.2.1:6443"), 0);
	cr_assert_eq(strv_add(&t->addresses, "172.19.100.2/32"), 0);
	cr_assert_eq(strv_add(&t->services, "web"), 0);
	t->ca_pem = strdup(CA_A);
	t->jwt = strdup(JWT);
	t->host = strdup("ahch-to");
	t->namespace = strdup("legacy");
	t->cluster = strdup("default");
	t->cluster_uid = strdup("8b1d");
	t->labels = json_pack("{s:s}", "jedi", "luke");
	t->identity = 51000;
}

/* The text form; `change` may alter the JSON before its checksum is made. */
static char *text_of(void (*change)(json_t *o))
{
	CLEANUP(join_token_done) struct join_token t;
	CLEANUP(secret_free) char *plain = NULL;
	CLEANUP(buf_done) struct buf json = {0}, out = {0};
	CLEANUP(json_decref) json_t *o = NULL;
	CLEANUP(free) char *text = NULL;
	char sum[CHECKSUM_STRLEN];
	struct err err = {0};

	make(&t);
	cr_assert_eq(join_token_build(&t, &plain, &err), 0, "%s", err.text);
	if (!change)
		return TAKE_PTR(plain);
	cr_assert_eq(base64url_decode(plain + 6, strlen(plain) - 6, &json), 0);
	o = json_parse(json.data, json.len);
	change(o);
	cr_assert_eq(checksum_of(o, sum), 0);
	cr_assert_eq(json_object_set_new(o, "sum", json_string(sum)), 0);
	text = json_text(o);
	cr_assert_eq(buf_add(&out, "mesh1.", 6), 0);
	cr_assert_eq(base64url_encode(text, strlen(text), &out), 0);
	return strdup(out.data);
}

Test(join_token, round_trip)
{
	CLEANUP(join_token_done) struct join_token t = {0};
	CLEANUP(secret_free) char *text = text_of(NULL);
	CLEANUP(free) char *spaced = str_printf(" \n%s\r\n", text);
	struct err err = {0};

	cr_assert(str_has_prefix(text, "mesh1."));
	cr_assert_eq(join_token_parse(spaced, &t, &err), 0, "%s", err.text);
	cr_expect_str_eq(t.servers.v[0], "https://192.0.2.1:6443");
	cr_expect_str_eq(t.host, "ahch-to");
	cr_expect_str_eq(t.namespace, "legacy");
	cr_expect_str_eq(t.jwt, JWT);
	cr_expect_str_eq(t.addresses.v[0], "172.19.100.2/32");
	cr_expect_str_eq(t.services.v[0], "web");
	cr_expect_str_eq(json_str(t.labels, "jedi", ""), "luke");
	cr_expect_eq(t.identity, 51000);
	cr_expect_eq(t.expires_s, 2000000000);
	cr_expect_not(join_token_is_expired(&t, 1999999999));
	cr_expect(join_token_is_expired(&t, 2000000000));
}

static void put_cilium(json_t *o)
{
	cr_assert_eq(json_object_set_new(o, "cilium_namespace", json_string("cilium")), 0);
}

static void put_path(json_t *o)
{
	cr_assert_eq(json_object_set_new(o, "cilium_namespace", json_string("../secrets")), 0);
}

static void put_number(json_t *o)
{
	cr_assert_eq(json_object_set_new(o, "cilium_namespace", json_integer(1)), 0);
}

/* A token without the member is of a version that knew the usual namespace only. */
Test(join_token, where_cilium_is)
{
	static void (*const bad[])(json_t *o) = {put_path, put_number};
	CLEANUP(join_token_done) struct join_token usual = {0};
	CLEANUP(join_token_done) struct join_token t = {0};
	CLEANUP(secret_free) char *plain = text_of(NULL);
	CLEANUP(secret_free) char *text = text_of(put_cilium);
	CLEANUP(secret_free) char *built = NULL;
	struct err err = {0};

	cr_assert_eq(join_token_parse(plain, &usual, &err), 0, "%s", err.text);
	cr_expect_eq(usual.cilium_namespace, NULL);
	cr_assert_eq(join_token_parse(text, &t, &err), 0, "%s", err.text);
	cr_expect_str_eq(t.cilium_namespace, "cilium");
	cr_assert_eq(join_token_build(&t, &built, &err), 0, "%s", err.text);
	cr_expect_str_eq(built, text);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(join_token_done) struct join_token none = {0};
		CLEANUP(secret_free) char *damaged = text_of(bad[i]);

		cr_expect_eq(join_token_parse(damaged, &none, &err), -EBADMSG, "%zu", i);
	}
	free(t.cilium_namespace);
	t.cilium_namespace = strdup("A");
	secret_free(built);
	built = NULL;
	cr_expect_eq(join_token_build(&t, &built, &err), -EINVAL);
}

/* A person loses an end of it, or a mail program breaks it. */
Test(join_token, every_cut_and_every_changed_character_is_noticed)
{
	CLEANUP(secret_free) char *text = text_of(NULL);
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		CLEANUP(join_token_done) struct join_token t = {0};
		CLEANUP(free) char *cut = strndup(text, i);
		struct err err = {0};

		cr_expect_eq(join_token_parse(cut, &t, &err), -EBADMSG, "cut at %zu", i);
		cr_expect_neq(err.text[0], '\0');
	}
	for (size_t i = 0; i < len; i += 7) {
		CLEANUP(join_token_done) struct join_token t = {0};
		CLEANUP(free) char *changed = strdup(text);
		struct err err = {0};
		int r;

		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		r = join_token_parse(changed, &t, &err);
		cr_expect(r == -EBADMSG || r == -EPROTONOSUPPORT, "changed at %zu: %d", i, r);
		cr_expect_eq(strstr(err.text, JWT), NULL);
	}
}

Test(join_token, versions)
{
	CLEANUP(join_token_done) struct join_token t = {0};
	struct err err = {0};

	cr_expect_eq(join_token_parse("mesh2.e30", &t, &err), -EPROTONOSUPPORT);
	cr_expect_neq(strstr(err.text, "version 2"), NULL, "%s", err.text);
	cr_expect_eq(join_token_parse("mesh1.e30", &t, &err), -EBADMSG);
	cr_expect_eq(join_token_parse("mesh.e30", &t, &err), -EBADMSG);
	cr_expect_eq(join_token_parse("abcdef.0123456789abcdef", &t, &err), -EBADMSG);
	cr_expect_eq(join_token_parse("  ", &t, &err), -EBADMSG);
}

static void plain_http(json_t *o)
{
	(void)json_object_set_new(o, "servers", json_pack("[s]", "http://192.0.2.1"));
}
static void no_servers(json_t *o)
{
	(void)json_object_set_new(o, "servers", json_array());
}
static void wrong_pin(json_t *o)
{
	(void)json_object_set_new(o, "pin", json_string(PIN_B));
}
static void no_trust(json_t *o)
{
	(void)json_object_del(o, "ca");
}
static void bad_name(json_t *o)
{
	(void)json_object_set_new(o, "host", json_string("../etc"));
}
static void bad_address(json_t *o)
{
	(void)json_object_set_new(o, "addresses", json_pack("[s]", "somewhere"));
}
static void bad_label(json_t *o)
{
	(void)json_object_set_new(o, "labels", json_pack("{s:s}", "reserved:host", ""));
}
static void bad_identity(json_t *o)
{
	(void)json_object_set_new(o, "identity", json_integer(1 << 24));
}
static void no_jwt(json_t *o)
{
	(void)json_object_set_new(o, "jwt", json_string("secret"));
}

Test(join_token, contents_are_checked)
{
	static void (*const changes[])(json_t *) = {plain_http,	 no_servers, wrong_pin,	   no_trust, bad_name,
						    bad_address, bad_label,  bad_identity, no_jwt};

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		CLEANUP(join_token_done) struct join_token t = {0};
		CLEANUP(free) char *text = text_of(changes[i]);
		struct err err = {0};

		cr_expect_eq(join_token_parse(text, &t, &err), -EBADMSG, "change %zu", i);
		cr_expect_eq(t.jwt, NULL, "nothing is written on failure");
	}
}

static void right_pin(json_t *o)
{
	(void)json_object_set_new(o, "ca", json_string(CA_A CA_B));
	(void)json_object_set_new(o, "pin", json_string(PIN_B));
}

Test(join_token, of_a_bundle_only_the_pinned_authority_is_kept)
{
	CLEANUP(join_token_done) struct join_token t = {0};
	CLEANUP(free) char *text = text_of(right_pin);
	struct x509_pin pin;
	struct err err = {0};
	char name[X509_PIN_STRLEN];

	cr_assert_eq(join_token_parse(text, &t, &err), 0, "%s", err.text);
	cr_assert_eq(x509_pin_of_pem(t.ca_pem, &pin), 0);
	cr_expect_str_eq(x509_pin_str(&pin, name), PIN_B);
}

Test(join_token, build_wants_all_parts)
{
	CLEANUP(join_token_done) struct join_token t = {0};
	char *text = NULL;
	struct err err = {0};

	cr_expect_eq(join_token_build(&t, &text, &err), -EINVAL);
	cr_expect_eq(text, NULL);
}

Test(join_token, servers)
{
	static const char *const good[] = {"https://a",		     "https://192.0.2.1:6443", "https://[fd00::1]:6443", "https://[fd00::1]",
					   "https://k8s.Example.com/", "https://rancher/k8s/clusters/c-1"};
	static const char *const bad[] = {"",		    "http://a",	     "https://",      "https://:6443", "https:///x",   "https://a:0",
					  "https://a:65536", "https://a:x",  "https://a b",   "https://[::1",  "https://[1.2.3.4]", "https://[a]",
					  "https://a?x",    "https://u@a",   "https://a:",    "https://a\n",    "https://[::1]x"};
	char *long_one = str_printf("https://a/%0300d", 0);

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect_eq(join_token_check_server(good[i], NULL), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(join_token_check_server(bad[i], NULL), -EINVAL, "%s", bad[i]);
	cr_expect_eq(join_token_check_server(long_one, NULL), -EINVAL);
	free(long_one);
}

/* What mesh-join would call damaged is not built. */
Test(join_token, build_keeps_to_the_limits_of_the_reader)
{
	enum { SERVERS, ADDRESSES, SERVICES, N };
	static const size_t max[N] = {JOIN_TOKEN_SERVERS, LIMIT_ADDRESSES, JOIN_TOKEN_SERVICES};

	for (int what = 0; what < N; what++) {
		CLEANUP(join_token_done) struct join_token t;
		struct strv *l;
		struct err err = {0};

		make(&t);
		l = what == SERVERS ? &t.servers : what == ADDRESSES ? &t.addresses : &t.services;
		for (size_t n = l->n; n <= max[what]; n++) {
			CLEANUP(join_token_done) struct join_token back = {0};
			CLEANUP(secret_free) char *text = NULL;

			cr_assert_eq(join_token_build(&t, &text, &err), 0, "%zu: %s", n, err.text);
			cr_assert_eq(join_token_parse(text, &back, &err), 0, "%zu: %s", n, err.text);
			cr_assert_eq(strv_add(l, l->v[0]), 0);
		}
		char *text = NULL;

		cr_expect_eq(join_token_build(&t, &text, &err), -EINVAL, "%d", what);
		cr_expect_eq(text, NULL);
	}
}
