/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as the files of the state directory: as they are, and as documents whose checksum is right, or it
 * would keep everything out.
 */
#include "base/str.h"
#include "base/limits.h"
#include "crypto/secret.h"
#include "join/checksum.h"
#include "join/guard_file.h"
#include "join/join_state.h"
#include "join/state_file.h"
#include "json/json.h"
#include "scratch.h"

const unsigned replay_runs = 1500;

enum { NOW_US = 5000000 };

static void load_joined(void)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err = {0};

	if (join_state_load(scratch_dir(), &s, &err) < 0) {
		CHECK(err.text[0] && !s.host);
		return;
	}
	CHECK(s.host && s.namespace && s.cluster && s.cluster_uid && s.ca_pem && s.servers.n && json_is_object(s.labels));
	CHECK(s.identity < 1 << 24);
}

static void load_guard(void)
{
	CLEANUP(guard_done) struct guard g = {0};
	CLEANUP(json_decref) json_t *doc = NULL;
	struct err err = {0};

	if (guard_file_load(scratch_dir(), NOW_US, &g, &err) < 0) {
		CHECK(err.text[0] && g.state == GUARD_OFF && !g.confirmed);
		return;
	}
	CHECK(g.state != GUARD_OFF && json_is_array(g.confirmed));
	CHECK(g.deadline_us <= NOW_US + g.timeout_us);
	doc = guard_to_json(&g, "0");
	CHECK(doc);
	(void)guard_tick(&g, UINT64_MAX); /* any step is fine */
	CHECK(g.state != GUARD_PENDING);
}

static void load_token(void)
{
	char *token = NULL;

	if (join_state_load_token(scratch_dir(), &token, NULL) == 0)
		CHECK(token && strlen(token) <= LIMIT_TOKEN_BYTES);
	secret_free(token);
}

static void with_checksum(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *doc = json_parse((const char *)data, size), *back = NULL;
	CLEANUP(free) char *text = NULL;
	char sum[CHECKSUM_STRLEN];

	if (!json_is_object(doc))
		return;
	CHECK(checksum_of(doc, sum) == 0 && json_object_set_new(doc, "sum", json_string(sum)) == 0);
	text = json_text(doc);
	CHECK(text);
	scratch_write("joined.json", text, strlen(text));
	scratch_write("guard.json", text, strlen(text));
	load_joined();
	load_guard();
	if (state_file_load(scratch_dir(), "guard.json", &back, NULL) == 0)
		CHECK(json_equal(doc, back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *any = NULL;

	if (size > 65536)
		return 0;
	scratch_write("joined.json", data, size);
	scratch_write("guard.json", data, size);
	scratch_write("token", data, size);
	load_joined();
	load_guard();
	load_token();
	(void)state_file_load(scratch_dir(), "joined.json", &any, NULL); /* any result is fine */
	with_checksum(data, size);
	return 0;
}
