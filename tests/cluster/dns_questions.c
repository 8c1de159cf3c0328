/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_questions.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/ip.h"
#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_msg.h"
#include "../lib/random.h"
#include "json/json.h"

#define CLUSTER	   "cluster.local"
#define CLUSTERSET "clusterset.local"

enum { TYPE_HTTPS = 65, TEXT_MAX = 1024, LABELS_MAX = 140 };

struct service_name {
	const char *ns, *name;
	bool is_import;
};

struct endpoint_name {
	struct service_name of;
	const char *cluster;
	const json_t *endpoint;
};

struct dns_questions {
	ARRAY(struct service_name) services;
	ARRAY(struct endpoint_name) endpoints;
	ARRAY(const char *) namespaces;
	ARRAY(const char *) ports;
	ARRAY(const char *) ips;
};

/* A question in the making; labels hold no dots, the text does. */
struct maker {
	const struct dns_questions *q;
	struct random random;
	char text[TEXT_MAX];
	uint16_t type;
};

static void enough(int r)
{
	if (r < 0) {
		(void)fprintf(stderr, "dns_diff: out of memory\n");
		exit(2);
	}
}

static void read_ports(struct dns_questions *q, const json_t *ports)
{
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p)
		if (json_str(p, "name", "")[0])
			enough(ARRAY_ADD(&q->ports, json_str(p, "name", "")));
}

static void read_ips(struct dns_questions *q, const json_t *ips)
{
	const json_t *ip;
	size_t i;

	json_array_foreach (ips, i, ip)
		if (!str_eq(json_string_value(ip), "None"))
			enough(ARRAY_ADD(&q->ips, json_string_value(ip)));
}

static void read_slice(struct dns_questions *q, const json_t *o, const char *ns)
{
	const json_t *labels = json_object_get(json_object_get(o, "metadata"), "labels"), *e;
	const char *import = json_string_value(json_object_get(labels, "multicluster.kubernetes.io/service-name"));
	const char *service = json_string_value(json_object_get(labels, "kubernetes.io/service-name"));
	struct endpoint_name n = {.of = {ns, import ? import : service, import != NULL}};
	size_t i;

	n.cluster = json_string_value(json_object_get(labels, "multicluster.kubernetes.io/source-cluster"));
	json_array_foreach (json_object_get(o, "endpoints"), i, e) {
		n.endpoint = e;
		if (n.of.name)
			enough(ARRAY_ADD(&q->endpoints, n));
		if (!import) /* CoreDNS answers nothing at all for the reverse names of these */
			read_ips(q, json_object_get(e, "addresses"));
	}
}

struct dns_questions *dns_questions_new(const json_t *list)
{
	struct dns_questions *q = calloc(1, sizeof(*q));
	const json_t *o;
	size_t i;

	enough(q ? 0 : -1);
	json_array_foreach (json_object_get(list, "items"), i, o) {
		const char *kind = json_str(o, "kind", ""), *ns = json_str(o, "metadata.namespace", "");
		const char *name = json_str(o, "metadata.name", "");
		const json_t *spec = json_object_get(o, "spec");

		if (str_eq(kind, "Namespace"))
			enough(ARRAY_ADD(&q->namespaces, name));
		if (str_eq(kind, "EndpointSlice"))
			read_slice(q, o, ns);
		if (!str_eq(kind, "Service") && !str_eq(kind, "ServiceImport"))
			continue;
		enough(ARRAY_ADD(&q->services, ((struct service_name){ns, name, str_eq(kind, "ServiceImport")})));
		read_ports(q, json_object_get(spec, "ports"));
		read_ips(q, json_object_get(spec, "clusterIPs"));
		read_ips(q, json_object_get(spec, "ips"));
	}
	if (!q->services.n || !q->endpoints.n || !q->namespaces.n || !q->ports.n || !q->ips.n) {
		dns_questions_free(q);
		return NULL;
	}
	return q;
}

void dns_questions_free(struct dns_questions *q)
{
	if (!q)
		return;
	ARRAY_DONE(&q->services);
	ARRAY_DONE(&q->endpoints);
	ARRAY_DONE(&q->namespaces);
	ARRAY_DONE(&q->ports);
	ARRAY_DONE(&q->ips);
	free(q);
}

#define ANY_OF(m, list) ((m)->q->list.v[random_below(&(m)->random, (uint32_t)(m)->q->list.n)])

static void say(struct maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct maker *m, const char *format, ...)
{
	size_t len = strlen(m->text);
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(m->text + len, sizeof(m->text) - len, format, ap);
	va_end(ap);
}

static void say_service(struct maker *m, const struct service_name *s)
{
	say(m, "%s.%s.svc.%s", s->name, s->ns, s->is_import ? CLUSTERSET : CLUSTER);
}

static void service(struct maker *m)
{
	struct service_name s = ANY_OF(m, services);

	if (random_chance(&m->random, 5))
		s.ns = ANY_OF(m, namespaces);
	if (random_chance(&m->random, 3))
		s.ns = "missing";
	if (random_chance(&m->random, 4))
		s.name = "missing";
	if (random_chance(&m->random, 5))
		s.is_import = !s.is_import;
	say_service(m, &s);
}

static void endpoint(struct maker *m)
{
	const struct endpoint_name *e = &ANY_OF(m, endpoints);
	const json_t *addresses = json_object_get(e->endpoint, "addresses");
	const char *label = json_str(e->endpoint, "hostname", NULL);
	struct service_name s = e->of;

	if (!label || random_chance(&m->random, 20))
		label = json_string_value(json_array_get(addresses, random_below(&m->random, (uint32_t)json_array_size(addresses))));
	if (random_chance(&m->random, 10))
		label = json_str(e->endpoint, "targetRef.name", label);
	for (; *label; label++)
		say(m, "%c", *label == '.' || *label == ':' ? '-' : *label);
	if (m->text[strlen(m->text) - 1] == '-')
		say(m, "0");
	if (e->cluster ? random_chance(&m->random, 85) : random_chance(&m->random, 3))
		say(m, ".%s", e->cluster ? e->cluster : "east");
	say(m, ".");
	if (random_chance(&m->random, 5))
		s = ANY_OF(m, services);
	say_service(m, &s);
}

static void port(struct maker *m)
{
	static const char *const protocols[] = {"tcp", "tcp", "udp", "sctp", "TCP", "any", "*", "tls"};
	static const char *const strange[] = {"any", "*", "", "80", "missing"};
	const char *mark = random_chance(&m->random, 80) ? "_" : "";

	say(m, "%s%s.%s%s.", mark, random_chance(&m->random, 90) ? ANY_OF(m, ports) : PICK(&m->random, strange),
	    random_chance(&m->random, 90) ? mark : "", PICK(&m->random, protocols));
	service(m);
	m->type = random_chance(&m->random, 70) ? DNS_SRV : m->type;
}

static void reverse(struct maker *m)
{
	static const char *const strange[] = {"256.0.96.10.in-addr.arpa", "01.0.96.10.in-addr.arpa", "96.10.in-addr.arpa",
					      "10.in-addr.arpa", "in-addr.arpa", "ip6.arpa", "1.2.0.96.10.in-addr.arpa",
					      "x.0.96.10.in-addr.arpa", "6.9.0.0.0.0.d.f.ip6.arpa", "arpa", "1.0.0.127.in-addr.arpa",
					      "8.8.8.8.in-addr.arpa"};
	const char *text = ANY_OF(m, ips);
	char random_ip[32], name_text[DNS_TEXT_MAX];
	struct dns_name name;
	struct ip ip;

	(void)snprintf(random_ip, sizeof(random_ip), random_chance(&m->random, 50) ? "10.60.%u.%u" : "10.96.%u.%u",
		       random_below(&m->random, 3), random_below(&m->random, 256));
	if (random_chance(&m->random, 12) || ip_parse(text, &ip) < 0)
		(void)ip_parse(random_ip, &ip); /* is an address */
	dns_name_reverse(&ip, &name);
	say(m, "%s", random_chance(&m->random, 12) ? PICK(&m->random, strange) : dns_name_str(&name, name_text));
	m->type = random_chance(&m->random, 80) ? DNS_PTR : m->type;
}

static void fixed(struct maker *m)
{
	static const char *const heads[] = {"", "svc.", "pod.", "dns.", "ns.dns.", "x.dns.", "x.ns.dns.", "dns-version.", "x.dns-version.",
					    "missing.", "missing.svc.", "missing.pod.", "_tcp.", "kubernetes.", "svc.svc.", "ns.dns.svc."};

	if (random_chance(&m->random, 25))
		say(m, "%s.%s.", ANY_OF(m, namespaces), random_chance(&m->random, 60) ? "svc" : "pod");
	else
		say(m, "%s", PICK(&m->random, heads));
	say(m, "%s", random_chance(&m->random, 75) ? CLUSTER : CLUSTERSET);
	if (random_chance(&m->random, 30))
		m->type = DNS_TXT;
}

static void pod(struct maker *m)
{
	static const char *const strange[] = {"1-2-3", "300-1-1-1", "fd00-60--1", "x", "1-2-3-4-5", "--1", "a-b-c-d"};

	if (random_chance(&m->random, 30))
		say(m, "%s", PICK(&m->random, strange));
	else
		say(m, "10-60-%u-%u", random_below(&m->random, 3), random_below(&m->random, 256));
	say(m, ".%s.pod.%s", random_chance(&m->random, 90) ? ANY_OF(m, namespaces) : "missing",
	    random_chance(&m->random, 90) ? CLUSTER : CLUSTERSET);
}

static void outside(struct maker *m)
{
	static const char *const names[] = {"api.example.com", "alias.example.com", "missing.example.com", "example.com",
					    "www.nobody.test", "local", "xcluster.local", "local.cluster", "cluster.local.example.com",
					    "arpa", "."};

	say(m, "%s", PICK(&m->random, names));
}

/* A name with a label more, one less, or one that says something else. */
static void mutated(struct maker *m)
{
	static const char *const labels[] = {"*", "x", "_x", "\\000", "\\032", "\\.", "svc", "pod", "_tcp", "any", "-", "\\255",
					     "l23456789012345678901234567890123456789012345678901234567890123"};
	char text[TEXT_MAX], *at, *rest = text, out[TEXT_MAX] = "";
	const char *sort = "idr";
	unsigned n = 0, k;

	service(m);
	memcpy(text, m->text, sizeof(text));
	m->text[0] = '\0';
	for (at = text; *at; at++)
		n += *at == '.';
	k = random_below(&m->random, n + 1);
	sort += random_below(&m->random, 3);
	for (unsigned i = 0; (at = strsep(&rest, ".")); i++) {
		size_t len = strlen(out);

		if (i == k && *sort != 'd')
			(void)snprintf(out + len, sizeof(out) - len, "%s.", PICK(&m->random, labels));
		len = strlen(out);
		if (i != k || *sort == 'i')
			(void)snprintf(out + len, sizeof(out) - len, "%s.", at);
	}
	say(m, "%s", out);
}

static void long_name(struct maker *m)
{
	for (unsigned n = 1 + random_below(&m->random, 6); n > 0; n--)
		say(m, "%s.", random_chance(&m->random, 50) ? "a" : "_b");
	service(m);
}

static uint16_t type(struct maker *m)
{
	static const uint16_t types[] = {DNS_A,	  DNS_A,   DNS_A,   DNS_A,     DNS_A,	  DNS_AAAA, DNS_AAAA, DNS_AAAA,
					 DNS_SRV, DNS_SRV, DNS_SRV, DNS_PTR,   DNS_ANY,	  DNS_TXT,  DNS_SOA,  DNS_NS,
					 DNS_CNAME, TYPE_HTTPS, DNS_MX, DNS_CNAME};

	uint16_t any = (uint16_t)(1 + random_below(&m->random, 240)); /* below those that are no types of records */

	return random_chance(&m->random, 1) && any != DNS_OPT ? any : PICK(&m->random, types);
}

static void put16(struct dns_question *q, unsigned v)
{
	q->wire[q->len++] = (uint8_t)(v >> 8);
	q->wire[q->len++] = (uint8_t)v;
}

/* Labels of presentation form with \DDD and \X. What is too long for a name is cut at its head. */
static void put_name(struct dns_question *q, const char *text)
{
	uint8_t label[64];
	size_t total = 0, len = 0, start = q->len;

	for (const char *p = text; *p; p++) {
		uint8_t c = (uint8_t)*p;

		if (c == '.') {
			if (len && total + len + 2 <= DNS_NAME_MAX) {
				q->wire[q->len++] = (uint8_t)len;
				memcpy(q->wire + q->len, label, len);
				q->len += len;
				total = q->len - start;
			}
			len = 0;
			continue;
		}
		if (c == '\\' && isdigit((unsigned char)p[1])) {
			c = (uint8_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
			p += 3;
		} else if (c == '\\') {
			c = (uint8_t)*++p;
		}
		if (len < DNS_LABEL_MAX)
			label[len++] = c;
	}
	q->wire[q->len++] = 0;
}

static void random_case(struct maker *m, char *text)
{
	for (; *text; text++)
		if (random_chance(&m->random, 50))
			*text = (char)toupper((unsigned char)*text);
}

static void encode(struct maker *m, struct dns_question *q)
{
	static const unsigned sizes[] = {0, 512, 1232, 1232, 4096, 100, 65535};
	bool has_edns = random_chance(&m->random, 50);
	unsigned flags = random_chance(&m->random, 95) ? 0x0100 : 0;

	if (random_chance(&m->random, 3))
		flags |= 0x0010; /* CD */
	if (random_chance(&m->random, 3))
		flags |= 0x0020; /* AD */
	q->len = 0;
	q->udp_size = has_edns ? (uint16_t)PICK(&m->random, sizes) : 0;
	put16(q, random_below(&m->random, 65536));
	put16(q, flags);
	put16(q, 1);
	put16(q, 0);
	put16(q, 0);
	put16(q, has_edns);
	put_name(q, m->text);
	put16(q, m->type);
	q->is_chaos = random_chance(&m->random, 1);
	put16(q, q->is_chaos ? 3 : 1);
	if (!has_edns)
		return;
	q->wire[q->len++] = 0;
	put16(q, DNS_OPT);
	put16(q, q->udp_size);
	put16(q, random_chance(&m->random, 98) ? 0 : 1); /* version */
	put16(q, random_chance(&m->random, 10) ? 0x8000 : 0);
	put16(q, 0);
}

int dns_question_of(const char *name, uint16_t type, struct dns_question *ret)
{
	struct dns_name n;

	*ret = (struct dns_question){.type = type};
	if (dns_name_parse(name, &n) < 0)
		return -EINVAL;
	put16(ret, 4711);
	put16(ret, 0x0100);
	put16(ret, 1);
	memset(ret->wire + ret->len, 0, 6);
	ret->len += 6;
	memcpy(ret->wire + ret->len, n.b, n.len);
	ret->len += n.len;
	put16(ret, type);
	put16(ret, 1);
	return 0;
}

void dns_questions_make(const struct dns_questions *q, uint64_t seed, unsigned number, struct dns_question *ret)
{
	static void (*const sorts[])(struct maker *) = {service, service, service, service, service, endpoint, endpoint, endpoint,
							port,	 port,	  port,	   reverse, reverse, fixed,    pod,	 outside,
							mutated, mutated, long_name};
	struct maker m = {.q = q, .random = {.state = seed * UINT64_C(0x2545f4914f6cdd1d) + number}};

	m.random.state = random_next(&m.random); /* so that neighbours do not share numbers */
	m.type = type(&m);
	PICK(&m.random, sorts)(&m);
	if (m.text[strlen(m.text) - 1] != '.')
		say(&m, ".");
	if (random_chance(&m.random, 30))
		random_case(&m, m.text);
	encode(&m, ret);
	ret->type = m.type;
	ret->is_tcp = random_chance(&m.random, 10);
}
