/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "crypto/base64.h"
#include "crypto/jwt.h"

/* Heap: a token with this payload. */
static char *token_of(const char *payload)
{
	CLEANUP(buf_done) struct buf out = {0};

	cr_assert_eq(base64url_encode(payload, strlen(payload), &out), 0);
	return str_printf("eyJhbGciOiJSUzI1NiJ9.%s.c2ln", out.data);
}

Test(jwt, claims_of_a_bound_token)
{
	CLEANUP(free) char *t = token_of("{\"exp\":2000,\"iat\":1000,\"sub\":\"system:serviceaccount:mesh-hosts:ahch-to.example\","
					 "\"kubernetes.io\":{\"namespace\":\"mesh-hosts\",\"secret\":{\"name\":\"ahch-to-join\"}}}");
	struct jwt_claims c;

	cr_assert_eq(jwt_read(t, &c), 0);
	cr_expect_eq(c.issued_s, 1000);
	cr_expect_eq(c.expires_s, 2000);
	cr_expect_str_eq(c.namespace, "mesh-hosts");
	cr_expect_str_eq(c.service_account, "ahch-to.example");
	cr_expect_str_eq(c.secret, "ahch-to-join");
}

Test(jwt, missing_claims_are_empty)
{
	CLEANUP(free) char *t = token_of("{\"sub\":\"somebody\",\"exp\":\"soon\"}");
	struct jwt_claims c;

	cr_assert_eq(jwt_read(t, &c), 0);
	cr_expect_eq(c.expires_s, 0);
	cr_expect_str_eq(c.service_account, "");
	cr_expect_str_eq(c.secret, "");
}

Test(jwt, refuses_other_text)
{
	static const char *const bad[] = {"", "a", "a.b", "a..c", "a.bm8.c.d", "a.!!!.c", "a.W10.c", "a.bm8.c"};
	CLEANUP(free) char *deep = token_of("{\"sub\":\"system:serviceaccount:nocolon\"}");
	CLEANUP(free) char *twice = token_of("{\"exp\":1,\"exp\":2}");
	struct jwt_claims c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(jwt_read(bad[i], &c), -EINVAL, "%s", bad[i]);
	cr_expect_eq(jwt_read(deep, &c), -EINVAL);
	cr_expect_eq(jwt_read(twice, &c), -EINVAL);
}
