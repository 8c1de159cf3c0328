/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_paths.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

struct node {
	const char *key; /* in the caller's table; NULL = array element */
	size_t len;
	int id, child, next;
};

struct json_paths {
	ARRAY(struct node) nodes;
};

static int add_node(struct json_paths *p, int parent, const char *key, size_t len)
{
	struct node n = {.key = key, .len = len, .id = -1, .child = -1, .next = -1};
	int r;

	for (int i = p->nodes.v[parent].child; i >= 0; i = p->nodes.v[i].next) {
		const struct node *c = &p->nodes.v[i];

		if (c->len == len && (!key == !c->key) && (!key || memcmp(c->key, key, len) == 0))
			return i;
	}
	n.next = p->nodes.v[parent].child;
	r = ARRAY_ADD(&p->nodes, n);
	if (r < 0)
		return r;
	p->nodes.v[parent].child = (int)p->nodes.n - 1;
	return (int)p->nodes.n - 1;
}

static int add_path(struct json_paths *p, const struct json_field *f)
{
	const char *s = f->path;
	int node = 0;

	while (*s) {
		size_t n = strcspn(s, ".[");

		if (n) {
			node = add_node(p, node, s, n);
			if (node < 0)
				return node;
			s += n;
		}
		if (strncmp(s, "[]", 2) == 0) {
			node = add_node(p, node, NULL, 0);
			if (node < 0)
				return node;
			s += 2;
		}
		if (*s == '.')
			s++;
	}
	p->nodes.v[node].id = f->id;
	return 0;
}

int json_paths_new(const struct json_field *fields, size_t n, struct json_paths **ret)
{
	CLEANUP(json_paths_free) struct json_paths *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = ARRAY_ADD(&p->nodes, (struct node){.id = -1, .child = -1, .next = -1});
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_path(p, &fields[i]);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

void json_paths_free(struct json_paths *p)
{
	if (!p)
		return;
	ARRAY_DONE(&p->nodes);
	free(p);
}

int json_paths_root(const struct json_paths *p)
{
	(void)p;
	return 0;
}

int json_paths_key(const struct json_paths *p, int node, const char *key, size_t len, bool *ret_is_any)
{
	int any = JSON_PATH_NONE;

	*ret_is_any = false;
	for (int i = p->nodes.v[node].child; i >= 0; i = p->nodes.v[i].next) {
		const struct node *c = &p->nodes.v[i];

		if (!c->key)
			continue;
		if (c->len == 1 && c->key[0] == '*')
			any = i;
		else if (c->len == len && memcmp(c->key, key, len) == 0)
			return i;
	}
	*ret_is_any = any != JSON_PATH_NONE;
	return any;
}

int json_paths_element(const struct json_paths *p, int node)
{
	for (int i = p->nodes.v[node].child; i >= 0; i = p->nodes.v[i].next)
		if (!p->nodes.v[i].key)
			return i;
	return JSON_PATH_NONE;
}

int json_paths_id(const struct json_paths *p, int node)
{
	return p->nodes.v[node].id;
}
