/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"

static void path_add(struct policy_parser *p, const char *text, size_t len)
{
	len = MIN(len, sizeof(p->path) - 1 - p->path_len);
	memcpy(p->path + p->path_len, text, len);
	p->path_len += len;
	p->path[p->path_len] = '\0';
}

size_t policy_push(struct policy_parser *p, const char *field)
{
	size_t mark = p->path_len;

	if (mark && *field)
		path_add(p, ".", 1);
	path_add(p, field, strlen(field));
	return mark;
}

/* Without printf(): long lists have hardly anything else done to each item. */
size_t policy_push_at(struct policy_parser *p, const char *field, size_t item)
{
	size_t mark = policy_push(p, field), i;
	char text[24];

	i = sizeof(text) - 1;
	text[i] = ']';
	do
		text[--i] = (char)('0' + item % 10);
	while (item /= 10);
	text[--i] = '[';
	path_add(p, text + i, sizeof(text) - i);
	return mark;
}

void policy_pop(struct policy_parser *p, size_t mark)
{
	p->path_len = mark;
	p->path[mark] = '\0';
}

int policy_bad(struct policy_parser *p, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut text is still text */
	va_end(ap);
	return err_set(p->err, EBADMSG, "%s: %s", p->path_len ? p->path : "object", text);
}

int policy_note(struct policy_parser *p, const char *text)
{
	int r;

	if (p->degraded.len > 2048)
		return 0; /* enough to know */
	r = buf_addf(&p->degraded, "%s%s: %s", p->degraded.len ? "; " : "", p->path, text);
	return r;
}

int policy_get_object(struct policy_parser *p, const struct doc *obj, const char *key,
		      const struct doc **ret)
{
	const struct doc *v = doc_get(obj, key);

	if (v && !doc_is_object(v))
		return policy_bad(p, "%s is not an object", key);
	*ret = v;
	return 0;
}

int policy_get_array(struct policy_parser *p, const struct doc *obj, const char *key,
		     const struct doc **ret)
{
	const struct doc *v = doc_get(obj, key);

	if (v && !doc_is_array(v))
		return policy_bad(p, "%s is not a list", key);
	*ret = v;
	return 0;
}

int policy_get_string(struct policy_parser *p, const struct doc *obj, const char *key, const char **ret)
{
	const struct doc *v = doc_get(obj, key);

	if (v && !doc_is_string(v))
		return policy_bad(p, "%s is not a string", key);
	*ret = v ? doc_str(v) : NULL;
	return 0;
}

/* labels: ["source:key=value", {"key":...,"source":...,"value":...}], for the person who reads
 * about the rule. */
static int rule_parse_labels(struct policy_parser *p, const struct doc *spec, struct policy_rule *rule)
{
	CLEANUP(buf_done) struct buf text = {.max = 4096};
	const struct doc *list = NULL;
	int r = policy_get_array(p, spec, "labels", &list);

	if (r < 0)
		return r;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const struct doc *l = i.v;
		const char *key = doc_str(l), *value = NULL, *source = NULL;

		if (doc_is_object(l)) {
			r = policy_get_string(p, l, "key", &key);
			if (r == 0)
				r = policy_get_string(p, l, "value", &value);
			if (r == 0)
				r = policy_get_string(p, l, "source", &source);
			if (r < 0)
				return r;
		}
		if (!key)
			return policy_bad(p, "labels[%zu] is no label", i.n);
		r = buf_addf(&text, "%s%s%s%s%s%s", text.len ? "," : "", source ? source : "",
			     source ? ":" : "", key, value && *value ? "=" : "",
			     value ? value : "");
		if (r == -E2BIG)
			break; /* the rest is only not shown */
		if (r < 0)
			return r;
	}
	rule->labels = strdup(text.len ? text.data : "");
	return rule->labels ? 0 : -ENOMEM;
}

static int rule_parse_log(struct policy_parser *p, const struct doc *spec, struct policy_rule *rule)
{
	const char *value = NULL;
	const struct doc *log = NULL;
	int r = policy_get_object(p, spec, "log", &log);

	if (r == 0 && log)
		r = policy_get_string(p, log, "value", &value);
	if (r < 0)
		return r;
	rule->log = strndup(value ? value : "", 64);
	return rule->log ? 0 : -ENOMEM;
}

static int rule_parse_subject(struct policy_parser *p, const struct doc *spec, struct policy_rule *rule)
{
	static const struct policy_keys keys = {.source = LABEL_ANY, .prefix = ""};
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	const struct doc *endpoint = NULL, *node = NULL;
	const char *ns = p->object->kind == POLICY_CNP ? p->object->ns : NULL;
	size_t mark;
	int r = policy_get_object(p, spec, "endpointSelector", &endpoint);

	if (r == 0)
		r = policy_get_object(p, spec, "nodeSelector", &node);
	if (r < 0)
		return r;
	if (endpoint && node)
		return policy_bad(p, "endpointSelector and nodeSelector exclude each other");
	if (!endpoint && !node)
		return policy_bad(p, "endpointSelector or nodeSelector is needed");
	if (node && ns)
		return policy_bad(p, "nodeSelector is only for CiliumClusterwideNetworkPolicy");
	mark = policy_push(p, node ? "nodeSelector" : "endpointSelector");
	r = policy_parse_selector(p, node ? node : endpoint, &keys, ns, &b);
	if (r < 0)
		return r;
	policy_pop(p, mark);
	rule->is_node = node != NULL;
	p->is_subject_init = selector_builder_has(&b, LABEL_RESERVED, "init");
	return selector_builder_take(&b, &rule->subject);
}

static int entry_parse_auth(struct policy_parser *p, const struct doc *element, struct policy_entry *e)
{
	static const char *const modes[] = {[POLICY_AUTH_DISABLED] = "disabled",
					    [POLICY_AUTH_REQUIRED] = "required",
					    [POLICY_AUTH_FAIL] = "test-always-fail"};
	const struct doc *auth = NULL;
	const char *mode = NULL;
	int r = policy_get_object(p, element, "authentication", &auth);

	if (r < 0 || !auth)
		return r;
	r = policy_get_string(p, auth, "mode", &mode);
	if (r < 0)
		return r;
	for (unsigned i = POLICY_AUTH_DISABLED; mode && i < ARRAY_LEN(modes); i++)
		if (str_eq(mode, modes[i]))
			e->auth = (enum policy_auth)i;
	if (e->auth == POLICY_AUTH_UNSET)
		return policy_bad(
			p,
			"authentication.mode is not one of disabled, required, test-always-fail");
	if (e->auth == POLICY_AUTH_DISABLED)
		return 0;
	return policy_note(p, "authentication is not possible on this host, so this is dropped");
}

int policy_check_room(struct policy_parser *p, size_t n_entries, size_t n_ports)
{
	if (n_entries > LIMIT_POLICY_RULES - p->n_rules)
		return policy_bad(p, "more than %d rules", LIMIT_POLICY_RULES);
	if (n_entries && n_ports > (LIMIT_POLICY_PORTS - p->n_ports) / n_entries)
		return policy_bad(p, "more than %d ports in all", LIMIT_POLICY_PORTS);
	return 0;
}

int policy_add_entry(struct policy_parser *p, struct policy_rule *rule, enum policy_dir dir, struct policy_entry **ret)
{
	int r;

	r = policy_check_room(p, 1, 0);
	if (r == 0)
		r = ARRAY_ADD(&rule->entries, (struct policy_entry){.dir = dir});
	if (r < 0)
		return r;
	p->n_rules++;
	*ret = &rule->entries.v[rule->entries.n - 1];
	(*ret)->path = strdup(p->path);
	return (*ret)->path ? 0 : -ENOMEM;
}

static int rule_parse_element(struct policy_parser *p, const struct doc *element, enum policy_dir dir,
			      bool is_deny, struct policy_rule *rule)
{
	static const char *const requires[POLICY_DIRS] = {"fromRequires", "toRequires"};
	struct policy_entry *e;
	int r;

	if (!doc_is_object(element))
		return policy_bad(p, "not an object");
	r = policy_add_entry(p, rule, dir, &e);
	if (r < 0)
		return r;
	e->is_deny = is_deny;
	if (!is_deny)
		r = entry_parse_auth(p, element, e);
	if (r == 0)
		r = policy_parse_l4(p, element, e);
	if (r == 0)
		r = policy_parse_peers(p, element, e);
	/*
	 * Up to Cilium 1.18 they narrow every peer of every rule; later ones cannot read such an object. To
	 * pass over them would allow what they are there to keep out.
	 */
	if (r == 0 && !is_deny && doc_array_size(doc_get(element, requires[dir])) > 0) {
		e->is_nothing = true;
		r = policy_note(p, "requirements on peers were removed in Cilium 1.19: what has them grants nothing");
	}
	return r;
}

static int rule_parse_lists(struct policy_parser *p, const struct doc *spec, struct policy_rule *rule)
{
	static const struct {
		const char *name;
		enum policy_dir dir;
		bool is_deny;
	} lists[] = {{"ingress", POLICY_INGRESS, false},
		     {"ingressDeny", POLICY_INGRESS, true},
		     {"egress", POLICY_EGRESS, false},
		     {"egressDeny", POLICY_EGRESS, true}};
	size_t counts[POLICY_DIRS] = {0};
	const struct doc *deny = NULL, *list = NULL;
	size_t n;
	int r = policy_get_object(p, spec, "enableDefaultDeny", &deny);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++) {
		r = policy_get_array(p, spec, lists[i].name, &list);
		if (r < 0)
			break;
		n = doc_array_size(list);
		r = policy_check_room(p, n, 0);
		counts[lists[i].dir] += n;
		for (struct doc_iter k = doc_elements(list); r == 0 && k.v; doc_next(&k)) {
			size_t mark = policy_push_at(p, lists[i].name, k.n);

			r = rule_parse_element(p, k.v, lists[i].dir,
					       lists[i].is_deny, rule);
			if (r == 0)
				policy_pop(p, mark);
		}
	}
	if (r < 0)
		return r;
	if (counts[POLICY_INGRESS] + counts[POLICY_EGRESS] == 0)
		return policy_bad(p, "at least one of ingress, ingressDeny, egress, egressDeny "
				     "needs an element");
	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		const struct doc *v = doc_get(deny, d == POLICY_INGRESS ? "ingress" : "egress");

		if (v && !doc_is_boolean(v))
			return policy_bad(p, "enableDefaultDeny has a member that is no boolean");
		rule->is_default_deny[d] = v && p->repo->options.has_non_default_deny
						   ? doc_is_true(v)
						   : counts[d] > 0;
	}
	return 0;
}

static int object_parse_rule(struct policy_parser *p, const struct doc *spec,
			     struct policy_object *object)
{
	struct policy_rule *rule;
	int r;

	if (!doc_is_object(spec))
		return policy_bad(p, "not an object");
	r = ARRAY_ADD(&object->rules, (struct policy_rule){.is_node = false});
	if (r < 0)
		return r;
	rule = &object->rules.v[object->rules.n - 1];
	p->rule = rule;
	r = rule_parse_labels(p, spec, rule);
	if (r == 0)
		r = rule_parse_log(p, spec, rule);
	if (r == 0)
		r = rule_parse_subject(p, spec, rule);
	if (r == 0)
		r = rule_parse_lists(p, spec, rule);
	policy_rule_trim(rule);
	return r;
}

static int parse_cilium(struct policy_parser *p, const struct doc *obj, struct policy_object *object)
{
	const struct doc *spec = NULL, *specs = NULL;
	size_t mark;
	int r = policy_get_object(p, obj, "spec", &spec);

	if (r == 0)
		r = policy_get_array(p, obj, "specs", &specs);
	if (r < 0)
		return r;
	if (!spec && doc_array_size(specs) == 0)
		return policy_bad(p, "neither spec nor specs");
	if (spec) {
		mark = policy_push(p, "spec");
		r = object_parse_rule(p, spec, object);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	for (struct doc_iter i = doc_elements(specs); i.v; doc_next(&i)) {
		mark = policy_push_at(p, "specs", i.n);
		r = object_parse_rule(p, i.v, object);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}

int policy_parse_object(struct policy_parser *p, const struct doc *obj, struct policy_object *object)
{
	int r;

	switch (object->kind) {
	case POLICY_CNP:
	case POLICY_CCNP:
		r = parse_cilium(p, obj, object);
		break;
	case POLICY_KNP:
		r = policy_parse_knp(p, obj, object);
		break;
	case POLICY_CIDR_GROUP:
		r = policy_parse_group(p, obj, object);
		break;
	default:
		return -EINVAL;
	}
	/* numbers of strings may run out, lists may be too long: the object is to blame, not we */
	if (r == -ENOSPC || r == -E2BIG || r == -EINVAL)
		r = policy_bad(p, "too large");
	if (r == 0 && p->degraded.len) {
		object->degraded = strdup(p->degraded.data);
		r = object->degraded ? 0 : -ENOMEM;
	}
	return r;
}
