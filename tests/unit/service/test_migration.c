/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "service/migration.h"

#define MS 1000

static const struct migration_rest normal = {MIGRATION_BY_TURNS, MIGRATION_ALL, 0};
static const struct migration_rest standing_by = {MIGRATION_BY_TURNS, 0, 0};
static const struct migration_view well = {.passed_us = USEC_PER_SEC, .pods = 1, .is_host_known = true, .is_host_ready = true};

static void begin(struct migration *m, enum migration_side to, const struct migration_rest *base)
{
	const struct migration_conf c = {.to = to, .by = MIGRATION_BY_TURNS, .step_pm = 250, .interval_s = 4, .max_errors_pm = 50,
					 .max_latency_factor = 3};

	cr_assert_eq(migration_init(m, "council", &c, base), 0);
}

static void check_both(struct migration *m)
{
	migration_sample(&m->sides[MIGRATION_HOST], 1 * MS, NULL);
	migration_sample(&m->sides[MIGRATION_PODS], 2 * MS, NULL);
}

/* So many seconds in which all is well. What followed, all together. */
static unsigned seconds(struct migration *m, unsigned n)
{
	unsigned what = 0;

	while (n--) {
		check_both(m);
		what |= migration_tick(m, &well);
	}
	return what;
}

Test(migration, a_move_to_the_pods)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	cr_assert(migration_is_running(&m) && m.state == MIGRATION_CHECKING);
	cr_assert(migration_role_now(&m, 1).is_active);
	cr_assert_eq(migration_share_now(&m, 1), 500);
	cr_assert_eq(seconds(&m, 4) & MIGRATION_SAVE, 0); /* five checks are too few to say anything */
	cr_assert_eq(m.state, MIGRATION_CHECKING);
	cr_assert_eq(seconds(&m, 1), MIGRATION_SAVE | MIGRATION_TELL);
	cr_assert_eq(m.state, MIGRATION_STEPPING);
	cr_assert_eq(m.level, 250);
	cr_assert_eq(m.step, 1);
	cr_assert_eq(migration_share_now(&m, 1), 250);
	cr_assert_eq(migration_hold_us(&m, 1), 4 * USEC_PER_SEC);
	/* half of the window each: the host is there, then it stands by */
	cr_assert_eq(migration_role_now(&m, 1).next_us, 2 * USEC_PER_SEC);
	(void)seconds(&m, 2);
	cr_assert_not(migration_role_now(&m, 1).is_active);
	(void)seconds(&m, 2); /* the hold is over, but one check is missing */
	cr_assert_eq(m.level, 250);
	cr_assert(str_has_prefix(m.waiting, "4 of 5 checks"), "%s", m.waiting);
	cr_assert_eq(seconds(&m, 1), MIGRATION_SAVE | MIGRATION_TELL);
	cr_assert_eq(m.level, 0);
	cr_assert_eq(m.step, 2);
	cr_assert_not(migration_role_now(&m, 1).is_active);
	(void)seconds(&m, 5);
	cr_assert_eq(m.state, MIGRATION_DONE);
	cr_assert_not(migration_is_running(&m));
	cr_assert_eq(migration_rest_of(&m).level, 0);
	cr_assert_eq(migration_share_now(&m, 1), 0);
	cr_assert_eq(seconds(&m, 100), 0);
}

Test(migration, and_back)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_HOST, &standing_by);
	cr_assert_not(migration_role_now(&m, 1).is_active);
	(void)seconds(&m, 5);
	cr_assert_eq(m.level, 250);
	(void)seconds(&m, 5);
	cr_assert_eq(m.level, MIGRATION_ALL);
	(void)seconds(&m, 5);
	cr_assert_eq(m.state, MIGRATION_DONE);
	cr_assert(migration_role_now(&m, 1).is_active);
	cr_assert_eq(migration_rest_of(&m).level, MIGRATION_ALL);
}

static void rolled_back(const struct migration *m, uint32_t level, const char *reason)
{
	cr_assert_eq(m->state, MIGRATION_ROLLED_BACK);
	cr_assert_eq(m->level, level);
	cr_assert_eq(migration_rest_of(m).level, level);
	cr_assert_not_null(strstr(m->reason, reason), "%s", m->reason);
	cr_assert_not(migration_is_running(m));
}

Test(migration, errors_of_the_pods)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 6);
	cr_assert_eq(m.level, 250);
	migration_sample(&m.sides[MIGRATION_PODS], 0, "status 500");
	cr_assert_eq(migration_tick(&m, &well) & MIGRATION_SAVE, 0); /* one is no verdict */
	migration_sample(&m.sides[MIGRATION_PODS], 0, "status 500");
	cr_assert_eq(migration_tick(&m, &well), MIGRATION_SAVE | MIGRATION_TELL);
	rolled_back(&m, MIGRATION_ALL, "the pods: 2 of 3 checks failed, the last one: status 500");
	cr_assert(migration_role_now(&m, 1).is_active);
}

Test(migration, errors_before_the_first_step)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	for (int i = 0; i < 2; i++)
		migration_sample(&m.sides[MIGRATION_PODS], 0, "refused");
	(void)migration_tick(&m, &well);
	rolled_back(&m, MIGRATION_ALL, "nothing was changed: the pods: 2 of 2");
}

Test(migration, errors_within_the_limit)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 1);
	for (int i = 0; i < 60; i++)
		check_both(&m);
	migration_sample(&m.sides[MIGRATION_PODS], 0, "x");
	migration_sample(&m.sides[MIGRATION_PODS], 0, "x");
	cr_assert_eq(seconds(&m, 1), MIGRATION_SAVE | MIGRATION_TELL);
	cr_assert_eq(m.state, MIGRATION_STEPPING);
}

/* When both fail alike, it is not known whose fault it is: nothing changes. */
Test(migration, errors_of_both)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	for (int i = 0; i < 30; i++) {
		migration_sample(&m.sides[MIGRATION_HOST], 0, "timeout");
		migration_sample(&m.sides[MIGRATION_PODS], 0, "timeout");
		cr_assert_eq(migration_tick(&m, &well) & MIGRATION_SAVE, 0);
	}
	cr_assert_eq(m.level, 250);
	cr_assert_not_null(strstr(m.waiting, "no fewer of the other side"), "%s", m.waiting);
	for (int i = 0; i < MIGRATION_SAMPLES; i++) /* they come back, and the old failures are forgotten */
		check_both(&m);
	cr_assert_eq(migration_tick(&m, &well), MIGRATION_SAVE | MIGRATION_TELL);
	cr_assert_eq(m.level, 0);
}

Test(migration, latency)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	for (int i = 0; i < 5; i++) { /* 30 times slower, but less than three times 10 ms */
		migration_sample(&m.sides[MIGRATION_HOST], 1 * MS, NULL);
		migration_sample(&m.sides[MIGRATION_PODS], 30 * MS, NULL);
	}
	cr_assert_eq(migration_tick(&m, &well) & MIGRATION_SAVE, 0);
	m.sides[MIGRATION_PODS] = (struct migration_samples){0};
	for (int i = 0; i < 9; i++)
		migration_sample(&m.sides[MIGRATION_PODS], 31 * MS, NULL);
	m.held_us = 60 * USEC_PER_SEC;
	cr_assert_eq(migration_tick(&m, &well) & MIGRATION_SAVE, 0); /* too few to be called slow, but it does not go on */
	migration_sample(&m.sides[MIGRATION_PODS], 31 * MS, NULL);
	(void)migration_tick(&m, &well);
	rolled_back(&m, MIGRATION_ALL, "answers take 31.0 ms, those of the other side 1.0 ms");
}

Test(migration, latency_of_a_slow_workload)
{
	struct migration_samples to = {0}, from = {0};
	struct err text = {0};

	for (int i = 0; i < 10; i++) {
		migration_sample(&to, 290 * MS, NULL);
		migration_sample(&from, 100 * MS, NULL);
	}
	cr_assert_eq(migration_judge(&to, &from, 50, 3, &text), MIGRATION_GOOD);
	cr_assert_eq(migration_judge(&to, &from, 50, 2, &text), MIGRATION_BAD);
	/* slow ones that are few do not count, nor do those that failed */
	for (int i = 0; i < 9; i++)
		migration_sample(&to, 9000 * MS, NULL);
	cr_assert_eq(migration_judge(&to, &from, 50, 3, &text), MIGRATION_GOOD);
	for (int i = 0; i < 9; i++)
		migration_sample(&to, 9000 * MS, "timeout");
	cr_assert_eq(migration_judge(&to, &from, 500, 3, &text), MIGRATION_GOOD);
}

Test(migration, the_pods_vanish)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	v.pods = 0;
	(void)migration_tick(&m, &v);
	rolled_back(&m, MIGRATION_ALL, "none is ready any more");
}

/* By weights it may begin before there are pods. */
Test(migration, waits_for_the_first_pod)
{
	CLEANUP(migration_done) struct migration m = {0};
	const struct migration_rest most = {MIGRATION_BY_WEIGHTS, MIGRATION_MOST, 0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &most);
	m.conf.by = MIGRATION_BY_WEIGHTS;
	v.pods = 0;
	for (int i = 0; i < 20; i++) {
		check_both(&m);
		cr_assert_eq(migration_tick(&m, &v) & MIGRATION_SAVE, 0);
	}
	cr_assert_str_eq(m.waiting, "none is ready yet");
	cr_assert_eq(migration_role_now(&m, 0).weight, UINT16_MAX);
	(void)seconds(&m, 1);
	cr_assert_eq(m.level, 750);
	cr_assert_eq(migration_role_now(&m, 1).weight, 300);
}

Test(migration, the_host_is_not_ready)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_HOST, &standing_by);
	(void)seconds(&m, 5);
	v.is_host_known = false;
	cr_assert_eq(migration_tick(&m, &v) & MIGRATION_SAVE, 0); /* after a start it is not known for a while */
	v.is_host_known = true;
	v.is_host_ready = false;
	v.host_text = "tcp port 80: Connection refused";
	(void)migration_tick(&m, &v);
	rolled_back(&m, 0, "this host: it is not ready: tcp port 80: Connection refused");
	cr_assert_not(migration_role_now(&m, 1).is_active);
}

/* Of a move away from the host its own trouble is no reason to come back. */
Test(migration, the_host_dies_while_it_gives_away)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &normal);
	v.is_host_ready = false;
	for (int i = 0; i < 30; i++) {
		migration_sample(&m.sides[MIGRATION_HOST], 0, "refused");
		migration_sample(&m.sides[MIGRATION_PODS], 1 * MS, NULL);
		(void)migration_tick(&m, &v);
	}
	cr_assert_eq(m.state, MIGRATION_DONE);
}

/* What the cluster does not have yet does not count as held. */
Test(migration, the_api_server_is_away)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	v.obstacle = "not published yet";
	for (int i = 0; i < 60; i++) {
		check_both(&m);
		cr_assert_eq(migration_tick(&m, &v) & MIGRATION_SAVE, 0);
	}
	cr_assert_eq(m.level, 250);
	cr_assert_eq(m.held_us, 0);
	cr_assert(migration_role_now(&m, 1).is_active); /* turns stand still, too */
	cr_assert_str_eq(m.waiting, "not published yet");
	migration_sample(&m.sides[MIGRATION_PODS], 0, "x");
	for (int i = 0; i < 9; i++)
		migration_sample(&m.sides[MIGRATION_PODS], 0, "x");
	(void)migration_tick(&m, &v); /* but trouble does */
	rolled_back(&m, MIGRATION_ALL, "10 of 70");
}

Test(migration, the_cluster_refuses)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	v.refusal = v.obstacle = "a weight needs the verb";
	(void)migration_tick(&m, &v);
	rolled_back(&m, MIGRATION_ALL, "the cluster: a weight needs the verb");
}

Test(migration, blind)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	m.is_blind = true;
	for (int i = 0; i < 10; i++)
		(void)migration_tick(&m, &well);
	cr_assert_eq(m.state, MIGRATION_DONE);
}

Test(migration, a_machine_that_slept)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migration_view v = well;

	begin(&m, MIGRATION_PODS, &normal);
	m.conf.interval_s = 60;
	(void)seconds(&m, 10);
	v.passed_us = 3600 * USEC_PER_SEC;
	cr_assert_eq(migration_tick(&m, &v) & MIGRATION_SAVE, 0);
	cr_assert_eq(m.level, 250);
}

Test(migration, paused_resumed_aborted)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct err err = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	cr_assert_eq(migration_pause(&m, false, &err), -EALREADY);
	cr_assert_eq(migration_pause(&m, true, &err), 0);
	cr_assert_eq(migration_pause(&m, true, &err), -EALREADY);
	cr_assert_str_eq(migration_state_str(&m), "paused");
	cr_assert_eq(seconds(&m, 100) & MIGRATION_SAVE, 0);
	cr_assert_eq(m.level, 250);
	(void)seconds(&m, 2);
	cr_assert_not(migration_role_now(&m, 1).is_active); /* the share stays, so turns go on */
	cr_assert_eq(migration_pause(&m, false, &err), 0);
	(void)seconds(&m, 4);
	cr_assert_eq(m.level, 0);
	cr_assert_eq(migration_abort(&m, &err), 0);
	cr_assert_eq(m.state, MIGRATION_ABORTED);
	cr_assert_eq(m.level, MIGRATION_ALL);
	cr_assert(migration_role_now(&m, 1).is_active);
	cr_assert_eq(migration_abort(&m, &err), -ESRCH);
	cr_assert_eq(migration_pause(&m, true, &err), -ESRCH);
	cr_assert(err.text[0]);
}

Test(migration, trouble_while_paused)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	cr_assert_eq(migration_pause(&m, true, NULL), 0);
	for (int i = 0; i < 2; i++)
		migration_sample(&m.sides[MIGRATION_PODS], 0, "status 500");
	(void)migration_tick(&m, &well);
	rolled_back(&m, MIGRATION_ALL, "status 500");
	cr_assert_str_eq(migration_state_str(&m), "rolled-back");
}

/* Through the document and back, at each of its places. */
static void again(struct migration *m)
{
	CLEANUP(json_decref) json_t *doc = migration_to_json(m), *twice = NULL;
	struct migration back;

	cr_assert_not_null(doc);
	cr_assert_eq(migration_from_json(doc, &back), 0);
	twice = migration_to_json(&back);
	cr_assert(json_equal(doc, twice));
	migration_done(m);
	*m = back;
}

Test(migration, goes_on_after_a_restart)
{
	CLEANUP(migration_done) struct migration m = {0};

	begin(&m, MIGRATION_PODS, &normal);
	again(&m);
	cr_assert_eq(m.state, MIGRATION_CHECKING);
	(void)seconds(&m, 8);
	again(&m);
	cr_assert(m.state == MIGRATION_STEPPING && m.level == 250 && m.step == 1 && m.had_pods);
	cr_assert_eq(m.held_us, 0); /* nobody has watched meanwhile */
	(void)seconds(&m, 5);
	cr_assert_eq(m.level, 0);
	cr_assert_eq(migration_pause(&m, true, NULL), 0);
	again(&m);
	cr_assert(m.is_paused);
	cr_assert_eq(migration_abort(&m, NULL), 0);
	again(&m);
	cr_assert(m.state == MIGRATION_ABORTED && m.level == MIGRATION_ALL);
	cr_assert_str_eq(m.reason, "aborted by hand");
}

Test(migration, texts_fit_any_document)
{
	CLEANUP(migration_done) struct migration m = {0};
	char text[600];

	memset(text, '\xc3', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin(&m, MIGRATION_PODS, &normal);
	for (int i = 0; i < 2; i++)
		migration_sample(&m.sides[MIGRATION_PODS], 0, text);
	(void)migration_tick(&m, &well);
	rolled_back(&m, MIGRATION_ALL, "???");
	again(&m);
}

Test(migration, damaged_documents)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{"service", "\"\""}, {"service", "\"../x\""}, {"service", "7"}, {"to", "\"moon\""}, {"by", "\"magic\""},
		{"step_permille", "0"}, {"step_permille", "1001"}, {"step_permille", "\"10\""}, {"interval_s", "0"},
		{"interval_s", "-1"}, {"interval_s", "4294967396"}, {"max_errors_permille", "1001"}, {"max_latency_factor", "0"},
		{"state", "\"asleep\""}, {"state", "\"done\""}, {"state", "\"checking\""}, {"level", "1001"}, {"level", "0.5"},
		{"step", "65536"}, {"base_level", "500"}, {"base_level", "999"}, {"base_by", "\"\""}, {"restarts", "-1"},
	};
	CLEANUP(migration_done) struct migration m = {0};
	struct migration back;

	begin(&m, MIGRATION_PODS, &normal);
	(void)seconds(&m, 5);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(json_decref) json_t *doc = migration_to_json(&m);
		json_t *v = json_loads(bad[i].value, JSON_DECODE_ANY, NULL);

		cr_assert(v && json_object_set_new(doc, bad[i].key, v) == 0);
		cr_assert_eq(migration_from_json(doc, &back), -EBADMSG, "%s: %s", bad[i].key, bad[i].value);
		(void)json_object_del(doc, bad[i].key);
		cr_assert_eq(migration_from_json(doc, &back), -EBADMSG, "without %s", bad[i].key);
	}
	cr_assert_eq(migration_from_json(NULL, &back), -EBADMSG);
}

Test(migration, words)
{
	enum migration_side side;
	enum migration_by by;

	cr_assert(migration_side_parse("pods", &side) == 0 && side == MIGRATION_PODS);
	cr_assert(migration_side_parse("host", &side) == 0 && side == MIGRATION_HOST);
	cr_assert_eq(migration_side_parse("Pods", &side), -EINVAL);
	cr_assert(migration_by_parse("weights", &by) == 0 && by == MIGRATION_BY_WEIGHTS);
	cr_assert_eq(migration_by_parse("", &by), -EINVAL);
}
