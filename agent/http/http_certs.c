/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_certs.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "crypto/x509.h"

static int parse_certs(const char *pem, STACK_OF(X509) * *ret)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	STACK_OF(X509) *stack = sk_X509_new_null();
	int r = bio && stack ? 0 : -ENOMEM;
	X509 *x;

	while (r == 0 && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(stack, x)) {
			X509_free(x);
			r = -ENOMEM;
		}
	ERR_clear_error(); /* the end of the text reads as an error */
	BIO_free(bio);
	if (r == 0 && sk_X509_num(stack) == 0)
		r = -EINVAL;
	if (r < 0) {
		sk_X509_pop_free(stack, X509_free);
		return r;
	}
	*ret = stack;
	return 0;
}

/* Nobody is asked for a passphrase: there may be no terminal, or one that waits for something else. */
static int on_passphrase(char *buf, int size, int is_writing, void *arg)
{
	bool *is_encrypted = arg;

	(void)buf;
	(void)size;
	(void)is_writing;
	*is_encrypted = true;
	return -1;
}

static int parse_key(const char *pem, EVP_PKEY **ret)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	bool is_encrypted = false;

	if (!bio)
		return -ENOMEM;
	*ret = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &is_encrypted);
	ERR_clear_error();
	BIO_free(bio);
	return *ret ? 0 : is_encrypted ? -EOPNOTSUPP : -EINVAL;
}

int http_certs_parse(const struct http_tls *tls, struct http_certs *ret)
{
	int r = parse_certs(tls->ca_pem, &ret->ca);

	if (r < 0 || !tls->client_cert_pem || !tls->client_key_pem)
		return r;
	r = parse_certs(tls->client_cert_pem, &ret->chain);
	if (r < 0)
		return r;
	ret->cert = sk_X509_shift(ret->chain); /* its own is the first, what signed it follows (RFC 8446, 4.4.2) */
	r = parse_key(tls->client_key_pem, &ret->key);
	if (r == 0 && X509_check_private_key(ret->cert, ret->key) != 1) {
		ERR_clear_error();
		r = -EKEYREJECTED;
	}
	return r;
}

void http_certs_done(struct http_certs *c)
{
	sk_X509_pop_free(c->ca, X509_free);
	X509_free(c->cert);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	*c = (struct http_certs){0};
}

int http_certs_use(const struct http_certs *c, SSL_CTX *ctx)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);

	for (int i = 0; i < sk_X509_num(c->ca); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(c->ca, i)) != 1)
			ERR_clear_error(); /* listed twice in the bundle */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, x509_verify_names);
	return c->cert && SSL_CTX_use_cert_and_key(ctx, c->cert, c->key, c->chain, 1) != 1 ? -EINVAL : 0;
}
