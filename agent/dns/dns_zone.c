/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_zone.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/str.h"
#include "dns/dns_zone_private.h"

enum {
	VERSION_TTL_S = 28800, /* what CoreDNS sends */
	SOA_TTL_MAX_S = 300,
	CHAIN_MAX = 10,
	DEFAULT_TTL_S = 5,
};

static void names_free(struct zone_ns **head)
{
	struct zone_ns *e, *next;

	HASH_ITER (hh, *head, e, next) {
		HASH_DEL(*head, e);
		free(e);
	}
}

static bool names_have(struct zone_ns *head, const char *name, size_t len)
{
	struct zone_ns *e;

	HASH_FIND(hh, head, name, len, e);
	return e != NULL;
}

static int names_add(struct zone_ns **head, const char *name)
{
	size_t len = strlen(name);
	struct zone_ns *e;

	if (names_have(*head, name, len))
		return 0;
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, len + 1);
	hash_oom = false;
	HASH_ADD(hh, *head, name[0], len, e);
	if (hash_oom) {
		free(e);
		return -ENOMEM;
	}
	return 0;
}

int dns_zone_new(const struct service_table *table, const struct dns_zone_options *opt,
		 struct dns_zone **ret, struct err *reterr)
{
	CLEANUP(dns_zone_free) struct dns_zone *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->table = table;
	z->opt = *opt;
	z->opt.reverse = NULL;
	z->opt.ns_ips = NULL;
	if (z->opt.ttl == 0)
		z->opt.ttl = DEFAULT_TTL_S;
	/* leaves room for every name below: five labels of 63 bytes would not fit in any case */
	if (dns_name_parse(opt->apex, &z->apex) < 0 || z->apex.len > DNS_NAME_MAX / 2)
		return err_set(reterr, EINVAL, "%.64s is no DNS zone", opt->apex);
	rng_bytes(&z->random, sizeof(z->random));
	z->random |= 1;
	for (size_t i = 0; i < opt->n_reverse; i++)
		if (ARRAY_ADD(&z->reverse, opt->reverse[i]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < opt->n_ns_ips; i++)
		if (ARRAY_ADD(&z->ns_ips, opt->ns_ips[i]) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(z);
	return 0;
}

void dns_zone_free(struct dns_zone *z)
{
	if (!z)
		return;
	names_free(&z->namespaces);
	names_free(&z->visible);
	ARRAY_DONE(&z->reverse);
	ARRAY_DONE(&z->ns_ips);
	ARRAY_DONE(&z->items);
	ARRAY_DONE(&z->seen);
	free(z);
}

int dns_zone_set_namespace(struct dns_zone *z, const char *ns, bool exists)
{
	struct zone_ns *e;

	if (exists)
		return names_add(&z->namespaces, ns);
	HASH_FIND(hh, z->namespaces, ns, strlen(ns), e);
	if (e) {
		HASH_DEL(z->namespaces, e);
		free(e);
	}
	return 0;
}

void dns_zone_set_synced(struct dns_zone *z)
{
	z->is_synced = true;
}

int dns_zone_set_visible(struct dns_zone *z, const struct strv *namespaces)
{
	struct zone_ns *fresh = NULL;

	for (size_t i = 0; namespaces && i < namespaces->n; i++)
		if (names_add(&fresh, namespaces->v[i]) < 0) {
			names_free(&fresh);
			return -ENOMEM;
		}
	names_free(&z->visible);
	z->visible = fresh;
	return 0;
}

bool zone_is_visible(const struct dns_zone *z, const char *ns, size_t len)
{
	return !z->visible || names_have(z->visible, ns, len);
}

/* xorshift64: the order of addresses needs no secrecy. */
uint32_t zone_random(struct dns_zone *z, uint32_t bound)
{
	z->random ^= z->random << 13;
	z->random ^= z->random >> 7;
	z->random ^= z->random << 17;
	return (uint32_t)((z->random >> 32) * bound >> 32);
}

static uint32_t zone_serial(const struct dns_zone *z)
{
	struct service_counts c;

	service_table_counts(z->table, &c);
	return (uint32_t)c.changed_s;
}

/* SOA in the authority section, as every negative answer has. */
enum dns_verdict zone_negative(const struct dns_zone *z, const struct dns_name *apex, int rcode,
			       struct dns_writer *w, struct dns_result *ret)
{
	dns_writer_reset(w);
	(void)dns_put_soa(w, DNS_AUTHORITY, apex, MIN(z->opt.ttl, (uint32_t)SOA_TTL_MAX_S), /* TC if full */
			  zone_serial(z), z->opt.ttl);
	ret->rcode = rcode;
	return DNS_VERDICT_ANSWER;
}

bool zone_split(const struct dns_zone *z, const struct dns_name *n, struct zone_labels *ret)
{
	size_t end = (size_t)n->len - z->apex.len;

	ret->n = 0;
	for (size_t i = 0; i < end; i += (size_t)n->b[i] + 1) {
		if (ret->n == ARRAY_LEN(ret->v))
			return false;
		ret->v[ret->n++] = n->b + i;
	}
	return true;
}

bool zone_label_is(const uint8_t *label, const char *text)
{
	return label[0] == strlen(text) && memcmp(label + 1, text, label[0]) == 0;
}

/* Names above Services: the zone itself, svc, pod, namespaces, ns.dns and dns-version. */
static enum zone_found find_fixed(const struct dns_zone *z, const struct zone_labels *l)
{
	const uint8_t *kind = l->n ? l->v[l->n - 1] : NULL, *ns = l->n > 1 ? l->v[l->n - 2] : NULL;

	if (l->n == 0)
		return ZONE_EMPTY;
	if (l->n == 1)
		return zone_label_is(kind, "svc") || (zone_label_is(kind, "pod") &&
						 !z->opt.is_multicluster) ||
				       zone_label_is(kind, "dns-version")
			       ? ZONE_EMPTY
			       : ZONE_NOTHING;
	if (l->n == 2 && zone_label_is(kind, "dns") && zone_label_is(ns, "ns"))
		return ZONE_EMPTY;
	if (l->n == 2 && (zone_label_is(kind, "svc") ||
			  (zone_label_is(kind, "pod") && z->opt.has_pod_names)) &&
	    names_have(z->namespaces, (const char *)ns + 1, ns[0]) &&
	    zone_is_visible(z, (const char *)ns + 1, ns[0]))
		return ZONE_EMPTY;
	return ZONE_NOTHING;
}

/* a-b-c-d.<ns>.pod.Z as CoreDNS reads it: three dashes are IPv4, other forms IPv6. */
static enum zone_found find_pod(struct dns_zone *z, const struct zone_labels *l)
{
	const uint8_t *label = l->v[0], *ns = l->v[1];
	struct zone_item item = {.addr = NULL};
	char text[DNS_LABEL_MAX + 1];
	size_t n_dashes = 0;
	bool is_double = false;

	if (!z->opt.has_pod_names || !names_have(z->namespaces, (const char *)ns + 1, ns[0]) ||
	    !zone_is_visible(z, (const char *)ns + 1, ns[0]))
		return ZONE_NOTHING;
	for (size_t i = 1; i <= label[0]; i++) {
		text[i - 1] = (char)label[i];
		n_dashes += label[i] == '-';
		is_double = is_double || (i > 1 && label[i] == '-' && label[i - 1] == '-');
	}
	text[label[0]] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '-')
			*p = n_dashes == 3 && !is_double ? '.' : ':';
	if (ip_parse(text, &item.ip) < 0)
		return ZONE_NOTHING;
	return ARRAY_ADD(&z->items, item) < 0 ? ZONE_FAILED : ZONE_ITEMS;
}

enum zone_found zone_find(struct dns_zone *z, const struct dns_name *n, struct dns_name *ret_target)
{
	struct zone_labels l;
	struct zone_match m = {0};

	z->items.n = 0;
	z->n_matches = 0;
	if (!zone_split(z, n, &l))
		return ZONE_NOTHING;
	if (l.n < 3)
		return find_fixed(z, &l);
	if (l.n == 3 && zone_label_is(l.v[2], "pod") && !z->opt.is_multicluster)
		return find_pod(z, &l);
	if (!zone_label_is(l.v[l.n - 1], "svc"))
		return ZONE_NOTHING;
	m.ns = l.v[l.n - 2];
	m.service = l.v[l.n - 3];
	if (l.n == 4) {
		if (z->opt.is_multicluster) /* MCS: <cluster>.<service> must not exist */
			return ZONE_NOTHING;
		m.endpoint = l.v[0];
	} else if (l.n == 5 && z->opt.is_multicluster && !(l.v[0][0] && l.v[0][1] == '_')) {
		m.endpoint = l.v[0];
		m.cluster = l.v[1];
	} else if (l.n == 5) {
		m.port = l.v[0];
		m.proto = l.v[1];
	} else if (l.n > 5) {
		return ZONE_NOTHING;
	}
	return zone_find_service(z, &m, ret_target);
}

static int item_cmp(const void *a, const void *b)
{
	return ip_cmp(&((const struct zone_item *)a)->ip, &((const struct zone_item *)b)->ip);
}

/* Writes the addresses of a family, each once, in random order. False if there is none. */
static bool put_addresses(struct dns_zone *z, const struct dns_name *owner, uint16_t qtype,
			  struct dns_writer *w)
{
	uint8_t family = qtype == DNS_A ? AF_INET : AF_INET6;
	size_t n = 0;

	for (size_t i = 0; i < z->items.n; i++)
		if (z->items.v[i].ip.family == family)
			z->items.v[n++] = z->items.v[i];
	z->items.n = n;
	if (n == 0)
		return false;
	ARRAY_SORT(&z->items, item_cmp);
	n = 1;
	for (size_t i = 1; i < z->items.n; i++)
		if (!ip_eq(&z->items.v[i].ip, &z->items.v[n - 1].ip))
			z->items.v[n++] = z->items.v[i];
	for (size_t i = 0; i < n && !w->is_full; i++) {
		size_t j = i + zone_random(z, (uint32_t)(n - i));
		struct zone_item picked = z->items.v[j];

		z->items.v[j] = z->items.v[i];
		z->items.v[i] = picked;
		(void)dns_put_ip(w, DNS_ANSWER, owner, z->opt.ttl, &picked.ip); /* is_full tells */
	}
	return true;
}

/*
 * A and AAAA with the chain of ExternalNames. As CoreDNS: a chain that ends without records inside
 * the zone, or loops, is NODATA without the CNAMEs.
 */
static enum dns_verdict answer_address(struct dns_zone *z, const struct dns_query *q,
				       struct dns_writer *w, struct dns_result *ret)
{
	const struct dns_name *at = &q->name;
	CLEANUP(free) struct dns_name *chain = NULL; /* the names up to `at`, which is the last of them */
	struct dns_name target;
	enum zone_found found;

	ret->rcode = DNS_NOERROR;
	for (size_t depth = 0;; depth++) {
		found = zone_find(z, at, &target);
		if (found == ZONE_FAILED) {
			ret->rcode = DNS_SERVFAIL;
			return DNS_VERDICT_ANSWER;
		}
		if (found == ZONE_ITEMS && put_addresses(z, at, q->qtype, w))
			return DNS_VERDICT_ANSWER;
		if (found != ZONE_CNAME)
			return zone_negative(z, &z->apex,
					     found == ZONE_NOTHING && depth == 0 ? DNS_NXDOMAIN
										  : DNS_NOERROR,
					     w, ret);
		if (!chain) {
			chain = calloc(CHAIN_MAX + 1, sizeof(*chain));
			if (!chain) {
				ret->rcode = DNS_SERVFAIL;
				return DNS_VERDICT_ANSWER;
			}
			chain[0] = q->name;
		}
		if (depth == CHAIN_MAX)
			return zone_negative(z, &z->apex, DNS_NOERROR, w, ret);
		for (size_t i = 0; i <= depth; i++)
			if (dns_name_eq(&chain[i], &target))
				return zone_negative(z, &z->apex, DNS_NOERROR, w, ret);
		(void)dns_put_name(w, DNS_ANSWER, at, DNS_CNAME, z->opt.ttl, &target); /* TC if full */
		if (!dns_name_below(&target, &z->apex)) {
			ret->target = target;
			ret->apex = &z->apex;
			ret->negative_ttl = z->opt.ttl;
			ret->serial = zone_serial(z);
			return DNS_VERDICT_CHASE;
		}
		chain[depth + 1] = target;
		at = &chain[depth + 1];
	}
}

static bool is_name(const struct dns_zone *z, const struct dns_name *n, const char *head,
		    size_t head_len)
{
	return n->len == head_len + z->apex.len && memcmp(n->b, head, head_len) == 0;
}

static bool put_ns_addresses(const struct dns_zone *z, enum dns_section s,
			     const struct dns_name *owner,
			     uint16_t qtype, struct dns_writer *w)
{
	bool any = false;

	for (size_t i = 0; i < z->ns_ips.n; i++)
		if (qtype == DNS_NS || (qtype == DNS_A) == (z->ns_ips.v[i].family == AF_INET))
			any |= dns_put_ip(w, s, owner, z->opt.ttl, &z->ns_ips.v[i]);
	return any;
}

/* Records of the zone itself. False if there are none for the question. */
static bool answer_own(const struct dns_zone *z, const struct dns_query *q, struct dns_writer *w)
{
	static const char ns_dns[] = "\2ns\3dns", version[] = "\13dns-version";

	if (q->qtype == DNS_TXT && is_name(z, &q->name, version, sizeof(version) - 1))
		return dns_put_txt(w, &q->name, VERSION_TTL_S,
				   z->opt.is_multicluster ? "1.0.0" : "1.1.0");
	if ((q->qtype == DNS_A || q->qtype == DNS_AAAA) &&
	    is_name(z, &q->name, ns_dns, sizeof(ns_dns) - 1))
		return put_ns_addresses(z, DNS_ANSWER, &q->name, q->qtype, w);
	if (q->name.len != z->apex.len)
		return false;
	if (q->qtype == DNS_SOA)
		return dns_put_soa(w, DNS_ANSWER, &z->apex,
				   MIN(z->opt.ttl, (uint32_t)SOA_TTL_MAX_S),
				   zone_serial(z), z->opt.ttl);
	if (q->qtype == DNS_NS) {
		struct dns_name ns;

		memcpy(ns.b, ns_dns, sizeof(ns_dns) - 1);
		memcpy(ns.b + sizeof(ns_dns) - 1, z->apex.b, z->apex.len);
		ns.len = (uint8_t)(sizeof(ns_dns) - 1 + z->apex.len);
		if (!dns_put_name(w, DNS_ANSWER, &q->name, DNS_NS, z->opt.ttl, &ns))
			return false;
		(void)put_ns_addresses(z, DNS_ADDITIONAL, &ns, DNS_NS, w); /* glue is a courtesy */
		return true;
	}
	return false;
}

static enum dns_verdict zone_answer(void *ctx, const struct dns_query *q, struct dns_writer *w,
				    struct dns_result *ret)
{
	struct dns_zone *z = ctx;
	struct dns_name target;
	enum zone_found found;

	ret->rcode = DNS_NOERROR;
	if (!z->is_synced) {
		ret->rcode = DNS_SERVFAIL; /* never NXDOMAIN for what is not known yet */
		return DNS_VERDICT_ANSWER;
	}
	if (answer_own(z, q, w))
		return DNS_VERDICT_ANSWER;
	if (q->qtype == DNS_A || q->qtype == DNS_AAAA)
		return answer_address(z, q, w, ret);
	found = zone_find(z, &q->name, &target);
	if (found == ZONE_FAILED) {
		ret->rcode = DNS_SERVFAIL;
		return DNS_VERDICT_ANSWER;
	}
	if (found == ZONE_ITEMS && q->qtype == DNS_SRV && zone_put_srv(z, q, w, ret))
		return DNS_VERDICT_ANSWER;
	if (found == ZONE_CNAME && q->qtype == DNS_CNAME &&
	    dns_put_name(w, DNS_ANSWER, &q->name, DNS_CNAME, z->opt.ttl, &target))
		return DNS_VERDICT_ANSWER;
	if (ret->rcode != DNS_NOERROR)
		return DNS_VERDICT_ANSWER;
	return zone_negative(z, &z->apex, found == ZONE_NOTHING ? DNS_NXDOMAIN : DNS_NOERROR, w,
			     ret);
}

void dns_zone_provider(struct dns_zone *z, struct dns_provider *ret_forward,
		       struct dns_provider *ret_reverse)
{
	*ret_forward = (struct dns_provider){.apex = z->apex, .answer = zone_answer,
					     .explain = zone_explain, .ctx = z};
	if (!ret_reverse)
		return;
	*ret_reverse = (struct dns_provider){.answer = zone_answer_reverse, .explain = zone_explain_reverse,
					     .ctx = z};
	(void)dns_name_parse("arpa", &ret_reverse->apex); /* a legal name */
}
