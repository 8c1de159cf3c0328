/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_set.h"

#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/limits.h"

struct entry {
	uint32_t epoch;
	UT_hash_handle hh;
	char key[]; /* "namespace/name" */
};

struct key_set {
	struct entry *entries;
	uint32_t epoch;
};

int key_set_new(struct key_set **ret)
{
	struct key_set *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

static void entry_free(struct key_set *s, struct entry *e)
{
	HASH_DEL(s->entries, e);
	free(e);
}

void key_set_free(struct key_set *s)
{
	struct entry *e, *tmp;

	if (!s)
		return;
	HASH_ITER (hh, s->entries, e, tmp)
		entry_free(s, e);
	free(s);
}

enum { KEY_SIZE = 2 * LIMIT_NAME + 2 };

static int make_key(char key[KEY_SIZE], const char *ns, const char *name)
{
	int n = snprintf(key, KEY_SIZE, "%s/%s", ns, name);

	return n < 0 || n >= KEY_SIZE ? -EINVAL : n;
}

int key_set_add(struct key_set *s, const char *ns, const char *name)
{
	char key[KEY_SIZE];
	struct entry *e;
	int n = make_key(key, ns, name);

	if (n < 0)
		return n;
	HASH_FIND(hh, s->entries, key, (unsigned)n, e);
	if (!e) {
		if (HASH_COUNT(s->entries) >= LIMIT_KEYS)
			return -ENOSPC;
		e = calloc(1, sizeof(*e) + (size_t)n + 1);
		if (!e)
			return -ENOMEM;
		memcpy(e->key, key, (size_t)n + 1);
		hash_oom = false;
		HASH_ADD_KEYPTR(hh, s->entries, e->key, (unsigned)n, e);
		if (hash_oom) {
			free(e);
			return -ENOMEM;
		}
	}
	e->epoch = s->epoch;
	return 0;
}

void key_set_remove(struct key_set *s, const char *ns, const char *name)
{
	char key[KEY_SIZE];
	struct entry *e;
	int n = make_key(key, ns, name);

	if (n < 0)
		return;
	HASH_FIND(hh, s->entries, key, (unsigned)n, e);
	if (e)
		entry_free(s, e);
}

void key_set_replace_begin(struct key_set *s)
{
	s->epoch++;
}

void key_set_replace_end(struct key_set *s, key_set_fn fn, void *arg)
{
	struct entry *e, *tmp;

	HASH_ITER (hh, s->entries, e, tmp) {
		char *slash;

		if (e->epoch == s->epoch)
			continue;
		slash = strchr(e->key, '/');
		*slash = '\0';
		fn(e->key, slash + 1, arg);
		*slash = '/';
		entry_free(s, e);
	}
}

size_t key_set_count(const struct key_set *s)
{
	return HASH_COUNT(s->entries);
}
