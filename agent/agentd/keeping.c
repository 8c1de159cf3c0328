/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/keeping.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/macro.h"
#include "join/guard_file.h"
#include "join/state_file.h"

#define FILE_NAME JOIN_STATE_IN_FORCE

enum {
	GATHER_US = 1000 * 1000, /* changes come in bursts */
	PAUSE_US = 5 * 1000 * 1000,
	PAUSE_TIMES = 100, /* where writing takes long, it does so for this part of the time, */
	PAUSE_MAX_US = 30 * 1000 * 1000, /* but no state gets older */
	RETRY_MIN_US = 2 * 1000 * 1000, /* twice as long after each failure */
	RETRY_MAX_US = 60 * 1000 * 1000,
	DAY_S = 24 * 60 * 60,
	AGE_MAX_DAYS = 30, /* addresses that the cluster had then have other owners now */
};

struct keeping {
	const struct conf *conf;
	struct health *health;
	struct datapath *datapath;
	struct source *timer;
	char *owner;
	uint32_t identity;
	uint64_t saved_changes; /* datapath_changes() of the file; 0 = there is none of this run */
	uint64_t saved_us;
	uint64_t next_us; /* not before */
	uint64_t retry_us; /* after the last failure; 0 = it was none */
	bool is_armed;
	bool is_settled; /* the datapath has what the API server says */
	bool is_over;
};

/* Saving */

static int write_file(struct keeping *k, struct err *reterr)
{
	CLEANUP(buf_done) struct buf b = {.max = LIMIT_STATE_BYTES};
	int r = datapath_save(k->datapath, k->owner, &b);

	if (r < 0)
		return err_set(reterr, -r, "%s", r == -E2BIG ? "it is too large" : err_name(r));
	return state_file_write(k->conf->state_dir, FILE_NAME, b.data, b.len, reterr);
}

static void save(struct keeping *k)
{
	uint64_t changes = datapath_changes(k->datapath), began = clock_boot_us(), took;
	struct err why = {0}, text;
	int r = write_file(k, &why);

	if (r < 0) {
		(void)err_set(&text, -r, "what is in force cannot be saved for the next boot: %.300s", why.text); /* known */
		health_raise(k->health, HEALTH_WARNING, "boot.save", text.text,
			     r == -ENOMEM ? "none: it is tried again, but a boot would begin with an older state" :
					    "make the state directory writable: a boot would begin with an older state");
		k->retry_us = MIN(MAX(2 * k->retry_us, (uint64_t)RETRY_MIN_US), (uint64_t)RETRY_MAX_US);
		k->next_us = clock_boot_us() + k->retry_us;
		keeping_look(k);
		return;
	}
	health_clear(k->health, "boot.save");
	health_clear(k->health, "boot.state");
	k->retry_us = 0;
	k->saved_changes = changes;
	k->saved_us = clock_boot_us();
	took = k->saved_us - began;
	k->next_us = k->saved_us + MIN(MAX(took * PAUSE_TIMES, (uint64_t)PAUSE_US), (uint64_t)PAUSE_MAX_US);
}

static bool is_due(const struct keeping *k)
{
	return k->is_settled && !k->is_over &&
	       (k->saved_changes != datapath_changes(k->datapath) ||
		clock_boot_us() - k->saved_us > DAY_S * USEC_PER_SEC); /* the time in it tells its age */
}

static void on_timer(void *arg)
{
	struct keeping *k = arg;

	k->is_armed = false;
	if (is_due(k))
		save(k);
}

void keeping_look(struct keeping *k)
{
	uint64_t now = clock_boot_us(), delay = GATHER_US;

	if (k->is_armed || !is_due(k))
		return;
	if (k->next_us > now)
		delay = MAX(delay, k->next_us - now);
	k->is_armed = source_arm(k->timer, delay, delay / 10) == 0;
}

void keeping_settled(struct keeping *k)
{
	health_clear(k->health, "boot.policy");
	k->is_settled = true;
	keeping_look(k);
}

void keeping_flush(struct keeping *k)
{
	if (k->is_settled && !k->is_over)
		save(k);
}

int keeping_remove(const char *state_dir, struct err *reterr)
{
	return state_file_remove(state_dir, FILE_NAME, reterr);
}

void keeping_forget(struct keeping *k)
{
	struct err err = {0};

	if (!k)
		return;
	k->is_over = true;
	source_disarm(k->timer);
	health_clear(k->health, "boot.policy");
	if (keeping_remove(k->conf->state_dir, &err) < 0)
		health_raise(k->health, HEALTH_WARNING, "boot.save", err.text, "remove the file, or the next boot enforces it");
	else
		health_clear(k->health, "boot.save");
}

/* Restoring */

/* A joining that nobody has confirmed: whoever is locked out and boots the host must get in again. 0 or -ENOMEM. */
static int look_at_joining(const struct keeping *k, bool *ret_is_unconfirmed)
{
	CLEANUP(guard_done) struct guard g = {0};
	int r = guard_file_load(k->conf->state_dir, clock_boot_us(), &g, NULL);

	*ret_is_unconfirmed = r >= 0 && g.is_open && (g.state == GUARD_PENDING || g.state == GUARD_ROLLED_BACK);
	return r == -ENOMEM ? r : 0; /* of all else guarding_new() tells */
}

static int check_age(const struct snapshot *s, struct err *reterr)
{
	int64_t age_s = clock_wall_s() - s->saved_s;

	if (age_s <= (int64_t)AGE_MAX_DAYS * DAY_S)
		return 0; /* a clock that is not set yet is early, which says nothing */
	return err_set(reterr, ETIME, "is %lld days old, and at most %d are believed", (long long)(age_s / DAY_S), AGE_MAX_DAYS);
}

static void tell_restored(struct keeping *k, const struct snapshot *s)
{
	time_t t = (time_t)s->saved_s;
	char when[32] = "an unknown time";
	struct err text;
	struct tm tm;

	if (gmtime_r(&t, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm); /* it fits */
	(void)err_set(&text, 0, "in force is what was at %s, from before this boot, until the API server has answered", when); /* 0 */
	health_raise(k->health, HEALTH_INFO, "boot.policy", text.text, NULL);
}

/* -ENOENT: nothing was ever in force, or it was taken down since. */
static int restore_last(struct keeping *k, bool is_open, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(snapshot_done) struct snapshot s = {0};
	CLEANUP(free) char *path = str_printf("%s/%s", k->conf->state_dir, FILE_NAME);
	struct err why = {0};
	int r = path ? file_read(path, LIMIT_STATE_BYTES, &text) : -ENOMEM;

	if (r < 0)
		return err_set(reterr, -r, "%s/%s: %s", k->conf->state_dir, FILE_NAME, r == -E2BIG ? "is too large" : err_name(r));
	r = snapshot_open(text.data, text.len, k->owner, &s, &why);
	if (r == 0)
		r = check_age(&s, &why);
	if (r < 0)
		return err_set(reterr, -r, "%s %.300s", path, why.text);
	r = datapath_restore(k->datapath, &s, is_open);
	if (r < 0)
		return err_set(reterr, -r, "what %s holds cannot be put in force: %s", path,
			       r == -E2BIG ? "the sizes under datapath are smaller now" : err_name(r));
	tell_restored(k, &s);
	return 0;
}

static int close_all(struct keeping *k, bool is_open)
{
	int r = datapath_close(k->datapath, k->identity, is_open);

	if (r == 0)
		health_raise(k->health, HEALTH_WARNING, "boot.policy",
			     "nothing passes but the failsafe set, until the API server has answered",
			     "datapath.boot in the configuration says what a boot begins with");
	return r;
}

int keeping_restore(struct keeping *k)
{
	struct err err = {0};
	bool is_open;
	int r;

	if (k->conf->datapath.boot == CONF_BOOT_OPEN || datapath_is_in_force(k->datapath) ||
	    datapath_other_is_in_force(k->datapath))
		return 0;
	r = look_at_joining(k, &is_open);
	if (r < 0)
		return r;
	if (k->conf->datapath.boot == CONF_BOOT_CLOSED)
		return close_all(k, is_open);
	r = restore_last(k, is_open, &err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		return 0;
	health_raise(k->health, HEALTH_ERROR, "boot.state", err.text,
		     "none, if the API server can be reached: the file is written anew then");
	return close_all(k, is_open);
}

/* Making */

int keeping_new(struct loop *loop, const struct conf *conf, struct health *health, const struct join_state *join,
		struct datapath *datapath, struct keeping **ret)
{
	CLEANUP(keeping_free) struct keeping *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->conf = conf;
	k->health = health;
	k->datapath = datapath;
	k->identity = join->identity;
	k->owner = str_printf("%s/%s in the cluster %s, identity %u", join->namespace, join->host, join->cluster_uid, join->identity);
	if (!k->owner)
		return -ENOMEM;
	r = loop_add_timer(loop, on_timer, k, &k->timer);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

void keeping_free(struct keeping *k)
{
	if (!k)
		return;
	source_free(k->timer);
	free(k->owner);
	free(k);
}
