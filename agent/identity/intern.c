/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/intern.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

enum { INTERN_MAX = 1 << 24, INTERN_SLOTS_MIN = 64 };

struct entry {
	char *s; /* NULL = free; `refs` is then the next free number */
	uint32_t refs;
	uint32_t hash;
};

/* Open addressing with linear probing; a slot holds an entry's number, 0 = empty. */
struct intern {
	ARRAY(struct entry) entries;
	uint32_t *slots;
	uint32_t mask;
	uint32_t free_head; /* 0 = none */
	size_t count;
};

int intern_new(struct intern **ret)
{
	struct intern *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->slots = calloc(INTERN_SLOTS_MIN, sizeof(*t->slots));
	if (!t->slots || ARRAY_ADD(&t->entries, (struct entry){.s = NULL}) < 0) {
		intern_free(t);
		return -ENOMEM;
	}
	t->mask = INTERN_SLOTS_MIN - 1;
	*ret = t;
	return 0;
}

void intern_free(struct intern *t)
{
	if (!t)
		return;
	for (size_t i = 1; i < t->entries.n; i++)
		free(t->entries.v[i].s);
	ARRAY_DONE(&t->entries);
	free(t->slots);
	free(t);
}

static int intern_grow(struct intern *t)
{
	uint32_t mask = t->mask * 2 + 1;
	uint32_t *slots = calloc((size_t)mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t n = 1; n < t->entries.n; n++) {
		uint32_t at;

		if (!t->entries.v[n].s)
			continue;
		for (at = t->entries.v[n].hash & mask; slots[at]; at = (at + 1) & mask)
			;
		slots[at] = n;
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	return 0;
}

/* The slot of the string, or the empty one where it would go. */
static uint32_t intern_slot(const struct intern *t, const char *s, size_t len, uint32_t hash)
{
	uint32_t at;

	for (at = hash & t->mask; t->slots[at]; at = (at + 1) & t->mask) {
		const struct entry *e = &t->entries.v[t->slots[at]];

		if (e->hash == hash && strncmp(e->s, s, len) == 0 && e->s[len] == '\0')
			break;
	}
	return at;
}

int intern_get(struct intern *t, const char *s, size_t len, uint32_t *ret_number)
{
	uint32_t hash, at, number;
	struct entry e;
	int r;

	len = strnlen(s, len);
	if (len == 0) {
		*ret_number = 0;
		return 0;
	}
	hash = (uint32_t)hash_bytes(s, len);
	at = intern_slot(t, s, len, hash);
	if (t->slots[at]) {
		t->entries.v[t->slots[at]].refs++;
		*ret_number = t->slots[at];
		return 0;
	}
	if (t->count + t->count / 2 >= t->mask) {
		r = intern_grow(t);
		if (r < 0)
			return r;
		at = intern_slot(t, s, len, hash);
	}
	e = (struct entry){.s = strndup(s, len), .refs = 1, .hash = hash};
	if (!e.s)
		return -ENOMEM;
	if (t->free_head) {
		number = t->free_head;
		t->free_head = t->entries.v[number].refs;
		t->entries.v[number] = e;
	} else {
		number = (uint32_t)t->entries.n;
		r = number >= INTERN_MAX ? -ENOSPC : ARRAY_ADD(&t->entries, e);
		if (r < 0) {
			free(e.s);
			return r;
		}
	}
	t->slots[at] = number;
	t->count++;
	*ret_number = number;
	return 0;
}

void intern_ref(struct intern *t, uint32_t number)
{
	if (number)
		t->entries.v[number].refs++;
}

/* Closes the gap that a removed slot leaves in its probe sequence. */
static void intern_close_gap(struct intern *t, uint32_t gap)
{
	uint32_t at = gap;

	for (;;) {
		uint32_t home;

		at = (at + 1) & t->mask;
		if (!t->slots[at])
			break;
		home = t->entries.v[t->slots[at]].hash & t->mask;
		if (((at - home) & t->mask) < ((at - gap) & t->mask))
			continue;
		t->slots[gap] = t->slots[at];
		gap = at;
	}
	t->slots[gap] = 0;
}

void intern_put(struct intern *t, uint32_t number)
{
	struct entry *e;
	uint32_t at;

	if (!number)
		return;
	e = &t->entries.v[number];
	if (--e->refs)
		return;
	for (at = e->hash & t->mask; t->slots[at] != number; at = (at + 1) & t->mask)
		;
	intern_close_gap(t, at);
	free(e->s);
	e->s = NULL;
	e->refs = t->free_head;
	t->free_head = number;
	t->count--;
}

uint32_t intern_find(const struct intern *t, const char *s, size_t len)
{
	uint32_t at;

	len = strnlen(s, len);
	if (len == 0)
		return 0;
	at = intern_slot(t, s, len, (uint32_t)hash_bytes(s, len));
	return t->slots[at] ? t->slots[at] : UINT32_MAX;
}

const char *intern_str(const struct intern *t, uint32_t number)
{
	return number ? t->entries.v[number].s : "";
}

size_t intern_count(const struct intern *t)
{
	return t->count;
}
