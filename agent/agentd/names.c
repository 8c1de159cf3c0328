/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/agent.h"
#include "agentd/apply.h"
#include "agentd/resolv_conf.h"
#include "agentd/resolved.h"
#include "agentd/resolver_domains.h"
#include "base/macro.h"

enum { DNS_PORT = 53, UPSTREAMS_MAX = 8, LISTENERS_MAX = 8 };

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
	if (ip->family == AF_INET6 && ip_is_link_local(ip))
		return 0; /* it is reached by an interface, which is not known here */
	u->v[u->n++] = (struct dns_upstream){.ip = *ip, .port = DNS_PORT};
	return u->n == UPSTREAMS_MAX;
}

/* 0 or -ENOMEM: nobody is not whom this host asks. */
static int read_upstreams(const struct conf *conf, struct dns_upstream v[UPSTREAMS_MAX], size_t *ret_n)
{
	struct upstreams u = {.conf = conf, .v = v};
	int r = 0;

	for (size_t i = 0; i < conf->dns.upstreams.n && u.n < UPSTREAMS_MAX; i++)
		v[u.n++] = (struct dns_upstream){.ip = conf->dns.upstreams.v[i], .port = DNS_PORT};
	if (!u.n)
		r = resolv_conf_each(add_upstream, &u);
	if (r < 0)
		return r;
	*ret_n = u.n;
	return 0;
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

static int make_resolver(struct agent *a)
{
	const struct resolver_setup setup = {.loop = a->loop, .health = a->health, .conf = a->conf, .dns = a->dns,
					     .root = ""};

	return resolver_new(&setup, &a->resolver);
}

/* Without it the server works as well, only that who does not ask it is not subject to dns rules. */
static int start_redirect(struct agent *a)
{
	struct err why = {0}, text;
	int r = dns_redirect_start(a->redirect, &why);

	if (r == 0) {
		health_clear(a->health, "dns.redirect");
		return 0;
	}
	(void)err_set(&text, -r, "queries to other DNS servers than the agent's are not judged by dns rules, and toFQDNs learns nothing from them: %s",
		      why.text); /* returns r, known */
	health_raise(a->health, HEALTH_WARNING, "dns.redirect", text.text,
		     "it is tried again; if it lasts, use a kernel that has CONFIG_INET_DIAG and CONFIG_INET_UDP_DIAG");
	return r;
}

/* The providers come before the first query. */
static int make_server(struct agent *a, const struct dns_upstream *upstreams, size_t n)
{
	const struct dns_server_options opt = {.cache_entries = (size_t)a->conf->dns.cache_size,
					       .forward = {.upstreams = upstreams, .n_upstreams = n,
							   .mark = MESH_DNS_MARK, /* or they would come back to us */
							   .allowed_mark = MESH_DNS_MARK | MESH_DNS_ALLOWED}};
	CLEANUP(dns_server_free) struct dns_server *dns = NULL;
	struct dns_provider forward, reverse, imported;
	int r = dns_server_new(a->loop, &opt, &dns);

	if (r < 0)
		return r;
	dns_zone_provider(a->zone, &forward, &reverse);
	dns_zone_provider(a->import_zone, &imported, NULL);
	r = dns_server_add_provider(dns, &forward);
	if (r == 0)
		r = dns_server_add_provider(dns, &reverse);
	if (r == 0)
		r = dns_server_add_provider(dns, &imported);
	if (r == 0)
		a->dns = TAKE_PTR(dns);
	return r;
}

/* On those where it does not yet; before anything else makes it listen. */
static int listen_all(struct agent *a, struct err *reterr)
{
	struct dns_upstream have[LISTENERS_MAX];
	int r = 0;

	for (size_t i = dns_server_listeners(a->dns, have, LISTENERS_MAX); r == 0 && i < a->conf->dns.listen.n; i++)
		r = dns_server_listen(a->dns, &a->conf->dns.listen.v[i], (uint16_t)a->conf->dns.port, NULL, reterr);
	return r;
}

static int start_server(struct agent *a)
{
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct dns_redirect_setup redirect = {.obj = datapath_obj(a->datapath), .world = a->world};
	struct err err = {0};
	size_t n = 0;
	int r = a->dns && a->fqdn ? 0 : read_upstreams(a->conf, upstreams, &n);

	if (r == 0 && !a->dns)
		r = make_server(a, upstreams, n);
	redirect.dns = a->dns;
	if (r == 0 && !a->fqdn)
		r = start_fqdn(a, upstreams, n);
	if (r == 0)
		r = listen_all(a, &err);
	if (r == 0 && !a->redirect)
		r = dns_redirect_new(&redirect, &a->redirect);
	if (r == 0 && !a->resolver)
		r = make_resolver(a);
	if (r == 0) {
		health_clear(a->health, "dns.listen");
		return 0;
	}
	if (!err.text[0])
		(void)err_set(&err, -r, "no name of the cluster is answered: %s", err_name(r)); /* returns r, known */
	health_raise(a->health, HEALTH_WARNING, "dns.listen", err.text,
		     "it is tried again; if it lasts, free that address, or choose another with dns.listen in the configuration");
	return r;
}

void names_retry(struct agent *a)
{
	bool was_on = dns_redirect_is_on(a->redirect);

	if (!a->zone)
		return;
	if (start_server(a) < 0) {
		retry_want(a->retry);
		return;
	}
	if (start_redirect(a) < 0)
		retry_want(a->retry);
	else if (!was_on)
		apply_want(a); /* which switches it on */
	if (resolver_start(a->resolver) < 0)
		retry_want(a->retry);
}

int names_start(struct agent *a, struct err *reterr)
{
	struct dns_zone_options zone = {.apex = DOMAIN_CLUSTER, .ns_ips = a->conf->dns.listen.v,
					.n_ns_ips = a->conf->dns.listen.n, .reverse = a->conf->dns.reverse.v,
					.n_reverse = a->conf->dns.reverse.n};
	struct dns_zone_options imports = {.apex = DOMAIN_CLUSTERSET, .is_multicluster = true, .ns_ips = zone.ns_ips,
					   .n_ns_ips = zone.n_ns_ips};
	int r = a->import_zone ? 0 : dns_zone_new(a->world->imports, &imports, &a->import_zone, reterr);

	if (r == 0 && !a->zone)
		r = dns_zone_new(a->world->services, &zone, &a->zone, reterr);
	if (r < 0)
		return err_set(reterr, -r, "cannot make the zones of the DNS server: %s", err_name(r));
	names_retry(a);
	return 0;
}

int names_follow_resolvers(struct agent *a)
{
	struct dns_upstream upstreams[UPSTREAMS_MAX];
	struct err err = {0};
	size_t n;
	int r;

	if (!a->dns || a->conf->dns.upstreams.n)
		return 0;
	r = read_upstreams(a->conf, upstreams, &n);
	if (r < 0)
		return r;
	if (a->fqdn)
		fqdn_set_upstreams(a->fqdn, upstreams, n); /* peers of dns rules, too */
	if (dns_server_set_upstreams(a->dns, upstreams, n, &err) < 0)
		health_raise(a->health, HEALTH_WARNING, "dns.upstreams", err.text, "choose others with dns.upstreams in the configuration");
	else
		health_clear(a->health, "dns.upstreams");
	return 0;
}
