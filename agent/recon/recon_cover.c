/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_cover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "bpf/bpf_map.h"

struct entry {
	uint8_t key[16]; /* zero behind a shorter one */
	uint32_t value;
};

struct entries {
	struct entry *v;
	size_t n, cap;
};

struct table {
	const struct bpfobj *obj;
	enum bpfobj_map map;
	struct entries have; /* sorted, if it was read */
	bool is_read;
};

struct recon_cover {
	struct table covered, own;
};

int recon_cover_new(const struct bpfobj *o, struct recon_cover **ret)
{
	struct recon_cover *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->covered = (struct table){.obj = o, .map = BPFOBJ_COVERED};
	c->own = (struct table){.obj = o, .map = BPFOBJ_OWN};
	*ret = c;
	return 0;
}

void recon_cover_free(struct recon_cover *c)
{
	if (!c)
		return;
	ARRAY_DONE(&c->covered.have);
	ARRAY_DONE(&c->own.have);
	free(c);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key, sizeof(((const struct entry *)a)->key));
}

static int add(struct entries *list, const void *key, size_t key_size, uint32_t value)
{
	struct entry e = {.value = value};

	memcpy(e.key, key, key_size);
	return ARRAY_ADD(list, e);
}

static int add_left(const void *key, const void *value, void *arg)
{
	struct table *t = arg;
	uint32_t v;

	memcpy(&v, value, sizeof(v));
	return add(&t->have, key, bpfmap_key_size(t->obj, t->map), v);
}

/* What an earlier run left. */
static int read_left(struct table *t)
{
	int r;

	t->have.n = 0;
	r = bpfmap_each(t->obj, t->map, add_left, t);
	ARRAY_SORT(&t->have, compare_keys);
	t->is_read = r == 0;
	return r;
}

static int take_out(const struct table *t, const struct entry *e)
{
	int r = bpfmap_del(t->obj, t->map, e->key);

	return r == -ENOENT ? 0 : r;
}

static int put_in(const struct table *t, const struct entry *e)
{
	int r = bpfmap_put(t->obj, t->map, e->key, &e->value);

	return r == -E2BIG ? 0 : r;
}

/* What is not wanted goes first, to make room. */
static int write_difference(const struct table *t, const struct entries *want)
{
	int r = 0;

	for (size_t i = 0, k = 0; r == 0 && i < t->have.n; i++) {
		while (k < want->n && compare_keys(&want->v[k], &t->have.v[i]) < 0)
			k++;
		if (k == want->n || compare_keys(&want->v[k], &t->have.v[i]) != 0)
			r = take_out(t, &t->have.v[i]);
	}
	for (size_t i = 0, k = 0; r == 0 && k < want->n; k++) {
		while (i < t->have.n && compare_keys(&t->have.v[i], &want->v[k]) < 0)
			i++;
		if (i == t->have.n || compare_keys(&t->have.v[i], &want->v[k]) != 0 || t->have.v[i].value != want->v[k].value)
			r = put_in(t, &want->v[k]);
	}
	return r;
}

/* Takes the list. */
static int apply(struct table *t, struct entries *want)
{
	int r = t->is_read ? 0 : read_left(t);

	ARRAY_SORT(want, compare_keys);
	if (r == 0)
		r = write_difference(t, want);
	t->is_read = r == 0;
	ARRAY_DONE(&t->have);
	t->have = *want;
	*want = (struct entries){0};
	return r;
}

static int want_own(struct entries *want, const struct nl_addrs *own)
{
	uint8_t key[16];
	int r = 0;

	for (size_t i = 0; i < own->n && r == 0; i++) {
		ip_mapped(&own->v[i].ip, key);
		r = add(want, key, sizeof(key), (uint32_t)own->v[i].ifindex);
	}
	return r;
}

int recon_cover_apply(struct recon_cover *c, const struct recon_ifindexes *covered, const struct nl_addrs *own)
{
	struct entries interfaces = {0}, addresses = {0};
	int r = 0;

	for (size_t i = 0; i < covered->n && r == 0; i++)
		r = add(&interfaces, &covered->v[i], sizeof(covered->v[i]), 0);
	if (r == 0)
		r = want_own(&addresses, own);
	if (r == 0)
		r = apply(&c->covered, &interfaces);
	if (r == 0)
		r = apply(&c->own, &addresses);
	ARRAY_DONE(&interfaces);
	ARRAY_DONE(&addresses);
	return r;
}
