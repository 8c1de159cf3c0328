/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/fqdn_others.h"

#include "base/macro.h"

const struct policy_dns *fqdn_others_rules(struct fqdn_others *o, const struct world *w, const struct ip *ip, uint16_t port)
{
	struct policy_dns *rules;
	struct fqdn_servers server;
	size_t i;

	fqdn_servers_one(w, ip, port, &server);
	for (i = 0; i < o->n; i++)
		if (fqdn_servers_eq(&o->v[i].server, &server))
			return o->v[i].rules;
	if (fqdn_servers_rules(w, &server, &rules) < 0)
		return NULL;
	i = o->next++ % FQDN_OTHERS_MAX;
	policy_dns_free(o->v[i].rules);
	o->v[i].server = server;
	o->v[i].rules = rules;
	o->n = MAX(o->n, i + 1);
	return rules;
}

void fqdn_others_clear(struct fqdn_others *o)
{
	for (size_t i = 0; i < o->n; i++)
		policy_dns_free(o->v[i].rules);
	*o = (struct fqdn_others){0};
}
