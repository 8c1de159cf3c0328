/* SPDX-License-Identifier: Apache-2.0 */
/* ipcache.list and ipcache.get: which identity the host gives to an address, and who says so. */
#include "agentd/view.h"

#include <errno.h>

#include "json/json.h"

#define FROM_RESOURCE "custom-resource" /* the one source whose addresses are of endpoints */

struct address_walk {
	const struct agent *a;
	json_t *list;
	bool has_filter;
	struct cidr filter;
};

static json_t *address_json(const struct agent *a, const struct cidr *prefix, const struct ipcache_claim *claim,
			    const char *source)
{
	struct ip node = ipcache_node_ip(a->world->addresses, claim->node);
	const char *name = str_eq(source, FROM_RESOURCE) ? endpoint_table_name(a->world->endpoints, claim->owner) : NULL;
	char text[CIDR_STRLEN];
	json_t *o = json_pack("{s:s, s:I, s:o, s:s}", "prefix", cidr_str(prefix, text), "identity",
			      (json_int_t)claim->identity, "labels", view_labels(a, claim->identity), "source", source);

	if (o && node.family)
		(void)json_object_set_new(o, "tunnel_endpoint", view_ip(&node)); /* out of memory: missing */
	if (o && claim->key)
		(void)json_object_set_new(o, "encryption_key", json_integer(claim->key)); /* likewise */
	if (o && name)
		(void)json_object_set_new(o, "name", json_string(name)); /* likewise */
	return o;
}

/* Of an address that is claimed; see world.c. */
static const char *source_of(const struct ipcache_claim *claim)
{
	switch (claim->identity) {
	case IDENTITY_REMOTE_NODE:
	case IDENTITY_HEALTH:
	case IDENTITY_INGRESS:
		return "node";
	case IDENTITY_KUBE_APISERVER:
		return "kube-apiserver";
	default: /* an API server that is no node has a local number; an endpoint may be unmanaged */
		return claim->identity >= IDENTITY_LOCAL_CIDR ? "kube-apiserver" : FROM_RESOURCE;
	}
}

static int each_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct address_walk *w = arg;
	struct cidr prefix = cidr_of_ip(ip);

	if (!w->has_filter || cidr_contains(&w->filter, &prefix))
		view_add(w->list, address_json(w->a, &prefix, claim, source_of(claim)));
	return 0;
}

int view_ipcache_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct address_walk w = {.a = a};
	const char *filter = json_str(args, "prefix", NULL);
	const struct policy_prefix *prefixes;
	int r = view_need_world(a, reterr);
	size_t n;

	if (r < 0)
		return r;
	w.has_filter = filter != NULL;
	if (filter && cidr_parse(filter, true, &w.filter) < 0)
		return err_set(reterr, EINVAL, "\"%.60s\" is no address or prefix", filter);
	w.list = json_array();
	(void)ipcache_each(a->world->addresses, each_address, &w); /* never stops early */
	n = policy_table_prefixes(a->world->table, &prefixes);
	for (size_t i = 0; i < n; i++) {
		const struct ipcache_claim claim = {.identity = prefixes[i].identity};

		if (!w.has_filter || cidr_contains(&w.filter, &prefixes[i].prefix))
			view_add(w.list, address_json(a, &prefixes[i].prefix, &claim, "policy"));
	}
	*ret = w.list;
	return 0;
}

int view_ipcache_get(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *text = json_str(args, "address", "");
	struct ipcache_claim claim = {0};
	struct cidr prefix;
	struct ip ip;
	int r = view_need_world(a, reterr);

	if (r < 0)
		return r;
	if (ip_parse(text, &ip) < 0)
		return err_set(reterr, EINVAL, "\"%.60s\" is no address", text);
	prefix = cidr_of_ip(&ip);
	if (ipcache_get(a->world->addresses, &ip, &claim)) {
		*ret = address_json(a, &prefix, &claim, source_of(&claim));
	} else {
		claim.identity = policy_table_identity_of(a->world->table, &ip);
		*ret = address_json(a, &prefix, &claim, claim.identity < IDENTITY_CLUSTER_MIN ? "world" : "policy");
	}
	return 0;
}
