/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_wire.h"

#include <net/if.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/resolved.h"
#include "agentd/resolver_delegate.h"
#include "agentd/resolver_domains.h"
#include "agentd/resolver_file.h"
#include "agentd/resolver_host.h"
#include "agentd/resolver_lock.h"
#include "agentd/resolver_nm.h"
#include "agentd/resolver_program.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/str.h"

/* Stopping waits for the lock, too, and has 20 s: see the unit. */
enum { DNS_PORT = 53, TELL_S = 20, LOCK_S = 15 };

/* The file has no content that counts: whoever may write it can say yes or no, and nothing else. */
static bool is_wanted(const char *wish)
{
	struct stat st;

	return lstat(wish, &st) == 0 && S_ISREG(st.st_mode);
}

/* What resolved.h does, and to the end. */
static int tell_resolved(const struct ip *ip, const struct strv *domains, struct err *reterr)
{
	struct resolved_setup setup = {.domains = domains, .ip = *ip, .ifindex = (int)if_nametoindex(RESOLVED_DEVICE),
				       .is_asking = true};
	uint64_t end_us = clock_boot_us() + TELL_S * USEC_PER_SEC;
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(health_free) struct health *health = NULL;
	CLEANUP(resolved_free) struct resolved *resolved = NULL;
	int r = loop_new(&loop);

	if (r == 0)
		r = health_new(&health);
	setup.loop = loop;
	setup.health = health;
	if (r == 0)
		r = resolved_new(&setup, &resolved);
	while (r >= 0 && !resolved_is_told(resolved) && !health_has(health, "dns.resolved") && clock_boot_us() < end_us)
		r = loop_once(loop, USEC_PER_SEC);
	if (r >= 0 && resolved_is_told(resolved))
		return 0;
	return err_set(reterr, EIO, "systemd-resolved cannot be told: %s", r < 0 ? err_name(r) : "see above");
}

/* A delegate, where it knows them; else the link, for a daemon that may not tell it. */
static int take_resolved(const struct conf *conf, const struct ip *link, const struct strv *domains, struct err *reterr)
{
	int r = -EOPNOTSUPP;

	if (conf->dns.listen.n && conf->dns.port == DNS_PORT)
		r = resolver_delegate_take(&conf->dns.listen.v[0], domains, reterr);
	if (r != -EOPNOTSUPP)
		return r;
	return if_nametoindex(RESOLVED_DEVICE) ? tell_resolved(link, domains, reterr) : 0;
}

static int take(enum resolver_method method, const struct resolver_host *h, const struct conf *conf, struct err *reterr)
{
	CLEANUP(strv_done) struct strv domains = {0};
	struct ip ip;

	if (resolver_domains(conf, &domains) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	(void)ip_parse(RESOLVED_ADDRESS, &ip); /* a legal address */
	switch (method) {
	case RESOLVER_BY_FILE:
		if (!conf->dns.listen.n || conf->dns.port != DNS_PORT)
			return err_set(reterr, EINVAL, RESOLVER_CONF " can name only port %d: set dns.port", DNS_PORT);
		return resolver_file_take("", &conf->dns.listen.v[0], reterr);
	case RESOLVER_BY_LINK:
		return take_resolved(conf, &ip, &domains, reterr);
	case RESOLVER_BY_NM:
	case RESOLVER_BY_PROGRAM:
		if (!if_nametoindex(RESOLVED_DEVICE))
			return 0; /* the daemon stops just now */
		return method == RESOLVER_BY_NM ? resolver_nm_take(RESOLVED_DEVICE, &ip, &domains, reterr) :
						  resolver_program_take(h, &ip, &domains, reterr);
	case RESOLVER_LEAVE:
		break;
	}
	return 0;
}

static void note(int r, const char *text, enum resolver_method method)
{
	if (r > 0)
		log_event(LOG_INFO, "dns.host-resolver", text, F_STR("method", resolver_method_name(method)));
}

static int give_back(enum resolver_method but, struct err *reterr)
{
	int first = 0;

	for (int m = RESOLVER_LEAVE; m <= RESOLVER_BY_FILE; m++) {
		struct err err = {0};
		int r = 0;

		if (m == (int)but)
			continue;
		if (m == RESOLVER_BY_FILE)
			r = resolver_file_give_back("", &err);
		else if (m == RESOLVER_BY_PROGRAM)
			r = resolver_program_give_back(&err);
		else if (m == RESOLVER_BY_LINK)
			r = resolver_delegate_give_back(&err);
		else if (m == RESOLVER_BY_NM)
			r = resolver_nm_give_back(&err);
		note(r, "the host's resolver is as before", (enum resolver_method)m);
		if (r < 0 && first == 0)
			first = err_set(reterr, -r, "%s", err.text);
	}
	return first;
}

int resolver_wire(const struct conf *conf, bool is_over, struct err *reterr)
{
	CLEANUP(free) char *wish = str_printf("%s/" RESOLVER_WISH, conf->runtime_dir);
	enum resolver_method method = RESOLVER_LEAVE;
	CLEANUP(close_fd) int fd = resolver_lock(conf->runtime_dir, LOCK_S * USEC_PER_SEC, reterr);
	struct resolver_host host;
	const char *why;
	int first, r;

	if (fd < 0 || !wish)
		return fd < 0 ? fd : err_set(reterr, ENOMEM, "out of memory");
	if (is_over)
		(void)unlink(wish); /* there may be none */
	resolver_host_read("", conf->dns.listen.v, conf->dns.listen.n, &host);
	if (is_wanted(wish))
		method = resolver_choose(&host, conf->dns.host_resolver, &why);
	first = give_back(method, reterr);
	r = take(method, &host, conf, first < 0 ? NULL : reterr);
	note(r, "the host's resolver asks the agent", method);
	return first < 0 ? first : r < 0 ? r : 0;
}
