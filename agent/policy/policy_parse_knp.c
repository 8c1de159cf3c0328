/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkPolicy (Cilium pkg/k8s/network_policy.go) and CiliumCIDRGroup. */
#include <stdio.h>

#include "policy/policy_parse.h"

static const struct policy_keys pod_keys = {.source = LABEL_K8S, .is_strict = true, .prefix = ""};
static const struct policy_keys ns_keys = {
	.source = LABEL_K8S, .is_strict = true, .prefix = POLICY_NS_LABELS};

static int parse_labels_peer(struct policy_parser *p, const struct doc *pods, const struct doc *namespaces,
			     struct policy_entry *e)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	size_t mark;
	int r = 0;

	if (namespaces) {
		mark = policy_push(p, "namespaceSelector");
		r = policy_parse_selector(p, namespaces, &ns_keys, NULL, &b);
		if (r == 0 && b.n == 0)
			r = selector_builder_add(&b, LABEL_K8S, POLICY_NS_LABEL, SELECTOR_EXISTS,
						 NULL, 0);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	if (pods) {
		mark = policy_push(p, "podSelector");
		r = policy_parse_selector(p, pods, &pod_keys, namespaces ? NULL : p->object->ns,
					  &b);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	r = policy_add_cluster(p, &b);
	return r < 0 ? r : policy_add_peer(p, &b, e);
}

/* An empty peer with ports is any peer, without ports nothing, as an element of a CNP. */
static int parse_peer(struct policy_parser *p, const struct doc *peer, struct policy_entry *e)
{
	const struct doc *pods = NULL, *namespaces = NULL, *block = NULL;
	size_t mark;
	int r;

	if (!doc_is_object(peer))
		return policy_bad(p, "not an object");
	r = policy_get_object(p, peer, "podSelector", &pods);
	if (r == 0)
		r = policy_get_object(p, peer, "namespaceSelector", &namespaces);
	if (r == 0)
		r = policy_get_object(p, peer, "ipBlock", &block);
	if (r < 0)
		return r;
	if (block && (pods || namespaces))
		return policy_bad(p, "ipBlock and selectors cannot be in one peer");
	if (!block && !pods && !namespaces) {
		e->has_any_peer = !e->has_any_l4;
		return 0;
	}
	if (!block)
		return parse_labels_peer(p, pods, namespaces, e);
	if (!doc_get(block, "cidr"))
		return policy_bad(p, "ipBlock.cidr is missing");
	mark = policy_push(p, "ipBlock");
	r = policy_parse_cidr_item(p, block, e);
	if (r == 0)
		policy_pop(p, mark);
	return r;
}

static int parse_port(struct policy_parser *p, const struct doc *port, struct policy_entry *e)
{
	const struct doc *number = NULL, *end = NULL;
	const char *proto = NULL;
	char text[24] = "0";
	bool is_zero;
	int r;

	if (!doc_is_object(port))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, port, "protocol", &proto);
	if (r < 0)
		return r;
	number = doc_get(port, "port");
	end = doc_get(port, "endPort");
	if ((number && !doc_is_integer(number) && !doc_is_string(number)) ||
	    (end && !doc_is_integer(end)))
		return policy_bad(p, "port or endPort is of a wrong type");
	if (doc_is_integer(number))
		(void)snprintf(text, sizeof(text), "%lld", (long long)doc_int(number));
	return policy_add_port(p, e, doc_is_string(number) ? doc_str(number) : text,
			       end ? doc_int(end) : 0, proto ? proto : "TCP", false,
			       &is_zero);
}

/* One entry with the ports of `element` and one peer of its list (`peer` NULL = everybody). */
static int parse_entry(struct policy_parser *p, const struct doc *ports, const struct doc *peer,
		       enum policy_dir dir, struct policy_rule *rule)
{
	struct policy_entry *e;
	int r = policy_add_entry(p, rule, dir, &e);

	if (r < 0)
		return r;
	e->has_any_l4 = doc_array_size(ports) == 0;
	for (struct doc_iter i = doc_elements(ports); i.v; doc_next(&i)) {
		size_t mark = policy_push_at(p, "ports", i.n);

		r = parse_port(p, i.v, e);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	if (peer)
		return parse_peer(p, peer, e);
	e->has_any_peer = true;
	return 0;
}

static int parse_list(struct policy_parser *p, const struct doc *spec, enum policy_dir dir,
		      struct policy_rule *rule, size_t *ret_n)
{
	const char *name = dir == POLICY_INGRESS ? "ingress" : "egress",
		   *peers_name = dir == POLICY_INGRESS ? "from" : "to";
	const struct doc *list = NULL, *element = NULL, *peers = NULL, *ports = NULL;
	int r = policy_get_array(p, spec, name, &list);

	if (r == 0)
		r = policy_check_room(p, doc_array_size(list), 0);
	for (struct doc_iter i = doc_elements(list); r == 0 && i.v; doc_next(&i)) {
		size_t mark = policy_push_at(p, name, i.n);

		element = i.v;
		if (!doc_is_object(element))
			return policy_bad(p, "not an object");
		r = policy_get_array(p, element, peers_name, &peers);
		if (r == 0)
			r = policy_get_array(p, element, "ports", &ports);
		if (r == 0)
			r = policy_check_room(p, doc_array_size(peers), doc_array_size(ports));
		if (r == 0 && doc_array_size(peers) == 0)
			r = parse_entry(p, ports, NULL, dir, rule);
		for (struct doc_iter k = doc_elements(peers); r == 0 && k.v; doc_next(&k)) {
			size_t inner = policy_push_at(p, peers_name, k.n);

			r = parse_entry(p, ports, k.v, dir, rule);
			if (r == 0)
				policy_pop(p, inner);
		}
		if (r == 0)
			policy_pop(p, mark);
	}
	*ret_n = doc_array_size(list);
	return r;
}

/* What has no element but is asked for by policyTypes denies all: an entry that matches nothing. */
static int add_deny_all(struct policy_parser *p, const struct doc *spec,
			const size_t counts[POLICY_DIRS], struct policy_rule *rule)
{
	const struct doc *types = NULL;
	bool has[POLICY_DIRS] = {false, false}, wanted;
	int r = policy_get_array(p, spec, "policyTypes", &types);

	for (struct doc_iter i = doc_elements(types); r == 0 && i.v; doc_next(&i)) {
		const char *t = doc_str(i.v);

		if (!t)
			return policy_bad(p, "policyTypes[%zu] is no string", i.n);
		has[POLICY_INGRESS] = has[POLICY_INGRESS] || str_eq(t, "Ingress");
		has[POLICY_EGRESS] = has[POLICY_EGRESS] || str_eq(t, "Egress");
	}
	for (int d = POLICY_INGRESS; r == 0 && d < POLICY_DIRS; d++) {
		struct policy_entry *e = NULL;

		wanted = has[d] || (d == POLICY_INGRESS && !has[POLICY_EGRESS]);
		if (counts[d] == 0 && wanted)
			r = policy_add_entry(p, rule, (enum policy_dir)d, &e);
		if (r == 0 && e)
			e->has_any_l4 = true;
	}
	return r;
}

int policy_parse_knp(struct policy_parser *p, const struct doc *obj, struct policy_object *object)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	size_t counts[POLICY_DIRS] = {0}, mark;
	const struct doc *spec = NULL, *pods = NULL;
	struct policy_rule *rule;
	int r = policy_get_object(p, obj, "spec", &spec);

	if (r == 0 && !spec)
		r = policy_bad(p, "no spec");
	if (r == 0)
		r = policy_get_object(p, spec, "podSelector", &pods);
	if (r == 0)
		r = ARRAY_ADD(&object->rules,
			      (struct policy_rule){.is_default_deny = {true, true}});
	if (r < 0)
		return r;
	rule = &object->rules.v[object->rules.n - 1];
	rule->labels = strdup("");
	rule->log = strdup("");
	if (!rule->labels || !rule->log)
		return -ENOMEM;
	(void)policy_push(p, "spec");
	mark = policy_push(p, "podSelector");
	if (pods)
		r = policy_parse_selector(p, pods, &pod_keys, object->ns, &b);
	else
		r = selector_builder_add(&b, LABEL_K8S, POLICY_NS_LABEL, SELECTOR_IN,
					 (const char *const *)&object->ns, 1);
	if (r == 0)
		r = selector_builder_take(&b, &rule->subject);
	if (r < 0)
		return r;
	policy_pop(p, mark);
	r = parse_list(p, spec, POLICY_INGRESS, rule, &counts[POLICY_INGRESS]);
	if (r == 0)
		r = parse_list(p, spec, POLICY_EGRESS, rule, &counts[POLICY_EGRESS]);
	if (r == 0)
		r = add_deny_all(p, spec, counts, rule);
	policy_rule_trim(rule);
	return r;
}

static int parse_group_labels(struct policy_parser *p, const struct doc *obj,
			      struct policy_object *object)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = p->repo->labels};
	const struct doc *meta = NULL, *labels = NULL;
	char key[sizeof(POLICY_CIDRGROUP_LABEL) + 256], encoded[LIMIT_LABEL_KEY + 1];
	int r = policy_get_object(p, obj, "metadata", &meta);

	if (r == 0)
		r = policy_get_object(p, meta, "labels", &labels);
	if (r < 0)
		return r;
	for (struct doc_iter i = doc_members(labels); i.v; doc_next(&i)) {
		if (!doc_is_string(i.v))
			return policy_bad(p, "metadata.labels: \"%.80s\" is no string", i.key);
		/* the plain one is for Exists */
		r = label_builder_add_kv(&b, LABEL_CIDRGROUP, i.key, doc_str(i.v));
		selector_group_key(i.key, doc_str(i.v), encoded);
		if (r == 0)
			r = label_builder_add_kv(&b, LABEL_CIDRGROUP, encoded, "");
		if (r < 0)
			return r;
	}
	(void)snprintf(key, sizeof(key), "%s%s", POLICY_CIDRGROUP_LABEL, object->name);
	r = label_builder_add_kv(&b, LABEL_CIDRGROUP, key, "");
	if (r == 0)
		r = label_builder_add_kv(&b, LABEL_CIDRGROUP, POLICY_ANY_CIDRGROUP, "");
	return r < 0 ? r : label_builder_take(&b, &object->group.labels);
}

int policy_parse_group(struct policy_parser *p, const struct doc *obj, struct policy_object *object)
{
	struct policy_group *g = &object->group;
	const struct doc *spec = NULL, *list = NULL;
	int r = parse_group_labels(p, obj, object);

	if (r == 0)
		r = policy_get_object(p, obj, "spec", &spec);
	if (r == 0)
		r = policy_get_array(p, spec, "externalCIDRs", &list);
	if (r < 0)
		return r;
	(void)policy_push(p, "spec.externalCIDRs");
	if (!doc_array_size(list))
		return 0;
	g->cidrs = calloc(doc_array_size(list), sizeof(*g->cidrs));
	if (!g->cidrs)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const char *text = doc_str(i.v);
		size_t mark;

		if (text && cidr_parse(text, true, &g->cidrs[g->n_cidrs]) == 0) {
			g->n_cidrs++;
			continue;
		}
		mark = policy_push_at(p, "", i.n);
		r = policy_note(p, "no prefix, left out");
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}
