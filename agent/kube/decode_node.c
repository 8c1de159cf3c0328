/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/decode_node.h"

#include "base/limits.h"
#include "base/str.h"
#include "json/json.h"

enum { POD_CIDRS_MAX = 256 };

void kube_node_free(struct kube_node *n)
{
	if (!n)
		return;
	free(n->name);
	free(n->uid);
	free(n->wireguard_key);
	free(n->ranges);
	ARRAY_DONE(&n->node_ips);
	ARRAY_DONE(&n->internal_ips);
	ARRAY_DONE(&n->ingress_ips);
	ARRAY_DONE(&n->health_ips);
	ARRAY_DONE(&n->pod_cidrs);
	strv_done(&n->labels);
	free(n);
}

static int add_addresses(struct kube_node *n, const struct doc *list, const char *type)
{
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		struct ip ip;
		int r;

		if (!str_eq(doc_str_at(i.v, "type", ""), type) || ip_parse(doc_str_at(i.v, "ip", ""), &ip) < 0 ||
		    ip_is_special(&ip))
			continue;
		if (n->node_ips.n + n->internal_ips.n >= LIMIT_ADDRESSES)
			return -EINVAL;
		r = str_eq(type, "CiliumInternalIP") ? ARRAY_ADD(&n->internal_ips, ip)
						     : ARRAY_ADD(&n->node_ips, ip);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_cidrs(struct kube_node *n, const struct doc *list)
{
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const char *text = doc_str(i.v);
		struct cidr c;
		int r;

		if (!text || cidr_parse(text, false, &c) < 0 || !cidr_is_routable(&c))
			continue;
		if (n->pod_cidrs.n >= POD_CIDRS_MAX)
			return -EINVAL;
		r = ARRAY_ADD(&n->pod_cidrs, c);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool read_address(const struct doc *pair, const char *family, struct ip *ret)
{
	return ip_parse(doc_str_at(pair, family, ""), ret) == 0 && !ip_is_special(ret);
}

static int read_spec(struct kube_node *n, const struct doc *obj)
{
	static const char *const types[] = {"InternalIP", "ExternalIP", "CiliumInternalIP"};
	static const char *const families[] = {"ipv4", "ipv6"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(types); i++)
		r = add_addresses(n, doc_at(obj, "spec.addresses"), types[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(families); i++) {
		struct ip ip;

		if (read_address(doc_at(obj, "spec.ingress"), families[i], &ip))
			r = ARRAY_ADD(&n->ingress_ips, ip);
		if (r == 0 && read_address(doc_at(obj, "spec.health"), families[i], &ip))
			r = ARRAY_ADD(&n->health_ips, ip);
	}
	if (r == 0)
		r = add_cidrs(n, doc_at(obj, "spec.ipam.podCIDRs"));
	for (struct doc_iter i = doc_elements(doc_at(obj, "spec.ipam.pools.allocated")); r == 0 && i.v; doc_next(&i))
		r = add_cidrs(n, doc_at(i.v, "cidrs"));
	return r;
}

static const char *annotation(const struct doc *obj, const char *name)
{
	return doc_str(doc_get_any(doc_at(obj, "metadata.annotations"), name));
}

int kube_node_decode(const struct doc *obj, struct kube_node **ret, struct err *reterr)
{
	CLEANUP(kube_node_free) struct kube_node *n = calloc(1, sizeof(*n));
	const char *name = doc_str_at(obj, "metadata.name", "");
	const char *key = annotation(obj, "network.cilium.io/wg-pub-key"), *ranges = annotation(obj, KUBE_NODE_ADDRESSES);
	int r;

	if (!n)
		return -ENOMEM;
	if (!str_is_dns_subdomain(name))
		return err_set(reterr, EINVAL, "CiliumNode without a valid name");
	n->name = strdup(name);
	n->uid = strdup(doc_str_at(obj, "metadata.uid", ""));
	n->wireguard_key = key ? strdup(key) : NULL;
	n->is_host = doc_get_any(doc_at(obj, "metadata.labels"), KUBE_NODE_HOST_LABEL) != NULL;
	n->ranges = n->is_host && ranges ? strdup(ranges) : NULL;
	if (!n->name || !n->uid || (key && !n->wireguard_key) || (n->is_host && ranges && !n->ranges))
		return -ENOMEM;
	r = read_spec(n, obj);
	if (r == -EINVAL)
		return err_set(reterr, EINVAL, "CiliumNode %s: more addresses or pod ranges than a node can have",
			       name);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(n);
	return 0;
}

int kube_node_read_labels(struct kube_node *n, const struct doc *obj)
{
	for (struct doc_iter i = doc_members(doc_at(obj, "metadata.labels")); i.v; doc_next(&i)) {
		CLEANUP(free) char *text = doc_is_string(i.v) ? str_printf("%s=%s", i.key, doc_str(i.v)) : NULL;
		int r = n->labels.n >= LIMIT_LABELS ? -E2BIG : text ? strv_add(&n->labels, text) : 0;

		if (r < 0 || (doc_is_string(i.v) && !text))
			return r < 0 ? r : -ENOMEM;
	}
	return 0;
}

const struct ip *kube_node_underlay(const struct kube_node *n, int family)
{
	for (size_t i = 0; i < n->node_ips.n; i++)
		if (n->node_ips.v[i].family == family)
			return &n->node_ips.v[i];
	return NULL;
}

const struct ip *kube_node_tunnel(const struct kube_node *n, bool has_ipv6_underlay)
{
	const struct ip *four = kube_node_underlay(n, AF_INET), *six = kube_node_underlay(n, AF_INET6);

	return six && (has_ipv6_underlay || !four) ? six : four;
}

static bool same_bytes(const void *a, size_t n, const void *b, size_t m, size_t size)
{
	return n == m && (n == 0 || memcmp(a, b, n * size) == 0);
}

static bool same_text(const char *a, const char *b)
{
	return str_eq(a ? a : "", b ? b : "");
}

bool kube_node_same(const struct kube_node *a, const struct kube_node *b)
{
	if (a->labels.n != b->labels.n)
		return false;
	for (size_t i = 0; i < a->labels.n; i++)
		if (!str_eq(a->labels.v[i], b->labels.v[i]))
			return false;
	return a->is_host == b->is_host && str_eq(a->name, b->name) && str_eq(a->uid, b->uid) &&
	       same_text(a->wireguard_key, b->wireguard_key) && same_text(a->ranges, b->ranges) &&
	       same_bytes(a->node_ips.v, a->node_ips.n, b->node_ips.v, b->node_ips.n, sizeof(struct ip)) &&
	       same_bytes(a->internal_ips.v, a->internal_ips.n, b->internal_ips.v, b->internal_ips.n,
			  sizeof(struct ip)) &&
	       same_bytes(a->ingress_ips.v, a->ingress_ips.n, b->ingress_ips.v, b->ingress_ips.n, sizeof(struct ip)) &&
	       same_bytes(a->health_ips.v, a->health_ips.n, b->health_ips.v, b->health_ips.n, sizeof(struct ip)) &&
	       same_bytes(a->pod_cidrs.v, a->pod_cidrs.n, b->pod_cidrs.v, b->pod_cidrs.n, sizeof(struct cidr));
}
