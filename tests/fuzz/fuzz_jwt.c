/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a token, and as the claims of one: names stay within their limits. */
#include "base/buf.h"
#include "crypto/base64.h"
#include "crypto/jwt.h"
#include "text.h"

const unsigned replay_runs = 10000;

static void read_token(const char *token)
{
	struct jwt_claims c;

	if (jwt_read(token, &c) < 0)
		return;
	CHECK(strnlen(c.namespace, sizeof(c.namespace)) <= LIMIT_NAME);
	CHECK(strnlen(c.service_account, sizeof(c.service_account)) <= LIMIT_NAME);
	CHECK(strnlen(c.secret, sizeof(c.secret)) <= LIMIT_NAME);

}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf token = {0};
	CLEANUP(free) char *text = text_of(data, size);

	read_token(text);
	if (size > LIMIT_TOKEN_BYTES)
		return 0;
	CHECK(buf_addf(&token, "e30.") == 0 && base64url_encode(data, size, &token) == 0 && buf_addf(&token, ".c2ln") == 0);
	read_token(token.data);
	return 0;
}
