/* SPDX-License-Identifier: Apache-2.0 */
#include "service/node_match.h"

#include <ctype.h>

#define ANNOTATION_NODE	    "service.cilium.io/node"
#define ANNOTATION_SELECTOR "service.cilium.io/node-selector"

/* A piece of the text that is read. */
struct token {
	const char *at;
	size_t len;
};

struct reader {
	const char *at;
	bool is_bad;
};

static void skip_space(struct reader *r)
{
	while (*r->at == ' ' || *r->at == '\t')
		r->at++;
}

static bool take(struct reader *r, const char *what)
{
	skip_space(r);
	if (!str_has_prefix(r->at, what))
		return false;
	r->at += strlen(what);
	return true;
}

/* A key, a value or an operator in letters; empty if none is there. */
static struct token take_word(struct reader *r)
{
	struct token t;

	skip_space(r);
	t.at = r->at;
	while (isalnum((unsigned char)*r->at) || (*r->at && strchr("-_./", *r->at)))
		r->at++;
	t.len = (size_t)(r->at - t.at);
	return t;
}

static bool token_is(struct token t, const char *text)
{
	return strlen(text) == t.len && memcmp(t.at, text, t.len) == 0;
}

/* The value of a label, NULL if the node has none of that key. */
static const char *value_of(const struct strv *labels, struct token key)
{
	for (size_t i = 0; labels && i < labels->n; i++)
		if (strncmp(labels->v[i], key.at, key.len) == 0 && labels->v[i][key.len] == '=')
			return labels->v[i] + key.len + 1;
	return NULL;
}

/* "(a, b)": whether the value is among them. */
static bool read_set(struct reader *r, const char *value)
{
	bool is_in = false;

	if (!take(r, "(")) {
		r->is_bad = true;
		return false;
	}
	do {
		struct token t = take_word(r);

		is_in = is_in || (value && token_is(t, value));
	} while (take(r, ","));
	r->is_bad = r->is_bad || !take(r, ")");
	return is_in;
}

/* One requirement: key, !key, key=a, key==a, key!=a, key in (a,b), key notin (a,b). */
static bool read_requirement(struct reader *r, const struct strv *labels)
{
	bool is_negated = take(r, "!");
	struct token key = take_word(r), op;
	const char *value = value_of(labels, key);

	r->is_bad = r->is_bad || key.len == 0;
	if (is_negated)
		return !value;
	if (take(r, "!="))
		return !token_is(take_word(r), value ? value : "!");
	if (take(r, "==") || take(r, "="))
		return token_is(take_word(r), value ? value : "!");
	op = take_word(r);
	if (op.len == 0)
		return value != NULL;
	if (token_is(op, "in"))
		return read_set(r, value);
	if (token_is(op, "notin"))
		return !read_set(r, value);
	r->is_bad = true;
	return false;
}

static bool selector_matches(const char *text, const struct strv *labels)
{
	struct reader r = {.at = text};
	bool matches = true;

	skip_space(&r);
	if (*r.at == '\0')
		return true;
	do
		matches = read_requirement(&r, labels) && matches;
	while (!r.is_bad && take(&r, ","));
	skip_space(&r);
	return matches && !r.is_bad && *r.at == '\0';
}

bool node_match(const struct kube_pairs *annotations, const struct strv *labels)
{
	const struct token key = {ANNOTATION_NODE, sizeof(ANNOTATION_NODE) - 1};
	const char *selector = kube_pairs_get(annotations, ANNOTATION_SELECTOR);
	const char *node = kube_pairs_get(annotations, ANNOTATION_NODE), *own;

	if (selector)
		return selector_matches(selector, labels);
	if (!node)
		return true;
	own = value_of(labels, key);
	return own && str_eq(own, node);
}
