/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service_options.h"

#include <errno.h>
#include <string.h>

void service_options_done(struct options_copy *c)
{
	free(c->node);
	free(c->zone);
	free(c->proxy_name);
	strv_done(&c->node_labels);
	free(c->host_ips);
	*c = (struct options_copy){0};
}

static int copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_ips(const struct ip *ips, size_t n, struct ip **ret)
{
	*ret = n ? calloc(n, sizeof(*ips)) : NULL;
	if (n && !*ret)
		return -ENOMEM;
	if (n)
		memcpy(*ret, ips, n * sizeof(*ips));
	return 0;
}

static int copy_labels(const struct strv *labels, struct strv *ret)
{
	int r = 0;

	for (size_t i = 0; labels && r == 0 && i < labels->n; i++)
		r = strv_add(ret, labels->v[i]);
	return r;
}

int service_options_copy(const struct service_options *opt, struct options_copy *ret)
{
	static const struct service_options none;
	struct options_copy c = {.o = opt ? *opt : none};

	if (copy_text(c.o.node, &c.node) < 0 || copy_text(c.o.zone, &c.zone) < 0 ||
	    copy_text(c.o.proxy_name, &c.proxy_name) < 0 ||
	    copy_labels(c.o.node_labels, &c.node_labels) < 0 ||
	    copy_ips(c.o.host_ips, c.o.n_host_ips, &c.host_ips) < 0) {
		service_options_done(&c);
		return -ENOMEM;
	}
	c.o.node = c.node;
	c.o.zone = c.zone;
	c.o.proxy_name = c.proxy_name;
	c.o.host_ips = c.host_ips;
	c.o.node_labels = NULL; /* that of the copy, wherever it comes to lie */
	*ret = c;
	return 0;
}

static bool text_same(const char *a, const char *b)
{
	return str_eq(a ? a : "", b ? b : "");
}

static bool labels_same(const struct strv *a, const struct strv *b)
{
	size_t n = a ? a->n : 0;

	if (n != (b ? b->n : 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

bool service_options_same(const struct service_options *a, const struct service_options *b)
{
	return text_same(a->node, b->node) && text_same(a->zone, b->zone) && text_same(a->proxy_name, b->proxy_name) &&
	       labels_same(a->node_labels, b->node_labels) &&
	       a->has_clustermesh == b->has_clustermesh && a->has_external_ips == b->has_external_ips &&
	       a->has_load_balancers == b->has_load_balancers && a->has_node_ports == b->has_node_ports &&
	       a->n_host_ips == b->n_host_ips &&
	       (a->n_host_ips == 0 || memcmp(a->host_ips, b->host_ips, a->n_host_ips * sizeof(*a->host_ips)) == 0);
}
