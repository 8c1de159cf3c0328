/* SPDX-License-Identifier: Apache-2.0 */
/* Pins of certificate authorities: SHA-256 over the DER SubjectPublicKeyInfo, as kubeadm uses them. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { X509_PIN_BYTES = 32, X509_PIN_STRLEN = 7 + 64 + 1 };

struct x509_pin {
	uint8_t sha256[X509_PIN_BYTES];
};

/* "sha256:" and 64 hexadecimal digits. -EINVAL. */
int x509_pin_parse(const char *text, struct x509_pin *ret);
const char *x509_pin_str(const struct x509_pin *pin, char buf[X509_PIN_STRLEN]);

/* The pin of the first certificate of a PEM text. -EINVAL if there is none. */
int x509_pin_of_pem(const char *pem, struct x509_pin *ret);

/*
 * Checks that a PEM bundle has at least one certificate, that all of them parse and that none but
 * certificates are in it. -EINVAL with a text.
 */
int x509_check_bundle(const char *pem, struct err *reterr);

/*
 * Adds to `ret` those authorities of a PEM bundle whose key has the pin, as PEM: what may be
 * trusted. -ENOENT if there is none, -EINVAL if nothing in the text is a certificate.
 */
int x509_pick_pinned(const char *pem, const struct x509_pin *pin, struct buf *ret);

/*
 * Connects to `host`:`port` with TLS, verifying nothing and sending nothing, and adds to `ret` those
 * certificates of the presented chain that have the pin. For servers whose CA is known by pin
 * only; they must send their root, too. Blocks up to `timeout_ms`.
 * -ENOENT if the chain has none; errno of connect(2); -ETIMEDOUT; -EPROTO if TLS fails.
 */
int x509_fetch_pinned(const char *host, uint16_t port, const struct x509_pin *pin, int timeout_ms,
		      struct buf *ret, struct err *reterr);

/*
 * For SSL_CTX_set_verify(): what OpenSSL found (`ok`) holds, and the server's own certificate must have a DNS name or an
 * address among its names. Without any, libcurl would take the CN for one; the CN of a certificate that the cluster's CA
 * signed may be a user's (RFC 9110 section 4.3.4: CN is not to be used; Kubernetes: CN is the user name).
 */
struct x509_store_ctx_st;
int x509_verify_names(int ok, struct x509_store_ctx_st *ctx);
