/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by x509.c and x509_fetch.c, so that x509.h needs no OpenSSL header. */
#pragma once

#include <openssl/x509.h>

#include "crypto/x509.h"

/* -EINVAL. */
int x509_pin_of_cert(X509 *cert, struct x509_pin *ret);
/* Adds a certificate as PEM. -ENOMEM or as buf_add(). */
int x509_add_pem(X509 *cert, struct buf *ret);
