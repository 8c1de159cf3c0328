/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS server; and for dns.learned what DNS names were seen to stand for, and which policies look at them. */
#include "agentd/view.h"

#include <errno.h>

#include "base/clock.h"
#include "dns/dns_forward.h"
#include "json/json.h"

static json_t *dns_addresses(const struct agent *a)
{
	json_t *list = json_array();

	for (size_t i = 0; a->dns && i < a->conf->dns.listen.n; i++) {
		char ip[IP_STRLEN];

		(void)json_array_append_new(list, json_sprintf("%s:%d", ip_str(&a->conf->dns.listen.v[i], ip),
								 (int)a->conf->dns.port)); /* out of memory: missing */
	}
	return list;
}

static json_t *upstream_name(const struct dns_upstream *u)
{
	char ip[IP_STRLEN];

	return json_sprintf(u->ip.family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip_str(&u->ip, ip), u->port);
}

json_t *view_dns_upstreams(const struct agent *a, bool has_counts)
{
	const struct dns_forward *f = a->dns ? dns_server_forward(a->dns) : NULL;
	json_t *list = json_array();

	for (size_t i = 0; f && i < dns_forward_n_upstreams(f); i++) {
		struct dns_upstream_counts c;
		struct dns_upstream u;

		dns_forward_upstream(f, i, &u, &c);
		(void)json_array_append_new(
			list, has_counts ? json_pack("{s:o, s:b, s:I, s:I}", "address", upstream_name(&u), "up", !c.is_failing,
						     "queries", (json_int_t)c.queries, "failures", (json_int_t)c.failures) :
					   upstream_name(&u)); /* likewise */
	}
	return list;
}

int view_dns_status(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct dns_server_counts c = {0};

	(void)args;
	if (a->dns)
		dns_server_counts(a->dns, &c);
	*ret = json_pack("{s:b, s:s, s:o, s:o, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}}", "enabled", a->dns != NULL,
			 "zone", "cluster.local", "listen", dns_addresses(a), "upstreams", view_dns_upstreams(a, true), "cache",
			 "entries", (json_int_t)c.cache_entries, "max_entries", (json_int_t)a->conf->dns.cache_size, "hits",
			 (json_int_t)c.cached, "misses", (json_int_t)c.forwarded, "queries", "cluster", (json_int_t)c.local,
			 "forwarded", (json_int_t)c.forwarded, "refused", (json_int_t)(c.refused + c.denied), "failed",
			 (json_int_t)c.failed);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int view_dns_query(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *name = json_str(args, "name", ""), *type = json_str(args, "type", "A");
	CLEANUP(json_decref) json_t *answer = NULL;
	int r;

	if (!a->dns)
		return err_set(reterr, ENOTCONN, "the DNS server is not running");
	r = dns_server_explain(a->dns, name, type, &answer, reterr);
	if (r < 0)
		return r;
	if (json_object_set_new(answer, "name", json_string(name)) < 0 || json_object_set_new(answer, "type", json_string(type)) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	*ret = TAKE_PTR(answer);
	return 0;
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

	(void)args;
	if (!a->fqdn)
		return err_set(reterr, ENOTCONN, "the DNS server is not running");
	w.list = json_array();
	(void)learned_each(fqdn_learned(a->fqdn), add_name, &w); /* never stops early */
	*ret = w.list;
	return 0;
}
