/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <ctype.h>
#include <netinet/in.h>
#include <strings.h>

enum { PORTS_MAX = 40, PROTO_VRRP = 112, SVC_NAME_MAX = 15 };

/* RFC 6335: letters, digits and single inner dashes, at least one letter. "0x50" is such a name. */
static bool is_service_name(const char *s)
{
	size_t len = strlen(s);
	bool has_letter = false;

	if (len == 0 || len > SVC_NAME_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '-' && s[i + 1] == '-')
			return false;
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
		has_letter = has_letter || isalpha((unsigned char)s[i]);
	}
	return has_letter;
}

int policy_parse_number(const char *s, uint16_t *ret)
{
	static const struct {
		char letter;
		unsigned base;
	} prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
	unsigned base = 10;
	uint32_t v = 0;
	bool had_digit = false; /* or a prefix: an underscore may follow */

	if (s[0] == '0' && s[1]) {
		base = 8;
		had_digit = true;
		s++;
		for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
			if (tolower((unsigned char)*s) == prefixes[i].letter) {
				base = prefixes[i].base;
				s++;
				break;
			}
	}
	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		unsigned digit = isdigit((unsigned char)*s) ? (unsigned)(*s - '0') : (unsigned)tolower((unsigned char)*s) - 'a' + 10;

		if (*s == '_') {
			if (!had_digit || !s[1])
				return -EINVAL;
			had_digit = false;
			continue;
		}
		if (digit >= base)
			return -EINVAL;
		had_digit = true;
		v = v * base + digit;
		if (v > 65535)
			return -EINVAL;
	}
	*ret = (uint16_t)v;
	return 0;
}

/* 0 = ANY. */
static int parse_proto(const char *name, uint8_t *ret)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = {{"ANY", 0},
		      {"TCP", IPPROTO_TCP},
		      {"UDP", IPPROTO_UDP},
		      {"SCTP", IPPROTO_SCTP},
		      {"VRRP", PROTO_VRRP},
		      {"IGMP", IPPROTO_IGMP},
		      {"GRE", IPPROTO_GRE},
		      {"IPIP", IPPROTO_IPIP},
		      {"IPV6", IPPROTO_IPV6},
		      {"ESP", IPPROTO_ESP},
		      {"AH", IPPROTO_AH}};

	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (strcasecmp(name, protos[i].name) == 0) {
			*ret = protos[i].proto;
			return 0;
		}
	return -EINVAL;
}

static bool has_transport_ports(uint8_t proto)
{
	return proto == 0 || proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

int policy_add_l4(struct policy_parser *p, struct policy_entry *e, struct policy_l4 l4)
{
	static const uint8_t any[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
	struct intern *strings = label_table_strings(p->repo->labels);
	size_t n = l4.proto ? 1 : ARRAY_LEN(any);
	int r = policy_check_room(p, 1, n);

	if (r == 0)
		r = ARRAY_RESERVE(&e->l4, n);
	if (r < 0) {
		intern_put(strings, l4.name);
		return r;
	}
	p->n_ports += n;
	for (size_t i = 0; i < n; i++) {
		struct policy_l4 one = l4;

		if (!l4.proto)
			one.proto = any[i];
		if (i > 0)
			intern_ref(strings, l4.name);
		e->l4.v[e->l4.n++] = one;
	}
	return 0;
}

int policy_add_port(struct policy_parser *p, struct policy_entry *e, const char *port, int64_t end,
		    const char *proto, bool is_restricted, bool *ret_is_zero)
{
	struct policy_l4 l4 = {.is_restricted = is_restricted};
	char name[SVC_NAME_MAX + 1];
	size_t i;
	int r;

	if (end < 0 || end > 65535)
		return policy_bad(p, "endPort is out of range");
	if (parse_proto(proto && *proto ? proto : "ANY", &l4.proto) < 0)
		return policy_bad(p, "\"%.20s\" is no protocol", proto);
	if (is_service_name(port)) {
		for (i = 0; port[i]; i++)
			name[i] = (char)tolower((unsigned char)port[i]);
		name[i] = '\0';
		/* an end counts from the number of our own port on; names of peers are one port each (toMapState() in Cilium) */
		l4.hi = e->dir == POLICY_INGRESS ? (uint16_t)end : 0;
		r = intern_get(label_table_strings(p->repo->labels), name, i, &l4.name);
		return r < 0 ? r : policy_add_l4(p, e, l4);
	}
	if (!*port && !p->repo->options.has_extended_protocols)
		return policy_bad(p, "port is missing");
	if (*port && policy_parse_number(port, &l4.lo) < 0)
		return policy_bad(p, "\"%.20s\" is no port", port);
	if (!has_transport_ports(l4.proto) && *port && !str_eq(port, "0"))
		return policy_bad(p, "port must be empty or 0 with protocol %s", proto);
	l4.hi = end > l4.lo ? (uint16_t)end : l4.lo;
	l4.is_all = l4.lo == 0;
	*ret_is_zero = l4.is_all;
	return policy_add_l4(p, e, l4);
}

/* A HTTP rule without any condition lets everything pass, a DNS pattern of stars too. */
static bool is_l7_wildcard(const struct doc *rule, bool is_dns)
{
	static const char *const conditions[] = {"path", "method", "host", "headers",
						 "headerMatches"};
	const char *pattern = NULL;

	if (!doc_is_object(rule))
		return false;
	if (is_dns) {
		pattern = doc_str(doc_get_any(rule, "matchPattern"));
		return pattern && *pattern && pattern[strspn(pattern, "*")] == '\0' &&
		       !doc_get(rule, "matchName");
	}
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		const struct doc *v = doc_get(rule, conditions[i]);

		if (v && !(doc_is_string(v) && !*doc_str(v)) &&
		    !(doc_is_array(v) && doc_array_size(v) == 0))
			return false;
	}
	return true;
}

struct l7 {
	bool is_present, is_dns, is_wildcard;
	bool has_proto; /* of a plugin, which asks for the proxy by itself */
	uint32_t dns_at, dns_n; /* patterns, of the entry */
};

/* The names that an item's ports may be asked for. */
static int parse_dns_rules(struct policy_parser *p, const struct doc *list, struct policy_entry *e,
			   struct l7 *ret)
{
	char text[LIMIT_LABEL_KEY + 1];
	int r = ARRAY_RESERVE(&e->dns, doc_array_size(list));

	ret->dns_at = (uint32_t)e->dns.n;
	for (struct doc_iter i = doc_elements(list); r == 0 && i.v; doc_next(&i)) {
		size_t mark = policy_push_at(p, "rules.dns", i.n);

		r = policy_parse_dns_name(p, i.v, text);
		if (r < 0)
			return r;
		policy_pop(p, mark);
		e->dns.v[e->dns.n] = strdup(text);
		if (!e->dns.v[e->dns.n])
			return -ENOMEM;
		e->dns.n++;
	}
	ret->dns_n = (uint32_t)e->dns.n - ret->dns_at;
	return r;
}

static int parse_l7(struct policy_parser *p, const struct doc *item, struct policy_entry *e,
		    struct l7 *ret)
{
	static const char *const kinds[] = {"http", "dns", "kafka", "l7"};
	const struct doc *rules = NULL, *list = NULL;
	const char *proto = NULL;
	unsigned n_kinds;
	int r = policy_get_object(p, item, "rules", &rules);

	if (r == 0 && rules)
		r = policy_get_string(p, rules, "l7proto", &proto);
	if (r < 0 || !rules)
		return r;
	ret->has_proto = proto && *proto;
	n_kinds = proto != NULL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		r = policy_get_array(p, rules, kinds[i], &list);
		if (r < 0)
			return r;
		n_kinds += list && !str_eq(kinds[i], "l7"); /* belongs to l7proto */
		if (doc_array_size(list) == 0)
			continue; /* to Cilium an empty one is none: L7Rules.IsEmpty() */
		ret->is_present = true;
		if (i > 1)
			continue;
		ret->is_dns = i == 1;
		r = ret->is_dns ? parse_dns_rules(p, list, e, ret) : 0;
		if (r < 0)
			return r;
		for (struct doc_iter k = doc_elements(list); k.v; doc_next(&k))
			ret->is_wildcard = ret->is_wildcard ||
					   is_l7_wildcard(k.v, ret->is_dns);
	}
	if (n_kinds > 1) /* the API server says so, of empty ones too */
		return policy_bad(p, "more than one kind of L7 rules");
	if (!ret->is_present)
		return 0;
	if (!p->repo->options.has_l7_proxy)
		return policy_bad(p, "L7 rules need the cluster's L7 proxy, which is off");
	if (ret->is_dns && e->dir == POLICY_INGRESS)
		return policy_bad(p, "DNS rules are only for egress");
	return 0;
}

/* What makes an item conditional on something only a proxy can see. */
static int parse_restrictions(struct policy_parser *p, const struct doc *item, struct policy_entry *e,
			      struct l7 *l7, bool *ret_is_restricted)
{
	const struct doc *names, *listener = doc_get(item, "listener");
	bool has_tls = doc_get(item, "terminatingTLS") || doc_get(item, "originatingTLS");
	int r = parse_l7(p, item, e, l7);

	if (r == 0)
		r = policy_get_array(p, item, "serverNames", &names);
	if (r < 0)
		return r;
	if (doc_array_size(names) && l7->is_present && !doc_get(item, "terminatingTLS"))
		return policy_bad(p, "serverNames with L7 rules need terminatingTLS");
	for (struct doc_iter i = doc_elements(names); i.v; doc_next(&i))
		if (!doc_len(i.v))
			return policy_bad(p, "serverNames[%zu] is empty", i.n);
	if (listener && (e->dir == POLICY_INGRESS || l7->is_present))
		return policy_bad(p, "a listener is only for egress without L7 rules");
	*ret_is_restricted = (l7->is_present && !l7->is_wildcard) || l7->has_proto || doc_array_size(names) ||
			     listener || has_tls;
	if (!*ret_is_restricted)
		return 0;
	if (l7->is_dns && p->repo->options.has_dns_server && !doc_array_size(names) && !listener &&
	    !has_tls)
		return 0; /* names are looked up through the agent; packets to the server grant nothing */
	return policy_note(p,
			   "needs a proxy, which this host does not have, so this grants nothing");
}

static int parse_port(struct policy_parser *p, const struct doc *port, struct policy_entry *e,
		      bool is_restricted, const struct l7 *l7)
{
	const char *number = NULL, *proto = NULL;
	const struct doc *end = NULL;
	bool is_zero = false;
	size_t first = e->l4.n;
	int r;

	if (!doc_is_object(port))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, port, "port", &number);
	if (r == 0)
		r = policy_get_string(p, port, "protocol", &proto);
	if (r < 0)
		return r;
	end = doc_get(port, "endPort");
	if (end && !doc_is_integer(end))
		return policy_bad(p, "endPort is no number");
	r = policy_add_port(p, e, number ? number : "", end ? doc_int(end) : 0, proto,
			    is_restricted, &is_zero);
	if (r < 0 || !l7->is_present)
		return r;
	if (is_zero)
		return policy_bad(p, "L7 rules need a port other than 0");
	if (!l7->is_dns && (!proto || strcasecmp(proto, "TCP") != 0))
		return policy_bad(p, "L7 rules other than DNS need protocol TCP");
	if (l7->is_dns && e->l4.v[e->l4.n - 1].hi > e->l4.v[e->l4.n - 1].lo)
		return policy_bad(p, "DNS rules take no port ranges");
	for (size_t i = first; l7->is_dns && i < e->l4.n; i++) {
		e->l4.v[i].has_dns = true;
		e->l4.v[i].dns_at = l7->dns_at;
		e->l4.v[i].dns_n = l7->dns_n;
	}
	return 0;
}

static int parse_ports_item(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	struct l7 l7 = {0};
	bool is_restricted = false;
	const struct doc *ports = NULL;
	int r;

	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	r = policy_get_array(p, item, "ports", &ports);
	if (r == 0 && !e->is_deny)
		r = parse_restrictions(p, item, e, &l7, &is_restricted);
	if (r < 0)
		return r;
	if (doc_array_size(ports) > PORTS_MAX)
		return policy_bad(p, "more than %d ports", PORTS_MAX);
	if (l7.is_dns && doc_array_size(ports) == 0)
		return policy_bad(p, "DNS rules need a port");
	for (struct doc_iter i = doc_elements(ports); i.v; doc_next(&i)) {
		size_t mark = policy_push_at(p, "ports", i.n);

		r = parse_port(p, i.v, e, is_restricted, &l7);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}

int policy_parse_l4(struct policy_parser *p, const struct doc *element, struct policy_entry *e)
{
	const struct doc *ports = NULL, *icmps = NULL;
	size_t mark;
	int r = policy_get_array(p, element, "toPorts", &ports);

	if (r == 0)
		r = policy_get_array(p, element, "icmps", &icmps);
	if (r < 0)
		return r;
	if (doc_array_size(ports) && doc_array_size(icmps))
		return policy_bad(p, "toPorts and icmps cannot be in one element");
	e->has_any_l4 = doc_array_size(ports) == 0 && doc_array_size(icmps) == 0;
	for (struct doc_iter i = doc_elements(ports); i.v; doc_next(&i)) {
		mark = policy_push_at(p, "toPorts", i.n);
		r = parse_ports_item(p, i.v, e);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	for (struct doc_iter i = doc_elements(icmps); i.v; doc_next(&i)) {
		mark = policy_push_at(p, "icmps", i.n);
		r = policy_parse_icmps(p, i.v, e);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}
