/* SPDX-License-Identifier: Apache-2.0 */
#include "service/migration_backends.h"

#include <netinet/in.h>

#include "base/str.h"

static uint16_t port_here(const struct kube_service_port *p, const struct conf *conf)
{
	if (!p->target_name)
		return p->target_port;
	for (size_t i = 0; i < conf->named_ports.n; i++)
		if (conf->named_ports.v[i].protocol == p->proto && str_eq(conf->named_ports.v[i].name, p->target_name))
			return conf->named_ports.v[i].port;
	return 0;
}

static bool asks_of(const struct conf_probe *p, const char *service)
{
	return (p->type == CONF_PROBE_HTTP || p->type == CONF_PROBE_TCP) &&
	       (str_eq(p->service, service) || str_eq(p->service, "*"));
}

struct migration_check migration_check_of(const struct kube_service *s, const struct conf *conf)
{
	const struct kube_service_port *first = NULL;

	for (size_t i = 0; i < conf->probes.n; i++)
		for (size_t k = 0; asks_of(&conf->probes.v[i], s->name) && k < s->n_ports; k++)
			if (s->ports[k].proto == IPPROTO_TCP && port_here(&s->ports[k], conf) == conf->probes.v[i].port)
				return (struct migration_check){.port = &s->ports[k], .host_port = conf->probes.v[i].port,
								.probe = &conf->probes.v[i]};
	for (size_t k = 0; k < s->n_ports; k++)
		if (port_here(&s->ports[k], conf) && (!first || (first->proto != IPPROTO_TCP && s->ports[k].proto == IPPROTO_TCP)))
			first = &s->ports[k];
	return (struct migration_check){.port = first, .host_port = first ? port_here(first, conf) : 0,
					.is_blind = !first || first->proto != IPPROTO_TCP};
}

uint8_t migration_family(const struct kube_service *s)
{
	return s->n_cluster_ips ? s->cluster_ips[0].family : AF_INET;
}

static bool is_own(const struct ip *ip, const struct ip *own, size_t n_own)
{
	for (size_t i = 0; i < n_own; i++)
		if (ip_eq(ip, &own[i]))
			return true;
	return false;
}

/* 0 if the slice does not have it. */
static uint16_t port_in(const struct kube_slice *s, const struct kube_service_port *port)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].proto == port->proto && str_eq(kube_slice_text(s, s->ports[i].name), port->name))
			return s->ports[i].port;
	return 0;
}

static int backend_cmp(const void *a, const void *b)
{
	return ip_cmp(&((const struct migration_backend *)a)->ip, &((const struct migration_backend *)b)->ip);
}

int migration_backends_of(const struct service_view *v, const struct kube_service_port *port, const struct ip *own,
			  size_t n_own, struct migration_backends *ret)
{
	uint8_t family = migration_family(v->service);
	size_t n = 0;

	for (size_t i = 0; i < v->n_slices; i++) {
		const struct kube_slice *s = v->slices[i];
		uint16_t number = port_in(s, port);

		if (!number || s->family != family || s->is_import || s->is_paused)
			continue;
		for (size_t k = 0; k < s->n_endpoints; k++) {
			const struct ip *ip = &s->addrs[s->endpoints[k].first_addr].ip;

			if (!(s->endpoints[k].conditions & KUBE_EP_READY) || is_own(ip, own, n_own))
				continue;
			if (ARRAY_ADD(ret, (struct migration_backend){*ip, number}) < 0)
				return -ENOMEM;
		}
	}
	ARRAY_SORT(ret, backend_cmp);
	for (size_t i = 0; i < ret->n; i++)
		if (n == 0 || !ip_eq(&ret->v[n - 1].ip, &ret->v[i].ip))
			ret->v[n++] = ret->v[i];
	ret->n = n;
	return 0;
}
