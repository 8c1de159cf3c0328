/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_keys.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "apiserver_util.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/rng.h"

enum { TOKEN_BYTES = 24, PEM_MAX = 64 * 1024, DAY_S = 86400, SIG_HALF = 32 };

struct keys {
	EVP_PKEY *ca_key, *sa_key;
	X509 *ca;
	char *ca_pem, *server_cert, *server_key, *admin_cert, *admin_key, *token;
};

void keys_free(struct keys *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->ca_key);
	EVP_PKEY_free(k->sa_key);
	X509_free(k->ca);
	free(k->ca_pem);
	free(k->server_cert);
	free(k->server_key);
	free(k->admin_cert);
	free(k->admin_key);
	free(k->token);
	free(k);
}

const char *keys_ca(const struct keys *k)
{
	return k->ca_pem;
}

const char *keys_server_cert(const struct keys *k)
{
	return k->server_cert;
}

const char *keys_server_key(const struct keys *k)
{
	return k->server_key;
}

const char *keys_admin_token(const struct keys *k)
{
	return k->token;
}

/* A fresh P-256 key: quick to make, and good for TLS and for ES256. */
static EVP_PKEY *key_new(void)
{
	EVP_PKEY_CTX *ctx = must(EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL));
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_keygen_init(ctx) <= 0 ||
	    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) <= 0 ||
	    EVP_PKEY_keygen(ctx, &key) <= 0)
		must(NULL);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static char *bio_text(BIO *bio)
{
	char *data, *text;
	long n = BIO_get_mem_data(bio, &data);

	text = must(strndup(data, n > 0 ? (size_t)n : 0));
	BIO_free(bio);
	return text;
}

static char *key_pem(EVP_PKEY *key)
{
	BIO *bio = must(BIO_new(BIO_s_mem()));

	if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) <= 0)
		must(NULL);
	return bio_text(bio);
}

static char *cert_pem(X509 *cert)
{
	BIO *bio = must(BIO_new(BIO_s_mem()));

	if (PEM_write_bio_X509(bio, cert) <= 0)
		must(NULL);
	return bio_text(bio);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = must(X509V3_EXT_conf_nid(NULL, &ctx, nid, value));
	if (X509_add_ext(cert, ext, -1) <= 0)
		must(NULL);
	X509_EXTENSION_free(ext);
}

struct cert_spec {
	const char *cn, *org; /* org may be NULL */
	const char *sans;     /* NULL = none */
	const char *usage;    /* extended; NULL for a CA */
	bool is_expired;
};

/* Signed by k's CA, or by itself for the CA. */
static X509 *cert_new(const struct keys *k, EVP_PKEY *key, const struct cert_spec *spec)
{
	X509 *cert = must(X509_new());
	X509 *issuer = k->ca ? k->ca : cert;
	X509_NAME *name = X509_get_subject_name(cert);
	uint64_t serial;

	rng_bytes(&serial, sizeof(serial));
	if (X509_set_version(cert, 2) <= 0 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) <= 0 ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -2L * DAY_S) ||
	    !X509_gmtime_adj(X509_getm_notAfter(cert), spec->is_expired ? -DAY_S : 365L * DAY_S) ||
	    X509_set_pubkey(cert, key) <= 0 ||
	    (spec->org &&
	     X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)spec->org,
					-1, -1, 0) <= 0) ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->cn,
				       -1, -1, 0) <= 0 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer)) <= 0)
		must(NULL);
	add_extension(cert, issuer, NID_basic_constraints,
		      spec->usage ? "critical,CA:FALSE" : "critical,CA:TRUE");
	add_extension(cert, issuer, NID_key_usage,
		      spec->usage ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
	add_extension(cert, issuer, NID_subject_key_identifier, "hash");
	if (spec->usage)
		add_extension(cert, issuer, NID_ext_key_usage, spec->usage);
	if (spec->sans)
		add_extension(cert, issuer, NID_subject_alt_name, spec->sans);
	if (X509_sign(cert, k->ca_key, EVP_sha256()) <= 0)
		must(NULL);
	return cert;
}

/* Reads DIR/name; false if it is not there or too long. */
static bool load_text(const char *dir, const char *name, char **ret)
{
	CLEANUP(free) char *path = must_printf("%s/%s", dir, name);
	struct buf b = {.max = PEM_MAX};

	if (file_read(path, PEM_MAX, &b) < 0 || b.len == 0) {
		buf_done(&b);
		return false;
	}
	*ret = must(strndup(b.data, b.len));
	buf_done(&b);
	return true;
}

static int save_text(const char *dir, const char *name, const char *text, mode_t mode,
		     struct err *reterr)
{
	CLEANUP(free) char *path = must_printf("%s/%s", dir, name);
	int r = file_write_atomic(path, text, strlen(text), mode);

	return r < 0 ? err_set(reterr, -r, "cannot write %s: %s", path, err_name(r)) : 0;
}

/* The key in DIR/name, made and written if it is not there. */
static int key_open(const char *dir, const char *name, EVP_PKEY **ret, struct err *reterr)
{
	CLEANUP(free) char *pem = NULL;

	if (load_text(dir, name, &pem)) {
		BIO *bio = must(BIO_new_mem_buf(pem, -1));

		*ret = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		BIO_free(bio);
		return *ret ? 0 : err_set(reterr, EIO, "%s/%s is no private key", dir, name);
	}
	*ret = key_new();
	pem = key_pem(*ret);
	return save_text(dir, name, pem, 0600, reterr);
}

static int ca_open(struct keys *k, const char *dir, struct err *reterr)
{
	int r = key_open(dir, "ca.key", &k->ca_key, reterr);

	if (r < 0)
		return r;
	if (load_text(dir, "ca.crt", &k->ca_pem)) {
		BIO *bio = must(BIO_new_mem_buf(k->ca_pem, -1));

		k->ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
		return k->ca ? 0 : err_set(reterr, EIO, "%s/ca.crt is no certificate", dir);
	}
	k->ca = cert_new(k, k->ca_key, &(struct cert_spec){.cn = "kubernetes"});
	k->ca_pem = cert_pem(k->ca);
	return save_text(dir, "ca.crt", k->ca_pem, 0644, reterr);
}

/* "DNS:a,IP:b" as OpenSSL wants it. */
static char *san_text(const struct strv *sans)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct ip ip;

	must_add_str(&b, "DNS:kubernetes.default.svc,DNS:kubernetes.default,DNS:kubernetes");
	for (size_t i = 0; i < sans->n; i++) {
		must_add_str(&b, ip_parse(sans->v[i], &ip) == 0 ? ",IP:" : ",DNS:");
		must_add_str(&b, sans->v[i]);
	}
	return must_strdup(b.data);
}

int keys_open(const char *dir, const struct strv *sans, bool is_expired, struct keys **ret,
	      struct err *reterr)
{
	struct keys *k = must(calloc(1, sizeof(*k)));
	CLEANUP(free) char *names = san_text(sans);
	EVP_PKEY *server = key_new(), *admin = key_new();
	X509 *cert;
	int r;

	r = file_mkdirs(dir, 0700);
	if (r < 0) {
		r = err_set(reterr, -r, "cannot make %s: %s", dir, err_name(r));
		goto out;
	}
	r = ca_open(k, dir, reterr);
	if (r >= 0)
		r = key_open(dir, "sa.key", &k->sa_key, reterr);
	if (r < 0)
		goto out;
	if (!load_text(dir, "admin.token", &k->token)) {
		unsigned char raw[TOKEN_BYTES];

		rng_bytes(raw, sizeof(raw));
		k->token = base64url(raw, sizeof(raw));
		r = save_text(dir, "admin.token", k->token, 0600, reterr);
	}
	cert = cert_new(k, server,
			&(struct cert_spec){.cn = "kube-apiserver",
					    .sans = names,
					    .usage = "serverAuth",
					    .is_expired = is_expired});
	k->server_cert = cert_pem(cert);
	k->server_key = key_pem(server);
	X509_free(cert);
	cert = cert_new(
		k, admin,
		&(struct cert_spec){.cn = "admin", .org = "system:masters", .usage = "clientAuth"});
	k->admin_cert = cert_pem(cert);
	k->admin_key = key_pem(admin);
	X509_free(cert);
	if (r >= 0)
		*ret = TAKE_PTR(k);
out:
	EVP_PKEY_free(server);
	EVP_PKEY_free(admin);
	keys_free(k);
	return r;
}

int keys_write_kubeconfig(const struct keys *k, const char *dir, const char *url,
			  struct err *reterr)
{
	CLEANUP(free) char *ca = base64(k->ca_pem, strlen(k->ca_pem));
	CLEANUP(free) char *cert = base64(k->admin_cert, strlen(k->admin_cert));
	CLEANUP(free) char *key = base64(k->admin_key, strlen(k->admin_key));
	CLEANUP(free) char *text =
		must_printf("apiVersion: v1\nkind: Config\nclusters:\n- name: mesh-test\n  "
			    "cluster:\n    server: %s\n"
			    "    certificate-authority-data: %s\nusers:\n- name: admin\n  user:\n"
			    "    client-certificate-data: %s\n    client-key-data: "
			    "%s\ncontexts:\n- name: admin\n  context:\n"
			    "    cluster: mesh-test\n    user: admin\ncurrent-context: admin\n",
			    url, ca, cert, key);

	return save_text(dir, "admin.conf", text, 0600, reterr);
}

/* DER to the fixed-width r and s of RFC 7518 section 3.4. */
static bool sig_to_raw(const unsigned char *der, size_t len, unsigned char raw[2 * SIG_HALF])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, SIG_HALF) == SIG_HALF &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + SIG_HALF, SIG_HALF) == SIG_HALF;

	ECDSA_SIG_free(sig);
	return ok;
}

char *keys_sign(const struct keys *k, const json_t *claims)
{
	CLEANUP(free) char *payload = json_text(claims);
	CLEANUP(free) char *head = base64url("{\"alg\":\"ES256\",\"typ\":\"JWT\"}", 27);
	CLEANUP(free) char *body = base64url(payload, strlen(payload));
	CLEANUP(free) char *input = must_printf("%s.%s", head, body);
	CLEANUP(free) char *tail = NULL;
	unsigned char der[128], raw[2 * SIG_HALF];
	EVP_MD_CTX *ctx = must(EVP_MD_CTX_new());
	size_t len = sizeof(der);

	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->sa_key) <= 0 ||
	    EVP_DigestSign(ctx, der, &len, (unsigned char *)input, strlen(input)) <= 0 ||
	    !sig_to_raw(der, len, raw))
		must(NULL);
	EVP_MD_CTX_free(ctx);
	tail = base64url(raw, sizeof(raw));
	return must_printf("%s.%s", input, tail);
}

static bool sig_is_good(const struct keys *k, const char *input, size_t len,
			const unsigned char *raw)
{
	ECDSA_SIG *sig = must(ECDSA_SIG_new());
	EVP_MD_CTX *ctx = must(EVP_MD_CTX_new());
	unsigned char *der = NULL;
	int n;
	bool ok;

	if (ECDSA_SIG_set0(sig, must(BN_bin2bn(raw, SIG_HALF, NULL)),
			   must(BN_bin2bn(raw + SIG_HALF, SIG_HALF, NULL))) <= 0)
		must(NULL);
	n = i2d_ECDSA_SIG(sig, &der);
	ok = n > 0 && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->sa_key) > 0 &&
	     EVP_DigestVerify(ctx, der, (size_t)n, (const unsigned char *)input, len) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	ECDSA_SIG_free(sig);
	return ok;
}

json_t *keys_verify(const struct keys *k, const char *jwt)
{
	const char *dot = strchr(jwt, '.'), *dot2 = dot ? strchr(dot + 1, '.') : NULL;
	CLEANUP(free) unsigned char *sig = NULL;
	CLEANUP(free) unsigned char *body = NULL;
	size_t sig_len, body_len;

	if (!dot2)
		return NULL;
	sig = base64url_decode(dot2 + 1, strlen(dot2 + 1), &sig_len);
	if (!sig || sig_len != (size_t)2 * SIG_HALF ||
	    !sig_is_good(k, jwt, (size_t)(dot2 - jwt), sig))
		return NULL;
	body = base64url_decode(dot + 1, (size_t)(dot2 - dot - 1), &body_len);
	return body ? json_loadb((char *)body, body_len, 0, NULL) : NULL;
}
