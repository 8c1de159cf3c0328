/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/x509.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "crypto/x509_internal.h"

static void bio_free(BIO *b)
{
	(void)BIO_free(b); /* memory BIOs have nothing to flush */
}
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, bio_free)

int x509_pin_parse(const char *text, struct x509_pin *ret)
{
	static const char digits[] = "0123456789abcdef";
	struct x509_pin pin = {0};

	if (!str_has_prefix(text, "sha256:") || strlen(text) != 7 + 2 * X509_PIN_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < 2 * X509_PIN_BYTES; i++) {
		char c = text[7 + i];
		const char *at = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

		if (!c || !at)
			return -EINVAL;
		pin.sha256[i / 2] = (uint8_t)(pin.sha256[i / 2] << 4 | (at - digits));
	}
	*ret = pin;
	return 0;
}

const char *x509_pin_str(const struct x509_pin *pin, char buf[X509_PIN_STRLEN])
{
	(void)snprintf(buf, X509_PIN_STRLEN, "sha256:");
	for (size_t i = 0; i < X509_PIN_BYTES; i++)
		(void)snprintf(buf + 7 + 2 * i, 3, "%02x", pin->sha256[i]);
	return buf;
}

int x509_pin_of_cert(X509 *cert, struct x509_pin *ret)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (len <= 0)
		return -EINVAL;
	SHA256(der, (size_t)len, ret->sha256);
	OPENSSL_free(der);
	return 0;
}

/* The next certificate of a bundle; NULL at the end or at something that is none. */
static X509 *next_cert(BIO *in)
{
	return PEM_read_bio_X509(in, NULL, NULL, NULL);
}

/* True if reading stopped because the text was at its end, not because of an error in it. */
static bool stopped_at_end(void)
{
	bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

	ERR_clear_error();
	return at_end;
}

static BIO *open_pem(const char *pem)
{
	size_t len = strlen(pem);

	ERR_clear_error();
	return len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
}

int x509_pin_of_pem(const char *pem, struct x509_pin *ret)
{
	CLEANUP(bio_free) BIO *in = open_pem(pem);
	CLEANUP(X509_free) X509 *cert = in ? next_cert(in) : NULL;

	ERR_clear_error();
	return cert ? x509_pin_of_cert(cert, ret) : -EINVAL;
}

int x509_check_bundle(const char *pem, struct err *reterr)
{
	CLEANUP(bio_free) BIO *in = open_pem(pem);
	unsigned n = 0;

	if (!in)
		return err_set(reterr, ENOMEM, "out of memory");
	for (;;) {
		CLEANUP(X509_free) X509 *cert = next_cert(in);

		if (!cert)
			break;
		n++;
	}
	if (!stopped_at_end())
		return err_set(reterr, EINVAL, "certificate %u of the CA bundle does not parse", n + 1);
	if (n == 0)
		return err_set(reterr, EINVAL, "the CA bundle has no certificate");
	if (strstr(pem, "PRIVATE KEY"))
		return err_set(reterr, EINVAL, "the CA bundle has a private key in it");
	return 0;
}

int x509_add_pem(X509 *cert, struct buf *ret)
{
	CLEANUP(bio_free) BIO *out = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (!out || !PEM_write_bio_X509(out, cert))
		return -ENOMEM;
	len = BIO_get_mem_data(out, &data);
	return len > 0 ? buf_add(ret, data, (size_t)len) : -ENOMEM;
}

int x509_pick_pinned(const char *pem, const struct x509_pin *pin, struct buf *ret)
{
	CLEANUP(bio_free) BIO *in = open_pem(pem);
	bool found = false, any = false;

	if (!in)
		return -ENOMEM;
	for (;;) {
		CLEANUP(X509_free) X509 *cert = next_cert(in);
		struct x509_pin own;
		int r;

		if (!cert)
			break;
		any = true;
		if (x509_pin_of_cert(cert, &own) < 0 || memcmp(&own, pin, sizeof(own)) != 0)
			continue;
		r = x509_add_pem(cert, ret);
		if (r < 0)
			return r;
		found = true;
	}
	ERR_clear_error();
	if (!any)
		return -EINVAL;
	return found ? 0 : -ENOENT;
}

int x509_verify_names(int ok, X509_STORE_CTX *ctx)
{
	GENERAL_NAMES *names;
	bool is_named = false;

	if (!ok || X509_STORE_CTX_get_error_depth(ctx) != 0)
		return ok;
	names = X509_get_ext_d2i(X509_STORE_CTX_get_current_cert(ctx), NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 for NULL */
		int type = sk_GENERAL_NAME_value(names, i)->type;

		is_named |= type == GEN_DNS || type == GEN_IPADD;
	}
	GENERAL_NAMES_free(names);
	if (!is_named)
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_HOSTNAME_MISMATCH);
	return is_named;
}
