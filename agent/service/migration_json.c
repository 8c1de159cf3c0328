/* SPDX-License-Identifier: Apache-2.0 */
/* A migration as a document that outlives the daemon. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "service/migration.h"

static const char *const states[] = {"checking", "stepping", "done", "rolled-back", "aborted"};

json_t *migration_to_json(const struct migration *m)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:b, s:b, s:i, s:i, s:s, s:i, s:b, s:i, s:s}", "service",
			 m->service, "to", migration_side_str(m->conf.to), "by", migration_by_str(m->conf.by), "step_permille",
			 m->conf.step_pm, "interval_s", m->conf.interval_s, "max_errors_permille", m->conf.max_errors_pm,
			 "max_latency_factor", m->conf.max_latency_factor, "state", states[m->state], "paused", m->is_paused,
			 "blind", m->is_blind, "level", m->level, "step", m->step, "base_by", migration_by_str(m->base.by),
			 "base_level", m->base.level, "had_pods", m->had_pods, "restarts", m->restarts, "reason", m->reason);
}

/* A number of the document within its bounds. */
static int number(const json_t *doc, const char *key, uint32_t max, uint32_t *ret)
{
	const json_t *v = json_object_get(doc, key);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || n > max)
		return -EBADMSG;
	*ret = (uint32_t)n;
	return 0;
}

static int state_parse(const char *text, enum migration_state *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (str_eq(text, states[i])) {
			*ret = (enum migration_state)i;
			return 0;
		}
	return -EBADMSG;
}

static int read_conf(const json_t *doc, struct migration_conf *c)
{
	if (migration_side_parse(json_str(doc, "to", ""), &c->to) < 0 || migration_by_parse(json_str(doc, "by", ""), &c->by) < 0 ||
	    number(doc, "step_permille", UINT32_MAX, &c->step_pm) < 0 ||
	    number(doc, "interval_s", UINT32_MAX, &c->interval_s) < 0 ||
	    number(doc, "max_errors_permille", UINT32_MAX, &c->max_errors_pm) < 0 ||
	    number(doc, "max_latency_factor", UINT32_MAX, &c->max_latency_factor) < 0)
		return -EBADMSG;
	return migration_conf_check(c) ? -EBADMSG : 0;
}

/* Only where a migration can end is a place to come back to. */
static bool is_rest(uint32_t level, enum migration_by by)
{
	return level == 0 || level == MIGRATION_ALL || (level == MIGRATION_MOST && by == MIGRATION_BY_WEIGHTS);
}

static int read_place(const json_t *doc, struct migration *m)
{
	uint32_t step, restarts;

	if (state_parse(json_str(doc, "state", ""), &m->state) < 0 ||
	    migration_by_parse(json_str(doc, "base_by", ""), &m->base.by) < 0 ||
	    number(doc, "level", MIGRATION_ALL, &m->level) < 0 || number(doc, "step", UINT16_MAX, &step) < 0 ||
	    number(doc, "base_level", MIGRATION_ALL, &m->base.level) < 0 || number(doc, "restarts", UINT16_MAX, &restarts) < 0)
		return -EBADMSG;
	m->step = step;
	m->restarts = restarts;
	m->base.interval_s = m->conf.interval_s;
	m->is_paused = json_truth(doc, "paused", 0);
	m->is_blind = json_truth(doc, "blind", 0);
	m->had_pods = json_truth(doc, "had_pods", 0);
	if (!is_rest(m->base.level, m->base.by) || (m->is_paused && !migration_is_running(m)) ||
	    (m->state == MIGRATION_DONE && !migration_is_final(&m->conf, m->level)) ||
	    (m->state != MIGRATION_DONE && m->state != MIGRATION_STEPPING && m->level != m->base.level))
		return -EBADMSG;
	return 0;
}

int migration_from_json(const json_t *doc, struct migration *ret)
{
	const char *service = json_str(doc, "service", "");
	struct migration m = {0};
	int r;

	if (!json_is_object(doc) || !str_is_dns_label(service) || read_conf(doc, &m.conf) < 0 || read_place(doc, &m) < 0)
		return -EBADMSG;
	r = migration_init(ret, service, &m.conf, &m.base);
	if (r < 0)
		return r;
	ret->state = m.state;
	ret->is_paused = m.is_paused;
	ret->is_blind = m.is_blind;
	ret->level = m.level;
	ret->step = m.step;
	ret->had_pods = m.had_pods;
	ret->restarts = m.restarts;
	migration_text(ret->reason, sizeof(ret->reason), json_str(doc, "reason", ""));
	return 0;
}

/* What an option is if nobody says. */
enum { STEP_PM = 100, INTERVAL_S = 30, MAX_ERRORS_PM = 50, MAX_LATENCY_FACTOR = 3 };

static int argument(const json_t *args, const char *key, uint32_t otherwise, uint32_t *ret, struct err *reterr)
{
	*ret = otherwise;
	if (!json_object_get(args, key) || number(args, key, UINT32_MAX, ret) == 0)
		return 0;
	return err_set(reterr, EINVAL, "%s is no number of a size that can be meant", key);
}

int migration_args_read(const json_t *args, struct migration_conf *ret, struct err *reterr)
{
	const char *service = json_str(args, "service", ""), *wrong;
	struct migration_conf c = {0};
	int r;

	if (!str_is_dns_label(service))
		return err_set(reterr, EINVAL, "\"%.80s\" is no name of a Service", service);
	if (migration_side_parse(json_str(args, "to", ""), &c.to) < 0)
		return err_set(reterr, EINVAL, "--to pods or --to host says where the traffic goes");
	if (migration_by_parse(json_str(args, "by", "turns"), &c.by) < 0)
		return err_set(reterr, EINVAL, "shares are made by turns or by weights");
	r = argument(args, "step_permille", STEP_PM, &c.step_pm, reterr);
	if (r == 0)
		r = argument(args, "interval_s", INTERVAL_S, &c.interval_s, reterr);
	if (r == 0)
		r = argument(args, "max_errors_permille", MAX_ERRORS_PM, &c.max_errors_pm, reterr);
	if (r == 0)
		r = argument(args, "max_latency_factor", MAX_LATENCY_FACTOR, &c.max_latency_factor, reterr);
	if (r < 0)
		return r;
	wrong = migration_conf_check(&c);
	if (wrong)
		return err_set(reterr, EINVAL, "%s", wrong);
	*ret = c;
	return 0;
}
