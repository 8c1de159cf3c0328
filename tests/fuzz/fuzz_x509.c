/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as PEM, as the DER of one certificate, and as a pin. What has a pin is found by it. */
#include "base/buf.h"
#include "base/str.h"
#include "crypto/base64.h"
#include "crypto/x509.h"
#include "text.h"

const unsigned replay_runs = 3000;

enum { LINE = 64 };

static void as_pem(const char *pem)
{
	CLEANUP(buf_done) struct buf picked = {0};
	char text[X509_PIN_STRLEN];
	struct x509_pin pin, again;
	struct err err = {0};
	int r = x509_check_bundle(pem, &err);

	CHECK(r == 0 || err.text[0]);
	if (x509_pin_of_pem(pem, &pin) < 0) {
		CHECK(r < 0);
		return;
	}
	CHECK(x509_pin_parse(x509_pin_str(&pin, text), &again) == 0 && memcmp(&pin, &again, sizeof(pin)) == 0);
	CHECK(x509_pick_pinned(pem, &pin, &picked) == 0);
	CHECK(x509_check_bundle(picked.data, NULL) == 0 && x509_pin_of_pem(picked.data, &again) == 0 &&
	      memcmp(&pin, &again, sizeof(pin)) == 0);
	pin.sha256[0] ^= 1;
	buf_clear(&picked);
	CHECK(x509_pick_pinned(pem, &pin, &picked) != 0 || picked.len);
}

static void as_der(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf body = {0}, pem = {0};

	CHECK(base64_encode(data, size, &body) == 0 && buf_addf(&pem, "-----BEGIN CERTIFICATE-----\n") == 0);
	for (size_t at = 0; at < body.len; at += LINE)
		CHECK(buf_addf(&pem, "%.*s\n", LINE, body.data + at) == 0);
	CHECK(buf_addf(&pem, "-----END CERTIFICATE-----\n") == 0);
	as_pem(pem.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(free) char *text = text_of(data, size);
	struct x509_pin pin;
	char again[X509_PIN_STRLEN];

	if (size > 65536)
		return 0;
	if (x509_pin_parse(text, &pin) == 0)
		CHECK(strcasecmp(x509_pin_str(&pin, again), text) == 0);
	as_pem(text);
	as_der(data, size);
	return 0;
}
