/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_forward_private.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"

enum { DEFAULT_IN_FLIGHT = 256, DEFAULT_TIMEOUT_US = 1500000, DEFAULT_ATTEMPTS = 4 };

static int options_set(struct dns_forward *f, const struct dns_forward_options *opt)
{
	f->max_in_flight = opt->max_in_flight ? opt->max_in_flight : DEFAULT_IN_FLIGHT;
	f->timeout_us = opt->timeout_us ? opt->timeout_us : DEFAULT_TIMEOUT_US;
	f->max_attempts = opt->attempts ? opt->attempts : DEFAULT_ATTEMPTS;
	f->mark = opt->mark;
	f->allowed_mark = opt->allowed_mark;
	return dns_forward_set_upstreams(f, opt->upstreams, opt->n_upstreams);
}

int dns_forward_new(struct loop *l, const struct dns_forward_options *opt, struct dns_forward **ret)
{
	struct dns_forward *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->loop = l;
	r = options_set(f, opt);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

struct dns_upstream_status *dns_forward_status_of(struct dns_forward *f, const struct dns_upstream *u)
{
	for (size_t i = 0; i < f->n_upstreams; i++)
		if (f->upstreams[i].at.port == u->port && ip_eq(&f->upstreams[i].at.ip, &u->ip))
			return &f->upstreams[i];
	return NULL;
}

int dns_forward_set_upstreams(struct dns_forward *f, const struct dns_upstream *u, size_t n)
{
	struct dns_upstream_status fresh[MAX_UPSTREAMS] = {0};

	if (n > MAX_UPSTREAMS)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const struct dns_upstream_status *known = dns_forward_status_of(f, &u[i]);

		if (known)
			fresh[i] = *known;
		fresh[i].at = u[i];
	}
	memcpy(f->upstreams, fresh, sizeof(fresh));
	f->n_upstreams = n;
	f->preferred = 0;
	return 0;
}

size_t dns_forward_n_upstreams(const struct dns_forward *f)
{
	return f->n_upstreams;
}

bool dns_forward_has_upstream(const struct dns_forward *f, const struct ip *ip, uint16_t port)
{
	for (size_t i = 0; i < f->n_upstreams; i++)
		if (f->upstreams[i].at.port == port && ip_eq(&f->upstreams[i].at.ip, ip))
			return true;
	return false;
}

size_t dns_forward_status(const struct dns_forward *f, struct dns_upstream_status *ret, size_t max)
{
	size_t n = MIN(f->n_upstreams, max);

	memcpy(ret, f->upstreams, n * sizeof(*ret));
	return n;
}

void dns_forward_counts(const struct dns_forward *f, struct dns_forward_counts *ret)
{
	*ret = f->counts;
}

void dns_forward_free(struct dns_forward *f)
{
	if (!f)
		return;
	while (f->flights)
		dns_flight_cancel(f->flights);
	free(f);
}

/* Who waits for servers that do not answer must not keep others from theirs: the one that has waited longest makes room. */
static bool make_room(struct dns_forward *f)
{
	struct dns_flight *oldest = NULL;

	if (f->counts.in_flight < f->max_in_flight)
		return true;
	for (struct dns_flight *fl = f->flights; fl; fl = fl->next)
		if (!fl->is_given_up)
			oldest = fl;
	if (oldest)
		dns_flight_give_up(oldest);
	return f->counts.in_flight < 2 * f->max_in_flight; /* with those that are given up and not over yet */
}

int dns_forward_query(struct dns_forward *f, const struct dns_query *q, const struct dns_upstream *only,
		      dns_forward_fn fn, void *arg, struct dns_flight **ret)
{
	struct dns_flight *fl;
	int r;

	if (f->n_upstreams == 0 && !only)
		return -ENOTCONN;
	if (!make_room(f)) {
		f->counts.refused_busy++;
		return -EBUSY;
	}
	fl = calloc(1, sizeof(*fl));
	if (!fl)
		return -ENOMEM;
	fl->f = f;
	fl->fd = -1;
	fl->fn = fn;
	fl->arg = arg;
	fl->mark = q->is_allowed ? f->allowed_mark : f->mark;
	fl->has_only = only != NULL;
	if (only)
		fl->to = *only;
	fl->next = f->flights;
	fl->prevp = &f->flights;
	if (fl->next)
		fl->next->prevp = &fl->next;
	f->flights = fl;
	f->counts.in_flight++;
	f->counts.queries++;
	r = dns_flight_start(fl, q);
	if (r < 0) {
		f->counts.failures++;
		dns_flight_cancel(fl);
		return r;
	}
	*ret = fl;
	return 0;
}
