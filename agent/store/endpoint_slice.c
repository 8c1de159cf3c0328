/* SPDX-License-Identifier: Apache-2.0 */
/* CiliumEndpointSlices: which endpoints each of them names, and what it says of those that another one names, too. */
#include "store/endpoint_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct endpoint_slice *endpoint_slice_get(struct endpoint_table *t, const char *name, bool make)
{
	struct endpoint_slice *s;

	HASH_FIND_STR(t->slices, name, s);
	if (s || !make)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->name = strdup(name);
	hash_oom = false;
	if (s->name)
		HASH_ADD_KEYPTR(hh, t->slices, s->name, strlen(s->name), s);
	if (!s->name || hash_oom) {
		free(s->name);
		free(s);
		return NULL;
	}
	return s;
}

static void slice_free(struct endpoint_table *t, struct endpoint_slice *s)
{
	HASH_DEL(t->slices, s);
	free(s->name);
	free(s);
}

void endpoint_slice_drop_empty(struct endpoint_table *t, struct endpoint_slice *s)
{
	if (s && !s->head && !s->copies)
		slice_free(t, s);
}

void endpoint_slices_done(struct endpoint_table *t)
{
	struct endpoint_slice *s, *tmp;

	HASH_ITER (hh, t->slices, s, tmp)
		slice_free(t, s);
	for (size_t i = 0; i < t->copies.n; i++)
		free(t->copies.v[i].said.more);
	ARRAY_DONE(&t->copies);
	free(t->members);
}

/* Members */

struct endpoint_slice *endpoint_slice_of(const struct endpoint_table *t, uint32_t number)
{
	return number < t->n_members ? t->members[number].slice : NULL;
}

static void slice_leave(struct endpoint_table *t, uint32_t number)
{
	struct endpoint_slice *s = endpoint_slice_of(t, number);
	struct endpoint_member *m;

	if (!s)
		return;
	m = &t->members[number];
	if (m->prev)
		t->members[m->prev - 1].next = m->next;
	else
		s->head = m->next;
	if (m->next)
		t->members[m->next - 1].prev = m->prev;
	*m = (struct endpoint_member){.copies = m->copies};
	endpoint_slice_drop_empty(t, s);
}

int endpoint_slice_reserve(struct endpoint_table *t, uint32_t number)
{
	int r;

	if (number < t->n_members)
		return 0;
	r = array_reserve((void **)&t->members, &t->cap_members, t->n_members, number + 1 - t->n_members,
			  sizeof(*t->members));
	if (r < 0)
		return r;
	memset(&t->members[t->n_members], 0, (number + 1 - t->n_members) * sizeof(*t->members));
	t->n_members = number + 1;
	return 0;
}

void endpoint_slice_join(struct endpoint_table *t, uint32_t number, struct endpoint_slice *s)
{
	struct endpoint_member *m;

	if (endpoint_slice_of(t, number) != s)
		slice_leave(t, number);
	if (!s)
		return;
	m = &t->members[number];
	m->stamp = t->slice_stamp;
	if (m->slice == s)
		return;
	*m = (struct endpoint_member){.slice = s, .next = s->head, .stamp = t->slice_stamp, .copies = m->copies};
	if (m->next)
		t->members[m->next - 1].prev = number + 1;
	s->head = number + 1;
}

/* Copies */

uint32_t endpoint_copy_first(const struct endpoint_table *t, uint32_t number)
{
	return number < t->n_members ? t->members[number].copies : 0;
}

uint32_t endpoint_copy_find(const struct endpoint_table *t, uint32_t number, const struct endpoint_slice *s)
{
	uint32_t i = endpoint_copy_first(t, number);

	while (i && t->copies.v[i - 1].slice != s)
		i = t->copies.v[i - 1].older;
	return i;
}

int endpoint_copy_reserve(struct endpoint_table *t)
{
	return t->spare_copy ? 0 : ARRAY_RESERVE(&t->copies, 1);
}

void endpoint_copy_add(struct endpoint_table *t, uint32_t number)
{
	struct endpoint_member *m = &t->members[number];
	uint32_t i = t->spare_copy;
	struct endpoint_copy *c;

	if (i)
		t->spare_copy = t->copies.v[i - 1].older;
	else
		i = (uint32_t)++t->copies.n;
	c = &t->copies.v[i - 1];
	*c = (struct endpoint_copy){.said = t->v[number].said, .slice = m->slice, .next = m->slice->copies, .older = m->copies,
				    .record = number, .stamp = m->stamp};
	if (c->said.ports && t->hold_fn && !t->hold_fn(c->said.ports, true, t->arg))
		c->said.ports = 0;
	if (c->next)
		t->copies.v[c->next - 1].prev = i;
	m->slice->copies = i;
	m->copies = i;
	t->n_copies++;
}

struct endpoint_said endpoint_copy_take(struct endpoint_table *t, uint32_t copy)
{
	struct endpoint_copy *c = &t->copies.v[copy - 1];
	struct endpoint_slice *s = c->slice;
	struct endpoint_said said = c->said;
	uint32_t *link = &t->members[c->record].copies;

	while (*link != copy)
		link = &t->copies.v[*link - 1].older;
	*link = c->older;
	if (c->prev)
		t->copies.v[c->prev - 1].next = c->next;
	else
		s->copies = c->next;
	if (c->next)
		t->copies.v[c->next - 1].prev = c->prev;
	*c = (struct endpoint_copy){.older = t->spare_copy};
	t->spare_copy = copy;
	if (--t->n_copies == 0) {
		ARRAY_DONE(&t->copies);
		t->spare_copy = 0;
	}
	endpoint_slice_drop_empty(t, s);
	return said;
}

void endpoint_copy_drop(struct endpoint_table *t, uint32_t copy)
{
	struct endpoint_said said = endpoint_copy_take(t, copy);

	endpoint_ports_release(t, said.ports);
	free(said.more);
}

void endpoint_copies_trim(struct endpoint_table *t, uint32_t number, size_t n)
{
	uint32_t older;

	for (uint32_t i = endpoint_copy_first(t, number); i; i = older) {
		older = t->copies.v[i - 1].older;
		if (n)
			n--;
		else
			endpoint_copy_drop(t, i);
	}
}

void endpoint_ports_release(struct endpoint_table *t, uint32_t ports)
{
	if (ports && t->hold_fn)
		(void)t->hold_fn(ports, false, t->arg); /* those that are held are there */
}
