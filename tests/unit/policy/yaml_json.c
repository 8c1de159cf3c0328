/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"

static json_t *scalar(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;
	bool is_plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	uint64_t v;

	if (is_plain && (str_eq(s, "true") || str_eq(s, "false")))
		return json_boolean(str_eq(s, "true"));
	if (is_plain && str_eq(s, "null"))
		return json_null();
	if (is_plain && str_to_u64(s, UINT32_MAX, &v) == 0)
		return json_integer((json_int_t)v);
	return json_string(s);
}

static json_t *convert(yaml_document_t *doc, int at)
{
	const yaml_node_t *n = yaml_document_get_node(doc, at);
	json_t *j;

	switch (n->type) {
	case YAML_SEQUENCE_NODE:
		j = json_array();
		for (yaml_node_item_t *i = n->data.sequence.items.start;
		     i < n->data.sequence.items.top; i++)
			(void)json_array_append_new(j, convert(doc, *i));
		return j;
	case YAML_MAPPING_NODE:
		j = json_object();
		for (yaml_node_pair_t *p = n->data.mapping.pairs.start;
		     p < n->data.mapping.pairs.top; p++) {
			const yaml_node_t *key = yaml_document_get_node(doc, p->key);

			(void)json_object_set_new(j, (const char *)key->data.scalar.value,
						  convert(doc, p->value));
		}
		return j;
	default:
		return scalar(n);
	}
}

json_t *yaml_load_json(const char *path)
{
	FILE *f = fopen(path, "re");
	yaml_document_t doc;
	yaml_parser_t parser;
	json_t *j = NULL;

	if (!f)
		return NULL;
	if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_file(&parser, f);
		if (yaml_parser_load(&parser, &doc)) {
			if (yaml_document_get_root_node(&doc))
				j = convert(&doc, 1);
			yaml_document_delete(&doc);
		} else {
			(void)fprintf(stderr, "%s:%zu: %s\n", path, parser.problem_mark.line + 1,
				      parser.problem);
		}
		yaml_parser_delete(&parser);
	}
	(void)fclose(f);
	return j;
}
