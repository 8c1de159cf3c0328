/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as the state of a migration, and as what a client of the control socket asks for: whatever is taken in goes on
 * to an end, and comes out of its own document as it was.
 */
#include "json/json.h"
#include "service/migration.h"

#include "fuzz.h"

const unsigned replay_runs = 3000;

enum { TICKS = 2000 };

/* Two checks that go well and a second that passes, again and again. */
static void go_on(struct migration *m, size_t pods)
{
	const struct migration_view v = {.passed_us = 5 * 1000 * 1000, .pods = pods, .is_host_known = true, .is_host_ready = true};

	for (unsigned i = 0; i < TICKS && migration_is_running(m); i++) {
		struct migration_role role = migration_role_now(m, pods);

		CHECK(role.next_us > 0 && migration_share_now(m, pods) <= MIGRATION_ALL);
		CHECK(role.is_active || !role.weight);
		migration_sample(&m->sides[0], i, NULL);
		migration_sample(&m->sides[1], i, NULL);
		(void)migration_tick(m, &v); /* any step is fine */
	}
	CHECK(!migration_is_running(m) || m->is_paused || m->conf.interval_s > 30 || pods == 0);
}

static void as_state(const json_t *doc)
{
	CLEANUP(migration_done) struct migration m = {0};
	CLEANUP(migration_done) struct migration back = {0};
	CLEANUP(json_decref) json_t *once = NULL, *twice = NULL;

	if (migration_from_json(doc, &m) < 0) {
		CHECK(!m.service);
		return;
	}
	CHECK(!migration_conf_check(&m.conf) && m.level <= MIGRATION_ALL);
	CHECK(migration_steps_left(&m.conf, m.level, 1) <= 101);
	once = migration_to_json(&m);
	CHECK(once && migration_from_json(once, &back) == 0);
	twice = migration_to_json(&back);
	CHECK(twice && json_equal(once, twice));
	go_on(&m, 1);
	go_on(&back, 0);
	if (migration_is_running(&m))
		CHECK(migration_abort(&m, NULL) == 0 && m.level == m.base.level);
}

static void as_request(const json_t *doc)
{
	struct migration_conf c;
	struct err err = {0};

	if (migration_args_read(doc, &c, &err) < 0)
		CHECK(err.text[0]);
	else
		CHECK(!migration_conf_check(&c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *doc = NULL;

	if (size > 65536)
		return 0;
	doc = json_parse((const char *)data, size);
	as_state(doc);
	as_request(doc);
	return 0;
}
