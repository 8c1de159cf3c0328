/* SPDX-License-Identifier: Apache-2.0 */
#include "join/cluster_info.h"

#include <errno.h>
#include <string.h>

#include "json/json.h"
#include "kube/cilium_fit.h"

void cluster_info_done(struct cluster_info *c)
{
	ARRAY_DONE(&c->pod_ranges);
	strv_done(&c->warnings);
}

/* Ranges separated by commas or spaces. */
static int add_ranges(const json_t *data, const char *key, struct cluster_info *c, struct err *reterr)
{
	const char *value = json_string_value(json_object_get(data, key));
	CLEANUP(free) char *text = strdup(value ? value : "");
	CLEANUP(strv_done) struct strv parts = {0};

	if (!text)
		return err_set(reterr, ENOMEM, "out of memory");
	for (char *p = text; *p; p++)
		if (*p == ' ')
			*p = ',';
	if (strv_split(&parts, text, ',') < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	for (size_t i = 0; i < parts.n; i++) {
		struct cidr range;

		if (cidr_parse(parts.v[i], false, &range) < 0)
			return err_set(reterr, EINVAL, "cilium-config: %s: %.80s is no address range", key, parts.v[i]);
		if (ARRAY_ADD(&c->pod_ranges, range) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	}
	return 0;
}

int cluster_info_read(const json_t *config_map, struct cluster_info *ret, struct err *reterr)
{
	CLEANUP(cluster_info_done) struct cluster_info c = {0};
	const json_t *data = json_object_get(config_map, "data");
	int r = cilium_config_parse(config_map, &c.cilium, reterr);

	if (r == 0)
		r = cilium_config_check(config_map, &c.cilium, &c.warnings, reterr);
	if (r == 0)
		r = add_ranges(data, "cluster-pool-ipv4-cidr", &c, reterr);
	if (r == 0)
		r = add_ranges(data, "cluster-pool-ipv6-cidr", &c, reterr);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct cluster_info){0};
	return 0;
}

static int warn_underlay(struct cluster_info *c, const struct cidr *addresses, size_t n)
{
	int family = c->cilium.has_ipv6_underlay ? AF_INET6 : AF_INET;

	if (c->cilium.routing == CILIUM_NATIVE)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (addresses[i].ip.family == family)
			return 0;
	return strv_add(&c->warnings, family == AF_INET6 ? "the tunnel's outer packets are IPv6: without an IPv6 address no pod reaches the host" :
							   "the tunnel's outer packets are IPv4: without an IPv4 address no pod reaches the host");
}

int cluster_info_warn_addresses(struct cluster_info *c, const struct cidr *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *key = cilium_masquerades(&c->cilium, &addresses[i]);
		CLEANUP(free) char *text = NULL;
		char name[CIDR_STRLEN];

		if (!key)
			continue;
		text = str_printf("nodes masquerade pods towards %s, so that the host sees nodes instead of pods: put this range into "
				  "%s or into the list of the ip-masq-agent",
				  cidr_str(&addresses[i], name), key);
		if (!text || strv_add(&c->warnings, text) < 0)
			return -ENOMEM;
	}
	return warn_underlay(c, addresses, n);
}
