/* SPDX-License-Identifier: Apache-2.0 */
#include "join/address_check.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "join/names.h"
#include "json/json.h"

/* No site gives a whole such network to one host; it would be a typing error. */
enum { V4_LEN_MIN = 16, V6_LEN_MIN = 48 };

static int compare(const void *a, const void *b)
{
	return cidr_cmp(a, b);
}

static int add_one(const char *text, struct address_list *l, struct err *reterr)
{
	struct cidr c;

	if (cidr_parse(text, true, &c) < 0)
		return err_set(reterr, EINVAL, "%.80s is no address or address range", text);
	if (ip_is_special(&c.ip))
		return err_set(reterr, EINVAL, "%.80s is no address that a host can have: unspecified, loopback, link-local or multicast", text);
	if (c.len < (c.ip.family == AF_INET ? V4_LEN_MIN : V6_LEN_MIN))
		return err_set(reterr, EINVAL, "%.80s: a range wider than /%d for one host is refused", text,
			       c.ip.family == AF_INET ? V4_LEN_MIN : V6_LEN_MIN);
	for (size_t i = 0; i < l->n; i++)
		if (cidr_cmp(&l->v[i], &c) == 0)
			return 0;
	if (l->n == LIMIT_ADDRESSES)
		return err_set(reterr, EINVAL, "more than %d addresses", LIMIT_ADDRESSES);
	return ARRAY_ADD(l, c) < 0 ? err_set(reterr, ENOMEM, "out of memory") : 0;
}

int address_list_parse(const char *text, struct address_list *ret, struct err *reterr)
{
	CLEANUP(address_list_done) struct address_list l = {0};
	CLEANUP(strv_done) struct strv parts = {0};

	if (strv_split(&parts, text, ',') < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	for (size_t i = 0; i < parts.n; i++) {
		int r = add_one(parts.v[i], &l, reterr);

		if (r < 0)
			return r;
	}
	if (!l.n)
		return err_set(reterr, EINVAL, "no address is given");
	ARRAY_SORT(&l, compare);
	*ret = l;
	l = (struct address_list){0};
	return 0;
}

char *address_list_str(const struct address_list *l)
{
	CLEANUP(buf_done) struct buf out = {0};
	char text[CIDR_STRLEN];

	for (size_t i = 0; i < l->n; i++)
		if (buf_addf(&out, "%s%s", i ? "," : "", cidr_str(&l->v[i], text)) < 0)
			return NULL;
	return out.data ? strdup(out.data) : NULL;
}

struct check {
	const char *host;
	const struct address_list *l;
	struct err *reterr;
};

static bool overlap(const struct cidr *a, const struct cidr *b)
{
	return cidr_contains(a, b) || cidr_contains(b, a);
}

static int check_range(const struct check *c, const struct cidr *range, const char *what, const char *name)
{
	char own[CIDR_STRLEN], other[CIDR_STRLEN];

	for (size_t i = 0; i < c->l->n; i++)
		if (overlap(&c->l->v[i], range))
			return err_set(c->reterr, EADDRINUSE, "%s overlaps %s, %s%s", cidr_str(&c->l->v[i], own),
				       cidr_str(range, other), what, name);
	return 0;
}

static int check_text(const struct check *c, const char *text, const char *what, const char *name)
{
	struct cidr range;

	/* What does not parse is of no agent's use either. */
	return text && cidr_parse(text, true, &range) == 0 ? check_range(c, &range, what, name) : 0;
}

static int check_node(const json_t *node, void *arg)
{
	const struct check *c = arg;
	const char *name = json_str(node, "metadata.name", "?");
	const json_t *annotations = json_at(node, "metadata.annotations");
	const char *enrolled = json_string_value(json_object_get(annotations, MESH_ADDRESSES));
	CLEANUP(strv_done) struct strv ranges = {0};
	const json_t *v;
	size_t i;
	int r = 0;

	if (str_eq(name, c->host))
		return 0;
	json_array_foreach(json_at(node, "spec.ipam.podCIDRs"), i, v)
	{
		r = check_text(c, json_string_value(v), "the pod range of node ", name);
		if (r < 0)
			return r;
	}
	json_array_foreach(json_at(node, "spec.addresses"), i, v)
	{
		r = check_text(c, json_str(v, "ip", NULL), "an address of node ", name);
		if (r < 0)
			return r;
	}
	if (strv_split(&ranges, enrolled ? enrolled : "", ',') < 0)
		return err_set(c->reterr, ENOMEM, "out of memory");
	for (i = 0; i < ranges.n && r == 0; i++)
		r = check_text(c, ranges.v[i], "which belongs to host ", name);
	return r;
}

static int check_service_cidr(const json_t *object, void *arg)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_at(object, "spec.cidrs"), i, v)
	{
		int r = check_text(arg, json_string_value(v), "the service range ", json_str(object, "metadata.name", "?"));

		if (r < 0)
			return r;
	}
	return 0;
}

/* Before Kubernetes 1.31 the range is not in the API: then at least the addresses in use count. */
static int check_service(const json_t *service, void *arg)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_at(service, "spec.clusterIPs"), i, v)
	{
		int r = check_text(arg, json_string_value(v), "the address of service ", json_str(service, "metadata.name", "?"));

		if (r < 0)
			return r;
	}
	return 0;
}

int address_check(const struct kube_session *s, const char *host, const struct address_list *l, struct cluster_info *info,
		  struct err *reterr)
{
	struct check c = {.host = host, .l = l, .reterr = reterr};
	int r;

	for (size_t i = 0; i < info->pod_ranges.n; i++) {
		r = check_range(&c, &info->pod_ranges.v[i], "the pod range of the cluster", "");
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].ip.family == AF_INET ? !info->cilium.has_ipv4 : !info->cilium.has_ipv6) {
			char text[CIDR_STRLEN];

			return err_set(reterr, EINVAL, "%s: this cluster has no IPv%d", cidr_str(&l->v[i], text),
				       l->v[i].ip.family == AF_INET ? 4 : 6);
		}
	r = kube_each(s, "CiliumNode", NULL, NULL, check_node, &c, reterr);
	if (r < 0)
		return r;
	r = kube_each(s, "ServiceCIDR", NULL, NULL, check_service_cidr, &c, reterr);
	if (r == -ENOENT)
		r = kube_each(s, "Service", NULL, NULL, check_service, &c, reterr);
	if (r < 0)
		return r;
	if (cluster_info_warn_addresses(info, l->v, l->n) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	return 0;
}
