/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/named_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"

#define NAMED_PORTS_LABEL "io.cilium.k8s.named-ports"

/* What labels say and what endpoints told are each at most LIMIT_NAMED_PORTS. */
enum { PORTS_MAX = 2 * LIMIT_NAMED_PORTS };

struct port_list {
	struct named_port *v;
	size_t n, cap;
};

static void port_list_drop(struct label_table *t, struct port_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		intern_put(label_table_strings(t), l->v[i].name);
	free(l->v);
	*l = (struct port_list){0};
}

static int port_cmp(const void *pa, const void *pb)
{
	const struct named_port *a = pa, *b = pb;

	if (a->name != b->name)
		return a->name < b->name ? -1 : 1;
	if (a->proto != b->proto)
		return (int)a->proto - (int)b->proto;
	return (int)a->port - (int)b->port;
}

static int port_list_add(struct label_table *t, struct port_list *l, size_t max, struct named_port p)
{
	int r = l->n >= max ? -E2BIG : ARRAY_ADD(l, p);

	if (r == 0)
		intern_ref(label_table_strings(t), p.name);
	return r;
}

/* "name.PROTO.port"; what does not parse gives no port, as in Cilium. */
static int port_list_add_text(struct label_table *t, struct port_list *l, const char *text,
			      size_t len)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}};
	struct named_port p = {0};
	char copy[64], *proto, *port;
	uint64_t number;
	int r;

	if (len >= sizeof(copy))
		return 0;
	memcpy(copy, text, len);
	copy[len] = '\0';
	proto = strchr(copy, '.');
	port = proto ? strchr(proto + 1, '.') : NULL;
	if (!port || proto == copy)
		return 0;
	*proto++ = '\0';
	*port++ = '\0';
	if (str_to_u64(port, 65535, &number) < 0 || number == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (str_eq(proto, protos[i].name))
			p.proto = protos[i].proto;
	if (!p.proto)
		return 0;
	r = intern_get(label_table_strings(t), copy, strlen(copy), &p.name);
	if (r < 0)
		return r;
	p.port = (uint16_t)number;
	r = port_list_add(t, l, LIMIT_NAMED_PORTS, p);
	intern_put(label_table_strings(t), p.name);
	return r == -E2BIG ? 0 : r;
}

static int port_list_read(struct label_table *t, const struct label_set *set, struct port_list *l)
{
	for (uint32_t i = 0; i < set->n; i++) {
		const char *key, *value;

		if (set->v[i].source != LABEL_GEN)
			continue;
		key = intern_str(label_table_strings(t), set->v[i].key);
		if (!str_has_prefix(key, NAMED_PORTS_LABEL))
			continue;
		key += strlen(NAMED_PORTS_LABEL);
		if (*key != '\0' && *key != '-')
			continue;
		value = intern_str(label_table_strings(t), set->v[i].value);
		while (*value) {
			size_t len = strcspn(value, "_");
			int r = port_list_add_text(t, l, value, len);

			if (r < 0)
				return r;
			value += len + (value[len] == '_');
		}
	}
	return 0;
}

/* Sorts, and drops every (name, proto) that stands for more than one port. */
static void port_list_settle(struct label_table *t, struct port_list *l)
{
	size_t out = 0;

	ARRAY_SORT(l, port_cmp);
	for (size_t i = 0, end; i < l->n; i = end) {
		struct named_port p = l->v[i];
		bool is_one = true;

		for (end = i + 1;
		     end < l->n && l->v[end].name == p.name && l->v[end].proto == p.proto; end++) {
			is_one = is_one && l->v[end].port == p.port;
			intern_put(label_table_strings(t), p.name);
		}
		if (is_one)
			l->v[out++] = p;
		else
			intern_put(label_table_strings(t), p.name);
	}
	l->n = out;
}

int named_ports_make(struct label_table *t, const struct label_set *labels,
		     const struct named_port *told, size_t n, struct named_ports **ret)
{
	struct port_list all = {0}, copy = {0};
	struct named_ports *p = NULL;
	int r = labels ? port_list_read(t, labels, &all) : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = port_list_add(t, &copy, LIMIT_NAMED_PORTS, told[i]);
		if (r == 0)
			r = port_list_add(t, &all, PORTS_MAX, told[i]);
	}
	if (r == 0 && (all.n || copy.n)) {
		p = malloc(sizeof(*p));
		r = p ? 0 : -ENOMEM;
	}
	if (r < 0) {
		port_list_drop(t, &all);
		port_list_drop(t, &copy);
		return r;
	}
	if (p) {
		port_list_settle(t, &all);
		*p = (struct named_ports){.v = all.v, .n = all.n, .told = copy.v, .n_told = copy.n};
	}
	*ret = p;
	return 0;
}

void named_ports_free(struct label_table *t, struct named_ports *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		intern_put(label_table_strings(t), p->v[i].name);
	for (size_t i = 0; i < p->n_told; i++)
		intern_put(label_table_strings(t), p->told[i].name);
	free(p->v);
	free(p->told);
	free(p);
}

int named_ports_replace(struct label_table *t, struct identity *id, const struct named_port *ports,
			size_t n)
{
	struct named_ports *old = id->ports, *p;
	size_t n_old = old ? old->n : 0;
	bool is_same;
	int r = named_ports_make(t, id->labels, ports, n, &p);

	if (r < 0)
		return r;
	is_same = (p ? p->n : 0) == n_old;
	for (size_t i = 0; is_same && i < n_old; i++)
		is_same = port_cmp(&p->v[i], &old->v[i]) == 0;
	named_ports_free(t, old);
	id->ports = p;
	return !is_same;
}

int named_ports_find(const struct named_ports *p, uint32_t name, uint8_t proto)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (p->v[i].name == name && p->v[i].proto == proto)
			return p->v[i].port;
	return -1;
}
