/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/forwarding.h"

#include <netinet/in.h>

#include "base/rng.h"
#include "forward/forward.h"

struct picking {
	const struct agent *a;
	const struct conf_forward *f;
	const struct backend *chosen;
	uint32_t n_seen;
};

/* A connection to this host would come back to us, again and again. */
static bool is_own(const struct agent *a, const struct ip *ip)
{
	for (size_t i = 0; i < a->own.n; i++)
		if (ip_eq(&a->own.v[i], ip))
			return true;
	return false;
}

/* Each backend of all its addresses is as likely as any other. */
static int look_at(const struct frontend *f, void *arg)
{
	struct picking *p = arg;

	if (f->kind != FRONTEND_CLUSTER_IP || f->proto != IPPROTO_TCP || f->port != p->f->service_port ||
	    !str_eq(f->name, p->f->service) || !str_eq(f->ns, p->a->join.namespace))
		return 0;
	for (size_t i = 0; i < f->n_backends; i++)
		if (!is_own(p->a, &f->backends[i].ip) && rng_below(++p->n_seen) == 0)
			p->chosen = &f->backends[i];
	return 0;
}

static bool pick(const struct conf_forward *f, struct ip *ret_ip, uint16_t *ret_port, void *arg)
{
	struct agent *a = arg;
	struct picking p = {.a = a, .f = f};

	if (!a->world)
		return false;
	(void)service_table_each(a->world->services, look_at, &p); /* never stops early */
	if (!p.chosen)
		return false;
	*ret_ip = p.chosen->ip;
	*ret_port = p.chosen->port;
	return true;
}

int forwarding_start(struct agent *a)
{
	if (a->forwards)
		return forwards_reload(a->forwards);
	return forwards_new(a->loop, a->conf, &(struct forwards_conf){.pick = pick, .arg = a}, &a->forwards);
}
