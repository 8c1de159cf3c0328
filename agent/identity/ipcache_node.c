/* SPDX-License-Identifier: Apache-2.0 */
/* Tunnel endpoints and their numbers. */
#include <errno.h>
#include <stdlib.h>

#include "identity/ipcache_private.h"

enum { NODES_MAX = 65536 };

static int node_add(struct ipcache *c, const struct ip *ip, uint32_t number, struct ipcache_node **ret)
{
	struct ipcache_node *n;

	if (number >= c->by_number_cap) {
		size_t cap = c->by_number_cap ? c->by_number_cap * 2 : 64;
		struct ipcache_node **v;

		while (cap <= number)
			cap *= 2;
		v = reallocarray(c->by_number, cap, sizeof(struct ipcache_node *));
		if (!v)
			return -ENOMEM;
		memset(v + c->by_number_cap, 0, (cap - c->by_number_cap) * sizeof(struct ipcache_node *));
		c->by_number = v;
		c->by_number_cap = cap;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->ip = *ip;
	n->number = number;
	hash_oom = false;
	HASH_ADD(hh, c->nodes, ip, sizeof(n->ip), n);
	if (hash_oom) {
		free(n);
		return -ENOMEM;
	}
	c->by_number[number] = n;
	*ret = n;
	return 0;
}

int ipcache_node_seed(struct ipcache *c, const struct ip *ip, uint16_t number)
{
	struct ipcache_node *n;

	if (!number)
		return -EINVAL;
	HASH_FIND(hh, c->nodes, ip, sizeof(*ip), n);
	if (n || (number < c->by_number_cap && c->by_number[number]))
		return -EEXIST;
	return node_add(c, ip, number, &n);
}

int ipcache_node_ref(struct ipcache *c, const struct ip *ip, uint16_t *ret_number)
{
	struct ipcache_node *n;
	uint32_t number;
	int r;

	HASH_FIND(hh, c->nodes, ip, sizeof(*ip), n);
	if (!n) {
		number = c->lowest_free ? c->lowest_free : 1;
		while (number < c->by_number_cap && c->by_number[number])
			number++;
		c->lowest_free = number;
		if (number >= NODES_MAX)
			return -ENOSPC;
		r = node_add(c, ip, number, &n);
		if (r < 0)
			return r;
		n->is_dirty = true;
		c->n_dirty_nodes++;
	}
	n->refs++;
	*ret_number = (uint16_t)n->number;
	return 0;
}

static void node_remove(struct ipcache *c, struct ipcache_node *n)
{
	if (n->is_dirty)
		c->n_dirty_nodes--;
	c->by_number[n->number] = NULL;
	if (n->number < c->lowest_free)
		c->lowest_free = n->number;
	HASH_DEL(c->nodes, n);
	free(n);
}

void ipcache_node_hold(struct ipcache *c, uint16_t number)
{
	if (number)
		c->by_number[number]->refs++;
}

void ipcache_node_unref(struct ipcache *c, uint16_t number)
{
	struct ipcache_node *n = number ? c->by_number[number] : NULL;

	if (n && --n->refs == 0)
		node_remove(c, n);
}

struct ip ipcache_node_ip(const struct ipcache *c, uint16_t number)
{
	if (number >= c->by_number_cap || !c->by_number[number])
		return (struct ip){0};
	return c->by_number[number]->ip;
}

uint16_t ipcache_node_next_dirty(struct ipcache *c)
{
	if (!c->n_dirty_nodes)
		return 0;
	for (size_t i = 1; i < c->by_number_cap; i++) {
		if (c->by_number[i] && c->by_number[i]->is_dirty) {
			c->by_number[i]->is_dirty = false;
			c->n_dirty_nodes--;
			return (uint16_t)i;
		}
	}
	return 0;
}

void ipcache_node_mark(struct ipcache *c, uint16_t number)
{
	struct ipcache_node *n = number < c->by_number_cap ? c->by_number[number] : NULL;

	if (!n || n->is_dirty)
		return;
	n->is_dirty = true;
	c->n_dirty_nodes++;
}

void ipcache_node_drop_unused(struct ipcache *c)
{
	struct ipcache_node *n, *tmp;

	HASH_ITER (hh, c->nodes, n, tmp)
		if (!n->refs)
			node_remove(c, n);
}

void ipcache_nodes_done(struct ipcache *c)
{
	struct ipcache_node *n, *tmp;

	HASH_ITER (hh, c->nodes, n, tmp) {
		HASH_DEL(c->nodes, n);
		free(n);
	}
	free(c->by_number);
}
