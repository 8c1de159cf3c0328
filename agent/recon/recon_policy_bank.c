/* SPDX-License-Identifier: Apache-2.0 */
/* The rows, ports and ranges of one bank. */
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "recon/recon_policy_internal.h"

/* More classes than there can be identities are no classes. */
enum { CLASSES_MAX = 1 << 20 };

static void bank_clear(struct bank *b)
{
	for (size_t i = 0; i < b->n; i++)
		plan_class_done(&b->v[i]);
	b->n = 0;
	b->size = (struct plan_size){0};
}

static struct plan_size size_of(const struct plan_class *p)
{
	return (struct plan_size){p->n_rows, p->n_ports, p->n_ranges};
}

static void replace_size(struct plan_size *total, struct plan_size old, struct plan_size now)
{
	total->rows += now.rows - old.rows;
	total->ports += now.ports - old.ports;
	total->ranges += now.ranges - old.ranges;
}

void recon_bank_done(struct bank *b)
{
	bank_clear(b);
	free(b->v);
	ARRAY_DONE(&b->pending);
}

static int bank_reserve(struct bank *b, size_t n)
{
	struct plan_class *v;

	if (n <= b->n)
		return 0;
	v = reallocarray(b->v, n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v + b->n, 0, (n - b->n) * sizeof(*v));
	b->v = v;
	b->n = n;
	return 0;
}

/* Reading back */

struct reading {
	struct bank *b;
	unsigned number;
};

/* One entry more for a list of plan_class, which begins with its key. */
static int append(void **list, size_t *n, size_t entry, const void *key, size_t key_size, const void *value, size_t value_size)
{
	char *v = reallocarray(*list, *n + 1, entry);

	if (!v)
		return -ENOMEM;
	*list = v;
	memcpy(v + *n * entry, key, key_size);
	memcpy(v + *n * entry + key_size, value, value_size);
	++*n;
	return 0;
}

/* Sorted later. */
#define READ_ENTRY(c, list, k, v)                                                                                         \
	append((void **)&(c)->list, &(c)->n_##list, sizeof(*(c)->list), (k), sizeof(*(k)), (v), sizeof(*(v)))

/* The class that an entry is about; *ret is NULL for one of the other bank. */
static int class_of_entry(const struct reading *rd, uint8_t bank, uint32_t class, struct plan_class **ret)
{
	int r = 0;

	*ret = NULL;
	if (bank != rd->number)
		return 0;
	r = class >= CLASSES_MAX ? -EINVAL : bank_reserve(rd->b, (size_t)class + 1);
	if (r == 0)
		*ret = &rd->b->v[class];
	return r;
}

static int read_row(const void *key, const void *value, void *arg)
{
	const struct mesh_row_key *k = key;
	const struct mesh_row *v = value;
	struct plan_class *c;
	int r = class_of_entry(arg, k->bank, k->class, &c);

	return c ? READ_ENTRY(c, rows, k, v) : r;
}

static int read_port(const void *key, const void *value, void *arg)
{
	const struct mesh_port_key *k = key;
	const struct mesh_port *v = value;
	struct plan_class *c;
	int r = class_of_entry(arg, k->bank, k->class, &c);

	return c ? READ_ENTRY(c, ports, k, v) : r;
}

static int read_range(const void *key, const void *value, void *arg)
{
	const struct mesh_range_key *k = key;
	const struct mesh_port *v = value;
	struct plan_class *c;
	int r = class_of_entry(arg, k->key.bank, k->key.class, &c);

	return c ? READ_ENTRY(c, ranges, k, v) : r;
}

int recon_bank_read(struct recon_policy *r, unsigned bank)
{
	struct bank *b = &r->bank[bank];
	struct reading rd = {.b = b, .number = bank};
	int e;

	bank_clear(b);
	e = bpfmap_each(r->obj, BPFOBJ_POLICY_ROW, read_row, &rd);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_POLICY_PORT, read_port, &rd);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_POLICY_RANGE, read_range, &rd);
	if (e < 0)
		return e;
	for (size_t i = 0; i < b->n; i++) {
		plan_class_sort(&b->v[i]);
		replace_size(&b->size, (struct plan_size){0}, size_of(&b->v[i]));
	}
	b->is_known = true;
	b->all_identities = true;
	return 0;
}

/* Writing */

enum step { STEP_DELETE, STEP_PUT };

/* Walks two sorted lists and queues one half of what turns `old` into `now`. Entries start with their key. */
static int diff(struct map_batch *b, enum step step, const void *old, size_t n_old, const void *now, size_t n_now,
		size_t entry)
{
	size_t i = 0, j = 0, value_at = entry - b->value_size;
	int r = 0;

	while (r == 0 && (i < n_old || j < n_now)) {
		const char *x = (const char *)old + i * entry, *y = (const char *)now + j * entry;
		int c = i == n_old ? 1 : j == n_now ? -1 : memcmp(x, y, b->key_size);

		if (c < 0 && step == STEP_DELETE)
			r = map_batch_del(b, x);
		else if (step == STEP_PUT && (c > 0 || (c == 0 && memcmp(x + value_at, y + value_at, b->value_size) != 0)))
			r = map_batch_put(b, y, y + value_at);
		i += c <= 0;
		j += c >= 0;
	}
	return r;
}

static int apply_class(struct map_batch batch[BANK_MAPS], enum step step, const struct plan_class *old,
		       const struct plan_class *now)
{
	int r = diff(&batch[0], step, old->rows, old->n_rows, now->rows, now->n_rows, sizeof(*now->rows));

	if (r == 0)
		r = diff(&batch[1], step, old->ports, old->n_ports, now->ports, now->n_ports, sizeof(*now->ports));
	if (r == 0)
		r = diff(&batch[2], step, old->ranges, old->n_ranges, now->ranges, now->n_ranges, sizeof(*now->ranges));
	return r;
}

/* What of the bank is not as the table has it. */
struct changes {
	const struct policy_table *t;
	struct plan_dirs dirs;
	bool all; /* directions changed: every class has other entries */
	uint32_t limit;
};

static struct changes changes_of(const struct bank *b, const struct policy_table *t)
{
	struct changes c = {.t = t, .dirs = plan_dirs_of(t), .limit = policy_table_class_limit(t)};

	c.all = memcmp(&c.dirs, &b->dirs, sizeof(c.dirs)) != 0;
	return c;
}

/* Whether class `i` changed; *ret is its new state, NULL if it is no more. */
static bool has_changed(const struct changes *c, const struct bank *b, uint32_t i, const struct policy_class **ret)
{
	static const struct plan_class none;
	const struct plan_class *old = i < b->n ? &b->v[i] : &none;
	const struct policy_class *now = i < c->limit ? policy_table_class(c->t, i) : NULL;

	if (now && i && !now->n_identities)
		now = NULL; /* nobody can ask for it */
	*ret = now;
	if (now)
		return c->all || old->version != now->version;
	return old->version || old->n_rows || old->n_ports || old->n_ranges;
}

struct plan_size recon_bank_size(const struct bank *b, const struct policy_table *t)
{
	const struct changes changes = changes_of(b, t);
	struct plan_size total = b->size;
	const struct policy_class *c;

	for (uint32_t i = 0; i < MAX(b->n, (size_t)changes.limit); i++)
		if (has_changed(&changes, b, i, &c))
			replace_size(&total, i < b->n ? size_of(&b->v[i]) : (struct plan_size){0},
				     c ? plan_class_size(c, &changes.dirs) : (struct plan_size){0});
	return total;
}

struct planned {
	uint32_t class;
	struct plan_class plan;
};

struct planned_list {
	struct planned *v;
	size_t n, cap;
};

static int make_plans(const struct bank *b, const struct changes *changes, unsigned bank, struct planned_list *list)
{
	const struct policy_class *c;
	int e = 0;

	for (uint32_t i = 0; e == 0 && i < b->n; i++) {
		if (!has_changed(changes, b, i, &c))
			continue;
		e = ARRAY_ADD(list, (struct planned){.class = i});
		if (e == 0 && c)
			e = plan_class_make(c, &changes->dirs, (uint8_t)bank, &list->v[list->n - 1].plan);
	}
	return e;
}

/* All that goes first: in between, the map never holds more than before or after. Nobody reads this bank. */
static int write_plans(const struct bank *b, const struct planned_list *list, struct map_batch batch[BANK_MAPS])
{
	int e = 0;

	for (enum step step = STEP_DELETE; step <= STEP_PUT; step++) {
		for (size_t i = 0; e == 0 && i < list->n; i++)
			e = apply_class(batch, step, &b->v[list->v[i].class], &list->v[i].plan);
		for (unsigned i = 0; e == 0 && i < BANK_MAPS; i++)
			e = map_batch_flush(&batch[i]);
	}
	return e;
}

int recon_bank_write(struct recon_policy *r, unsigned bank, const struct policy_table *t, struct map_batch batch[BANK_MAPS])
{
	struct bank *b = &r->bank[bank];
	const struct changes changes = changes_of(b, t);
	struct planned_list list = {0};
	int e = bank_reserve(b, changes.limit);

	if (e == 0)
		e = make_plans(b, &changes, bank, &list);
	if (e == 0)
		e = write_plans(b, &list, batch);
	for (size_t i = 0; i < list.n; i++) {
		struct plan_class old = b->v[list.v[i].class];

		if (e == 0) {
			replace_size(&b->size, size_of(&old), size_of(&list.v[i].plan));
			b->v[list.v[i].class] = list.v[i].plan;
			list.v[i].plan = old;
		}
		plan_class_done(&list.v[i].plan);
	}
	ARRAY_DONE(&list);
	if (e == 0)
		b->dirs = changes.dirs;
	return e;
}
