/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "crypto/base64.h"
#include "crypto/secret.h"

static void check_both(const char *bytes, size_t len, const char *text, bool url)
{
	CLEANUP(buf_done) struct buf out = {0}, back = {0};

	cr_assert_eq(url ? base64url_encode(bytes, len, &out) : base64_encode(bytes, len, &out), 0);
	cr_expect_str_eq(out.data ? out.data : "", text);
	cr_assert_eq(url ? base64url_decode(text, strlen(text), &back) : base64_decode(text, strlen(text), &back), 0, "%s", text);
	cr_expect_eq(back.len, len);
	cr_expect(memcmp(back.data, bytes, len) == 0, "%s", text);
}

Test(base64, rfc4648_section_10)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const std[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	static const char *const url[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};

	for (size_t i = 0; i < 7; i++) {
		check_both(plain[i], i, std[i], false);
		check_both(plain[i], i, url[i], true);
	}
}

Test(base64, alphabets_differ)
{
	check_both("\xfb\xff\xfe", 3, "-__-", true);
	check_both("\xfb\xff\xfe", 3, "+//+", false);
}

Test(base64, refuses_what_is_not_canonical)
{
	static const char *const bad_url[] = {"Z", "Zg==", "Zg=", "Zm+v", "Zm/v", "Zm 9v", "Zm9vY", "Zh", "Zm9", "Zm9v\n"};
	static const char *const bad_std[] = {"Zg", "Zg=", "Zg===", "=", "Zg==Zg==", "Zm-v", "Zm_v", "Zh==", "Zm9="};

	for (size_t i = 0; i < ARRAY_LEN(bad_url); i++) {
		CLEANUP(buf_done) struct buf out = {0};

		cr_expect_eq(base64url_decode(bad_url[i], strlen(bad_url[i]), &out), -EINVAL, "%s", bad_url[i]);
		cr_expect_eq(out.len, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_std); i++) {
		CLEANUP(buf_done) struct buf out = {0};

		cr_expect_eq(base64_decode(bad_std[i], strlen(bad_std[i]), &out), -EINVAL, "%s", bad_std[i]);
	}
	CLEANUP(buf_done) struct buf out = {0};

	cr_expect_eq(base64url_decode("Zm\0v", 4, &out), -EINVAL);
	cr_expect_eq(base64_decode("Zm9v\nYg==\n", 10, &out), 0);
}

Test(base64, respects_the_maximum)
{
	CLEANUP(buf_done) struct buf out = {.max = 4};

	cr_expect_eq(base64url_decode("Zm9vYmFyZm9v", 12, &out), -E2BIG);
	cr_expect_eq(out.len, 0);
}

Test(secret, compares_and_wipes)
{
	char text[] = "token";

	cr_expect(secret_eq("abc", "abc", 3));
	cr_expect_not(secret_eq("abc", "abd", 3));
	secret_wipe(text, strlen(text));
	cr_expect_eq(text[0], '\0');
	secret_free(NULL);
}
