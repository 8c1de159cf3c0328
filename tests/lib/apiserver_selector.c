/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_selector.h"

#include <ctype.h>

#include "apiserver_util.h"

static void requirement_done(struct requirement *r)
{
	free(r->key);
	strv_done(&r->values);
}

void selector_done(struct selector *s)
{
	for (size_t i = 0; i < s->labels.n; i++)
		requirement_done(&s->labels.v[i]);
	for (size_t i = 0; i < s->fields.n; i++)
		requirement_done(&s->fields.v[i]);
	ARRAY_DONE(&s->labels);
	ARRAY_DONE(&s->fields);
}

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* A label key or value: up to an operator, bracket, comma or space. */
static const char *take_word(const char *p, char **ret)
{
	const char *start = p = skip_space(p);

	while (*p && !strchr("=!,() \t", *p))
		p++;
	*ret = must(strndup(start, (size_t)(p - start)));
	return skip_space(p);
}

static const char *take_values(const char *p, struct strv *values)
{
	if (*p++ != '(')
		return NULL;
	for (;;) {
		CLEANUP(free) char *word = NULL;

		p = take_word(p, &word);
		must_ok(strv_add(values, word));
		if (*p == ')')
			return skip_space(p + 1);
		if (*p++ != ',')
			return NULL;
	}
}

/* Parses one requirement; returns where it ends, NULL if it is malformed. */
static const char *take_requirement(const char *p, struct requirement *r)
{
	CLEANUP(free) char *word = NULL;

	p = skip_space(p);
	if (*p == '!') {
		p = take_word(p + 1, &r->key);
		r->op = REQ_NOT_EXISTS;
		return *r->key ? p : NULL;
	}
	p = take_word(p, &r->key);
	if (!*r->key)
		return NULL;
	r->op = REQ_EXISTS;
	if (*p == '\0' || *p == ',')
		return p;
	r->op = *p == '!' ? REQ_NOT_IN : REQ_IN;
	if (str_has_prefix(p, "!=") || str_has_prefix(p, "==") || *p == '=') {
		p = take_word(p + (p[1] == '=' ? 2 : 1), &word);
		must_ok(strv_add(&r->values, word));
		return p;
	}
	p = take_word(p, &word);
	r->op = str_eq(word, "notin") ? REQ_NOT_IN : REQ_IN;
	if (!str_eq(word, "in") && !str_eq(word, "notin"))
		return NULL;
	return take_values(p, &r->values);
}

static int parse_list(const char *text, struct selector *s, bool is_fields, struct err *reterr)
{
	const char *p = text ? skip_space(text) : "";

	while (*p) {
		struct requirement r = {0};

		p = take_requirement(p, &r);
		if (is_fields)
			must_ok(ARRAY_ADD(&s->fields, r));
		else
			must_ok(ARRAY_ADD(&s->labels, r));
		if (!p || (*p && *p != ','))
			return err_set(reterr, EINVAL, "unable to parse requirement: %s", text);
		if (*p == ',' && !*skip_space(++p))
			return err_set(reterr, EINVAL, "found '', expected: identifier after ','");
		if (is_fields && (r.values.n != 1 || (!str_eq(r.key, "metadata.name") &&
						      !str_eq(r.key, "metadata.namespace"))))
			return err_set(reterr, EINVAL, "field label not supported: %s", r.key);
	}
	return 0;
}

int selector_parse(const char *labels, const char *fields, struct selector *ret, struct err *reterr)
{
	CLEANUP(selector_done) struct selector s = {0};
	int r = parse_list(labels, &s, false, reterr);

	if (r == 0)
		r = parse_list(fields, &s, true, reterr);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct selector){0};
	return 0;
}

static bool requirement_matches(const struct requirement *r, const char *value)
{
	switch (r->op) {
	case REQ_EXISTS:
		return value != NULL;
	case REQ_NOT_EXISTS:
		return value == NULL;
	case REQ_IN:
		return value && strv_has(&r->values, value);
	case REQ_NOT_IN:
		break;
	}
	return !value || !strv_has(&r->values, value);
}

bool selector_matches(const struct selector *s, const struct object *o)
{
	for (size_t i = 0; i < s->fields.n; i++)
		if (!requirement_matches(&s->fields.v[i],
					 str_eq(s->fields.v[i].key, "metadata.name") ? o->name
										     : o->ns))
			return false;
	for (size_t i = 0; i < s->labels.n; i++)
		if (!requirement_matches(&s->labels.v[i],
					 json_string_value(json_at(o->json, "metadata", "labels",
								   s->labels.v[i].key, NULL))))
			return false;
	return true;
}

bool selector_is_empty(const struct selector *s)
{
	return s->labels.n == 0 && s->fields.n == 0;
}

const char *selector_exact_name(const struct selector *s)
{
	for (size_t i = 0; i < s->fields.n; i++)
		if (s->fields.v[i].op == REQ_IN && str_eq(s->fields.v[i].key, "metadata.name"))
			return s->fields.v[i].values.v[0];
	return NULL;
}
