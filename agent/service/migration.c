/* SPDX-License-Identifier: Apache-2.0 */
#include "service/migration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"

enum { PASSED_MAX_S = 5 }; /* a machine that slept has not watched */

int migration_init(struct migration *m, const char *service, const struct migration_conf *conf,
		   const struct migration_rest *base)
{
	char *name = strdup(service);

	if (!name)
		return -ENOMEM;
	*m = (struct migration){.service = name, .conf = *conf, .base = *base, .level = base->level};
	return 0;
}

void migration_done(struct migration *m)
{
	free(m->service);
	*m = (struct migration){0};
}

bool migration_is_running(const struct migration *m)
{
	return m->state == MIGRATION_CHECKING || m->state == MIGRATION_STEPPING;
}

enum migration_side migration_other(enum migration_side side)
{
	return side == MIGRATION_HOST ? MIGRATION_PODS : MIGRATION_HOST;
}

/* Before the first step and after the last one the host is where a rest says. */
static struct migration_rest at_now(const struct migration *m)
{
	if (m->state == MIGRATION_STEPPING || m->state == MIGRATION_DONE)
		return (struct migration_rest){m->conf.by, m->level, m->conf.interval_s};
	return m->base;
}

struct migration_rest migration_rest_of(const struct migration *m)
{
	return at_now(m);
}

struct migration_role migration_role_now(const struct migration *m, size_t pods)
{
	struct migration_rest at = at_now(m);

	return migration_role(at.by, at.level, at.interval_s, pods, m->turn_us);
}

uint32_t migration_share_now(const struct migration *m, size_t pods)
{
	struct migration_rest at = at_now(m);

	return migration_expected_pm(at.by, at.level, at.interval_s, pods);
}

uint64_t migration_hold_us(const struct migration *m, size_t pods)
{
	uint64_t hold_us = m->conf.interval_s * USEC_PER_SEC, window_us, on_us;

	if (m->conf.by == MIGRATION_BY_WEIGHTS || m->level == 0 || m->level >= MIGRATION_ALL)
		return hold_us;
	window_us = migration_window_us(m->level, m->conf.interval_s, pods, &on_us);
	return (hold_us + window_us - 1) / window_us * window_us;
}

static void begin_level(struct migration *m, uint32_t level)
{
	m->level = level;
	m->held_us = m->turn_us = 0;
	m->sides[0] = m->sides[1] = (struct migration_samples){0};
	m->waiting[0] = '\0';
}

static unsigned end(struct migration *m, enum migration_state state)
{
	if (state != MIGRATION_DONE)
		begin_level(m, m->base.level);
	m->state = state;
	m->is_paused = false;
	m->waiting[0] = '\0';
	return MIGRATION_SAVE | MIGRATION_TELL;
}

static unsigned roll_back(struct migration *m, const char *who, const char *text)
{
	struct err err;

	(void)err_set(&err, EIO, "%s%s: %s", m->state == MIGRATION_CHECKING ? "nothing was changed: " : "", who, text);
	migration_text(m->reason, sizeof(m->reason), err.text);
	return end(m, MIGRATION_ROLLED_BACK);
}

static unsigned next_level(struct migration *m, size_t pods)
{
	if (m->state == MIGRATION_STEPPING && migration_is_final(&m->conf, m->level))
		return end(m, MIGRATION_DONE);
	begin_level(m, migration_next_level(&m->conf, m->level, pods));
	m->state = MIGRATION_STEPPING;
	m->step += m->step < UINT16_MAX;
	return MIGRATION_SAVE | MIGRATION_TELL;
}

static unsigned wait_for(struct migration *m, const char *text)
{
	char before[sizeof(m->waiting)];

	memcpy(before, m->waiting, sizeof(before));
	migration_text(m->waiting, sizeof(m->waiting), text);
	return str_eq(before, m->waiting) ? 0 : MIGRATION_TELL;
}

/* Whether the side that receives is there at all. */
static enum migration_verdict look_at_receiver(const struct migration *m, const struct migration_view *v, struct err *ret_text)
{
	enum migration_verdict verdict = MIGRATION_GOOD;

	if (m->conf.to == MIGRATION_PODS && v->pods == 0) {
		verdict = m->had_pods ? MIGRATION_BAD : MIGRATION_UNSURE;
		(void)err_set(ret_text, ENOENT, "none is ready %s", m->had_pods ? "any more" : "yet");
	} else if (m->conf.to == MIGRATION_HOST && !v->is_host_known) {
		verdict = MIGRATION_UNSURE;
		(void)err_set(ret_text, EAGAIN, "the health probes have not decided yet");
	} else if (m->conf.to == MIGRATION_HOST && !v->is_host_ready) {
		verdict = MIGRATION_BAD;
		(void)err_set(ret_text, EIO, "it is not ready: %s", v->host_text ? v->host_text : "");
	}
	if (verdict != MIGRATION_GOOD || m->is_blind)
		return verdict;
	return migration_judge(&m->sides[m->conf.to], &m->sides[migration_other(m->conf.to)], m->conf.max_errors_pm,
			       m->conf.max_latency_factor, ret_text);
}

unsigned migration_tick(struct migration *m, const struct migration_view *v)
{
	uint64_t passed_us = MIN(v->passed_us, PASSED_MAX_S * USEC_PER_SEC);
	enum migration_verdict verdict;
	struct err text = {0};

	if (!migration_is_running(m))
		return 0;
	m->had_pods |= v->pods > 0;
	verdict = look_at_receiver(m, v, &text);
	if (verdict == MIGRATION_BAD)
		return roll_back(m, m->conf.to == MIGRATION_PODS ? "the pods" : "this host", text.text);
	if (v->refusal)
		return roll_back(m, "the cluster", v->refusal);
	if (v->obstacle)
		return wait_for(m, v->obstacle);
	m->turn_us += passed_us;
	if (m->is_paused)
		return wait_for(m, "paused");
	m->held_us += passed_us;
	if (m->state == MIGRATION_STEPPING && m->held_us < migration_hold_us(m, v->pods))
		return wait_for(m, "");
	if (verdict == MIGRATION_UNSURE)
		return wait_for(m, text.text);
	return next_level(m, v->pods);
}

int migration_pause(struct migration *m, bool is_paused, struct err *reterr)
{
	if (!migration_is_running(m))
		return err_set(reterr, ESRCH, "the migration of %s has ended: %s", m->service, migration_state_str(m));
	if (m->is_paused == is_paused)
		return err_set(reterr, EALREADY, "the migration of %s is %s already", m->service, is_paused ? "paused" : "going on");
	m->is_paused = is_paused;
	m->waiting[0] = '\0';
	return 0;
}

int migration_abort(struct migration *m, struct err *reterr)
{
	if (!migration_is_running(m))
		return err_set(reterr, ESRCH, "the migration of %s has ended: %s", m->service, migration_state_str(m));
	migration_text(m->reason, sizeof(m->reason), "aborted by hand");
	(void)end(m, MIGRATION_ABORTED); /* the caller saves */
	return 0;
}

static const char *const state_names[] = {"checking", "stepping", "done", "rolled-back", "aborted"};
static const char *const side_names[] = {"host", "pods"};
static const char *const by_names[] = {"turns", "weights"};

const char *migration_state_str(const struct migration *m)
{
	return m->is_paused ? "paused" : state_names[m->state];
}

const char *migration_side_str(enum migration_side side)
{
	return side_names[side];
}

const char *migration_by_str(enum migration_by by)
{
	return by_names[by];
}

static int index_of(const char *text, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(text, names[i]))
			return (int)i;
	return -EINVAL;
}

int migration_side_parse(const char *text, enum migration_side *ret)
{
	int i = index_of(text, side_names, ARRAY_LEN(side_names));

	if (i < 0)
		return i;
	*ret = (enum migration_side)i;
	return 0;
}

int migration_by_parse(const char *text, enum migration_by *ret)
{
	int i = index_of(text, by_names, ARRAY_LEN(by_names));

	if (i < 0)
		return i;
	*ret = (enum migration_by)i;
	return 0;
}
