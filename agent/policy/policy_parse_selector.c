/* SPDX-License-Identifier: Apache-2.0 */
/* LabelSelectors: of subjects and peers, of Services and CIDR groups, of NetworkPolicies. */
#include "policy/policy_parse.h"

#include <ctype.h>
#include <stdio.h>

#include "base/limits.h"

/* [A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?, at most 63 bytes. */
static bool is_label_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > 63 || !isalnum((unsigned char)s[0]) ||
	    !isalnum((unsigned char)s[len - 1]))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '-' && *s != '_' && *s != '.')
			return false;
	return true;
}

/* Of Kubernetes: a name, or nothing (Cilium pkg/labels/validation.go asks for one in every selector). */
static bool is_label_value(const char *s)
{
	return !*s || is_label_name(s);
}

static bool is_label_key(const char *key)
{
	const char *slash = strchr(key, '/');
	char prefix[LIMIT_NAME + 1];
	size_t len;

	if (!slash)
		return is_label_name(key);
	len = (size_t)(slash - key);
	if (len == 0 || len > LIMIT_NAME)
		return false;
	memcpy(prefix, key, len);
	prefix[len] = '\0';
	return str_is_dns_subdomain(prefix) && is_label_name(slash + 1);
}

/* Splits "source:key"; the key may be long by the prefix that namespace labels get. */
static int parse_key(struct policy_parser *p, const char *text, const struct policy_keys *keys,
		     uint8_t *ret_source, char ret_key[LIMIT_LABEL_KEY + 1])
{
	const char *colon = keys->is_strict ? NULL : strchr(text, ':'),
		   *key = colon ? colon + 1 : text;
	int r;

	*ret_source = keys->source;
	if (keys->source == LABEL_CIDRGROUP && *text == '$') { /* Cilium's short form, which only these may have */
		*ret_source = LABEL_RESERVED;
		key = text + 1;
		colon = NULL;
	}
	if (!is_label_key(key))
		return policy_bad(p, "\"%.80s\" is no label key", text);
	if (colon) {
		r = label_source_get(p->repo->labels, text, (size_t)(colon - text), ret_source);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			return policy_bad(p, "\"%.80s\" has no valid label source", text);
	}
	r = snprintf(ret_key, LIMIT_LABEL_KEY + 1, "%s%s", keys->prefix, key);
	return r < 0 || r > LIMIT_LABEL_KEY ? policy_bad(p, "\"%.80s\" is too long", text) : 0;
}

static int parse_expression(struct policy_parser *p, const struct doc *expr,
			    const struct policy_keys *keys, struct selector_builder *b)
{
	static const char *const ops[] = {[SELECTOR_IN] = "In",
					  [SELECTOR_NOT_IN] = "NotIn",
					  [SELECTOR_EXISTS] = "Exists",
					  [SELECTOR_NOT_EXISTS] = "DoesNotExist"};
	char key[LIMIT_LABEL_KEY + 1];
	CLEANUP(free) const char **values = NULL;
	const char *key_text = NULL, *op_text = NULL;
	const struct doc *list = NULL;
	uint8_t source;
	unsigned op;
	size_t n;
	int r;

	if (!doc_is_object(expr))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, expr, "key", &key_text);
	if (r == 0)
		r = policy_get_string(p, expr, "operator", &op_text);
	if (r == 0)
		r = policy_get_array(p, expr, "values", &list);
	if (r < 0)
		return r;
	for (op = 0; op_text && op < ARRAY_LEN(ops); op++)
		if (str_eq(op_text, ops[op]))
			break;
	if (!key_text || !op_text || op == ARRAY_LEN(ops))
		return policy_bad(p,
				  "needs a key and an operator In, NotIn, Exists or DoesNotExist");
	r = parse_key(p, key_text, keys, &source, key);
	if (r < 0)
		return r;
	n = doc_array_size(list);
	if (n && !(values = calloc(n, sizeof(*values))))
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		values[i.n] = doc_str(i.v);
		if (!values[i.n])
			return policy_bad(p, "values[%zu] is no string", i.n);
		if (!is_label_value(values[i.n]))
			return policy_bad(p, "values[%zu]: \"%.80s\" is no label value", i.n, values[i.n]);
	}
	r = selector_builder_add(b, source, key, (enum selector_op)op, values, n);
	return r == -EINVAL ? policy_bad(p, "%s %s values", op_text, n ? "takes no" : "needs") : r;
}

int policy_parse_selector(struct policy_parser *p, const struct doc *sel,
			  const struct policy_keys *keys, const char *ns,
			  struct selector_builder *b)
{
	char name[LIMIT_LABEL_KEY + 1];
	const struct doc *labels = NULL, *exprs = NULL;
	const char *text = NULL;
	uint8_t source;
	size_t mark;
	int r;

	if (!doc_is_object(sel))
		return policy_bad(p, "not an object");
	r = policy_get_object(p, sel, "matchLabels", &labels);
	if (r == 0)
		r = policy_get_array(p, sel, "matchExpressions", &exprs);
	if (r < 0)
		return r;
	for (struct doc_iter i = doc_members(labels); i.v; doc_next(&i)) {
		text = doc_str(i.v);
		if (!text)
			return policy_bad(p, "matchLabels: the value of \"%.80s\" is no string",
					  i.key);
		if (!is_label_value(text))
			return policy_bad(p, "matchLabels: \"%.80s\" is no label value", text);
		r = parse_key(p, i.key, keys, &source, name);
		if (r == 0)
			r = selector_builder_add(b, source, name, SELECTOR_IN, &text, 1);
		if (r < 0)
			return r;
	}
	if (ns) {
		selector_builder_drop(b, LABEL_K8S, POLICY_NS_LABEL);
		r = selector_builder_add(b, LABEL_K8S, POLICY_NS_LABEL, SELECTOR_IN, &ns, 1);
		if (r < 0)
			return r;
	}
	for (struct doc_iter i = doc_elements(exprs); i.v; doc_next(&i)) {
		mark = policy_push_at(p, "matchExpressions", i.n);
		r = parse_expression(p, i.v, keys, b);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}
