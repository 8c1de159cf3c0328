/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"

enum { GUARD_VERSION = 1, TIMEOUT_MIN_S = 5, TIMEOUT_MAX_S = 24 * 3600 };

static const char *const names[] = {[GUARD_OFF] = "off",
				    [GUARD_ARMED] = "armed",
				    [GUARD_PENDING] = "pending",
				    [GUARD_ROLLED_BACK] = "rolled-back"};

const char *guard_state_str(enum guard_state state)
{
	return (unsigned)state < ARRAY_LEN(names) ? names[state] : "?";
}

void guard_done(struct guard *g)
{
	json_decref(g->confirmed);
	*g = (struct guard){0};
}

static void set(struct guard *g, uint64_t digest, json_t *confirmed)
{
	json_decref(g->confirmed);
	g->confirmed = confirmed;
	g->digest = digest;
	g->state = GUARD_ARMED;
	g->is_open = false;
	g->deadline_us = 0;
}

int guard_arm(struct guard *g, uint64_t timeout_us, uint64_t digest, json_t *confirmed, struct err *reterr)
{
	if (g->state == GUARD_PENDING || g->state == GUARD_ROLLED_BACK) {
		json_decref(confirmed);
		return err_set(reterr, EBUSY,
			       g->state == GUARD_PENDING
				       ? "a change waits to be confirmed: first meshctl policy confirm, or meshctl policy guard --off"
				       : "a change was taken back: first meshctl policy confirm, or meshctl policy guard --off");
	}
	set(g, digest, confirmed);
	g->timeout_us = timeout_us;
	return 0;
}

int guard_arm_open(struct guard *g, uint64_t timeout_us)
{
	json_t *none = json_array();

	if (!none)
		return -ENOMEM;
	set(g, 0, none);
	g->is_open = true;
	g->timeout_us = timeout_us;
	return 0;
}

enum guard_step guard_tick(struct guard *g, uint64_t now_us)
{
	if (g->state != GUARD_PENDING || now_us < g->deadline_us)
		return GUARD_SAME;
	g->state = GUARD_ROLLED_BACK;
	g->deadline_us = 0;
	return GUARD_EXPIRED;
}

enum guard_step guard_look(struct guard *g, uint64_t digest, uint64_t now_us)
{
	bool is_confirmed = !g->is_open && digest == g->digest;

	if (g->state == GUARD_ARMED && !is_confirmed) {
		g->state = GUARD_PENDING;
		g->deadline_us = now_us + g->timeout_us;
		return GUARD_STARTED;
	}
	if (g->state == GUARD_PENDING && is_confirmed) {
		g->state = GUARD_ARMED;
		g->deadline_us = 0;
		return GUARD_STOPPED;
	}
	return guard_tick(g, now_us);
}

int guard_confirm(struct guard *g, uint64_t digest, json_t *confirmed, struct err *reterr)
{
	if (g->state == GUARD_OFF) {
		json_decref(confirmed);
		return err_set(reterr, ENOENT, "no guard is armed, so there is nothing to confirm; see meshctl policy guard");
	}
	set(g, digest, confirmed);
	return 0;
}

uint64_t guard_left_us(const struct guard *g, uint64_t now_us)
{
	if (g->state != GUARD_PENDING)
		return UINT64_MAX;
	return g->deadline_us > now_us ? g->deadline_us - now_us : 0;
}

int guard_parse_timeout(const char *text, uint64_t *ret_us, struct err *reterr)
{
	uint64_t us;

	if (str_to_usec(text, &us) < 0 || us < TIMEOUT_MIN_S * USEC_PER_SEC || us > TIMEOUT_MAX_S * USEC_PER_SEC)
		return err_set(reterr, EINVAL, "--confirm %.40s: must be a time from 5s to 24h, like 120s or 5m", text);
	*ret_us = us;
	return 0;
}

json_t *guard_to_json(const struct guard *g, const char *boot_id)
{
	char digest[17];

	(void)snprintf(digest, sizeof(digest), "%016" PRIx64, g->digest); /* fits */
	return json_pack("{s:i, s:s, s:b, s:I, s:I, s:s, s:s, s:O?}", "version", GUARD_VERSION, "state", guard_state_str(g->state),
			 "open", (int)g->is_open, "timeout_us", (json_int_t)g->timeout_us, "deadline_us",
			 (json_int_t)g->deadline_us, "boot_id", boot_id, "digest", digest, "confirmed", g->confirmed);
}

static int read_time(const json_t *doc, const char *key, uint64_t max, uint64_t *ret)
{
	json_int_t v = json_int(doc, key, -1);

	if (v < 0 || (uint64_t)v > max)
		return -EBADMSG;
	*ret = (uint64_t)v;
	return 0;
}

int guard_from_json(const json_t *doc, const char *boot_id, uint64_t now_us, struct guard *ret)
{
	const json_t *confirmed = json_object_get(doc, "confirmed");
	struct guard g = {.is_open = json_truth(doc, "open", 0)};
	const char *state = json_str(doc, "state", "");
	size_t i = GUARD_ARMED;

	while (i < ARRAY_LEN(names) && !str_eq(names[i], state))
		i++;
	if (json_int(doc, "version", 0) != GUARD_VERSION || i == ARRAY_LEN(names) || !json_is_array(confirmed) ||
	    str_to_hex64(json_str(doc, "digest", ""), &g.digest) < 0 ||
	    read_time(doc, "timeout_us", TIMEOUT_MAX_S * USEC_PER_SEC, &g.timeout_us) < 0 ||
	    read_time(doc, "deadline_us", INT64_MAX, &g.deadline_us) < 0)
		return -EBADMSG;
	g.state = (enum guard_state)i;
	g.confirmed = json_clone(confirmed);
	if (!g.confirmed)
		return -ENOMEM;
	/* Nobody confirmed it before the reboot; and no clock can make the time longer than was asked. */
	if (!str_eq(json_str(doc, "boot_id", ""), boot_id))
		g.deadline_us = g.state == GUARD_PENDING ? now_us : 0;
	g.deadline_us = MIN(g.deadline_us, now_us + g.timeout_us);
	*ret = g;
	return 0;
}
