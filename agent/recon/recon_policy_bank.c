/* SPDX-License-Identifier: Apache-2.0 */
/* The rows, ports and ranges of one bank. */
#include <errno.h>
#include <string.h>

#include "recon/recon_policy_internal.h"

/* More classes than there can be identities are no classes. */
enum { CLASSES_MAX = 1 << 20 };

static void bank_clear(struct bank *b)
{
	for (size_t i = 0; i < b->n; i++)
		plan_class_done(&b->v[i]);
	b->n = 0;
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
	for (size_t i = 0; i < b->n; i++)
		plan_class_sort(&b->v[i]);
	b->is_known = true;
	b->all_identities = true;
	return 0;
}

/* Writing */

/* Walks two sorted lists and queues what turns `old` into `now`. Entries start with their key. */
static int diff(struct map_batch *b, const void *old, size_t n_old, const void *now, size_t n_now, size_t entry,
		size_t value_at)
{
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < n_old || j < n_now)) {
		const char *x = (const char *)old + i * entry, *y = (const char *)now + j * entry;
		int c = i == n_old ? 1 : j == n_now ? -1 : memcmp(x, y, b->key_size);

		if (c < 0) {
			r = map_batch_del(b, x);
			i++;
			continue;
		}
		if (c > 0 || memcmp(x + value_at, y + value_at, b->value_size) != 0)
			r = map_batch_put(b, y, y + value_at);
		i += c == 0;
		j++;
	}
	return r;
}

static int apply_class(struct map_batch batch[BANK_MAPS], const struct plan_class *old, const struct plan_class *now)
{
	int r = diff(&batch[0], old->rows, old->n_rows, now->rows, now->n_rows, sizeof(*now->rows),
		     sizeof(struct mesh_row_key));

	if (r == 0)
		r = diff(&batch[1], old->ports, old->n_ports, now->ports, now->n_ports, sizeof(*now->ports),
			 sizeof(struct mesh_port_key));
	if (r == 0)
		r = diff(&batch[2], old->ranges, old->n_ranges, now->ranges, now->n_ranges,
			 sizeof(*now->ranges), sizeof(struct mesh_range_key));
	return r;
}

int recon_bank_write(struct recon_policy *r, unsigned bank, const struct policy_table *t, struct map_batch batch[BANK_MAPS])
{
	struct bank *b = &r->bank[bank];
	const struct plan_dirs dirs = plan_dirs_of(t);
	bool anew = memcmp(&dirs, &b->dirs, sizeof(dirs)) != 0;
	uint32_t limit = policy_table_class_limit(t);
	int e = bank_reserve(b, limit);

	for (uint32_t i = 0; e == 0 && i < b->n; i++) {
		const struct policy_class *c = i < limit ? policy_table_class(t, i) : NULL;
		CLEANUP(plan_class_done) struct plan_class now = {0};
		struct plan_class old = b->v[i];

		if (c && i && !c->n_identities)
			c = NULL; /* nobody can ask for it */
		if (c && !anew && old.version == c->version)
			continue;
		if (c)
			e = plan_class_make(c, &dirs, (uint8_t)bank, &now);
		if (e == 0)
			e = apply_class(batch, &old, &now);
		if (e < 0)
			break;
		b->v[i] = now;
		now = old;
	}
	for (unsigned i = 0; e == 0 && i < BANK_MAPS; i++)
		e = map_batch_flush(&batch[i]);
	if (e == 0)
		b->dirs = dirs;
	return e;
}
