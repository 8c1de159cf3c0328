/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines as labels of an endpoint and as requirements on them. A requirement and its opposite never agree,
 * equal selectors are one, and several requirements hold if each does.
 *
 *   source:key=value          a label
 *   =OP source:key value ...  a requirement; OP is 0 to 3, as in enum selector_op
 */
#include "base/array.h"
#include "base/str.h"
#include "identity/selector.h"
#include "text.h"

const unsigned replay_runs = 8000;

enum { REQS_MAX = 16, VALUES_MAX = 8 };

struct req {
	enum selector_op op;
	uint8_t source;
	const char *key;
	const char *values[VALUES_MAX];
	size_t n_values;
};

static enum selector_op opposite(enum selector_op op)
{
	switch (op) {
	case SELECTOR_IN:
		return SELECTOR_NOT_IN;
	case SELECTOR_NOT_IN:
		return SELECTOR_IN;
	case SELECTOR_EXISTS:
		return SELECTOR_NOT_EXISTS;
	default:
		return SELECTOR_EXISTS;
	}
}

/* "OP source:key value ..."; the text is cut up in place. */
static int req_of(struct label_table *t, char *text, struct req *ret)
{
	char *save, *word = strtok_r(text, " ", &save), *colon;

	if (!word || word[0] < '0' || word[0] > '3' || word[1])
		return -1;
	ret->op = (enum selector_op)(word[0] - '0');
	word = strtok_r(NULL, " ", &save);
	colon = word ? strchr(word, ':') : NULL;
	if (!colon || label_source_get(t, word, (size_t)(colon - word), &ret->source) < 0)
		return -1;
	ret->key = colon + 1;
	for (ret->n_values = 0; ret->n_values < VALUES_MAX && (word = strtok_r(NULL, " ", &save));)
		ret->values[ret->n_values++] = word;
	return 0;
}

static int take(struct selector_cache *c, const struct req *v, size_t n, struct selector **ret)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = c};

	for (size_t i = 0; i < n; i++) {
		int r = selector_builder_add(&b, v[i].source, v[i].key, v[i].op, v[i].values, v[i].n_values);

		if (r < 0)
			return r;
		CHECK(selector_builder_has(&b, v[i].source, v[i].key));
	}
	return selector_builder_take(&b, ret);
}

static bool match_one(struct selector_cache *c, const struct req *q, const struct label_set *set, uint16_t flags, bool *ret_usable)
{
	struct selector *s, *again, *other;
	struct req o = *q;
	bool is_match;

	*ret_usable = take(c, q, 1, &s) == 0;
	if (!*ret_usable)
		return false;
	CHECK(take(c, q, 1, &again) == 0 && again == s);
	o.op = opposite(q->op);
	CHECK(take(c, &o, 1, &other) == 0 && other != s);
	is_match = selector_match(c, s, set, flags);
	CHECK(is_match != selector_match(c, other, set, flags));
	selector_put(c, other);
	selector_put(c, again);
	selector_put(c, s);
	return is_match;
}

static void check(struct selector_cache *c, const struct req *v, size_t n, const struct label_set *set)
{
	uint16_t flags = identity_flags_of(selector_cache_labels(c), set);
	CLEANUP(buf_done) struct buf text = {0};
	bool each = true, usable = true;
	struct selector *all;

	for (size_t i = 0; i < n; i++) {
		bool ok;

		each &= match_one(c, &v[i], set, flags, &ok);
		usable &= ok;
	}
	if (!usable || take(c, v, n, &all) < 0)
		return;
	CHECK(selector_match(c, all, set, flags) == each);
	(void)selector_print(c, all, &text); /* too long is fine */
	selector_put(c, all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(label_table_free) struct label_table *t = NULL;
	CLEANUP(selector_cache_free) struct selector_cache *c = NULL;
	CLEANUP(free) char *text = text_of(data, size);
	struct label_builder b = {0};
	struct req v[REQS_MAX];
	struct label_set *set;
	char *save, *line;
	size_t n = 0;

	if (size > 4096)
		return 0;
	CHECK(label_table_new(&t) == 0 && selector_cache_new(t, 0, true, true, &c) == 0);
	b.table = t;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (line[0] != '=')
			(void)label_builder_add_text(&b, line); /* what is no label is none of the set */
		else if (n < REQS_MAX && req_of(t, line + 1, &v[n]) == 0)
			n++;
	CHECK(label_builder_take(&b, &set) == 0);
	check(c, v, n, set);
	label_set_free(t, set);
	label_builder_done(&b);
	return 0;
}
