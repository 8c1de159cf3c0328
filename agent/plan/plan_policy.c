/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan_policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

enum { MAP_DIRS = POLICY_DIRS + MESH_SHADOW };

_Static_assert((int)POLICY_SLOTS == (int)MESH_SLOTS, "slots of policy and datapath differ");
_Static_assert((int)POLICY_SLOT_OTHER == (int)MESH_SLOT_OTHER, "slots of policy and datapath differ");
_Static_assert((int)POLICY_SLOT_ICMPV6 == (int)MESH_SLOT_ICMPV6, "slots of policy and datapath differ");
_Static_assert((int)POLICY_INGRESS == (int)MESH_INGRESS, "directions of policy and datapath differ");

uint8_t plan_verdict(uint8_t action)
{
	switch (action) {
	case POLICY_ALLOW:
		return MESH_ALLOW;
	case POLICY_DENY_RULE:
		return MESH_DENY_RULE;
	case POLICY_DENY_AUTH:
		return MESH_DENY_AUTH;
	default:
		return MESH_DENY_DEFAULT;
	}
}

void plan_class_done(struct plan_class *p)
{
	free(p->rows);
	free(p->ports);
	free(p->ranges);
	*p = (struct plan_class){0};
}

static uint8_t slot_proto(unsigned slot)
{
	static const uint8_t protos[POLICY_SLOTS] = {0,		   IPPROTO_TCP,	 IPPROTO_UDP,
						     IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6};

	return protos[slot];
}

static struct mesh_port port_value(const struct policy_verdict *v)
{
	return (struct mesh_port){.verdict = plan_verdict(v->action), .rule = v->rule};
}

struct plan_dirs plan_dirs_of(const struct policy_table *t)
{
	struct plan_dirs dirs;

	for (unsigned dir = 0; dir < POLICY_DIRS; dir++) {
		dirs.enforced[dir] = policy_table_enforced(t, (enum policy_dir)dir);
		dirs.shadow[dir] = policy_table_shadowed(t, (enum policy_dir)dir);
	}
	return dirs;
}

/* The rows of a direction as the maps number it; NULL = none are wanted. */
static const struct policy_rows *rows_of(const struct policy_class *c, const struct plan_dirs *dirs, unsigned map_dir)
{
	unsigned dir = map_dir & ~(unsigned)MESH_SHADOW;

	if (map_dir & MESH_SHADOW)
		return dirs->shadow[dir] ? &c->shadow[dir] : NULL;
	return dirs->enforced[dir] ? &c->rows[dir] : NULL;
}

/* What the default of the bank says as well. */
static bool is_left_out(const struct policy_rows *rows, unsigned slot)
{
	const struct policy_slot_rows *s = &rows->slot[slot];

	return plan_verdict(s->dflt.action) == MESH_DENY_DEFAULT && !s->dflt.rule && !s->n_ports &&
	       (slot != POLICY_SLOT_OTHER || !rows->n_protos);
}

struct plan_size plan_class_size(const struct policy_class *c, const struct plan_dirs *dirs)
{
	struct plan_size n = {0};

	for (unsigned dir = 0; dir < MAP_DIRS; dir++) {
		const struct policy_rows *rows = rows_of(c, dirs, dir);

		if (!rows)
			continue;
		n.ports += rows->n_protos;
		for (unsigned slot = 0; slot < POLICY_SLOTS; slot++) {
			const struct policy_slot_rows *s = &rows->slot[slot];

			n.rows += !is_left_out(rows, slot);
			for (uint32_t i = 0; i < s->n_ports; i++)
				*(s->ports[i].mask == 0xffff ? &n.ports : &n.ranges) += 1;
		}
	}
	return n;
}

static void add_port(struct plan_class *p, struct mesh_port_key key, uint16_t port, const struct policy_verdict *v)
{
	key.port = htons(port);
	p->ports[p->n_ports].key = key;
	p->ports[p->n_ports].value = port_value(v);
	p->n_ports++;
}

static void add_range(struct plan_class *p, struct mesh_port_key key, const struct policy_ports *r)
{
	key.port = htons(r->port);
	p->ranges[p->n_ranges].key.prefixlen = MESH_RANGE_BITS + (unsigned)__builtin_popcount(r->mask);
	p->ranges[p->n_ranges].key.key = key;
	p->ranges[p->n_ranges].value = port_value(&r->verdict);
	p->n_ranges++;
}

static void add_slot(struct plan_class *p, const struct policy_rows *rows, unsigned slot,
		     const struct mesh_row_key *row_key, const struct mesh_port_key *port_key)
{
	const struct policy_slot_rows *s = &rows->slot[slot];
	struct mesh_row row = {.verdict = plan_verdict(s->dflt.action), .rule = s->dflt.rule};

	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i].mask == 0xffff) {
			add_port(p, *port_key, s->ports[i].port, &s->ports[i].verdict);
			row.flags |= MESH_ROW_PORTS;
		} else {
			add_range(p, *port_key, &s->ports[i]);
			row.flags |= MESH_ROW_RANGES;
		}
	}
	for (uint32_t i = 0; slot == POLICY_SLOT_OTHER && i < rows->n_protos; i++) {
		struct mesh_port_key key = *port_key;

		key.proto = rows->protos[i].proto;
		add_port(p, key, 0, &rows->protos[i].verdict);
		row.flags |= MESH_ROW_PORTS;
	}
	if (is_left_out(rows, slot))
		return;
	p->rows[p->n_rows].key = *row_key;
	p->rows[p->n_rows].value = row;
	p->n_rows++;
}

static int row_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_row_key));
}

static int port_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_port_key));
}

static int range_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_range_key));
}

void plan_class_sort(struct plan_class *p)
{
	if (p->n_rows)
		qsort(p->rows, p->n_rows, sizeof(*p->rows), row_cmp);
	if (p->n_ports)
		qsort(p->ports, p->n_ports, sizeof(*p->ports), port_cmp);
	if (p->n_ranges)
		qsort(p->ranges, p->n_ranges, sizeof(*p->ranges), range_cmp);
}

int plan_class_make(const struct policy_class *c, const struct plan_dirs *dirs, uint8_t bank,
		    struct plan_class *ret)
{
	CLEANUP(plan_class_done) struct plan_class p = {.version = c->version};
	const struct plan_size size = plan_class_size(c, dirs);

	p.rows = calloc(size.rows + 1, sizeof(*p.rows));
	p.ports = calloc(size.ports + 1, sizeof(*p.ports));
	p.ranges = calloc(size.ranges + 1, sizeof(*p.ranges));
	if (!p.rows || !p.ports || !p.ranges)
		return -ENOMEM;
	for (unsigned dir = 0; dir < MAP_DIRS; dir++) {
		const struct policy_rows *rows = rows_of(c, dirs, dir);

		for (unsigned slot = 0; rows && slot < POLICY_SLOTS; slot++) {
			struct mesh_row_key row = {.class = c->number, .dir = (uint8_t)dir, .slot = (uint8_t)slot,
						   .bank = bank};
			struct mesh_port_key port = {.class = c->number, .dir = (uint8_t)dir,
						     .proto = slot_proto(slot), .bank = bank};

			add_slot(&p, rows, slot, &row, &port);
		}
	}
	plan_class_sort(&p);
	*ret = p;
	p = (struct plan_class){0};
	return 0;
}
