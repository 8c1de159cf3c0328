/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/agent.h"
#include "agentd/apply.h"
#include "agentd/resolv_conf.h"
#include "agentd/resolved.h"
#include "agentd/resolver_domains.h"
#include "base/macro.h"

enum { DNS_PORT = 53, UPSTREAMS_MAX = 8 };

struct upstreams {
	const struct conf *conf;
	struct dns_upstream *v;
	size_t n;
};

static int add_upstream(const struct ip *ip, void *arg)
{
	struct upstreams *u = arg;
	struct ip link;

	(void)ip_parse(RESOLVED_ADDRESS, &link); /* a legal address */
	if (ip_eq(&link, ip))
		return 0; /* ourselves, as below */
	for (size_t i = 0; i < u->conf->dns.listen.n; i++)
		if (ip_eq(&u->conf->dns.listen.v[i], ip))
			return 0;
	u->v[u->n++] = (struct dns_upstream){.ip = *ip, .port = DNS_PORT};
	return u->n == UPSTREAMS_MAX;
}

static size_t read_upstreams(const struct conf *conf, struct dns_upstream v[UPSTREAMS_MAX])
{
	struct upstreams u = {.conf = conf, .v = v};

	for (size_t i = 0; i < conf->dns.upstreams.n && u.n < UPSTREAMS_MAX; i++)
		v[u.n++] = (struct dns_upstream){.ip = conf->dns.upstreams.v[i], .port = DNS_PORT};
	if (!u.n)
		(void)resolv_conf_each(add_upstream, &u); /* out of memory: other names are refused */
	return u.n;
}

static int start_fqdn(struct agent *a, const struct dns_upstream *upstreams, size_t n)
{
	const struct fqdn_setup setup = {
		.loop = a->loop,
		.health = a->health,
		.world = a->world,
		.dns = a->dns,
		.obj = datapath_obj(a->datapath),
		.ticks_per_s = datapath_ticks_per_s(a->datapath),
		.state_dir = a->conf->state_dir,
		.servers = &a->join.servers,
		.upstreams = upstreams,
		.n_upstreams = n,
		.on_change = apply_want,
		.arg = a,
	};

	return fqdn_new(&setup, &a->fqdn);
}

void names_leave_resolver(struct agent *a)
{
	resolver_free(TAKE_PTR(a->resolver));
}

static int start_resolver(struct agent *a)
{
	const struct resolver_setup setup = {.loop = a->loop, .health = a->health, .conf = a->conf, .dns = a->dns,
					     .root = ""};

	return resolver_new(&setup, &a->resolver);
}

/* Without it the server works as well, only that who does not ask it is not subject to dns rules. */
static void start_redirect(struct agent *a)
{
	const struct dns_redirect_setup setup = {.dns = a->dns, .obj = datapath_obj(a->datapath), .world = a->world};
	struct err err = {0};

	if (dns_redirect_new(&setup, &a->redirect, &err) < 0)
		health_raise(a->health, HEALTH_WARNING, "dns.redirect", err.text,
			     "programs that ask other DNS servers than the agent's learn nothing for toFQDNs until this is solved");
}

int names_start(struct agent *a, struct err *reterr)
{
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct dns_server_options opt = {.cache_entries = (size_t)a->conf->dns.cache_size};
	struct dns_zone_options zone = {.apex = DOMAIN_CLUSTER, .ns_ips = a->conf->dns.listen.v,
					.n_ns_ips = a->conf->dns.listen.n, .reverse = a->conf->dns.reverse.v,
					.n_reverse = a->conf->dns.reverse.n};
	struct dns_zone_options imports = {.apex = DOMAIN_CLUSTERSET, .is_multicluster = true, .ns_ips = zone.ns_ips,
					   .n_ns_ips = zone.n_ns_ips};
	struct dns_provider forward, reverse, imported;
	int r;

	opt.forward.upstreams = upstreams;
	opt.forward.mark = MESH_DNS_MARK; /* or they would come back to us */
	opt.forward.allowed_mark = MESH_DNS_MARK | MESH_DNS_ALLOWED;
	opt.forward.n_upstreams = read_upstreams(a->conf, upstreams);
	r = dns_zone_new(a->world->services, &zone, &a->zone, reterr);
	if (r == 0)
		r = dns_zone_new(a->world->imports, &imports, &a->import_zone, reterr);
	if (r == 0)
		r = dns_server_new(a->loop, &opt, &a->dns);
	if (r < 0)
		return r;
	dns_zone_provider(a->zone, &forward, &reverse);
	dns_zone_provider(a->import_zone, &imported, NULL);
	r = start_fqdn(a, upstreams, opt.forward.n_upstreams);
	if (r == 0)
		r = dns_server_add_provider(a->dns, &forward);
	if (r == 0)
		r = dns_server_add_provider(a->dns, &reverse);
	if (r == 0)
		r = dns_server_add_provider(a->dns, &imported);
	for (size_t i = 0; r == 0 && i < a->conf->dns.listen.n; i++)
		r = dns_server_listen(a->dns, &a->conf->dns.listen.v[i], (uint16_t)a->conf->dns.port, NULL, reterr);
	if (r < 0)
		return r;
	start_redirect(a);
	return start_resolver(a);
}

void names_follow_resolvers(struct agent *a)
{
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct err err = {0};
	size_t n;

	if (!a->dns || a->conf->dns.upstreams.n)
		return;
	n = read_upstreams(a->conf, upstreams);
	if (a->fqdn)
		fqdn_set_upstreams(a->fqdn, upstreams, n); /* peers of dns rules, too */
	if (dns_server_set_upstreams(a->dns, upstreams, n, &err) < 0)
		health_raise(a->health, HEALTH_WARNING, "dns.upstreams", err.text, "choose others with dns.upstreams in the configuration");
	else
		health_clear(a->health, "dns.upstreams");
}
