/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/fqdn_server.h"

#include <errno.h>

#include "base/macro.h"

enum { DNS_PORT = 53 };

#define KUBE_DNS_NS   "kube-system"
#define KUBE_DNS_NAME "kube-dns"

static void add(const struct world *w, struct fqdn_servers *s, uint32_t identity, uint16_t port, bool is_cluster)
{
	const struct identity *id = identity ? identity_get(w->identities, identity) : NULL;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].identity == identity && s->v[i].is_cluster == is_cluster && s->v[i].port == port)
			return;
	if (s->n == FQDN_SERVERS_MAX || (identity && !id))
		return; /* more than anyone has; or a peer that no policy can know */
	s->v[s->n].identity = identity;
	s->v[s->n].labels = id ? id->labels : NULL;
	s->v[s->n].port = port;
	s->v[s->n].is_cluster = is_cluster;
	s->n++;
}

/* The pods behind the Service that every cluster calls kube-dns, whatever runs there. */
static void add_cluster(const struct world *w, struct fqdn_servers *s)
{
	struct service_view view;
	struct ipcache_claim c;

	if (service_table_find(w->services, KUBE_DNS_NS, strlen(KUBE_DNS_NS), KUBE_DNS_NAME, strlen(KUBE_DNS_NAME), &view))
		for (size_t i = 0; i < view.n_slices; i++)
			for (size_t j = 0; j < view.slices[i]->n_addrs; j++)
				if (ipcache_get(w->addresses, &view.slices[i]->addrs[j].ip, &c))
					add(w, s, c.identity, DNS_PORT, true);
	if (s->n == 0)
		add(w, s, 0, DNS_PORT, true);
}

void fqdn_servers_find(const struct world *w, const struct dns_upstream *upstreams, size_t n, struct fqdn_servers *ret)
{
	memset(ret, 0, sizeof(*ret));
	add_cluster(w, ret);
	for (size_t i = 0; i < n; i++) {
		/* a resolver on this host: who it asks is not known here */
		bool is_own = ip_is_loopback(&upstreams[i].ip);

		add(w, ret, is_own ? (uint32_t)IDENTITY_HOST : world_identity_of(w, &upstreams[i].ip), upstreams[i].port, false);
	}
}

void fqdn_servers_one(const struct world *w, const struct ip *ip, uint16_t port, struct fqdn_servers *ret)
{
	memset(ret, 0, sizeof(*ret));
	add(w, ret, ip_is_loopback(ip) ? (uint32_t)IDENTITY_HOST : world_identity_of(w, ip), port, true);
}

bool fqdn_is_kube_dns(const struct world *w, const struct ip *ip)
{
	struct service_view view;

	if (!service_table_find(w->services, KUBE_DNS_NS, strlen(KUBE_DNS_NS), KUBE_DNS_NAME, strlen(KUBE_DNS_NAME), &view))
		return false;
	for (size_t i = 0; view.service && i < view.service->n_cluster_ips; i++)
		if (ip_eq(&view.service->cluster_ips[i], ip))
			return true;
	for (size_t i = 0; i < view.n_slices; i++)
		for (size_t j = 0; j < view.slices[i]->n_addrs; j++)
			if (ip_eq(&view.slices[i]->addrs[j].ip, ip))
				return true;
	return false;
}

bool fqdn_servers_eq(const struct fqdn_servers *a, const struct fqdn_servers *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].identity != b->v[i].identity || a->v[i].labels != b->v[i].labels ||
		    a->v[i].port != b->v[i].port || a->v[i].is_cluster != b->v[i].is_cluster)
			return false;
	return true;
}

/* kube-dns as it is labelled in every cluster, for one that shows none. */
static int make_default(const struct world *w, struct label_set **ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = identity_labels(w->identities)};
	const struct {
		const char *key, *value;
	} labels[] = {
		{"k8s:k8s-app", KUBE_DNS_NAME},
		{"k8s:io.kubernetes.pod.namespace", KUBE_DNS_NS},
		{"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name", KUBE_DNS_NS},
		{"k8s:io.cilium.k8s.policy.cluster", w->config.cluster_name},
		{"k8s:io.cilium.k8s.policy.serviceaccount", "coredns"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(labels); i++)
		r = label_builder_add(&b, labels[i].key, labels[i].value);
	return r < 0 ? r : label_builder_take(&b, ret);
}

int fqdn_servers_rules(const struct world *w, const struct fqdn_servers *s, struct policy_dns **ret)
{
	struct policy_dns_server v[FQDN_SERVERS_MAX];
	struct label_set *labels = NULL;
	int r = make_default(w, &labels);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n; i++) {
		const struct identity *id = s->v[i].identity ? identity_get(w->identities, s->v[i].identity) : NULL;

		v[i] = (struct policy_dns_server){.port = s->v[i].port, .is_cluster = s->v[i].is_cluster};
		v[i].peer.labels = id ? id->labels : labels;
		v[i].peer.flags = identity_flags_of(identity_labels(w->identities), v[i].peer.labels);
		v[i].peer.ports = id ? id->ports : NULL;
	}
	r = policy_dns_new(w->policies, v, s->n, ret);
	label_set_free(identity_labels(w->identities), labels);
	return r;
}
