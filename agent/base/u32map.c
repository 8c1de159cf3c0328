/* SPDX-License-Identifier: Apache-2.0 */
#include "base/u32map.h"

#include <errno.h>

/* Keys are numbers that the cluster hands out one by one or at random: mixing is enough, no seed. */
static size_t home_of(uint32_t key, size_t mask)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;
}

static size_t slot_of(const struct u32map_slot *v, size_t cap, uint32_t key)
{
	size_t mask = cap - 1, i = home_of(key, mask);

	while (v[i].key && v[i].key != key)
		i = (i + 1) & mask;
	return i;
}

static int grow(struct u32map *m)
{
	size_t cap = m->cap ? m->cap * 2 : 64;
	struct u32map_slot *v;

	if (m->cap && m->n + 1 <= m->cap / 4 * 3)
		return 0;
	v = calloc(cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->v[i].key)
			v[slot_of(v, cap, m->v[i].key)] = m->v[i];
	free(m->v);
	m->v = v;
	m->cap = cap;
	return 0;
}

int u32map_put(struct u32map *m, uint32_t key, uint64_t value)
{
	int r = grow(m);
	size_t i;

	if (r < 0)
		return r;
	i = slot_of(m->v, m->cap, key);
	if (!m->v[i].key)
		m->n++;
	m->v[i] = (struct u32map_slot){.key = key, .value = value};
	return 0;
}

bool u32map_get(const struct u32map *m, uint32_t key, uint64_t *ret_value)
{
	size_t i;

	if (!m->cap)
		return false;
	i = slot_of(m->v, m->cap, key);
	if (!m->v[i].key)
		return false;
	*ret_value = m->v[i].value;
	return true;
}

void u32map_del(struct u32map *m, uint32_t key)
{
	size_t mask = m->cap - 1, hole;

	if (!m->cap)
		return;
	hole = slot_of(m->v, m->cap, key);
	if (!m->v[hole].key)
		return;
	for (size_t i = (hole + 1) & mask; m->v[i].key; i = (i + 1) & mask) {
		if (((i - home_of(m->v[i].key, mask)) & mask) >= ((i - hole) & mask)) {
			m->v[hole] = m->v[i];
			hole = i;
		}
	}
	m->v[hole] = (struct u32map_slot){0};
	m->n--;
}

void u32map_done(struct u32map *m)
{
	free(m->v);
	*m = (struct u32map){0};
}
