/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_domains.h"

#include "base/reverse_zone.h"

int resolver_domains(const struct conf *conf, struct strv *ret)
{
	char zone[REVERSE_ZONE_STRLEN];
	int r = strv_add(ret, DOMAIN_CLUSTER);

	if (r == 0)
		r = strv_add(ret, DOMAIN_CLUSTERSET);
	for (size_t i = 0; i < conf->dns.reverse.n; i++)
		for (size_t k = 0; r == 0 && k < reverse_zones(&conf->dns.reverse.v[i]); k++) {
			(void)reverse_zone_str(&conf->dns.reverse.v[i], k, zone);
			if (!strv_has(ret, zone))
				r = strv_add(ret, zone);
		}
	if (r < 0)
		strv_done(ret);
	return r;
}

bool resolver_domain_is_reverse(const char *domain)
{
	return str_has_suffix(domain, ".arpa");
}
