/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of the API servers, as the Service default/kubernetes has them. */
#include "agentd/world_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/macro.h"

/* The identity of an API server that is no node: reserved:kube-apiserver beside its prefix (lab, section 15). */
static int apiserver_identity(struct world *w, const struct ip *ip, uint32_t *ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = identity_labels(w->identities)};
	struct cidr c = cidr_of_ip(ip);
	uint32_t world = identity_of_world(w->config.has_ipv4, w->config.has_ipv6, ip->family);
	struct label_set *set;
	int r = identity_local_number(w->identities, IDENTITY_LOCAL_CIDR, ret);

	if (r == 0)
		r = label_builder_add(&b, "reserved:kube-apiserver", "");
	if (r == 0)
		r = label_builder_add_set(&b, identity_get(w->identities, world)->labels);
	if (r == 0)
		r = label_builder_add_cidr(&b, &c);
	if (r == 0)
		r = label_builder_take(&b, &set);
	return r < 0 ? r : identity_upsert(w->identities, *ret, set);
}

static bool is_on_node(const struct world *w, const struct ip *ip)
{
	struct ipcache_claim known;

	return ipcache_get(w->addresses, ip, &known) && (known.flags & IPCACHE_IS_NODE);
}

static int add_apiserver(struct world *w, const struct ip *ip)
{
	struct ipcache_claim c = {.identity = IDENTITY_KUBE_APISERVER};
	struct apiserver s = {.ip = *ip, .is_on_node = is_on_node(w, ip)};
	const struct ip direct = {0};
	int r = ARRAY_RESERVE(&w->apiservers, 1); /* who is not in there never gives its identity back */

	/* On a node it is that node, with the label more: number 7. */
	if (r == 0 && !s.is_on_node)
		r = apiserver_identity(w, ip, &c.identity);
	if (r < 0)
		return r;
	w->apiservers.v[w->apiservers.n++] = s;
	world_claim(w, IPCACHE_FROM_APISERVER, ip, c, &direct);
	return 0;
}

static void remove_apiserver(struct world *w, size_t place)
{
	const struct ip ip = w->apiservers.v[place].ip;
	struct ipcache_claim c;

	if (ipcache_get(w->addresses, &ip, &c) && c.identity >= IDENTITY_LOCAL_CIDR)
		(void)identity_remove(w->identities, c.identity); /* made in add_apiserver() */
	ipcache_release(w->addresses, IPCACHE_FROM_APISERVER, &ip, 0);
	w->apiservers.v[place] = w->apiservers.v[--w->apiservers.n];
}

static bool is_in_slices(const struct service_view *view, const struct ip *ip)
{
	for (size_t i = 0; i < view->n_slices; i++)
		for (size_t j = 0; j < view->slices[i]->n_addrs; j++)
			if (ip_eq(&view->slices[i]->addrs[j].ip, ip))
				return true;
	return false;
}

/* Each has an identity of its own, and is compared with all others. */
static bool is_full(struct world *w)
{
	bool has_more = w->apiservers.n >= LIMIT_APISERVERS;

	if (has_more && !w->has_more_apiservers)
		log_event(LOG_WARNING, "world.apiservers",
			  "the Service default/kubernetes has more addresses than a host tells apart; policies take the others for outside the cluster",
			  F_U64("limit", LIMIT_APISERVERS));
	w->has_more_apiservers = has_more;
	return has_more;
}

static bool is_claimed(const struct world *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->apiservers.n; i++)
		if (ip_eq(&w->apiservers.v[i].ip, ip))
			return true;
	return false;
}

int world_update_apiservers(struct world *w)
{
	struct service_view view;
	int r = 0;

	if (!service_table_find(w->services, "default", strlen("default"), "kubernetes", strlen("kubernetes"), &view))
		return 0;
	for (size_t k = 0; k < w->apiservers.n;) {
		const struct apiserver *s = &w->apiservers.v[k];

		/* A control plane's CiliumNode often comes after its API server. */
		if ((view.n_slices && !is_in_slices(&view, &s->ip)) || s->is_on_node != is_on_node(w, &s->ip))
			remove_apiserver(w, k);
		else
			k++;
	}
	for (size_t i = 0; i < view.n_slices; i++)
		for (size_t j = 0; r == 0 && j < view.slices[i]->n_addrs; j++)
			if (!is_claimed(w, &view.slices[i]->addrs[j].ip) && !is_full(w))
				r = add_apiserver(w, &view.slices[i]->addrs[j].ip);
	return r;
}
