/* SPDX-License-Identifier: Apache-2.0 */
#include "service/migration_plan.h"

#include "base/clock.h"
#include "base/macro.h"

enum {
	WINDOW_MAX_S = 15,  /* short: clients notice a share, not turns. Each costs two writes of a slice. */
	TURN_MIN_US = 1000 * 1000, /* shorter ones would drown in the time that a write takes to reach the nodes */
};

const char *migration_conf_check(const struct migration_conf *c)
{
	if (c->to != MIGRATION_HOST && c->to != MIGRATION_PODS)
		return "traffic moves to host or to pods";
	if (c->by != MIGRATION_BY_TURNS && c->by != MIGRATION_BY_WEIGHTS)
		return "it moves by turns or by weights";
	if (c->step_pm < MIGRATION_STEP_MIN_PM || c->step_pm > MIGRATION_ALL)
		return "a step is 1% to 100%";
	if (c->interval_s < MIGRATION_INTERVAL_MIN_S || c->interval_s > MIGRATION_INTERVAL_MAX_S)
		return "the interval is 3s to 24h";
	if (c->max_errors_pm > MIGRATION_ALL)
		return "errors are 0% to 100%";
	if (c->max_latency_factor < 1 || c->max_latency_factor > MIGRATION_FACTOR_MAX)
		return "the factor of latencies is 1 to 1000";
	return NULL;
}

uint32_t migration_even_pm(size_t pods)
{
	return (uint32_t)(MIGRATION_ALL / (pods + 1));
}

uint64_t migration_window_us(uint32_t level, uint32_t interval_s, size_t pods, uint64_t *ret_on_us)
{
	uint64_t window_us = MIN(interval_s, (uint32_t)WINDOW_MAX_S) * USEC_PER_SEC;
	uint64_t duty_pm = MIN((uint64_t)level * (pods + 1), (uint64_t)MIGRATION_ALL);
	uint64_t on_us = window_us * duty_pm / MIGRATION_ALL;

	if (pods == 0) /* nobody else is there */
		on_us = window_us;
	else if (duty_pm > 0 && duty_pm < MIGRATION_ALL)
		on_us = MIN(MAX(on_us, (uint64_t)TURN_MIN_US), window_us - TURN_MIN_US);
	*ret_on_us = on_us;
	return window_us;
}

uint16_t migration_weight(uint32_t level, size_t pods)
{
	uint64_t rest = level < MIGRATION_ALL ? MIGRATION_ALL - level : 1;
	uint64_t weight = (MIGRATION_POD_WEIGHT * (uint64_t)MAX(pods, (size_t)1) * level + rest / 2) / rest;

	return (uint16_t)MIN(MAX(weight, UINT64_C(1)), (uint64_t)UINT16_MAX);
}

struct migration_role migration_role(enum migration_by by, uint32_t level, uint32_t interval_s, size_t pods,
				     uint64_t turn_us)
{
	struct migration_role role = {.is_active = level > 0, .next_us = UINT64_MAX};
	uint64_t window_us, on_us, at_us;

	if (level == 0 || level >= MIGRATION_ALL)
		return role;
	if (by == MIGRATION_BY_WEIGHTS) {
		role.weight = migration_weight(level, pods);
		return role;
	}
	window_us = migration_window_us(level, interval_s, pods, &on_us);
	if (on_us == window_us)
		return role;
	at_us = turn_us % window_us;
	role.is_active = at_us < on_us;
	role.next_us = (role.is_active ? on_us : window_us) - at_us;
	return role;
}

uint32_t migration_expected_pm(enum migration_by by, uint32_t level, uint32_t interval_s, size_t pods)
{
	uint64_t window_us, on_us, weight;

	if (pods == 0) /* one that stands by takes what nobody else can */
		return MIGRATION_ALL;
	if (level == 0)
		return 0;
	if (level >= MIGRATION_ALL)
		return migration_even_pm(pods);
	if (by == MIGRATION_BY_WEIGHTS) {
		weight = migration_weight(level, pods);
		return (uint32_t)(MIGRATION_ALL * weight / (weight + MIGRATION_POD_WEIGHT * (uint64_t)pods));
	}
	window_us = migration_window_us(level, interval_s, pods, &on_us);
	return (uint32_t)(MIGRATION_ALL * on_us / (window_us * (pods + 1)));
}

/* What the host has at a level as far as steps are concerned: it cannot have more than can be reached. */
static uint32_t reached(enum migration_by by, uint32_t level, size_t pods)
{
	if (level >= MIGRATION_ALL)
		return migration_even_pm(pods);
	return by == MIGRATION_BY_TURNS ? MIN(level, migration_even_pm(pods)) : level;
}

bool migration_is_final(const struct migration_conf *c, uint32_t level)
{
	if (c->to == MIGRATION_PODS)
		return level == 0;
	return level == (uint32_t)(c->by == MIGRATION_BY_TURNS ? MIGRATION_ALL : MIGRATION_MOST);
}

uint32_t migration_next_level(const struct migration_conf *c, uint32_t level, size_t pods)
{
	uint32_t has = reached(c->by, level, pods), moved;

	if (migration_is_final(c, level))
		return level;
	if (c->to == MIGRATION_PODS) {
		/* pods have MIGRATION_ALL - has: the next whole number of steps above */
		moved = ((MIGRATION_ALL - has) / c->step_pm + 1) * c->step_pm;
		return moved < MIGRATION_ALL ? MIGRATION_ALL - moved : 0;
	}
	moved = (has / c->step_pm + 1) * c->step_pm;
	if (c->by == MIGRATION_BY_TURNS)
		return moved < migration_even_pm(pods) ? moved : MIGRATION_ALL;
	return moved < MIGRATION_MOST && pods ? moved : MIGRATION_MOST;
}

unsigned migration_steps_left(const struct migration_conf *c, uint32_t level, size_t pods)
{
	unsigned n = 0;

	for (; !migration_is_final(c, level); n++)
		level = migration_next_level(c, level, pods);
	return n;
}
