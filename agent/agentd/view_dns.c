/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS server of the agent: how it does, why it answers as it does, and what names were seen to stand for
 * and which policies look at them.
 */
#include "agentd/view.h"

#include <errno.h>

#include "agentd/resolver_domains.h"
#include "base/clock.h"
#include "dns/dns_sock.h"
#include "json/json.h"

enum { SERVERS_MAX = 8 };

/* 0 if there is a server to talk about; else why not. */
static int need_server(const struct agent *a, struct err *reterr)
{
	if (!a->conf->dns.is_enabled)
		return err_set(reterr, ENOENT, "the DNS server of the agent is off: dns.enabled is false in the configuration");
	if (!a->is_joined)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	if (!a->dns)
		return err_set(reterr, EBUSY, "the DNS server does not run yet: the cluster's configuration is not known");
	return 0;
}

static json_t *address_text(const struct dns_upstream *u)
{
	char text[DNS_ADDR_STRLEN];

	return json_string(dns_addr_str(&u->ip, u->port, text));
}

json_t *view_dns_listen(const struct agent *a)
{
	struct dns_upstream v[SERVERS_MAX];
	size_t n = a->dns ? dns_server_listeners(a->dns, v, SERVERS_MAX) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, address_text(&v[i])); /* out of memory: missing */
	return list;
}

json_t *view_dns_upstreams(const struct agent *a)
{
	struct dns_upstream_status v[SERVERS_MAX];
	size_t n = a->dns ? dns_forward_status(dns_server_forward(a->dns), v, SERVERS_MAX) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, address_text(&v[i].at)); /* likewise */
	return list;
}

static json_int_t age_ms(uint64_t now_us, uint64_t then_us)
{
	return (json_int_t)((now_us - then_us) / USEC_PER_MSEC);
}

/* One that was never asked is neither up nor down. */
static json_t *upstream_view(const struct dns_upstream_status *u, uint64_t now_us)
{
	json_t *o = json_pack("{s:o, s:I, s:I, s:b}", "address", address_text(&u->at), "queries", (json_int_t)u->queries,
			      "failures", (json_int_t)u->failures, "keeps_case", u->lower_until_us <= now_us);

	if (u->answered_us || u->failed_us)
		(void)json_object_set_new(o, "up", json_boolean(u->answered_us >= u->failed_us)); /* as above */
	if (u->latency_us)
		(void)json_object_set_new(o, "latency_us", json_integer(u->latency_us));
	if (u->answered_us)
		(void)json_object_set_new(o, "last_answer_age_ms", json_integer(age_ms(now_us, u->answered_us)));
	if (u->error) {
		(void)json_object_set_new(o, "error", json_string(u->error));
		(void)json_object_set_new(o, "error_age_ms", json_integer(age_ms(now_us, u->failed_us)));
	}
	return o;
}

static json_t *upstreams_view(const struct agent *a)
{
	struct dns_upstream_status v[SERVERS_MAX];
	size_t n = a->dns ? dns_forward_status(dns_server_forward(a->dns), v, SERVERS_MAX) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, upstream_view(&v[i], clock_boot_us())); /* as above */
	return list;
}

void view_dns_wiring(const struct agent *a, struct dns_wiring *ret)
{
	struct dns_upstream v[SERVERS_MAX];
	struct ip ips[SERVERS_MAX];
	size_t n = a->dns ? dns_server_listeners(a->dns, v, SERVERS_MAX) : 0;

	for (size_t i = 0; i < n; i++)
		ips[i] = v[i].ip;
	dns_wiring_read("", ips, n, ret);
	if (ret->state == DNS_WIRING_UNKNOWN && a->resolver && resolver_is_told(a->resolver))
		*ret = (struct dns_wiring){DNS_WIRING_OK, "systemd-resolved", "systemd-resolved asks the agent for the names of the cluster"};
}

static json_t *wiring_view(const struct agent *a)
{
	static const char *const states[] = {
		[DNS_WIRING_OK] = "ok", [DNS_WIRING_OFF] = "off", [DNS_WIRING_UNKNOWN] = "unknown"};
	struct dns_wiring w;

	view_dns_wiring(a, &w);
	return json_pack("{s:s, s:s, s:s}", "method", w.method, "state", states[w.state], "text", w.text);
}

/* What it asks the agent for; NULL where that is everything, or nothing. */
static json_t *domains_view(const struct agent *a, const struct resolver_host *host, enum resolver_method method)
{
	const struct strv *domains = resolver_asked_for(a->resolver);
	json_t *list;

	if (!resolver_is_splitting(host, method))
		return NULL;
	list = json_array();
	for (size_t i = 0; i < domains->n; i++)
		if (method != RESOLVER_BY_PROGRAM || !resolver_domain_is_reverse(domains->v[i]))
			(void)json_array_append_new(list, json_string(domains->v[i])); /* out of memory: missing */
	return list;
}

static json_t *resolver_view(const struct agent *a)
{
	enum resolver_method method;
	struct resolver_host host;
	const char *why;

	if (!a->resolver)
		return NULL;
	method = resolver_state(a->resolver, &host, &why);
	return json_pack("{s:s, s:s, s:b, s:o*, s:s*}", "found", resolver_kind_text(host.kind), "method", resolver_method_name(method), "splits",
			 resolver_is_splitting(&host, method), "domains", domains_view(a, &host, method), "reason", why);
}

int view_dns_status(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	const struct agent *a = arg;
	struct dns_server_counts c = {0};
	struct dns_zone_counts z = {0};
	struct err why = {0};

	(void)args;
	if (need_server(a, &why) == -ENOTCONN)
		return err_set(reterr, ENOTCONN, "%s", why.text);
	if (a->dns)
		dns_server_counts(a->dns, &c);
	if (a->zone)
		dns_zone_counts(a->zone, &z);
	*ret = json_pack("{s:b, s:s*, s:s, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:b, s:I, s:I, s:o}",
			 "enabled", a->dns != NULL, "reason", why.text[0] ? why.text : NULL, "zone", "cluster.local", "listen",
			 view_dns_listen(a), "upstreams", upstreams_view(a), "cache", "entries", (json_int_t)c.cache_entries,
			 "max_entries", (json_int_t)a->conf->dns.cache_size, "bytes", (json_int_t)c.cache_bytes, "hits",
			 (json_int_t)c.cache_hits, "misses", (json_int_t)c.cache_misses, "evictions",
			 (json_int_t)c.cache_evictions, "queries", "all", (json_int_t)c.queries, "cluster", (json_int_t)c.local,
			 "forwarded", (json_int_t)c.forwarded, "refused", (json_int_t)(c.refused + c.denied), "failed",
			 (json_int_t)c.failed, "held", (json_int_t)c.held, "redirected", (json_int_t)c.others, "redirects",
			 a->datapath && (datapath_flags(a->datapath) & MESH_STATE_DNS), "services", (json_int_t)z.services, "records",
			 (json_int_t)z.records, "wiring", wiring_view(a));
	if (*ret && a->resolver)
		(void)json_object_set_new(*ret, "host_resolver", resolver_view(a)); /* out of memory: missing */
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

/* The words of ctl/ctl_verbs.h. */
static const char *source_name(const struct dns_explanation *e)
{
	switch (e->source) {
	case DNS_SOURCE_ZONE:
		return "cluster";
	case DNS_SOURCE_CACHE:
		return "cache";
	case DNS_SOURCE_UPSTREAM:
		return "upstream";
	case DNS_SOURCE_DENIED:
	case DNS_SOURCE_REFUSED:
		return "refused";
	case DNS_SOURCE_NONE:
		break;
	}
	return "none";
}

int view_dns_query(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *name = json_str(args, "name", ""), *type = json_str(args, "type", "A");
	json_int_t port = json_int(args, "port", 0), id = json_int(args, "id", 0);
	struct dns_explanation e = {0};
	struct dns_traced traced;
	bool is_traced = false;
	int r = need_server(a, reterr);

	if (r < 0)
		return r;
	if (port < 0 || port > UINT16_MAX || id < 0 || id > UINT16_MAX)
		return err_set(reterr, EINVAL, "port and id must be numbers up to %d", UINT16_MAX);
	if (port)
		is_traced = dns_server_traced(a->dns, (uint16_t)port, (uint16_t)id, &traced);
	r = dns_server_explain(a->dns, name, type, is_traced ? &traced : NULL, &e, reterr);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "name", name, "type", type, "source", source_name(&e),
			 "explanation", e.text, "traced", is_traced, "listen", view_dns_listen(a));
	if (*ret && is_traced && traced.upstream.port)
		(void)json_object_set_new(*ret, "upstream", address_text(&traced.upstream)); /* out of memory: missing */
	if (*ret && is_traced)
		(void)json_object_set_new(*ret, "held", json_boolean(traced.is_held)); /* likewise */
	free(e.text);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int view_dns_asked(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	const struct agent *a = arg;
	char text[IP_STRLEN];
	struct dns_name name;
	struct ip client;
	int r = need_server(a, reterr);

	if (r < 0)
		return r;
	if (dns_name_parse(json_str(args, "name", ""), &name) < 0)
		return err_set(reterr, EINVAL, "no DNS name");
	*ret = dns_server_asked(a->dns, &name, &client) ?
		       json_pack("{s:b, s:s}", "asked", 1, "client", ip_str(&client, text)) :
		       json_pack("{s:b}", "asked", 0);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

struct walk {
	const struct agent *a;
	json_t *list;
	uint64_t now_us;
};

static int add_selector(const char *selector, void *arg)
{
	json_t *list = arg;

	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), selector))
			return 0;
	(void)json_array_append_new(list, json_string(selector)); /* out of memory: missing */
	return 0;
}

static int add_name(const char *name, bool is_wanted, const struct learned_address *v, size_t n, void *arg)
{
	struct walk *w = arg;
	json_t *selectors = json_array();

	if (is_wanted)
		(void)policy_fqdn_each(w->a->world->policies, name, add_selector, selectors); /* never stops early */
	for (size_t i = 0; i < n; i++) {
		uint64_t left_us = !v[i].is_zombie && v[i].expires_us > w->now_us ? v[i].expires_us - w->now_us : 0;
		char text[IP_STRLEN];

		(void)json_array_append_new(
			w->list, json_pack("{s:s, s:s, s:I, s:b, s:O}", "name", name, "address", ip_str(&v[i].ip, text),
					   "ttl_s", (json_int_t)((left_us + USEC_PER_SEC - 1) / USEC_PER_SEC), "zombie",
					   v[i].is_zombie, "selectors", selectors)); /* likewise */
	}
	json_decref(selectors);
	return 0;
}

int view_dns_learned(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct walk w = {.a = a, .now_us = clock_boot_us()};
	int r = need_server(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	if (!a->fqdn)
		return err_set(reterr, EBUSY, "the DNS server does not run");
	w.list = json_array();
	(void)learned_each(fqdn_learned(a->fqdn), add_name, &w); /* never stops early */
	*ret = w.list;
	return 0;
}
