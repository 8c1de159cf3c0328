/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of an HTTPS client: whom it trusts, and who it is itself. */
#pragma once

#include <openssl/ssl.h>

#include "http/http.h"

struct http_certs {
	STACK_OF(X509) *ca;
	X509 *cert; /* our own; NULL = none, as the next two */
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
};

/* For http_certs_done(), also after a failure. Errors as those of http_new(). */
int http_certs_parse(const struct http_tls *tls, struct http_certs *ret);
void http_certs_done(struct http_certs *c);

/* `ctx` trusts these authorities beside those it has, verifies its server and shows our certificate. -EINVAL: OpenSSL cannot use it. */
int http_certs_use(const struct http_certs *c, SSL_CTX *ctx);
