/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identity.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "identity/named_port.h"

enum { SLOTS_MIN = 64, LOCAL_BITS = 24, LOCAL_MAX = (1 << LOCAL_BITS) - 1 };

/* Dense array plus an open-addressing index of number -> place + 1. */
struct identity_table {
	struct label_table *labels;
	ARRAY(struct identity) ids;
	size_t n_local;
	uint32_t *slots;
	uint32_t mask;
	uint32_t next_cidr, next_node;
	ARRAY(struct identity_change) changes;
	bool is_lost;
};

static uint32_t number_hash(uint32_t number)
{
	return (number * UINT32_C(0x9e3779b1)) ^ (number >> 15);
}

static uint32_t identity_slot(const struct identity_table *t, uint32_t number)
{
	uint32_t at = number_hash(number) & t->mask;

	while (t->slots[at] && t->ids.v[t->slots[at] - 1].number != number)
		at = (at + 1) & t->mask;
	return at;
}

static void identity_note(struct identity_table *t, struct identity *id)
{
	if (id->change)
		return;
	if (ARRAY_ADD(&t->changes, (struct identity_change){.number = id->number}) < 0)
		t->is_lost = true;
	else
		id->change = (uint32_t)t->changes.n;
}

/* The last change takes the place of one that is none any more. */
static void change_drop(struct identity_table *t, uint32_t change)
{
	const struct identity_change *last = &t->changes.v[t->changes.n - 1];
	struct identity *id = identity_get(t, last->number);

	if (id && id->change == t->changes.n)
		id->change = change;
	t->changes.v[change - 1] = *last;
	t->changes.n--;
}

static void identity_note_removed(struct identity_table *t, struct identity *id)
{
	if (id->tag)
		identity_note(t, id);
	if (!id->change)
		return;
	if (id->tag)
		t->changes.v[id->change - 1].tag = id->tag;
	else
		change_drop(t, id->change);
	id->change = 0;
}

static int identity_grow(struct identity_table *t)
{
	uint32_t mask = t->mask * 2 + 1;
	uint32_t *slots = calloc((size_t)mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->ids.n; i++) {
		uint32_t at = number_hash(t->ids.v[i].number) & mask;

		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	return 0;
}

uint16_t identity_flags_of(const struct label_table *t, const struct label_set *set)
{
	static const struct {
		const char *key;
		uint16_t flags;
	} known[] = {
		{"world", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD},
		{"world-ipv4", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD_IPV4},
		{"world-ipv6", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD_IPV6},
		{"host", IDENTITY_IS_HOST},
		{"remote-node", IDENTITY_IS_REMOTE_NODE},
		{"init", IDENTITY_IS_INIT},
	};
	unsigned flags = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		if (set->v[i].source != LABEL_RESERVED)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			if (str_eq(intern_str(label_table_strings(t), set->v[i].key), known[k].key))
				flags |= known[k].flags;
	}
	return (uint16_t)flags;
}

static void identity_fill(struct identity_table *t, struct identity *id, struct label_set *labels, struct named_ports *ports)
{
	label_set_free(t->labels, id->labels);
	named_ports_free(t->labels, id->ports);
	id->labels = labels;
	id->ports = ports;
	id->is_new = true;
	id->flags = identity_flags_of(t->labels, labels);
}

/* Policies with many prefixes leave the cluster's their room. */
static bool has_room(const struct identity_table *t, uint32_t number)
{
	if (number >= IDENTITY_LOCAL_CIDR)
		return t->n_local < LIMIT_LOCAL_IDENTITIES;
	return t->ids.n - t->n_local < LIMIT_IDENTITIES;
}

/* Takes `labels`, also on failure. */
static int identity_put(struct identity_table *t, uint32_t number, struct label_set *labels)
{
	uint32_t at = identity_slot(t, number);
	struct identity *id = t->slots[at] ? &t->ids.v[t->slots[at] - 1] : NULL;
	const struct named_ports *old = id ? id->ports : NULL;
	struct named_ports *ports = NULL;
	int r;

	if (id && label_set_eq(id->labels, labels)) {
		label_set_free(t->labels, labels);
		return 0;
	}
	/* before the labels: with those in place it would not be done by the next call either */
	r = named_ports_make(t->labels, labels, old ? old->told : NULL, old ? old->n_told : 0, &ports);
	if (r == 0 && !id) {
		r = has_room(t, number) ? 0 : -ENOSPC;
		if (r == 0 && t->ids.n + t->ids.n / 2 >= t->mask) {
			r = identity_grow(t);
			at = identity_slot(t, number);
		}
		if (r == 0)
			r = ARRAY_ADD(&t->ids, (struct identity){.number = number});
	}
	if (r < 0) {
		named_ports_free(t->labels, ports);
		label_set_free(t->labels, labels);
		return r;
	}
	if (!id) {
		t->n_local += number >= IDENTITY_LOCAL_CIDR;
		t->slots[at] = (uint32_t)t->ids.n;
		id = &t->ids.v[t->ids.n - 1];
	}
	identity_fill(t, id, labels, ports);
	identity_note(t, id);
	return 0;
}

static int identity_add_reserved(struct identity_table *t, uint32_t number, const char *first,
				 const char *second)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = t->labels};
	struct label_set *set;
	int r;

	r = label_builder_add_kv(&b, LABEL_RESERVED, first, "");
	if (r == 0 && second)
		r = label_builder_add_kv(&b, LABEL_RESERVED, second, "");
	if (r == 0)
		r = label_builder_take(&b, &set);
	return r < 0 ? r : identity_put(t, number, set);
}

int identity_table_new(struct identity_table **ret)
{
	static const char *const names[] = {
		[IDENTITY_HOST] = "host",
		[IDENTITY_WORLD] = "world",
		[IDENTITY_UNMANAGED] = "unmanaged",
		[IDENTITY_HEALTH] = "health",
		[IDENTITY_INIT] = "init",
		[IDENTITY_REMOTE_NODE] = "remote-node",
		[IDENTITY_KUBE_APISERVER] = "kube-apiserver",
		[IDENTITY_INGRESS] = "ingress",
		[IDENTITY_WORLD_IPV4] = "world-ipv4",
		[IDENTITY_WORLD_IPV6] = "world-ipv6",
	};
	CLEANUP(identity_table_free) struct identity_table *t = calloc(1, sizeof(*t));
	int r;

	if (!t || label_table_new(&t->labels) < 0)
		return -ENOMEM;
	t->slots = calloc(SLOTS_MIN, sizeof(*t->slots));
	if (!t->slots)
		return -ENOMEM;
	t->mask = SLOTS_MIN - 1;
	for (uint32_t n = 1; n < ARRAY_LEN(names); n++) {
		r = identity_add_reserved(t, n, names[n],
					  n == IDENTITY_KUBE_APISERVER ? "remote-node" : NULL);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(t);
	return 0;
}

void identity_table_free(struct identity_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->ids.n; i++) {
		label_set_free(t->labels, t->ids.v[i].labels);
		named_ports_free(t->labels, t->ids.v[i].ports);
	}
	ARRAY_DONE(&t->ids);
	ARRAY_DONE(&t->changes);
	free(t->slots);
	label_table_free(t->labels);
	free(t);
}

struct label_table *identity_labels(struct identity_table *t)
{
	return t->labels;
}

int identity_upsert(struct identity_table *t, uint32_t number, struct label_set *labels)
{
	if (number <= IDENTITY_WORLD_IPV6) {
		label_set_free(t->labels, labels);
		return -EINVAL;
	}
	return identity_put(t, number, labels);
}

int identity_remove(struct identity_table *t, uint32_t number)
{
	uint32_t at = identity_slot(t, number), gap = at, place, last;

	if (number <= IDENTITY_WORLD_IPV6)
		return -EINVAL;
	if (!t->slots[at])
		return -ENOENT;
	place = t->slots[at] - 1;
	last = (uint32_t)t->ids.n - 1;
	identity_note_removed(t, &t->ids.v[place]);
	for (;;) { /* close the gap in the probe sequence */
		uint32_t home;

		at = (at + 1) & t->mask;
		if (!t->slots[at])
			break;
		home = number_hash(t->ids.v[t->slots[at] - 1].number) & t->mask;
		if (((at - home) & t->mask) < ((at - gap) & t->mask))
			continue;
		t->slots[gap] = t->slots[at];
		gap = at;
	}
	t->slots[gap] = 0;
	label_set_free(t->labels, t->ids.v[place].labels);
	named_ports_free(t->labels, t->ids.v[place].ports);
	if (place != last) {
		t->slots[identity_slot(t, t->ids.v[last].number)] = place + 1;
		t->ids.v[place] = t->ids.v[last];
	}
	t->ids.n--;
	t->n_local -= number >= IDENTITY_LOCAL_CIDR;
	return 0;
}

struct identity *identity_get(const struct identity_table *t, uint32_t number)
{
	uint32_t at = identity_slot(t, number);

	return t->slots[at] ? &t->ids.v[t->slots[at] - 1] : NULL;
}

int identity_set_named_ports(struct identity_table *t, uint32_t number,
			     const struct named_port *ports, size_t n)
{
	struct identity *id = identity_get(t, number);
	int r;

	if (!id)
		return -ENOENT;
	r = named_ports_replace(t->labels, id, ports, n);
	if (r > 0)
		identity_note(t, id);
	return r < 0 ? r : 0;
}

uint32_t identity_of_world(bool has_ipv4, bool has_ipv6, int family)
{
	if (family == AF_INET)
		return has_ipv4 && !has_ipv6 ? IDENTITY_WORLD : IDENTITY_WORLD_IPV4;
	return has_ipv6 && !has_ipv4 ? IDENTITY_WORLD : IDENTITY_WORLD_IPV6;
}

int identity_local_number(struct identity_table *t, uint32_t base, uint32_t *ret_number)
{
	uint32_t *next = base == IDENTITY_LOCAL_NODE ? &t->next_node : &t->next_cidr;

	for (uint32_t tries = 0; tries < LOCAL_MAX; tries++) {
		*next = *next >= LOCAL_MAX ? 1 : *next + 1;
		if (!identity_get(t, base | *next)) {
			*ret_number = base | *next;
			return 0;
		}
	}
	return -ENOSPC;
}

size_t identity_count(const struct identity_table *t)
{
	return t->ids.n;
}

struct identity *identity_at(const struct identity_table *t, size_t i)
{
	return &t->ids.v[i];
}

size_t identity_changes(const struct identity_table *t, const struct identity_change **ret)
{
	*ret = t->changes.v;
	return t->changes.n;
}

void identity_changes_clear(struct identity_table *t)
{
	for (size_t i = 0; i < t->changes.n; i++) {
		struct identity *id = identity_get(t, t->changes.v[i].number);

		if (!id)
			continue;
		id->change = 0;
		id->is_new = false;
	}
	t->changes.n = 0;
	t->is_lost = false;
}

bool identity_changes_lost(const struct identity_table *t)
{
	return t->is_lost;
}
