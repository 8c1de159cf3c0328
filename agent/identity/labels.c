/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/labels.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"

enum { LABEL_VALUE_MAX = 253 };

struct label_table {
	struct intern *strings;
	char *sources[LABEL_SOURCES];
	unsigned n_sources;
};

static const char *const known_sources[LABEL_SOURCE_FIRST_FREE] = {
	[LABEL_ANY] = "any",	       [LABEL_UNSPEC] = "unspec", [LABEL_K8S] = "k8s",
	[LABEL_RESERVED] = "reserved", [LABEL_CIDR] = "cidr",	  [LABEL_CIDRGROUP] = "cidrgroup",
	[LABEL_FQDN] = "fqdn",	       [LABEL_NODE] = "node",	  [LABEL_CONTAINER] = "container",
	[LABEL_GEN] = "gen",	       [LABEL_CNI] = "cni",	  [LABEL_DIRECTORY] = "directory",
};

int label_table_new(struct label_table **ret)
{
	CLEANUP(label_table_free) struct label_table *t = calloc(1, sizeof(*t));

	if (!t || intern_new(&t->strings) < 0)
		return -ENOMEM;
	for (; t->n_sources < LABEL_SOURCE_FIRST_FREE; t->n_sources++) {
		t->sources[t->n_sources] = strdup(known_sources[t->n_sources]);
		if (!t->sources[t->n_sources])
			return -ENOMEM;
	}
	*ret = TAKE_PTR(t);
	return 0;
}

void label_table_free(struct label_table *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n_sources; i++)
		free(t->sources[i]);
	intern_free(t->strings);
	free(t);
}

struct intern *label_table_strings(const struct label_table *t)
{
	return t->strings;
}

int label_source_get(struct label_table *t, const char *name, size_t len, uint8_t *ret_source)
{
	if (len == 0 || len > 63)
		return -EINVAL;
	for (unsigned i = 0; i < t->n_sources; i++)
		if (strncmp(t->sources[i], name, len) == 0 && t->sources[i][len] == '\0') {
			*ret_source = (uint8_t)i;
			return 0;
		}
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]))
			return -EINVAL;
	if (t->n_sources >= LABEL_SOURCES)
		return -ENOSPC;
	t->sources[t->n_sources] = strndup(name, len);
	if (!t->sources[t->n_sources])
		return -ENOMEM;
	*ret_source = (uint8_t)t->n_sources++;
	return 0;
}

const char *label_source_str(const struct label_table *t, uint8_t source)
{
	return source < t->n_sources ? t->sources[source] : "?";
}

static int label_add(struct label_builder *b, uint8_t source, const char *key, size_t key_len,
		     const char *value, size_t value_len)
{
	struct intern *strings = b->table->strings;
	uint32_t key_nr, value_nr;
	int r;

	if (key_len == 0)
		return -EINVAL;
	if (key_len > LIMIT_LABEL_KEY || value_len > LABEL_VALUE_MAX || b->n >= LIMIT_LABEL_SET)
		return -E2BIG;
	r = intern_get(strings, key, key_len, &key_nr);
	if (r < 0)
		return r;
	r = intern_get(strings, value, value_len, &value_nr);
	if (r < 0) {
		intern_put(strings, key_nr);
		return r;
	}
	r = ARRAY_RESERVE(b, 1);
	if (r < 0) {
		intern_put(strings, key_nr);
		intern_put(strings, value_nr);
		return r;
	}
	b->v[b->n++] =
		(struct label){.key = key_nr & 0xffffff, .source = source, .value = value_nr};
	return 0;
}

static int label_add_prefixed(struct label_builder *b, const char *text, size_t len,
			      const char *value, size_t value_len)
{
	const char *colon = memchr(text, ':', len);
	uint8_t source = LABEL_UNSPEC;
	int r;

	if (colon) {
		r = label_source_get(b->table, text, (size_t)(colon - text), &source);
		if (r < 0)
			return r;
		len -= (size_t)(colon + 1 - text);
		text = colon + 1;
	}
	return label_add(b, source, text, len, value, value_len);
}

int label_builder_add(struct label_builder *b, const char *source_and_key, const char *value)
{
	return label_add_prefixed(b, source_and_key, strlen(source_and_key), value, strlen(value));
}

int label_builder_add_text(struct label_builder *b, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] == '=' ? text + len + 1 : "";

	return label_add_prefixed(b, text, len, value, strlen(value));
}

int label_builder_add_kv(struct label_builder *b, uint8_t source, const char *key,
			 const char *value)
{
	return label_add(b, source, key, strlen(key), value, strlen(value));
}

int label_builder_add_cidr(struct label_builder *b, const struct cidr *c)
{
	char addr[IP_STRLEN], text[CIDR_STRLEN + 4], *p;
	size_t len;

	(void)ip_str(&c->ip, addr); /* always fits */
	len = strlen(addr);
	/* a key may not begin or end with a dash */
	(void)snprintf(text, sizeof(text), "%s%s%s/%u", addr[0] == ':' ? "0" : "", addr,
		       addr[len - 1] == ':' ? "0" : "", c->len);
	for (p = text; *p; p++)
		if (*p == ':')
			*p = '-';
	return label_builder_add_kv(b, LABEL_CIDR, text, "");
}

int label_builder_add_set(struct label_builder *b, const struct label_set *set)
{
	int r;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct label *l = &set->v[i];

		r = label_builder_add_kv(b, (uint8_t)l->source,
					 intern_str(b->table->strings, l->key),
					 intern_str(b->table->strings, l->value));
		if (r < 0)
			return r;
	}
	return 0;
}

/* Places in the builder, by key and then as they came. */
static int place_cmp(const void *pa, const void *pb, void *arg)
{
	const struct label *v = arg;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	uint32_t ka = v[a].key, kb = v[b].key;

	if (ka != kb)
		return ka < kb ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* Moves the last label of each key into the set, sorted by key; the others are given back. */
static void move_labels(struct label_builder *b, uint32_t *places, struct label_set *set)
{
	for (uint32_t i = 0; i < b->n; i++)
		places[i] = i;
	if (b->n > 1)
		qsort_r(places, b->n, sizeof(*places), place_cmp, b->v);
	for (size_t i = 0; i < b->n; i++) {
		const struct label *l = &b->v[places[i]];

		if (i + 1 < b->n && b->v[places[i + 1]].key == l->key) {
			intern_put(b->table->strings, l->key);
			intern_put(b->table->strings, l->value);
			continue;
		}
		set->v[set->n++] = *l;
	}
}

int label_builder_take(struct label_builder *b, struct label_set **ret)
{
	CLEANUP(free) uint32_t *places = calloc(b->n + 1, sizeof(*places));
	struct label_set *set = malloc(sizeof(*set) + b->n * sizeof(set->v[0]));

	if (!set || !places) {
		free(set);
		return -ENOMEM;
	}
	*set = (struct label_set){.n = 0};
	move_labels(b, places, set);
	for (uint32_t i = 0; i < set->n; i++) {
		struct cidr c;

		if (set->v[i].source != LABEL_CIDR ||
		    label_cidr_parse(intern_str(b->table->strings, set->v[i].key), &c) < 0)
			continue;
		/*
		 * one is enough, the longest: what contains it contains the others' addresses too
		 */
		if (!set->has_cidr || c.len > set->cidr.len)
			set->cidr = c;
		set->has_cidr = true;
	}
	free(b->v);
	*b = (struct label_builder){.table = b->table};
	*ret = set;
	return 0;
}

void label_builder_done(struct label_builder *b)
{
	for (size_t i = 0; i < b->n; i++) {
		intern_put(b->table->strings, b->v[i].key);
		intern_put(b->table->strings, b->v[i].value);
	}
	free(b->v);
	*b = (struct label_builder){.table = b->table};
}

void label_set_free(struct label_table *t, struct label_set *set)
{
	if (!set)
		return;
	for (uint32_t i = 0; i < set->n; i++) {
		intern_put(t->strings, set->v[i].key);
		intern_put(t->strings, set->v[i].value);
	}
	free(set);
}

bool label_set_eq(const struct label_set *a, const struct label_set *b)
{
	return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(a->v[0])) == 0;
}

const struct label *label_set_find(const struct label_set *set, uint32_t key)
{
	uint32_t lo = 0, hi = set->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2, k = set->v[mid].key;

		if (k == key)
			return &set->v[mid];
		if (k < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *label_set_get(const struct label_table *t, const struct label_set *set, uint8_t source,
			  const char *key)
{
	const struct label *l = label_set_find(set, intern_find(t->strings, key, strlen(key)));

	if (!l || (source != LABEL_ANY && l->source != source))
		return NULL;
	return intern_str(t->strings, l->value);
}

int label_print(const struct label_table *t, const struct label *l, struct buf *out)
{
	return buf_addf(out, "%s:%s%s%s", label_source_str(t, (uint8_t)l->source),
			intern_str(t->strings, l->key), l->value ? "=" : "",
			intern_str(t->strings, l->value));
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int label_set_print(const struct label_table *t, const struct label_set *set, struct buf *out)
{
	CLEANUP(strv_done) struct strv texts = {0};
	int r;

	for (uint32_t i = 0; i < set->n; i++) {
		CLEANUP(buf_done) struct buf one = {0};

		r = label_print(t, &set->v[i], &one);
		if (r == 0)
			r = strv_add(&texts, one.data);
		if (r < 0)
			return r;
	}
	if (texts.n > 1)
		qsort(texts.v, texts.n, sizeof(*texts.v), text_cmp);
	for (size_t i = 0; i < texts.n; i++) {
		r = buf_addf(out, "%s%s", i ? "," : "", texts.v[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int label_cidr_parse(const char *key, struct cidr *ret)
{
	char text[CIDR_STRLEN + 4];
	size_t len = strlen(key);

	if (len >= sizeof(text))
		return -EINVAL;
	for (size_t i = 0; i <= len; i++)
		text[i] = key[i] == '-' ? ':' : key[i];
	/* "0::1" and "fe80::0" are what the added zeroes make; both parse as the same address */
	return cidr_parse(text, true, ret);
}
