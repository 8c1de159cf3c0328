/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/fqdn.h"

#include <errno.h>
#include <netinet/in.h>
#include <strings.h>

#include "agentd/fqdn_others.h"
#include "agentd/fqdn_server.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/url.h"
#include "dns/dns_answer.h"
#include "join/join_state.h"
#include "policy/policy_dns.h"
#include "recon/ct_walk.h"

enum {
	SWEEP_S = 60,	/* as Cilium's garbage collection */
	SAVE_MS = 500,	/* many answers make one file */
	UPSTREAMS_MAX = 8,
	IPS_MAX = 512,	/* of one answer: more than a message by UDP can hold */
};

struct fqdn {
	struct fqdn_setup s;
	char *path;
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct learned *learned;
	struct policy_dns *rules; /* in force; NULL = none, or not known yet */
	struct fqdn_servers servers; /* that the rules were made for */
	struct fqdn_others others;
	bool has_rules; /* the policies in force have dns rules about this host, for any server */
	bool is_audit;
	bool is_filtered; /* and for port 53, not only to see what they would do */
	uint64_t fed;		  /* generation of the policies that were told all names */
	uint64_t ruled;		  /* generation of the policies that the rules are of */
	bool is_pending;	  /* the policies know more than the kernel */
	bool is_unsaved;
	bool is_forgotten; /* nothing may be written any more */
	struct ct_walk *walk;
	uint64_t walk_us; /* when it began */
	struct source *sweep, *save;
	struct ip ips[IPS_MAX];
};

/* The file */

static void write_file(struct fqdn *f)
{
	CLEANUP(buf_done) struct buf b = {.max = LIMIT_FQDN_FILE_BYTES};
	int r = learned_encode(f->learned, clock_boot_us(), clock_wall_s(), &b);

	if (r == 0)
		r = file_replace(f->path, b.data, b.len, 0600);
	if (r < 0)
		log_event(LOG_WARNING, "dns.learned.write", "cannot write what DNS names were learned; a restart would forget them",
			  F_STR("path", f->path), F_ERRNO(r));
	f->is_unsaved = r < 0;
}

static void on_save(void *arg)
{
	write_file(arg);
}

static void want_save(struct fqdn *f)
{
	if (f->is_forgotten)
		return;
	if (!f->is_unsaved)
		(void)source_arm(f->save, SAVE_MS * USEC_PER_MSEC, 0); /* a live timer; the end of the process saves too */
	f->is_unsaved = true;
}

static int make_learned(const struct fqdn *f, struct learned **ret)
{
	const struct cilium_config *c = &f->s.world->config;

	return learned_new(&(struct learned_options){.min_ttl_s = c->fqdn_min_ttl_s,
						     .max_ips = c->fqdn_max_ips,
						     .max_zombies = c->fqdn_max_zombies},
			   ret);
}

/* A file that is not whole is worth nothing: names are looked up again. */
static int read_file(struct fqdn *f)
{
	CLEANUP(buf_done) struct buf b = {0};
	int r = file_read(f->path, LIMIT_FQDN_FILE_BYTES, &b), e;

	if (r == 0)
		r = learned_decode(f->learned, b.data, b.len, clock_boot_us(), clock_wall_s());
	if (r == 0 || r == -ENOENT)
		return 0;
	log_event(LOG_WARNING, "dns.learned.read", "what DNS names an earlier run learned cannot be used and is ignored",
		  F_STR("path", f->path), F_ERRNO(r));
	learned_free(TAKE_PTR(f->learned));
	e = make_learned(f, &f->learned);
	return e;
}

/* Into the policies */

static int any(const char *selector, void *arg)
{
	(void)selector;
	(void)arg;
	return 1;
}

static bool is_wanted(const struct fqdn *f, const char *name)
{
	return policy_fqdn_each(f->s.world->policies, name, any, NULL) > 0;
}

static int feed(const char *name, const struct ip *ips, size_t n, void *arg)
{
	struct fqdn *f = arg;
	bool wanted = is_wanted(f, name);
	int r = policy_fqdn_set(f->s.world->policies, name, ips, wanted ? n : 0);

	f->is_pending = f->is_pending || r > 0;
	return r < 0 ? r : wanted;
}

/* Before the policy table is made: with other policies, other names count. */
static int on_settled(void *arg)
{
	struct fqdn *f = arg;
	uint64_t generation = policy_generation(f->s.world->policies);
	int r;

	if (f->fed != generation)
		learned_mark_all(f->learned);
	r = learned_flush(f->learned, feed, f);
	if (r == 0)
		f->fed = generation;
	return r;
}

/* Sweeping */

static void arm_sweep(struct fqdn *f)
{
	if (learned_get_counts(f->learned).names)
		(void)source_arm(f->sweep, SWEEP_S * USEC_PER_SEC, SWEEP_S / 10 * USEC_PER_SEC); /* a live timer */
}

static void swept(struct fqdn *f)
{
	struct learned_counts c = learned_get_counts(f->learned);

	if (c.names < LIMIT_FQDN_NAMES && c.addresses < LIMIT_FQDN_ADDRESSES)
		health_clear(f->s.health, "dns.learned");
	want_save(f); /* lives that grew longer are worth a write as well */
	f->s.on_change(f->s.arg);
	arm_sweep(f);
}

static void on_flow(const struct ip *peer, void *arg)
{
	struct fqdn *f = arg;

	learned_saw(f->learned, peer, clock_boot_us());
}

static void on_walked(int r, void *arg)
{
	struct fqdn *f = arg;

	if (r == 0)
		learned_bury(f->learned, f->walk_us);
	else
		log_event(LOG_WARNING, "dns.learned.flows", "cannot see which connections live; expired addresses stay allowed",
			  F_ERRNO(r));
	swept(f);
}

static void on_sweep(void *arg)
{
	struct fqdn *f = arg;

	f->walk_us = clock_boot_us();
	if (learned_expire(f->learned, f->walk_us) && f->walk) {
		f->walk_us++; /* what expired just now may go, if no connection uses it */
		if (ct_walk_start(f->walk) == 0)
			return;
	}
	swept(f);
}

/* The gate */

/* As with the failsafe set: no policy may cut the host off from where it would learn of a better one. */
static bool is_api_server(const struct fqdn *f, const char *name)
{
	size_t len = strlen(name) - 1; /* without the final dot */

	for (size_t i = 0; i < f->s.servers->n; i++) {
		struct url url;

		if (url_split(f->s.servers->v[i], &url) == 0 && strlen(url.host) == len && strncasecmp(url.host, name, len) == 0)
			return true;
	}
	return false;
}

/* One of those that the agent's own server asks, or a resolver on this host: it answers for the same. */
static bool is_upstream(const struct fqdn *f, const struct ip *ip)
{
	for (size_t i = 0; i < f->s.n_upstreams; i++)
		if (ip_eq(&f->upstreams[i].ip, ip))
			return true;
	return ip_is_loopback(ip);
}

/* A query to a server that the agent does not stand for. */
static enum policy_dns_verdict check_other(struct fqdn *f, const struct dns_asked *asked, uint8_t proto, const char *name,
					   bool *ret_is_about_it)
{
	const struct policy_dns *rules = fqdn_others_rules(&f->others, f->s.world, &asked->ip, asked->port);

	*ret_is_about_it = true;
	if (!rules)
		return POLICY_DNS_REFUSE;
	if (policy_dns_applies(rules))
		return policy_dns_check(rules, true, proto, name);
	if (policy_dns_opens(rules, proto))
		return POLICY_DNS_PASS;
	/* policy drops its packets, unless the failsafe set has it: then it is another way to the same names */
	*ret_is_about_it = false;
	return policy_dns_check(f->rules, false, proto, name);
}

static enum dns_gate_verdict check(void *ctx, const struct dns_query *q, const struct dns_asked *asked, bool is_cluster,
				   bool is_tcp)
{
	struct fqdn *f = ctx;
	uint8_t proto = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	bool is_about_it = false;
	char name[DNS_TEXT_MAX];
	enum policy_dns_verdict v;

	if (!f->has_rules)
		return DNS_GATE_PASS;
	(void)dns_name_str(&q->name, name);
	if (is_api_server(f, name))
		return DNS_GATE_PASS;
	if (asked->port && asked->is_cluster) {
		is_about_it = true;
		v = policy_dns_check(f->rules, true, proto, name);
	} else if (asked->port && !is_upstream(f, &asked->ip)) {
		v = check_other(f, asked, proto, name, &is_about_it);
	} else {
		v = policy_dns_check(f->rules, is_cluster, proto, name);
	}
	switch (v) {
	case POLICY_DNS_LEARN:
		return is_about_it ? DNS_GATE_ALLOW : DNS_GATE_WATCH;
	case POLICY_DNS_REFUSE: /* audit mode drops nothing, and what it lets through counts for nothing */
		return f->is_audit ? DNS_GATE_PASS : DNS_GATE_REFUSE;
	case POLICY_DNS_FREE:
	case POLICY_DNS_PASS:
		break;
	}
	return DNS_GATE_PASS;
}

/* Cleared by the sweep that finds room, so that it does not come and go with each answer. */
static void note_failure(struct fqdn *f, int r)
{
	if (r == -ENOSPC)
		health_raise(f->s.health, HEALTH_WARNING, "dns.learned",
			     "there is no room for more learned DNS names: new addresses of them are not allowed",
			     "look which names programs look up: meshctl dns learned");
	else if (r < 0 && r != -EINVAL)
		log_event(LOG_WARNING, "dns.learned", "an answer could not be learned", F_ERRNO(r));
}

static bool answered(void *ctx, const struct dns_query *q, const uint8_t *msg, size_t len)
{
	struct fqdn *f = ctx;
	char name[DNS_TEXT_MAX];
	uint32_t ttl_s;
	size_t n;
	bool wanted, was_empty;
	int r;

	if (dns_answer_read(msg, len, f->ips, IPS_MAX, &n, &ttl_s) < 0 || n == 0)
		return false;
	(void)dns_name_str(&q->name, name);
	wanted = policy_dns_wants(f->rules, name);
	was_empty = learned_get_counts(f->learned).names == 0;
	r = learned_add(f->learned, name, wanted, f->ips, n, ttl_s, clock_boot_us());
	if (wanted)
		note_failure(f, r);
	if (r > 0)
		want_save(f);
	if (was_empty)
		arm_sweep(f);
	if (!wanted)
		return false;
	if (r > 0) {
		r = learned_flush(f->learned, feed, f);
		note_failure(f, r);
		f->s.on_change(f->s.arg);
	}
	return f->is_pending; /* also for what another answer brought a moment ago */
}

/* In force */

static int make_rules(struct fqdn *f)
{
	struct policy_dns *rules = NULL;
	struct fqdn_servers now;
	uint64_t generation = policy_generation(f->s.world->policies);
	bool has_rules;
	int r;

	fqdn_servers_find(f->s.world, f->upstreams, f->s.n_upstreams, &now);
	if (f->ruled == generation && fqdn_servers_eq(&f->servers, &now))
		return 0;
	has_rules = policy_has_dns_rules(f->s.world->policies);
	r = has_rules ? fqdn_servers_rules(f->s.world, &now, &rules) : 0;
	if (r < 0)
		return r;
	fqdn_others_clear(&f->others);
	f->has_rules = has_rules;
	f->is_filtered = has_rules && policy_dns_is_filtered(f->s.world->policies);
	policy_dns_free(f->rules);
	f->rules = rules;
	f->servers = now;
	f->ruled = generation;
	return 0;
}

int fqdn_applied(struct fqdn *f, bool is_audit)
{
	int r = make_rules(f);

	f->is_audit = is_audit;
	if (r < 0)
		health_raise(f->s.health, HEALTH_ERROR, "dns.rules", "no memory to take up new dns rules: those of before stay in force",
			     REMEDY_MEMORY);
	else
		health_clear(f->s.health, "dns.rules");
	f->is_pending = false;
	dns_server_release(f->s.dns);
	return r;
}

void fqdn_set_upstreams(struct fqdn *f, const struct dns_upstream *v, size_t n)
{
	bool is_same;

	n = MIN(n, (size_t)UPSTREAMS_MAX);
	is_same = n == f->s.n_upstreams;
	for (size_t i = 0; i < n; i++) {
		is_same = is_same && ip_eq(&v[i].ip, &f->upstreams[i].ip) && v[i].port == f->upstreams[i].port;
		f->upstreams[i] = v[i];
	}
	f->s.n_upstreams = n;
	if (!is_same)
		f->s.on_change(f->s.arg);
}

static int start_walk(struct fqdn *f)
{
	const struct ct_walk_callbacks cb = {.on_flow = on_flow, .on_done = on_walked, .arg = f};

	return f->s.obj ? ct_walk_new(f->s.loop, f->s.obj, f->s.ticks_per_s, &cb, &f->walk) : 0;
}

int fqdn_new(const struct fqdn_setup *setup, struct fqdn **ret)
{
	CLEANUP(fqdn_free) struct fqdn *f = calloc(1, sizeof(*f));
	const struct cilium_config *c = &setup->world->config;
	struct dns_gate gate = {.check = check, .answered = answered, .ctx = f};
	int r;

	if (!f)
		return -ENOMEM;
	f->s = *setup;
	f->s.n_upstreams = MIN(setup->n_upstreams, (size_t)UPSTREAMS_MAX);
	for (size_t i = 0; i < f->s.n_upstreams; i++)
		f->upstreams[i] = setup->upstreams[i];
	f->path = str_printf("%s/" JOIN_STATE_LEARNED, setup->state_dir);
	if (!f->path)
		return -ENOMEM;
	r = make_learned(f, &f->learned);
	if (r == 0)
		r = read_file(f);
	if (r == 0)
		r = start_walk(f);
	if (r == 0)
		r = loop_add_timer(f->s.loop, on_sweep, f, &f->sweep);
	if (r == 0)
		r = loop_add_timer(f->s.loop, on_save, f, &f->save);
	if (r < 0)
		return r;
	arm_sweep(f);
	f->s.world->on_settled = on_settled;
	f->s.world->settled_arg = f;
	gate.max_delay_us = c->fqdn_delay_ms * USEC_PER_MSEC;
	gate.refuse_rcode = c->has_fqdn_nxdomain ? DNS_NXDOMAIN : DNS_REFUSED;
	dns_server_set_gate(setup->dns, &gate);
	*ret = TAKE_PTR(f);
	return 0;
}

void fqdn_free(struct fqdn *f)
{
	if (!f)
		return;
	if (f->is_unsaved)
		write_file(f);
	source_free(f->sweep);
	source_free(f->save);
	ct_walk_free(f->walk);
	policy_dns_free(f->rules);
	fqdn_others_clear(&f->others);
	learned_free(f->learned);
	free(f->path);
	free(f);
}

void fqdn_stop(struct fqdn *f)
{
	if (!f)
		return;
	policy_dns_free(TAKE_PTR(f->rules));
	fqdn_others_clear(&f->others);
	f->has_rules = f->is_filtered = false;
	dns_server_release(f->s.dns);
}

void fqdn_forget(struct fqdn *f)
{
	if (!f)
		return;
	fqdn_stop(f);
	f->is_forgotten = true;
	f->is_unsaved = false;
	source_disarm(f->save);
	(void)unlink(f->path); /* there may be none */
}

struct learned *fqdn_learned(const struct fqdn *f)
{
	return f->learned;
}

bool fqdn_is_filtered(const struct fqdn *f)
{
	return f->is_filtered;
}
