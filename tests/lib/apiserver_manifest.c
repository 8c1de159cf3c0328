/* SPDX-License-Identifier: Apache-2.0 */
/* YAML and JSON manifests: parsing with libyaml, of which JSON is a part, and loading a folder. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "apiserver_defaults.h"
#include "apiserver_util.h"
#include "base/file.h"

enum { DEPTH_MAX = 64, FILE_MAX = 256 * 1024 * 1024 };

/* A plain scalar by the rules that the Kubernetes tools follow. */
static json_t *scalar_json(const yaml_node_t *n)
{
	const char *s = (const char *)n->data.scalar.value;
	size_t len = n->data.scalar.length;
	json_error_t error;
	json_t *j;

	if (n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
	    (n->tag && str_eq((char *)n->tag, "!!str")))
		return json_stringn(s, len);
	if (len == 0 || str_eq(s, "~") || str_eq(s, "null") || str_eq(s, "Null") ||
	    str_eq(s, "NULL"))
		return json_null();
	if (str_eq(s, "true") || str_eq(s, "True") || str_eq(s, "TRUE"))
		return json_true();
	if (str_eq(s, "false") || str_eq(s, "False") || str_eq(s, "FALSE"))
		return json_false();
	j = json_loadb(s, len, JSON_DECODE_ANY, &error);
	if (json_is_number(j))
		return j;
	json_decref(j);
	return json_stringn(s, len);
}

static json_t *node_json(yaml_document_t *d, yaml_node_t *n, unsigned depth)
{
	CLEANUP(json) json_t *j = NULL;

	if (!n || depth > DEPTH_MAX)
		return NULL;
	if (n->type == YAML_SCALAR_NODE)
		return scalar_json(n);
	if (n->type == YAML_SEQUENCE_NODE) {
		j = must(json_array());
		for (yaml_node_item_t *i = n->data.sequence.items.start;
		     i < n->data.sequence.items.top; i++)
			if (json_array_append_new(
				    j, node_json(d, yaml_document_get_node(d, *i), depth + 1)) < 0)
				return NULL;
		return TAKE_PTR(j);
	}
	j = must(json_object());
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = yaml_document_get_node(d, p->key);

		if (!key || key->type != YAML_SCALAR_NODE ||
		    json_object_set_new(
			    j, (const char *)key->data.scalar.value,
			    node_json(d, yaml_document_get_node(d, p->value), depth + 1)) < 0)
			return NULL;
	}
	return TAKE_PTR(j);
}

/* Appends every document of a stream. */
static int parse_all(const char *data, size_t len, json_t *list, struct err *reterr)
{
	yaml_parser_t parser;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		must(NULL);
	yaml_parser_set_input_string(&parser, (const unsigned char *)data, len);
	for (;;) {
		yaml_document_t d;
		yaml_node_t *root;
		json_t *j;

		if (!yaml_parser_load(&parser, &d)) {
			r = err_set(reterr, EINVAL, "line %zu: %s", parser.problem_mark.line + 1,
				    parser.problem ? parser.problem : "malformed");
			break;
		}
		root = yaml_document_get_root_node(&d);
		if (!root) {
			yaml_document_delete(&d);
			break;
		}
		j = node_json(&d, root, 0);
		yaml_document_delete(&d);
		if (!j) {
			r = err_set(
				reterr, EINVAL,
				"a document is nested too deeply, or has keys or text that JSON "
				"cannot hold");
			break;
		}
		if (!json_is_null(j))
			must_ok(json_array_append(list, j));
		json_decref(j);
	}
	yaml_parser_delete(&parser);
	return r;
}

json_t *manifest_parse(const char *data, size_t len, struct err *reterr)
{
	CLEANUP(json) json_t *list = must(json_array());

	if (parse_all(data ? data : "", len, list, reterr) < 0)
		return NULL;
	if (json_array_size(list) != 1) {
		(void)err_set(reterr, EINVAL, "exactly one document is expected");
		return NULL;
	}
	return json_incref(json_array_get(list, 0));
}

/* Stores one object as it is, status included. */
static int load_object(struct server *s, json_t *o, struct err *reterr)
{
	const struct kind *k =
		kind_find_typed(text_at(o, "apiVersion", NULL), text_at(o, "kind", NULL));
	json_t *items = json_object_get(o, "items"), *item;
	size_t i;
	int r;

	if (json_is_array(items) && str_has_suffix(text_at(o, "kind", NULL), "List")) {
		json_array_foreach (items, i, item) {
			r = load_object(s, item, reterr);
			if (r < 0)
				return r;
		}
		return 0;
	}
	if (!k || kind_is(k, KIND_REVIEW))
		return err_set(reterr, EINVAL, "no kind \"%s\" in \"%s\"", text_at(o, "kind", NULL),
			       text_at(o, "apiVersion", NULL));
	if (!defaults_name(k, o, reterr))
		return err_prefix(reterr, -EINVAL, "%s", k->name);
	if (!kind_is(k, KIND_NAMESPACED))
		(void)json_object_del(json_sub(o, "metadata"), "namespace");
	else if (!*text_at(o, "metadata", "namespace", NULL))
		json_put_text(json_sub(o, "metadata"), "namespace", "default");
	defaults_new(s, k, o);
	(void)store_put(&s->store, k, json_incref(o));
	return 0;
}

static int load_file(const char *path, json_t *list, struct err *reterr)
{
	CLEANUP(buf_done) struct buf b = {.max = FILE_MAX};
	int r = file_read(path, FILE_MAX, &b);

	if (r < 0)
		return err_set(reterr, -r, "%s: %s", path, err_name(r));
	if (str_has_suffix(path, ".json")) {
		json_error_t error;
		json_t *j = json_loadb(b.data ? b.data : "", b.len, JSON_REJECT_DUPLICATES, &error);

		if (!j)
			return err_set(reterr, EINVAL, "%s: line %d: %s", path, error.line,
				       error.text);
		must_ok(json_array_append_new(list, j));
		return 0;
	}
	r = parse_all(b.data ? b.data : "", b.len, list, reterr);
	return r < 0 ? err_prefix(reterr, r, "%s", path) : 0;
}

static int is_manifest(const struct dirent *d)
{
	return d->d_name[0] != '.' &&
	       (str_has_suffix(d->d_name, ".json") || str_has_suffix(d->d_name, ".yaml") ||
		str_has_suffix(d->d_name, ".yml"));
}

int manifest_load(struct server *s, const char *dir, struct err *reterr)
{
	CLEANUP(json) json_t *list = must(json_array());
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_manifest, alphasort), r = 0;
	json_t *o;
	size_t i;

	if (n < 0)
		return err_set(reterr, errno, "%s: %s", dir, err_name(errno));
	for (int at = 0; at < n; at++) {
		CLEANUP(free) char *path = must_printf("%s/%s", dir, names[at]->d_name);

		if (r >= 0)
			r = load_file(path, list, reterr);
		free(names[at]);
	}
	free(names);
	json_array_foreach (list, i, o) {
		if (r < 0)
			return r;
		r = load_object(s, o, reterr);
		if (r < 0)
			return err_prefix(reterr, r, "%s", dir);
	}
	return r;
}
