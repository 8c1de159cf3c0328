/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/yaml_json.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/str.h"
#include "json/json.h"

/* Aliases may repeat a part; this bounds what a small text can grow to. */
enum { NODES_MAX = 200000 };

struct convert {
	yaml_document_t *doc;
	unsigned nodes;
	struct err *reterr;
};

static int convert_node(struct convert *c, int id, unsigned depth, json_t **ret);

static json_t *plain_scalar(const char *s, size_t len)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	static const char *const truths[] = {"true", "True", "TRUE"};
	static const char *const falses[] = {"false", "False", "FALSE"};
	bool negative = s[0] == '-';
	uint64_t v;

	if (strlen(s) != len)
		return json_stringn(s, len);
	for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
		if (str_eq(s, nulls[i]))
			return json_null();
	for (size_t i = 0; i < ARRAY_LEN(truths); i++)
		if (str_eq(s, truths[i]))
			return json_true();
	for (size_t i = 0; i < ARRAY_LEN(falses); i++)
		if (str_eq(s, falses[i]))
			return json_false();
	if (s[negative] == '0' && s[negative + 1])
		return json_string(s); /* octal in YAML 1.1, a number in 1.2: nobody means either */
	if (str_to_u64(s + negative, INT64_MAX, &v) == 0)
		return json_integer(negative ? -(json_int_t)v : (json_int_t)v);
	return json_string(s);
}

static int convert_mapping(struct convert *c, const yaml_node_t *n, unsigned depth, json_t **ret)
{
	CLEANUP(json_decref) json_t *object = json_object();

	if (!object)
		return err_set(c->reterr, ENOMEM, "out of memory");
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(c->doc, p->key);
		json_t *value;
		int r;

		if (!key || key->type != YAML_SCALAR_NODE || strlen((const char *)key->data.scalar.value) != key->data.scalar.length)
			return err_set(c->reterr, EINVAL, "line %zu: a key that is no string", n->start_mark.line + 1);
		if (json_object_get(object, (const char *)key->data.scalar.value))
			return err_set(c->reterr, EINVAL, "line %zu: key %.80s is given twice", key->start_mark.line + 1,
				       (const char *)key->data.scalar.value);
		r = convert_node(c, p->value, depth + 1, &value);
		if (r < 0)
			return r;
		if (json_object_set_new(object, (const char *)key->data.scalar.value, value) < 0)
			return err_set(c->reterr, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(object);
	return 0;
}

static int convert_sequence(struct convert *c, const yaml_node_t *n, unsigned depth, json_t **ret)
{
	CLEANUP(json_decref) json_t *array = json_array();

	if (!array)
		return err_set(c->reterr, ENOMEM, "out of memory");
	for (const yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		json_t *value;
		int r = convert_node(c, *i, depth + 1, &value);

		if (r < 0)
			return r;
		if (json_array_append_new(array, value) < 0)
			return err_set(c->reterr, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(array);
	return 0;
}

static int convert_node(struct convert *c, int id, unsigned depth, json_t **ret)
{
	const yaml_node_t *n = yaml_document_get_node(c->doc, id);
	const char *s;

	if (!n)
		return err_set(c->reterr, EINVAL, "a node is missing");
	if (depth > LIMIT_JSON_DEPTH)
		return err_set(c->reterr, EINVAL, "line %zu: nested deeper than %d", n->start_mark.line + 1, LIMIT_JSON_DEPTH);
	if (++c->nodes > NODES_MAX)
		return err_set(c->reterr, EINVAL, "line %zu: more than %d values", n->start_mark.line + 1, NODES_MAX);
	if (n->type == YAML_MAPPING_NODE)
		return convert_mapping(c, n, depth, ret);
	if (n->type == YAML_SEQUENCE_NODE)
		return convert_sequence(c, n, depth, ret);
	s = (const char *)n->data.scalar.value;
	*ret = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(s, n->data.scalar.length)
							       : json_stringn(s, n->data.scalar.length);
	return *ret ? 0 : err_set(c->reterr, ENOMEM, "out of memory"); /* text is UTF-8, or libyaml had refused it */
}

/* One document. Returns 1 if there was one (`ret` may stay NULL if it was empty), 0 at the end. */
static int next_document(yaml_parser_t *parser, json_t **ret, struct err *reterr)
{
	struct convert c = {.reterr = reterr};
	yaml_document_t doc;
	int r = 1;

	if (!yaml_parser_load(parser, &doc) && parser->error == YAML_MEMORY_ERROR)
		return err_set(reterr, ENOMEM, "out of memory");
	if (parser->error)
		return err_set(reterr, EINVAL, "line %zu: %s", parser->problem_mark.line + 1,
			       parser->problem ? parser->problem : "not YAML");
	c.doc = &doc;
	if (!yaml_document_get_root_node(&doc))
		r = 0;
	else
		r = convert_node(&c, 1, 0, ret);
	yaml_document_delete(&doc);
	return r < 0 ? r : *ret != NULL;
}

int yaml_to_json(const char *text, size_t len, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *all = json_array();
	yaml_parser_t parser;
	int r;

	if (!all || !yaml_parser_initialize(&parser))
		return err_set(reterr, ENOMEM, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	for (;;) {
		json_t *doc = NULL;

		r = next_document(&parser, &doc, reterr);
		if (r <= 0)
			break;
		if (json_is_null(doc)) {
			json_decref(doc);
			continue;
		}
		if (json_array_append_new(all, doc) < 0) {
			r = err_set(reterr, ENOMEM, "out of memory");
			break;
		}
	}
	yaml_parser_delete(&parser);
	if (r == 0)
		*ret = TAKE_PTR(all);
	return r;
}
