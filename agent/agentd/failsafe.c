/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/failsafe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "agentd/resolv_conf.h"
#include "base/log.h"
#include "bpf/bpf_map.h"
#include "plan/plan_service.h"

enum { DNS_PORT = 53 };

static int add(struct failsafe_list *l, const struct failsafe_entry *e)
{
	if (l->n == MESH_FAILSAFE_MAX) {
		log_event(LOG_WARNING, "failsafe.full", "the failsafe set is full: an entry is left out",
			  F_U64("port", e->port));
		return 0;
	}
	return ARRAY_ADD(l, *e);
}

static int add_configured(struct failsafe_list *l, enum mesh_dir dir, const struct conf_failsafe *v, size_t n)
{
	static const uint8_t any[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6};
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *protocols = v[i].protocol ? &v[i].protocol : any;
		size_t n_protocols = v[i].protocol ? 1 : ARRAY_LEN(any);

		for (size_t k = 0; r == 0 && k < n_protocols; k++)
			r = add(l, &(struct failsafe_entry){.dir = dir, .protocol = protocols[k], .port = v[i].port,
							    .cidr = v[i].cidr});
	}
	return r;
}

static int add_peer(struct failsafe_list *l, enum mesh_dir dir, uint8_t protocol, uint16_t port, const struct ip *peer)
{
	struct failsafe_entry e = {.dir = dir, .protocol = protocol, .port = port, .is_automatic = true};

	if (peer)
		e.cidr = cidr_of_ip(peer);
	return add(l, &e);
}

/* Link-local ones are elsewhere, too: those of clouds are. */
static int add_resolver(const struct ip *ip, void *arg)
{
	int r;

	if (ip_is_special(ip) && !ip_is_link_local(ip))
		return 0;
	r = add_peer(arg, MESH_EGRESS, IPPROTO_UDP, DNS_PORT, ip);
	return r < 0 ? r : add_peer(arg, MESH_EGRESS, IPPROTO_TCP, DNS_PORT, ip);
}

static int add_resolvers(struct failsafe_list *l, const struct conf *conf)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->dns.upstreams.n; i++)
		r = add_resolver(&conf->dns.upstreams.v[i], l);
	return r < 0 ? r : resolv_conf_each_behind(add_resolver, l);
}

int failsafe_build(const struct conf *conf, const struct ip *servers, const uint16_t *ports, size_t n_servers,
		   struct failsafe_list *ret)
{
	struct failsafe_list l = {0};
	int r = 0;

	if (conf->failsafe.is_enabled)
		r = add_configured(&l, MESH_INGRESS, conf->failsafe.inbound.v, conf->failsafe.inbound.n);
	if (r == 0 && conf->failsafe.is_enabled)
		r = add_configured(&l, MESH_EGRESS, conf->failsafe.outbound.v, conf->failsafe.outbound.n);
	/* The API servers always: without them the host could never learn of a better policy. */
	for (size_t i = 0; r == 0 && i < n_servers; i++)
		r = add_peer(&l, MESH_EGRESS, IPPROTO_TCP, ports[i], &servers[i]);
	if (r == 0 && conf->failsafe.is_enabled && conf->failsafe.has_automatic)
		r = add_resolvers(&l, conf);
	if (r < 0) {
		ARRAY_DONE(&l);
		return r;
	}
	*ret = l;
	return 0;
}

static struct mesh_failsafe_key key_of(const struct failsafe_entry *e)
{
	struct mesh_failsafe_key key = {.prefixlen = MESH_FAILSAFE_BITS, .dir = (uint8_t)e->dir,
					.proto = e->protocol, .port = htons(e->port)};

	if (e->cidr.ip.family) {
		ip_mapped(&e->cidr.ip, key.addr);
		key.prefixlen += e->cidr.len + (e->cidr.ip.family == AF_INET ? 96u : 0u);
	}
	return key;
}

struct stale {
	const struct failsafe_list *list;
	struct mesh_failsafe_key v[MESH_FAILSAFE_MAX];
	size_t n;
};

static int find_stale(const void *key, const void *value, void *arg)
{
	struct stale *s = arg;

	(void)value;
	for (size_t i = 0; i < s->list->n; i++) {
		struct mesh_failsafe_key k = key_of(&s->list->v[i]);

		if (memcmp(&k, key, sizeof(k)) == 0)
			return 0;
	}
	if (s->n < MESH_FAILSAFE_MAX)
		memcpy(&s->v[s->n++], key, sizeof(s->v[0]));
	return 0;
}

static int put_all(const struct bpfobj *o, const struct failsafe_list *list)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < list->n; i++) {
		struct mesh_failsafe_key key = key_of(&list->v[i]);

		r = bpfmap_put(o, BPFOBJ_FAILSAFE, &key, &i);
	}
	return r;
}

/* Connections that such an entry let through are for the policies to judge from now on. */
static int remove_stale(const struct bpfobj *o, struct bpfconfig *c, const struct failsafe_list *list)
{
	struct stale stale = {.list = list};
	int r = bpfmap_each(o, BPFOBJ_FAILSAFE, find_stale, &stale);

	for (size_t i = 0; r == 0 && i < stale.n; i++)
		r = bpfmap_del(o, BPFOBJ_FAILSAFE, &stale.v[i]);
	if (stale.n)
		bpfconfig_bump(c);
	return r;
}

int failsafe_apply(const struct bpfobj *o, struct bpfconfig *c, const struct failsafe_list *list, bool is_partial)
{
	struct mesh_config *m = bpfconfig_get(c);
	uint16_t any_port = is_partial ? m->failsafe_any_port : 0;
	int r = put_all(o, list);

	if (r == -E2BIG && !is_partial) { /* the map has no room for both: what is not wished for any more goes first */
		r = remove_stale(o, c, list);
		if (r == 0)
			r = put_all(o, list);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < list->n; i++)
		if (!list->v[i].port)
			any_port |= (uint16_t)(1u << list->v[i].dir);
	m->failsafe_any_port = any_port;
	return is_partial ? 0 : remove_stale(o, c, list);
}
