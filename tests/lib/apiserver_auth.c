/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_auth.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <openssl/crypto.h>
#include <time.h>

#include "apiserver_defaults.h"
#include "apiserver_keys.h"
#include "apiserver_status.h"
#include "apiserver_util.h"

static const char issuer[] = "https://kubernetes.default.svc.cluster.local";
static const char claims_key[] = "kubernetes.io";
enum { TOKEN_MIN_S = 600, TOKEN_DEFAULT_S = 3600 };

void user_done(struct user *u)
{
	free(u->name);
	free(u->credential);
	strv_done(&u->groups);
	memset(u, 0, sizeof(*u));
}

static void user_set(struct user *u, const char *name, const char *group)
{
	u->name = must_strdup(name);
	must_ok(strv_add(&u->groups, group));
	must_ok(strv_add(&u->groups, "system:authenticated"));
}

/* True if the object that a claim names is still there, and the same one. */
static bool claim_holds(const struct server *s, const json_t *claim, const char *plural,
			const char *ns)
{
	const struct object *o =
		store_get(&s->store, kind_find("", "v1", plural), ns, text_at(claim, "name", NULL));

	return o && str_eq(o->uid, text_at(claim, "uid", NULL));
}

static bool auth_service_account(struct req *q, const char *jwt)
{
	CLEANUP(json) json_t *claims = keys_verify(q->srv->keys, jwt);
	CLEANUP(free) char *group = NULL;
	json_t *own = json_object_get(claims, claims_key), *secret;
	const char *ns = text_at(own, "namespace", NULL);
	time_t now = time(NULL);

	if (!claims || json_integer_value(json_object_get(claims, "exp")) <= now ||
	    json_integer_value(json_object_get(claims, "nbf")) > now + 1 ||
	    !json_has_text(json_object_get(claims, "aud"), issuer) ||
	    !claim_holds(q->srv, json_object_get(own, "serviceaccount"), "serviceaccounts", ns))
		return false;
	secret = json_object_get(own, "secret");
	if (secret && !claim_holds(q->srv, secret, "secrets", ns))
		return false;
	group = must_printf("system:serviceaccounts:%s", ns);
	user_set(&q->user, text_at(claims, "sub", NULL), "system:serviceaccounts");
	must_ok(strv_add(&q->user.groups, group));
	q->user.credential = must_strdup(text_at(claims, "jti", NULL));
	return true;
}

/* libmicrohttpd asks for a certificate, but leaves it to us to check it. */
static bool auth_certificate(struct req *q)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t session = info ? info->tls_session : NULL;
	const gnutls_datum_t *list;
	char cn[256] = "", org[256] = "";
	size_t cn_len = sizeof(cn), org_len = sizeof(org);
	gnutls_x509_crt_t cert;
	unsigned n = 0, status = 1;
	bool ok = false;

	list = session ? gnutls_certificate_get_peers(session, &n) : NULL;
	if (!list || n == 0 || gnutls_certificate_verify_peers2(session, &status) < 0 ||
	    status != 0 || gnutls_x509_crt_init(&cert) < 0)
		return false;
	if (gnutls_x509_crt_import(cert, &list[0], GNUTLS_X509_FMT_DER) >= 0 &&
	    gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, cn, &cn_len) >=
		    0) {
		(void)gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0,
						    org, &org_len); /* no group is fine */
		user_set(&q->user, cn, org);
		ok = true;
	}
	gnutls_x509_crt_deinit(cert);
	return ok;
}

bool auth_user(struct req *q)
{
	const char *header = req_header(q, "Authorization"), *token = header + strlen("Bearer ");
	const char *admin = keys_admin_token(q->srv->keys);

	if (!str_has_prefix(header, "Bearer "))
		return auth_certificate(q);
	if (strlen(token) == strlen(admin) && CRYPTO_memcmp(token, admin, strlen(admin)) == 0) {
		user_set(&q->user, "admin", "system:masters");
		return true;
	}
	return auth_service_account(q, token);
}

/* The "secret" or other claim of a bound token; false if it answered. */
static bool bind_claim(struct req *q, const json_t *ref, json_t *own)
{
	const char *name = text_at(ref, "name", NULL), *uid = text_at(ref, "uid", NULL);
	const struct kind *k = kind_find("", "v1", "secrets");
	const struct object *o;

	if (!ref || json_is_null(ref))
		return true;
	if (!str_eq(text_at(ref, "kind", NULL), "Secret") ||
	    !str_eq(text_at(ref, "apiVersion", NULL), "v1")) {
		fail_bad_request(q, "cannot bind token for serviceaccount to object type %s",
				 text_at(ref, "kind", NULL));
		return false;
	}
	o = store_get(&q->srv->store, k, q->attr.ns, name);
	if (!o) {
		fail_not_found(q, k, name);
		return false;
	}
	if (*uid && !str_eq(uid, o->uid)) {
		CLEANUP(free) char *why =
			must_printf("the UID in the bound object reference (%s) does not match "
					"the UID in record. The object might have been deleted "
					"and then recreated",
					uid);

		fail_conflict_kind(q, k, name, why);
		return false;
	}
	json_put(own, "secret", json_pack("{s:s,s:s}", "name", o->name, "uid", o->uid));
	return true;
}

static json_t *make_claims(struct req *q, const struct object *sa, json_t *own, json_t *aud,
			   int64_t life_s)
{
	int64_t now = time(NULL);
	char jti[37];

	defaults_uuid(jti);
	json_put_text(own, "namespace", q->attr.ns);
	json_put(own, "serviceaccount", json_pack("{s:s,s:s}", "name", sa->name, "uid", sa->uid));
	return must(json_pack("{s:O,s:I,s:I,s:s,s:s,s:O,s:I,s:o}", "aud", aud, "exp",
			      (json_int_t)(now + life_s), "iat", (json_int_t)now, "iss", issuer,
			      "jti", jti, claims_key, own, "nbf", (json_int_t)now, "sub",
			      json_sprintf("system:serviceaccount:%s:%s", q->attr.ns, sa->name)));
}

void token_handle(struct req *q)
{
	json_error_t error;
	CLEANUP(json) json_t *o = json_loadb(q->in.data ? q->in.data : "", q->in.len, 0, &error);
	CLEANUP(json) json_t *own = must(json_object());
	CLEANUP(json) json_t *claims = NULL;
	CLEANUP(free) char *token = NULL;
	const struct object *sa = store_get(&q->srv->store, q->kind, q->attr.ns, q->attr.name);
	json_t *spec, *status, *life;
	time_t until;
	char text[24] = "";
	struct tm tm;
	int64_t life_s = TOKEN_DEFAULT_S;

	if (!str_eq(q->attr.verb, "create")) {
		fail_method(q);
		return;
	}
	if (!json_is_object(o)) {
		fail_bad_request(
			q, "the object provided is unrecognized (must be of type TokenRequest)");
		return;
	}
	if (!sa) {
		fail_not_found(q, q->kind, q->attr.name);
		return;
	}
	spec = json_sub(o, "spec");
	life = json_object_get(spec, "expirationSeconds");
	if (json_is_integer(life))
		life_s = json_integer_value(life);
	if (life_s < TOKEN_MIN_S || life_s > INT64_C(1) << 32) {
		req_reply(q, 422,
			  status_new(422, "Invalid",
				     json_pack("{s:s,s:s,s:[{s:s,s:s,s:s}]}", "group",
					       "authentication.k8s.io", "kind", "TokenRequest",
					       "causes", "reason", "FieldValueInvalid", "message",
					       "Invalid value: may not specify a duration less "
					       "than 10 minutes",
					       "field", "spec.expirationSeconds"),
				     "TokenRequest.authentication.k8s.io \"\" is invalid: "
				     "spec.expirationSeconds: Invalid value: %lld: may not specify "
				     "a duration "
				     "%s",
				     (long long)life_s,
				     life_s < TOKEN_MIN_S ? "less than 10 minutes"
							  : "larger than 2^32 seconds"));
		return;
	}
	if (json_array_size(json_object_get(spec, "audiences")) == 0)
		json_put(spec, "audiences", json_pack("[s]", issuer));
	json_put(spec, "expirationSeconds", json_integer(life_s));
	if (!json_object_get(spec, "boundObjectRef"))
		json_put(spec, "boundObjectRef", json_null());
	if (!bind_claim(q, json_object_get(spec, "boundObjectRef"), own))
		return;
	claims = make_claims(q, sa, own, json_object_get(spec, "audiences"), life_s);
	token = keys_sign(q->srv->keys, claims);
	until = (time_t)json_integer_value(json_object_get(claims, "exp"));
	if (gmtime_r(&until, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	status = must(json_pack("{s:s,s:s}", "token", token, "expirationTimestamp", text));
	json_put_text(o, "kind", "TokenRequest");
	json_put_text(o, "apiVersion", "authentication.k8s.io/v1");
	json_put(o, "metadata", json_pack("{s:s,s:s}", "name", sa->name, "namespace", sa->ns));
	defaults_stamp(json_sub(o, "metadata"), "creationTimestamp");
	json_put(o, "status", status);
	req_reply(q, 201, json_incref(o));
}
