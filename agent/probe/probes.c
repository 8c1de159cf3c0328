/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/probes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/str.h"
#include "http/http.h"
#include "probe/check_exec.h"
#include "probe/check_tcp.h"
#include "probe/probe_state.h"
#include "probe/units.h"

enum {
	RUNNING_MAX = 8, /* at a time; the next ones wait for their turn */
	LOOK_AGAIN_S = 5, /* after an attempt that could not be made */
	GONE_S = 10,	 /* how long a stopped workload's endpoint says so before it goes */
	TEXT_MAX = 256,
};

/* A probe of the configuration, for one address if it has one. */
struct probe {
	struct probes *p;
	const struct conf_probe *conf;
	uint8_t family; /* that it counts for; 0 = both */
	struct ip ip;	/* of tcp and http; family 0 = none now: it does not run */
	struct probe_state state;
	char text[TEXT_MAX]; /* of the last attempt that failed; "" after one that did not */
	bool is_running;
	uint64_t due_us; /* of the next attempt, of the end of patience while one runs */
	struct check_tcp *tcp;
	struct http_op *http;
	struct check_exec *exec;
	struct units_check *unit;
};

/* What was told of a Service; by family: IPv4, IPv6. */
struct told {
	char *service;
	struct probe_damper dampers[2];
	bool is_leaving[2]; /* was ready, and is being stopped */
	UT_hash_handle hh;
};

struct probes {
	struct loop *loop;
	struct source *timer;
	struct http *http;
	struct units *units;
	struct conf_probe *confs; /* copies: a reload frees those of the configuration */
	size_t n_confs;
	struct probe *v;
	size_t n, n_running;
	struct told *told;
	uint64_t look_us; /* when a view changes by itself; UINT64_MAX = never */
	void (*on_change)(void *arg);
	void *arg;
};

static void run(struct probes *p);

static void cancel(struct probe *probe)
{
	if (!probe->is_running)
		return;
	probe->is_running = false;
	probe->p->n_running--;
	check_tcp_cancel(TAKE_PTR(probe->tcp));
	check_exec_cancel(TAKE_PTR(probe->exec));
	units_check_cancel(TAKE_PTR(probe->unit));
	http_cancel(TAKE_PTR(probe->http));
}

static const char *what(const struct probe *probe, char *buf, size_t size)
{
	const struct conf_probe *c = probe->conf;
	char ip[IP_STRLEN];

	if (c->type == CONF_PROBE_UNIT)
		(void)snprintf(buf, size, "unit %.80s", c->unit);
	else if (c->type == CONF_PROBE_EXEC)
		(void)snprintf(buf, size, "command %.80s", c->command.v[0]);
	else
		(void)snprintf(buf, size, "%s %s port %u", c->type == CONF_PROBE_TCP ? "tcp" : c->is_tls ? "https" : "http",
			       ip_str(&probe->ip, ip), c->port);
	return buf;
}

static void note(struct probe *probe, enum check_outcome outcome, const char *text)
{
	static const char *const words[] = {"unknown", "passes", "fails", "stopping", "stopped"};
	const struct conf_probe *c = probe->conf;
	uint64_t now = clock_boot_us(), interval_us;
	char name[160];

	if (outcome == CHECK_OK)
		probe->text[0] = '\0';
	else
		(void)snprintf(probe->text, sizeof(probe->text), "%s: %.150s", what(probe, name, sizeof(name)), text);
	/* What could not be looked at is looked at again soon: the interval of a unit may be an hour. */
	interval_us = (outcome == CHECK_UNKNOWN ? MIN((uint64_t)c->interval_s, (uint64_t)LOOK_AGAIN_S) : c->interval_s) * USEC_PER_SEC;
	probe->due_us = now + probe_state_delay_us(interval_us, rng_below(UINT32_MAX));
	if (!probe_state_note(&probe->state, c->successes, c->failures, outcome, now))
		return;
	log_event(LOG_INFO, "probe.verdict", "a health probe has another verdict", F_STR("service", c->service),
		  F_STR("probe", what(probe, name, sizeof(name))), F_STR("verdict", words[probe->state.verdict]),
		  F_STR("reason", text));
	probe->p->look_us = 0; /* told at the end of run() */
}

/* Attempts */

static void on_checked(enum check_outcome outcome, const char *text, void *arg)
{
	struct probe *probe = arg;

	probe->tcp = NULL;
	probe->exec = NULL;
	probe->unit = NULL;
	cancel(probe);
	note(probe, outcome, text);
	run(probe->p);
}

/* The status is all that counts; what follows is not waited for. */
static void on_http_head(long status, void *arg)
{
	struct probe *probe = arg;
	bool is_ok = status >= 200 && status < 400;
	char text[32];

	(void)snprintf(text, sizeof(text), "status %ld", status);
	cancel(probe);
	note(probe, is_ok ? CHECK_OK : CHECK_FAILED, is_ok ? "" : text);
	run(probe->p);
}

static void on_http_done(const struct http_result *result, void *arg)
{
	struct probe *probe = arg;

	probe->http = NULL;
	on_checked(CHECK_FAILED, result->r == 0 ? "no HTTP" : err_name(result->r), probe);
}

static int start_http(struct probe *probe)
{
	const struct conf_probe *c = probe->conf;
	struct http_request req = {.method = "GET", .timeout_us = (c->timeout_s + 1) * USEC_PER_SEC, .on_head = on_http_head,
				   .on_done = on_http_done, .arg = probe};
	CLEANUP(buf_done) struct buf url = {0};
	char ip[IP_STRLEN];
	bool is_v6 = probe->ip.family == AF_INET6;
	int r = buf_addf(&url, "%s://%s%s%s:%u%s", c->is_tls ? "https" : "http", is_v6 ? "[" : "", ip_str(&probe->ip, ip),
			 is_v6 ? "]" : "", c->port, c->path);

	req.url = url.data;
	return r < 0 ? r : http_start(probe->p->http, &req, &probe->http);
}

static void start(struct probe *probe, uint64_t now)
{
	struct probes *p = probe->p;
	const struct conf_probe *c = probe->conf;
	int r = -EINVAL;

	switch (c->type) {
	case CONF_PROBE_TCP:
		r = check_tcp_start(p->loop, &probe->ip, c->port, on_checked, probe, &probe->tcp);
		break;
	case CONF_PROBE_HTTP:
		r = start_http(probe);
		break;
	case CONF_PROBE_EXEC:
		r = check_exec_start(p->loop, &c->command, on_checked, probe, &probe->exec);
		break;
	case CONF_PROBE_UNIT:
		r = units_check_start(p->units, c->unit, on_checked, probe, &probe->unit);
		break;
	}
	if (r == 0) {
		probe->is_running = true;
		p->n_running++;
		probe->due_us = now + c->timeout_s * USEC_PER_SEC;
	} else if (c->type == CONF_PROBE_UNIT) {
		note(probe, CHECK_UNKNOWN, r == -ENOTCONN ? "the system bus cannot be reached" : err_name(r));
	} else if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) { /* the daemon's trouble, not the workload's */
		note(probe, CHECK_UNKNOWN, err_name(r));
	} else {
		note(probe, CHECK_FAILED, err_name(r));
	}
}

static void give_up(struct probe *probe)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "no answer within %u s", probe->conf->timeout_s);
	cancel(probe);
	note(probe, probe->conf->type == CONF_PROBE_UNIT ? CHECK_UNKNOWN : CHECK_FAILED, text);
}

static bool can_run(const struct probe *probe)
{
	return probe->conf->type == CONF_PROBE_EXEC || probe->conf->type == CONF_PROBE_UNIT || probe->ip.family;
}

/* The one that has waited longest; NULL if none is due. */
static struct probe *pick(struct probes *p, uint64_t now)
{
	struct probe *first = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct probe *probe = &p->v[i];

		if (!probe->is_running && can_run(probe) && probe->due_us <= now && (!first || probe->due_us < first->due_us))
			first = probe;
	}
	return first;
}

/* Does what is due and arms the timer for the rest. */
static void run(struct probes *p)
{
	uint64_t now = clock_boot_us(), next, slack = UINT64_MAX;
	struct probe *probe;

	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].is_running && p->v[i].due_us <= now)
			give_up(&p->v[i]);
	while (p->n_running < RUNNING_MAX && (probe = pick(p, now)))
		start(probe, now);
	if (p->look_us <= now) {
		p->look_us = UINT64_MAX;
		p->on_change(p->arg); /* asks for the views, which sets it again */
	}
	next = p->look_us;
	for (size_t i = 0; i < p->n; i++) {
		probe = &p->v[i];
		/* Those that wait for a turn are looked at when one ends. */
		if (probe->is_running || (can_run(probe) && probe->due_us > now))
			next = MIN(next, probe->due_us);
		slack = MIN(slack, probe->conf->interval_s * USEC_PER_SEC / 20);
	}
	if (next == UINT64_MAX)
		source_disarm(p->timer);
	else /* the slack is for sharing wake-ups, a twentieth of the shortest interval */
		(void)source_arm(p->timer, next > now ? next - now : 0, slack); /* a live timer */
}

static void on_timer(void *arg)
{
	run(arg);
}

static void on_unit_change(const char *unit, void *arg)
{
	struct probes *p = arg;

	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].conf->unit && (!unit || str_eq(p->v[i].conf->unit, unit)) && !p->v[i].is_running)
			p->v[i].due_us = 0;
	run(p); /* an answer that is under way was given after the signal: the bus keeps the order */
}

/* Making */

static void add_probe(struct probes *p, const struct conf_probe *conf, uint8_t family)
{
	p->v[p->n++] = (struct probe){.p = p, .conf = conf, .family = family, .ip = conf->address};
}

static int start_units(struct probes *p)
{
	CLEANUP(strv_done) struct strv names = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_confs; i++)
		if (p->confs[i].unit && !strv_has(&names, p->confs[i].unit))
			r = strv_add(&names, p->confs[i].unit);
	if (r < 0 || names.n == 0)
		return r;
	return units_new(p->loop, &names, on_unit_change, p, &p->units);
}

static bool has_http(const struct probes *p)
{
	for (size_t i = 0; i < p->n_confs; i++)
		if (p->confs[i].type == CONF_PROBE_HTTP)
			return true;
	return false;
}

int probes_new(struct loop *loop, const struct conf *conf, void (*on_change)(void *arg), void *arg, struct probes **ret)
{
	CLEANUP(probes_free) struct probes *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->on_change = on_change;
	p->arg = arg;
	p->look_us = UINT64_MAX;
	p->v = calloc(2 * conf->probes.n + 1, sizeof(*p->v));
	p->confs = calloc(conf->probes.n + 1, sizeof(*p->confs));
	if (!p->v || !p->confs)
		return -ENOMEM;
	for (size_t i = 0; i < conf->probes.n; i++) {
		const struct conf_probe *c = &p->confs[i];

		r = conf_probe_copy(&conf->probes.v[i], &p->confs[p->n_confs]);
		if (r < 0)
			return r;
		p->n_confs++;
		if (c->address.family || c->type == CONF_PROBE_EXEC || c->type == CONF_PROBE_UNIT) {
			add_probe(p, c, 0);
		} else {
			add_probe(p, c, AF_INET);
			add_probe(p, c, AF_INET6);
		}
	}
	r = loop_add_timer(loop, on_timer, p, &p->timer);
	if (r == 0 && has_http(p))
		r = http_new(loop, NULL, &p->http);
	if (r == 0)
		r = start_units(p);
	if (r == 0)
		r = source_arm(p->timer, 0, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

void probes_free(struct probes *p)
{
	struct told *t, *tmp;

	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		cancel(&p->v[i]);
	units_free(p->units);
	http_free(p->http);
	HASH_ITER (hh, p->told, t, tmp) {
		HASH_DEL(p->told, t);
		free(t->service);
		free(t);
	}
	source_free(p->timer);
	for (size_t i = 0; i < p->n_confs; i++)
		conf_probe_done(&p->confs[i]);
	free(p->confs);
	free(p->v);
	free(p);
}

void probes_set_addresses(struct probes *p, const struct ip *v4, const struct ip *v6)
{
	for (size_t i = 0; i < p->n; i++) {
		struct probe *probe = &p->v[i];
		const struct ip *ip = probe->family == AF_INET ? v4 : v6;

		if (!probe->family || ip_eq(&probe->ip, ip))
			continue;
		cancel(probe);
		probe->ip = *ip;
		probe->state = (struct probe_state){0};
		probe->text[0] = '\0';
		probe->due_us = 0;
	}
	(void)source_arm(p->timer, 0, 0); /* a live timer */
}

/* Views */

static struct told *told_get(struct probes *p, const char *service)
{
	struct told *t;

	HASH_FIND_STR(p->told, service, t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->service = strdup(service);
	hash_oom = false;
	if (t->service)
		HASH_ADD_KEYPTR(hh, p->told, t->service, strlen(t->service), t);
	if (!t->service || hash_oom) {
		free(t->service);
		free(t);
		return NULL;
	}
	return t;
}

static bool counts(const struct probe *probe, const char *service, int family)
{
	return (str_eq(probe->conf->service, "*") || str_eq(probe->conf->service, service)) &&
	       (!probe->family || probe->family == family);
}

/* The worst verdict of all probes decides; `ret` gets the probe that has it, NULL if there is none. */
static void judge(const struct probes *p, const char *service, int family, const struct probe **ret, bool *ret_fails)
{
	static const uint8_t weight[] = {[PROBE_PASSES] = 0, [PROBE_UNKNOWN] = 1, [PROBE_FAILS] = 2, [PROBE_STOPPING] = 3,
					 [PROBE_STOPPED] = 4};
	const struct probe *worst = NULL;

	*ret_fails = false;
	for (size_t i = 0; i < p->n; i++) {
		const struct probe *probe = &p->v[i];

		if (!counts(probe, service, family))
			continue;
		*ret_fails |= probe->state.verdict == PROBE_FAILS;
		if (!worst || weight[probe->state.verdict] > weight[worst->state.verdict])
			worst = probe;
	}
	*ret = worst;
}

static void look_at(struct probes *p, uint64_t when_us)
{
	if (when_us >= p->look_us)
		return;
	p->look_us = when_us;
	(void)source_arm(p->timer, 0, 0); /* a live timer; run() arms it for what is next */
}

/* Known verdicts as conditions. One that was not told as ready has no clients to tell that it goes. */
static void tell(struct probes *p, struct told *t, size_t f, const struct probe *worst, bool fails, struct probes_view *ret)
{
	uint64_t now = clock_boot_us(), gone_us = worst->state.since_us + GONE_S * USEC_PER_SEC;
	enum probe_verdict verdict = worst->state.verdict;
	bool is_stopped = verdict == PROBE_STOPPING || verdict == PROBE_STOPPED;
	struct probe_damper *d = &t->dampers[f];

	t->is_leaving[f] = is_stopped && (t->is_leaving[f] || d->is_ready);
	*ret = (struct probes_view){.is_known = true, .is_ready = probe_damper_pass(d, verdict == PROBE_PASSES, now),
				    .is_terminating = t->is_leaving[f], .text = worst->text};
	ret->is_serving = ret->is_ready || (t->is_leaving[f] && verdict == PROBE_STOPPING && !fails);
	ret->is_gone = verdict == PROBE_STOPPED && now >= gone_us;
	if (verdict == PROBE_STOPPED && !ret->is_gone)
		look_at(p, gone_us);
	if (verdict == PROBE_PASSES && !ret->is_ready) {
		ret->text = "the health probes pass and fail too often: not ready for some seconds yet";
		look_at(p, now + probe_damper_wait_us(d, now));
	}
}

int probes_get(struct probes *p, const char *service, int family, struct probes_view *ret)
{
	const struct probe *worst;
	struct told *t;
	bool fails;

	judge(p, service, family, &worst, &fails);
	if (!worst) {
		*ret = (struct probes_view){.is_known = true, .is_ready = true, .is_serving = true, .text = ""};
		return 0;
	}
	if (worst->state.verdict == PROBE_UNKNOWN) {
		*ret = (struct probes_view){.text = worst->text[0] ? worst->text : "the health probes have not decided yet"};
		return 0;
	}
	t = told_get(p, service);
	if (!t)
		return -ENOMEM;
	tell(p, t, family == AF_INET6, worst, fails, ret);
	return 0;
}
