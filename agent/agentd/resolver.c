/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/dns_wiring.h"
#include "agentd/resolved.h"
#include "agentd/resolver_delegate.h"
#include "agentd/resolver_domains.h"
#include "agentd/resolver_program.h"
#include "agentd/resolver_wire.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

enum { DNS_PORT = 53, PATIENCE = 2 /* looks, of some 30 s each */ };

#define CONDITION "dns.host-resolver"

struct resolver {
	struct resolver_setup s;
	struct resolver_host host;
	struct strv domains; /* of resolver_domains() */
	enum resolver_method method;
	const char *why; /* as resolver_choose() gives it for `host` */
	struct resolved *resolved;
	struct ip ip; /* of the link */
	int ifindex;
	bool is_listening; /* there */
	bool is_started;
	unsigned missed;   /* looks that did not find what was wanted */
};

static char *wish_path(const struct conf *conf)
{
	return str_printf("%s/" RESOLVER_WISH, conf->runtime_dir);
}

static void withdraw_wish(const struct conf *conf)
{
	CLEANUP(free) char *path = wish_path(conf);

	if (path)
		(void)unlink(path); /* there may be none */
}

static void remove_link(void)
{
	if (resolved_link_remove() < 0) /* then names of the cluster are asked for in vain, and no others */
		log_event(LOG_WARNING, CONDITION, "cannot remove the device " RESOLVED_DEVICE);
}

void resolver_withdraw(const struct conf *conf)
{
	withdraw_wish(conf);
	remove_link();
}

/* Says it, also again: whoever waits for it sees that the file changes. */
static int wish(const struct resolver *r)
{
	static const char text[] = "The agent answers: the host's resolver may ask it.\n";
	CLEANUP(free) char *path = wish_path(r->s.conf);

	return path ? file_replace(path, text, sizeof(text) - 1, 0644) : -ENOMEM;
}

static int make_link(struct resolver *r, struct err *reterr)
{
	int e = resolved_link_make(&r->ip, &r->ifindex, reterr);

	if (e < 0 || r->is_listening)
		return e;
	e = dns_server_listen(r->s.dns, &r->ip, DNS_PORT, NULL, reterr);
	r->is_listening = e == 0;
	return e;
}

static void on_refused(void *arg)
{
	(void)wish(arg); /* it asks again, while it fails */
}

static int tell_resolved(struct resolver *r)
{
	const struct resolved_setup setup = {.loop = r->s.loop,
					     .health = r->s.health,
					     .domains = &r->domains,
					     .ip = r->ip,
					     .ifindex = r->ifindex,
					     .on_refused = on_refused,
					     .arg = r};

	return resolved_new(&setup, &r->resolved);
}

static void stop(struct resolver *r)
{
	resolved_free(TAKE_PTR(r->resolved));
	resolver_withdraw(r->s.conf);
	health_clear(r->s.health, CONDITION);
	r->missed = 0;
	r->is_started = false;
}

int resolver_start(struct resolver *r)
{
	struct err err = {0}, text;
	int e = 0;

	if (r->is_started)
		return 0;
	if (r->method != RESOLVER_LEAVE && r->method != RESOLVER_BY_FILE)
		e = make_link(r, &err);
	if (e == 0 && r->method == RESOLVER_BY_LINK)
		e = tell_resolved(r); /* a delegate is better, where there are some: then the link goes */
	if (e == 0 && r->method != RESOLVER_LEAVE)
		e = wish(r);
	if (e == 0) {
		r->is_started = true;
		health_clear(r->s.health, CONDITION);
		return 0;
	}
	stop(r);
	(void)err_set(&text, -e, "the host's resolver does not know the names of the cluster: %s", err.text[0] ? err.text : err_name(e)); /* known */
	health_raise(r->s.health, HEALTH_WARNING, CONDITION, text.text,
		     "it is tried again; if it lasts, solve what the text names, or set dns.host-resolver = \"off\" in the configuration");
	return e;
}

/* As far as files tell. */
static bool is_done(const struct resolver *r)
{
	struct dns_wiring w;

	switch (r->method) {
	case RESOLVER_BY_FILE:
		dns_wiring_read(r->s.root, r->s.conf->dns.listen.v, r->s.conf->dns.listen.n, &w);
		return w.state == DNS_WIRING_OK;
	case RESOLVER_BY_PROGRAM:
		return resolver_program_has();
	case RESOLVER_BY_NM:
		dns_wiring_read(r->s.root, &r->ip, 1, &w);
		return r->host.kind != RESOLVER_NM || w.state == DNS_WIRING_OK; /* its dnsmasq does not tell */
	case RESOLVER_BY_LINK:
		return r->resolved || resolver_delegate_has(); /* the former speaks for itself */
	case RESOLVER_LEAVE:
		break;
	}
	return true;
}

/* Somebody else may have had the last word: then it is wanted once more. */
static void look_whether_done(struct resolver *r)
{
	struct err err;

	if (is_done(r)) {
		r->missed = 0;
		health_clear(r->s.health, CONDITION);
		return;
	}
	r->missed++;
	(void)wish(r); /* the next look tries again */
	if (r->missed < PATIENCE)
		return;
	(void)err_set(&err, EIO, "the host's resolver (%s) does not ask the agent, though it is to (%s)", resolver_kind_text(r->host.kind),
		      resolver_method_name(r->method)); /* the text is what counts */
	health_raise(r->s.health, HEALTH_WARNING, CONDITION, err.text,
		     "see: journalctl -u mesh-external-agent-resolver; or set dns.host-resolver = \"off\"");
}

static void choose(struct resolver *r)
{
	const struct conf *c = r->s.conf;

	resolver_host_read(r->s.root, c->dns.listen.v, c->dns.listen.n, &r->host);
	r->method = resolver_choose(&r->host, c->dns.host_resolver, &r->why);
}

/* What the link was for. */
static void leave_link(struct resolver *r)
{
	resolved_free(TAKE_PTR(r->resolved));
	remove_link();
}

void resolver_look(struct resolver *r)
{
	enum resolver_method was = r->method;

	choose(r);
	if (r->method != was) {
		stop(r);
		(void)resolver_start(r); /* raised as a condition; the next look tries again */
	} else if (r->resolved && resolver_delegate_has()) {
		leave_link(r);
	} else if (r->is_started) {
		look_whether_done(r);
	} else {
		(void)resolver_start(r); /* as above */
	}
}

int resolver_new(const struct resolver_setup *setup, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->s = *setup;
	if (resolver_domains(setup->conf, &r->domains) < 0) {
		free(r);
		return -ENOMEM;
	}
	choose(r);
	/* of an earlier run that crashed */
	if (r->method == RESOLVER_LEAVE)
		withdraw_wish(setup->conf);
	if (r->method == RESOLVER_LEAVE || r->method == RESOLVER_BY_FILE)
		remove_link();
	*ret = r;
	return 0;
}

enum resolver_method resolver_state(const struct resolver *r, struct resolver_host *ret, const char **ret_why)
{
	*ret = r->host;
	*ret_why = r->why;
	return r->method;
}

const struct strv *resolver_asked_for(const struct resolver *r)
{
	return &r->domains;
}

bool resolver_is_told(const struct resolver *r)
{
	return r->resolved && resolved_is_told(r->resolved);
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	stop(r);
	strv_done(&r->domains);
	free(r);
}
