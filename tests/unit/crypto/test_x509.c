/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "certs.h"
#include "crypto/x509.h"

Test(x509, pin_is_that_of_the_openssl_command)
{
	struct x509_pin pin, parsed;
	char text[X509_PIN_STRLEN];

	cr_assert_eq(x509_pin_of_pem(CA_A, &pin), 0);
	cr_expect_str_eq(x509_pin_str(&pin, text), PIN_A);
	cr_assert_eq(x509_pin_parse(PIN_A, &parsed), 0);
	cr_expect(memcmp(&pin, &parsed, sizeof(pin)) == 0);
	cr_expect_eq(x509_pin_of_pem("nothing", &pin), -EINVAL);
}

Test(x509, pins_are_parsed_strictly)
{
	static const char *const bad[] = {"", "sha256:", "sha256:00", "sha1:" PIN_A, PIN_A "0", " " PIN_A, "00" PIN_A};
	struct x509_pin pin;
	char text[] = PIN_A;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(x509_pin_parse(bad[i], &pin), -EINVAL, "%s", bad[i]);
	text[20] = 'g';
	cr_expect_eq(x509_pin_parse(text, &pin), -EINVAL);
	text[20] = 'F';
	cr_expect_eq(x509_pin_parse(text, &pin), 0);
}

Test(x509, only_the_pinned_authority_is_picked)
{
	CLEANUP(buf_done) struct buf out = {0}, none = {0};
	struct x509_pin pin_a, pin_b, own;

	cr_assert_eq(x509_pin_parse(PIN_A, &pin_a), 0);
	cr_assert_eq(x509_pin_parse(PIN_B, &pin_b), 0);
	cr_assert_eq(x509_pick_pinned("text before\n" CA_A CA_B, &pin_b, &out), 0);
	cr_assert_eq(x509_pin_of_pem(out.data, &own), 0);
	cr_expect(memcmp(&own, &pin_b, sizeof(own)) == 0);
	cr_expect_eq(strstr(out.data + 10, "BEGIN"), NULL, "only one of the two");
	cr_expect_eq(x509_pick_pinned(CA_A, &pin_b, &none), -ENOENT);
	cr_expect_eq(x509_pick_pinned("nothing", &pin_b, &none), -EINVAL);
	cr_expect_eq(none.len, 0);
}

Test(x509, bundles_are_checked)
{
	char cut[] = CA_A;
	struct err err = {0};

	cr_expect_eq(x509_check_bundle(CA_A, &err), 0);
	cr_expect_eq(x509_check_bundle(CA_A CA_B, &err), 0);
	cr_expect_eq(x509_check_bundle("", &err), -EINVAL);
	cut[200] = '!';
	cr_expect_eq(x509_check_bundle(cut, &err), -EINVAL);
	cr_expect_neq(err.text[0], '\0');
	cr_expect_eq(x509_check_bundle(CA_A "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", &err), -EINVAL);
}
