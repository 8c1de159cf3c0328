/* SPDX-License-Identifier: Apache-2.0 */
#include "join/cluster_info.h"

#include <errno.h>
#include <string.h>

#include "json/json.h"

enum { IDENTITY_MIN = 256, IDENTITY_MAX = 65535, CLUSTER_ID_MAX = 511 };

void cluster_info_done(struct cluster_info *c)
{
	free(c->name);
	ARRAY_DONE(&c->pod_ranges);
	ARRAY_DONE(&c->native_ranges);
	strv_done(&c->warnings);
}

/* A value of the ConfigMap; an absent one means Cilium's default. */
static const char *value(const json_t *data, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(data, key));

	return s && *s ? s : otherwise;
}

static bool truth(const json_t *data, const char *key, bool otherwise)
{
	const char *s = value(data, key, NULL);

	return s ? str_eq(s, "true") : otherwise;
}

/* Ranges separated by commas or spaces. */
static int add_ranges(const json_t *data, const char *key, struct cluster_info *c, bool is_pod, struct err *reterr)
{
	CLEANUP(free) char *text = strdup(value(data, key, ""));
	CLEANUP(strv_done) struct strv parts = {0};
	int r = 0;

	if (!text)
		return err_set(reterr, ENOMEM, "out of memory");
	for (char *p = text; *p; p++)
		if (*p == ' ')
			*p = ',';
	if (strv_split(&parts, text, ',') < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	for (size_t i = 0; i < parts.n && r == 0; i++) {
		struct cidr range;

		if (cidr_parse(parts.v[i], false, &range) < 0)
			return err_set(reterr, EINVAL, "cilium-config: %s: %.80s is no address range", key, parts.v[i]);
		r = is_pod ? ARRAY_ADD(&c->pod_ranges, range) : ARRAY_ADD(&c->native_ranges, range);
	}
	return r < 0 ? err_set(reterr, ENOMEM, "out of memory") : 0;
}

static int refuse(const json_t *data, struct err *reterr)
{
	const char *mode = value(data, "identity-allocation-mode", "kvstore");

	if (!str_eq(mode, "crd") && !str_eq(mode, "doublewrite-readcrd"))
		return err_set(reterr, EOPNOTSUPP,
			       "this cluster keeps identities in a key-value store (identity-allocation-mode %.40s); external hosts need "
			       "mode crd",
			       mode);
	if (truth(data, "enable-ipsec", false))
		return err_set(reterr, EOPNOTSUPP,
			       "this cluster encrypts with IPsec, whose one shared key no external host should have; WireGuard or no "
			       "encryption is needed");
	if (truth(data, "disable-endpoint-crd", false))
		return err_set(reterr, EOPNOTSUPP, "this cluster has CiliumEndpoints switched off (disable-endpoint-crd)");
	if (truth(data, "enable-cilium-endpoint-slice", false) && str_eq(value(data, "ces-controller-mode", "default"), "slim"))
		return err_set(reterr, EOPNOTSUPP,
			       "this cluster makes CiliumEndpointSlices from Pods only (ces-controller-mode slim), so that an external "
			       "host would stay invisible");
	return 0;
}

static int add_warnings(const json_t *data, struct cluster_info *c)
{
	const char *ipam = value(data, "ipam", "");
	int r = 0;

	if (str_eq(value(data, "identity-allocation-mode", ""), "doublewrite-readcrd"))
		r |= strv_add(&c->warnings, "identities are written to a key-value store, too; agents that read it miss this host");
	if (str_eq(ipam, "eni") || str_eq(ipam, "azure") || str_eq(ipam, "alibabacloud"))
		r |= strv_add(&c->warnings, "the cloud IPAM of this cluster logs errors about nodes that it does not know, such as this one");
	if (c->has_wireguard)
		r |= strv_add(&c->warnings,
			      "this cluster encrypts with WireGuard; until the host publishes a key, pods cannot reach it through the tunnel");
	return r;
}

static int read_identity_range(const json_t *data, struct cluster_info *c, struct err *reterr)
{
	uint64_t id, max_clusters;
	unsigned shift;

	if (str_to_u64(value(data, "cluster-id", "0"), CLUSTER_ID_MAX, &id) < 0)
		return err_set(reterr, EINVAL, "cilium-config: cluster-id is no number up to %d", CLUSTER_ID_MAX);
	if (str_to_u64(value(data, "max-connected-clusters", "255"), CLUSTER_ID_MAX, &max_clusters) < 0)
		return err_set(reterr, EINVAL, "cilium-config: max-connected-clusters is no number up to %d", CLUSTER_ID_MAX);
	/* pkg/identity/numericidentity.go: the cluster's id is above 16 bits, or 15 with 511 clusters. */
	shift = max_clusters > 255 ? 15 : 16;
	c->id = (uint32_t)id;
	c->identity_min = c->id << shift;
	c->identity_max = c->identity_min + (1U << shift) - 1;
	if (c->id == 0) {
		c->identity_min = IDENTITY_MIN;
		c->identity_max = MIN(c->identity_max, (uint32_t)IDENTITY_MAX);
	}
	return 0;
}

int cluster_info_read(const json_t *config_map, struct cluster_info *ret, struct err *reterr)
{
	CLEANUP(cluster_info_done) struct cluster_info c = {0};
	const json_t *data = json_object_get(config_map, "data");
	int r;

	if (!json_is_object(data))
		return err_set(reterr, EINVAL, "cilium-config has no data");
	r = refuse(data, reterr);
	if (r < 0)
		return r;
	c.name = strdup(value(data, "cluster-name", "default"));
	c.is_native_routing = str_eq(value(data, "routing-mode", "tunnel"), "native") || str_eq(value(data, "tunnel", ""), "disabled");
	c.has_masquerade = truth(data, "enable-ipv4-masquerade", true);
	c.has_wireguard = truth(data, "enable-wireguard", false);
	c.has_ipv4 = truth(data, "enable-ipv4", true);
	c.has_ipv6 = truth(data, "enable-ipv6", false);
	r = read_identity_range(data, &c, reterr);
	if (r == 0)
		r = add_ranges(data, "cluster-pool-ipv4-cidr", &c, true, reterr);
	if (r == 0)
		r = add_ranges(data, "cluster-pool-ipv6-cidr", &c, true, reterr);
	if (r == 0)
		r = add_ranges(data, "ipv4-native-routing-cidr", &c, false, reterr);
	if (r == 0)
		r = add_ranges(data, "ipv6-native-routing-cidr", &c, false, reterr);
	if (r < 0)
		return r;
	if (!c.name || add_warnings(data, &c) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	*ret = c;
	c = (struct cluster_info){0};
	return 0;
}

int cluster_info_warn_masquerade(struct cluster_info *c, const struct cidr *addresses, size_t n)
{
	if (!c->is_native_routing || !c->has_masquerade)
		return 0;
	for (size_t i = 0; i < n; i++) {
		CLEANUP(free) char *text = NULL;
		char name[CIDR_STRLEN];
		bool is_inside = false;

		for (size_t k = 0; k < c->native_ranges.n; k++)
			is_inside |= cidr_contains(&c->native_ranges.v[k], &addresses[i]);
		if (is_inside || addresses[i].ip.family != AF_INET)
			continue;
		text = str_printf("nodes masquerade pods towards %s, so that the host sees nodes instead of pods: put this range into "
				  "ipv4-native-routing-cidr or into the list of the ip-masq-agent",
				  cidr_str(&addresses[i], name));
		if (!text || strv_add(&c->warnings, text) < 0)
			return -ENOMEM;
	}
	return 0;
}
