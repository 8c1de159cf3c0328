/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a join token, and as the object in one, whose checksum is made right. What is taken in can be built,
 * and is the same then.
 */
#include "base/buf.h"
#include "crypto/base64.h"
#include "crypto/secret.h"
#include "join/checksum.h"
#include "join/join_token.h"
#include "json/json.h"
#include "text.h"

const unsigned replay_runs = 4000;

static void check(const char *text)
{
	CLEANUP(join_token_done) struct join_token t = {0}, again = {0};
	char *built = NULL, *twice = NULL;
	struct err err = {0};
	int r = join_token_parse(text, &t, &err);

	if (r < 0) {
		CHECK(err.text[0] && !t.jwt && !t.host);
		return;
	}
	CHECK(t.servers.n && t.servers.n <= JOIN_TOKEN_SERVERS && t.jwt && t.host && t.namespace && json_is_object(t.labels));
	CHECK(t.ca_pem || t.has_pin);
	for (size_t i = 0; i < t.servers.n; i++)
		CHECK(join_token_check_server(t.servers.v[i], NULL) == 0);
	(void)join_token_is_expired(&t, INT64_MAX); /* either answer is fine */
	CHECK(join_token_build(&t, &built, &err) == 0);
	CHECK(join_token_parse(built, &again, &err) == 0 && join_token_build(&again, &twice, &err) == 0);
	CHECK(strcmp(built, twice) == 0);
	secret_free(built);
	secret_free(twice);
}

static void as_object(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *o = json_parse((const char *)data, size);
	CLEANUP(buf_done) struct buf token = {0};
	CLEANUP(free) char *text = NULL;
	char sum[CHECKSUM_STRLEN];

	if (!json_is_object(o))
		return;
	CHECK(checksum_of(o, sum) == 0 && json_object_set_new(o, "sum", json_string(sum)) == 0);
	text = json_text(o);
	CHECK(text && buf_addf(&token, "mesh1.") == 0 && base64url_encode(text, strlen(text), &token) == 0);
	check(token.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(free) char *text = text_of(data, size);

	if (size > 65536)
		return 0;
	check(text);
	as_object(data, size);
	return 0;
}
