/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the state directory is whole, or known not to be. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "join/guard_file.h"
#include "join/state_file.h"
#include "json/json.h"
#include "lib/damage.h"

static char dir[] = "/tmp/mesh-guard-XXXXXX";

static void setup(void)
{
	cr_assert(mkdtemp(dir));
}

static void teardown(void)
{
	struct err err;

	cr_assert_eq(state_file_remove(dir, "guard.json", &err), 0);
	cr_assert_eq(rmdir(dir), 0, "nothing else is left");
}

static void save(uint64_t timeout_us)
{
	CLEANUP(guard_done) struct guard g = {0};
	struct err err = {0};

	cr_assert_eq(guard_arm(&g, timeout_us, 5, json_pack("[{s:s}]", "kind", "CiliumNetworkPolicy"), &err), 0);
	cr_assert_eq(guard_file_save(dir, &g, &err), 0, "%s", err.text);
}

static int load(struct guard *g)
{
	struct err err = {0};
	int r = guard_file_load(dir, clock_boot_us(), g, &err);

	cr_assert(r == 0 || err.text[0]);
	return r;
}

Test(guard_file, round_trip, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/guard.json", dir);
	CLEANUP(guard_done) struct guard g = {0}, off = {0};
	struct err err = {0};
	struct stat st;

	cr_assert_eq(load(&g), 0, "none is off");
	cr_assert_eq(g.state, GUARD_OFF);
	save(120 * USEC_PER_SEC);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(load(&g), 0);
	cr_assert_eq(g.state, GUARD_ARMED);
	cr_assert_eq(g.digest, 5);
	cr_assert_eq(json_array_size(g.confirmed), 1);
	cr_assert_eq(guard_file_save(dir, &off, &err), 0);
	cr_assert_neq(access(path, F_OK), 0);
}

/* Cut anywhere, and with any byte turned over: refused, never half believed. */
Test(guard_file, torn_and_corrupt, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/guard.json", dir);
	CLEANUP(buf_done) struct buf whole = {0};

	save(120 * USEC_PER_SEC);
	cr_assert_eq(file_read(path, 65536, &whole), 0);
	for (size_t n = 0; n < whole.len; n++) {
		struct guard g = {.timeout_us = 3};

		cr_assert_eq(file_write_atomic(path, whole.data, n, 0600), 0);
		cr_assert_eq(load(&g), -EBADMSG, "cut at %zu", n);
		cr_assert(g.timeout_us == 3 && g.state == GUARD_OFF);
	}
	for (size_t i = 0; i < whole.len; i++) {
		struct guard g = {0};

		whole.data[i] ^= 1;
		cr_assert_eq(file_write_atomic(path, whole.data, whole.len, 0600), 0);
		cr_assert_eq(load(&g), -EBADMSG, "byte %zu", i);
		whole.data[i] ^= 1;
	}
	/* what a write left that power loss cut short is never read */
	CLEANUP(free) char *half = str_printf("%s.new", path);
	CLEANUP(guard_done) struct guard g = {0};

	cr_assert_eq(file_write_atomic(path, whole.data, whole.len, 0600), 0);
	cr_assert_eq(file_write_atomic(half, whole.data, whole.len / 2, 0600), 0);
	cr_assert_eq(load(&g), 0);
	cr_assert_eq(g.state, GUARD_ARMED);
	save(60 * USEC_PER_SEC);
	cr_assert_neq(access(half, F_OK), 0);
}

/* Not believed; or what is said is still the same, as where space is another kind of space. */
static void refused(const char *data, size_t len, void *arg)
{
	CLEANUP(free) char *path = str_printf("%s/guard.json", dir);
	CLEANUP(json_decref) json_t *doc = NULL;
	struct err err = {0};
	int r;

	cr_assert_eq(file_replace(path, data, len, 0600), 0);
	r = state_file_load(dir, "guard.json", &doc, &err);
	cr_assert(r == -EBADMSG || (r == 0 && json_equal(doc, arg)), "%d", r);
}

Test(guard_file, damaged_anyhow, .init = setup, .fini = teardown, .timeout = 3600)
{
	CLEANUP(free) char *path = str_printf("%s/guard.json", dir);
	CLEANUP(buf_done) struct buf whole = {0};
	CLEANUP(json_decref) json_t *doc = NULL;
	struct err err = {0};

	save(120 * USEC_PER_SEC);
	cr_assert_eq(file_read(path, 65536, &whole), 0);
	cr_assert_eq(state_file_load(dir, "guard.json", &doc, &err), 0, "%s", err.text);
	damage_each("state", whole.data, whole.len, refused, doc);
}
