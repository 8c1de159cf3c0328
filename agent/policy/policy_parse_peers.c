/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <ctype.h>
#include <stdio.h>

#include "base/limits.h"

int policy_add_cluster(struct policy_parser *p, struct selector_builder *b)
{
	const char *cluster = p->repo->options.cluster;

	if (!p->repo->options.is_local_cluster_default ||
	    selector_builder_has(b, LABEL_K8S, POLICY_CLUSTER_LABEL) ||
	    selector_builder_has(b, LABEL_ANY, POLICY_CLUSTER_LABEL))
		return 0;
	return selector_builder_add(b, LABEL_K8S, POLICY_CLUSTER_LABEL, SELECTOR_IN, &cluster, 1);
}

int policy_add_peer(struct policy_parser *p, struct selector_builder *b, struct policy_entry *e)
{
	struct selector *s;
	int r = ARRAY_RESERVE(&e->peers, 1);

	if (r == 0)
		r = selector_builder_take(b, &s);
	if (r < 0)
		return r;
	if (s->kind == SELECTOR_LABELS && s->n_reqs == 0 && s->n_excepts == 0) {
		e->has_any_peer = true; /* unknown peers too, so no label can tell */
		selector_put(p->repo->selectors, s);
		return 0;
	}
	e->peers.v[e->peers.n++] = s;
	return 0;
}

static bool has_key_prefix(const struct policy_parser *p, const struct selector_builder *b,
			   uint8_t source, const char *prefix)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].source == source &&
		    str_has_prefix(intern_str(label_table_strings(p->repo->labels), b->v[i].key),
				   prefix))
			return true;
	return false;
}

/* Namespace and cluster of a peer (Cilium pkg/k8s/apis/cilium.io/utils, getEndpointSelector). */
static int add_scope(struct policy_parser *p, struct selector_builder *b)
{
	const char *ns = p->object->ns;
	int r = 0;

	if (has_key_prefix(p, b, LABEL_RESERVED, ""))
		return 0;
	if (!selector_builder_has(b, LABEL_K8S, POLICY_NS_LABEL) &&
	    !selector_builder_has(b, LABEL_ANY, POLICY_NS_LABEL)) {
		if (p->object->kind == POLICY_CCNP) {
			if (!p->is_subject_init)
				r = selector_builder_add(b, LABEL_K8S, POLICY_NS_LABEL,
							 SELECTOR_EXISTS, NULL, 0);
		} else if (!has_key_prefix(p, b, LABEL_K8S, POLICY_NS_LABELS) &&
			   !has_key_prefix(p, b, LABEL_ANY, POLICY_NS_LABELS)) {
			r = selector_builder_add(b, LABEL_K8S, POLICY_NS_LABEL, SELECTOR_IN, &ns,
						 1);
		}
	}
	return r < 0 ? r : policy_add_cluster(p, b);
}

static int parse_endpoint(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	static const struct policy_keys keys = {.source = LABEL_ANY, .prefix = ""};
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	int r = policy_parse_selector(p, item, &keys, NULL, &b);

	if (r == 0)
		r = add_scope(p, &b);
	return r < 0 ? r : policy_add_peer(p, &b, e);
}

static int parse_node(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	static const struct policy_keys keys = {.source = LABEL_ANY, .prefix = ""};
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	int r;

	if (!p->repo->options.has_node_selector_labels)
		return policy_bad(p,
				  "node selectors need enable-node-selector-labels in the cluster");
	r = policy_parse_selector(p, item, &keys, NULL, &b);
	if (r == 0)
		r = selector_builder_add(&b, LABEL_RESERVED, "remote-node", SELECTOR_EXISTS, NULL,
					 0);
	if (r == 0)
		r = policy_add_cluster(p, &b);
	return r < 0 ? r : policy_add_peer(p, &b, e);
}

static int add_label_peer(struct policy_parser *p, struct policy_entry *e, uint8_t source,
			  const char *key, enum selector_op op, const char *value)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	int r = selector_builder_add(&b, source, key, op, &value, op == SELECTOR_IN);

	return r < 0 ? r : policy_add_peer(p, &b, e);
}

static int add_reserved_peers(struct policy_parser *p, struct policy_entry *e,
			      const char *const *names)
{
	int r = 0;

	for (; r == 0 && *names; names++)
		r = add_label_peer(p, e, LABEL_RESERVED, *names, SELECTOR_IN, "");
	return r;
}

/* Cilium pkg/policy/api/entity.go. */
static int add_entity(struct policy_parser *p, struct policy_entry *e, const char *name)
{
	static const char *const world[] = {"world", "world-ipv4", "world-ipv6", NULL};
	static const char *const cluster[] = {"host",	"remote-node", "init",		 "ingress",
					      "health", "unmanaged",   "kube-apiserver", NULL};
	static const char *const single[] = {"world-ipv4",     "world-ipv6", "host", "remote-node",
					     "kube-apiserver", "health",     "init", "ingress",
					     "unmanaged",      "none"};
	bool is_mesh = str_eq(name, "cluster-mesh");
	int r;

	if (str_eq(name, "all")) {
		e->has_any_peer = true;
		return 0;
	}
	if (str_eq(name, "world"))
		return add_reserved_peers(p, e, world);
	if (is_mesh || str_eq(name, "cluster")) {
		r = add_reserved_peers(p, e, cluster);
		return r < 0 ? r
			     : add_label_peer(p, e, LABEL_K8S, POLICY_CLUSTER_LABEL,
					      is_mesh ? SELECTOR_EXISTS : SELECTOR_IN,
					      p->repo->options.cluster);
	}
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (str_eq(name, single[i]))
			return add_label_peer(p, e, LABEL_RESERVED, name, SELECTOR_IN, "");
	return policy_bad(p, "\"%.80s\" is no entity", name);
}

static int parse_entity(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	const char *name = doc_str(item);

	return name ? add_entity(p, e, name) : policy_bad(p, "not a string");
}

/* Who is selected by an address: in the prefix, or by the labels of groups (NULL). */
static int add_outside_peer(struct selector_builder *b, const struct cidr *c, struct policy_entry *e)
{
	struct selector *s;
	int r = ARRAY_RESERVE(&e->peers, 1);

	if (r == 0)
		r = c ? selector_builder_take_cidr(b, c, &s) : selector_builder_take_group(b, &s);
	if (r == 0)
		e->peers.v[e->peers.n++] = s;
	return r;
}

static int parse_cidr(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	const char *text = doc_str(item);
	struct cidr c;

	if (!text || cidr_parse(text, true, &c) < 0)
		return policy_bad(p, "\"%.80s\" is no address or prefix", text ? text : "");
	return add_outside_peer(&b, &c, e);
}

static int parse_excepts(struct policy_parser *p, const struct doc *item, const struct cidr *inside,
			 struct selector_builder *b)
{
	const struct doc *list = NULL;
	int r = policy_get_array(p, item, "except", &list);

	for (struct doc_iter i = doc_elements(list); r == 0 && i.v; doc_next(&i)) {
		const char *text = doc_str(i.v);
		struct cidr c;

		if (!text || cidr_parse(text, false, &c) < 0)
			return policy_bad(p, "except[%zu] is no prefix", i.n);
		if (inside && !cidr_contains(inside, &c))
			return policy_bad(p, "except[%zu] is not inside the prefix", i.n);
		r = selector_builder_except(b, &c);
	}
	return r;
}

int policy_parse_cidr_item(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	static const struct policy_keys keys = {.source = LABEL_CIDRGROUP, .prefix = ""};
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	const char *cidr_text = NULL, *group = NULL;
	const struct doc *selector = NULL;
	char key[LIMIT_LABEL_KEY + 1];
	struct cidr c;
	int r;

	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, item, "cidr", &cidr_text);
	if (r == 0)
		r = policy_get_string(p, item, "cidrGroupRef", &group);
	if (r == 0)
		r = policy_get_object(p, item, "cidrGroupSelector", &selector);
	if (r < 0)
		return r;
	if ((cidr_text != NULL) + (group != NULL) + (selector != NULL) != 1)
		return policy_bad(p, "needs exactly one of cidr, cidrGroupRef, cidrGroupSelector");
	if (cidr_text) {
		if (cidr_parse(cidr_text, false, &c) < 0)
			return policy_bad(p, "\"%.80s\" is no prefix", cidr_text);
		r = parse_excepts(p, item, &c, &b);
		return r < 0 ? r : add_outside_peer(&b, &c, e);
	}
	if (group) {
		if (strlen(group) > LIMIT_NAME || !*group)
			return policy_bad(p, "cidrGroupRef is no name");
		(void)snprintf(key, sizeof(key), "%s%s", POLICY_CIDRGROUP_LABEL, group);
		r = selector_builder_add(&b, LABEL_CIDRGROUP, key, SELECTOR_EXISTS, NULL, 0);
	} else {
		r = policy_parse_selector(p, selector, &keys, NULL, &b);
		/*
		 * Cilium 1.20 takes an empty selector for everybody. So does a deny here; an allow is of every group, and of
		 * no peer outside of groups.
		 */
		if (r == 0 && b.n == 0 && !e->is_deny)
			r = selector_builder_add(&b, LABEL_CIDRGROUP, POLICY_ANY_CIDRGROUP,
						 SELECTOR_EXISTS, NULL, 0);
	}
	if (r == 0)
		r = parse_excepts(p, item, NULL, &b);
	if (r < 0)
		return r;
	return b.n == 0 && b.n_excepts == 0 ? policy_add_peer(p, &b, e) : add_outside_peer(&b, NULL, e);
}

static int parse_group(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	if (!e->is_deny)
		return policy_note(
			p, "cloud groups are not resolved on this host, so this matches nothing");
	/* members are unknown but outside of the cluster: denying all of that never lets too much
	 * in */
	if (e->peers.n == 0 &&
	    policy_note(
		    p, "cloud groups are not resolved on this host, so all of world is denied") < 0)
		return -ENOMEM;
	return e->peers.n ? 0 : add_entity(p, e, "world");
}

static int parse_service(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	static const struct policy_keys keys = {.source = LABEL_ANY, .prefix = ""};
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = p->repo->selectors};
	struct policy_service_ref ref = {0};
	const struct doc *by_name = NULL, *by_labels = NULL, *sel = NULL;
	const char *ns = NULL, *name = NULL;
	int r;

	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	r = policy_get_object(p, item, "k8sService", &by_name);
	if (r == 0)
		r = policy_get_object(p, item, "k8sServiceSelector", &by_labels);
	if (r < 0)
		return r;
	if (!by_name && !by_labels)
		return policy_bad(p, "needs k8sService or k8sServiceSelector");
	r = policy_get_string(p, by_labels ? by_labels : by_name, "namespace", &ns);
	if (r == 0 && !by_labels)
		r = policy_get_string(p, by_name, "serviceName", &name);
	if (r == 0 && by_labels) {
		r = policy_get_object(p, by_labels, "selector", &sel);
		if (r == 0 && !sel)
			r = policy_bad(p, "k8sServiceSelector.selector is missing");
		if (r == 0)
			r = policy_parse_selector(p, sel, &keys, NULL, &b);
		for (size_t i = 0; r == 0 && i < b.n; i++)
			b.v[i].source = LABEL_ANY; /* Service labels have no source */
	}
	if (r == 0)
		r = ARRAY_RESERVE(&e->services, 1);
	if (r == 0 && by_labels)
		r = selector_builder_take(&b, &ref.selector);
	if (r < 0)
		return r;
	ref.ns = strdup(ns ? ns : "");
	ref.name = by_labels ? NULL : strdup(name ? name : "");
	e->services.v[e->services.n++] = ref;
	return ref.ns && (ref.name || by_labels) ? 0 : -ENOMEM;
}

static bool is_dns_text(const char *s)
{
	if (!*s || strlen(s) > 255)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-_.*", *s))
			return false;
	return true;
}

int policy_parse_dns_name(struct policy_parser *p, const struct doc *item,
			  char ret[LIMIT_LABEL_KEY + 1])
{
	const char *name = NULL, *pattern = NULL, *text;
	int r;

	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, item, "matchName", &name);
	if (r == 0)
		r = policy_get_string(p, item, "matchPattern", &pattern);
	if (r < 0)
		return r;
	name = name && *name ? name : NULL;
	pattern = pattern && *pattern ? pattern : NULL;
	if (!name == !pattern)
		return policy_bad(p, "needs exactly one of matchName and matchPattern");
	text = name ? name : pattern;
	if (!is_dns_text(text) || (name && strchr(name, '*')))
		return policy_bad(p, "\"%.80s\" is no DNS %s", text, name ? "name" : "pattern");
	(void)snprintf(ret, LIMIT_LABEL_KEY + 1, "%s", text); /* 255 at most */
	for (char *c = ret; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return 0;
}

static int parse_fqdn(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	char key[LIMIT_LABEL_KEY + 1];
	int r = policy_parse_dns_name(p, item, key);

	if (r < 0)
		return r;
	e->has_fqdn = true;
	return add_label_peer(p, e, LABEL_FQDN, key, SELECTOR_EXISTS, NULL);
}

struct l3_kind {
	const char *names[POLICY_DIRS];
	int (*parse)(struct policy_parser *p, const struct doc *item, struct policy_entry *e);
	bool is_empty_nothing; /* [] selects nothing; else it is as if absent */
	bool is_allow_only;
	bool is_allow_resolved; /* deny entries never look it up: it constrains nothing there */
};

static const struct l3_kind l3_kinds[] = {
	{{"fromEndpoints", "toEndpoints"}, parse_endpoint, true, false, false},
	{{"fromNodes", "toNodes"}, parse_node, true, false, false},
	{{"fromEntities", "toEntities"}, parse_entity, true, false, false},
	{{"fromCIDR", "toCIDR"}, parse_cidr, true, false, false},
	{{"fromCIDRSet", "toCIDRSet"}, policy_parse_cidr_item, true, false, false},
	{{"fromGroups", "toGroups"}, parse_group, false, false, false},
	{{NULL, "toServices"}, parse_service, false, false, true},
	{{NULL, "toFQDNs"}, parse_fqdn, false, true, false},
};

int policy_parse_peers(struct policy_parser *p, const struct doc *element, struct policy_entry *e)
{
	bool is_nothing = false, has_l4 = !e->has_any_l4;
	const char *used = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(l3_kinds); i++) {
		const struct l3_kind *k = &l3_kinds[i];
		const char *name = k->names[e->dir];
		const struct doc *list = NULL;

		if (!name || (k->is_allow_only && e->is_deny))
			continue;
		r = policy_get_array(p, element, name, &list);
		if (r < 0)
			return r;
		if (list && doc_array_size(list) == 0)
			is_nothing = is_nothing || k->is_empty_nothing;
		if (doc_array_size(list) == 0)
			continue;
		if (used)
			return policy_bad(p, "%s and %s cannot be in one element", used, name);
		used = name;
		for (struct doc_iter n = doc_elements(list); n.v; doc_next(&n)) {
			size_t mark = policy_push_at(p, name, n.n);

			r = k->parse(p, n.v, e);
			if (r < 0)
				return r;
			policy_pop(p, mark);
		}
		if (k->is_allow_resolved && e->is_deny)
			e->has_any_peer = has_l4;
	}
	if (is_nothing) {
		for (size_t i = 0; i < e->peers.n; i++)
			selector_put(p->repo->selectors, e->peers.v[i]);
		e->peers.n = 0;
		e->has_any_peer = false;
		e->is_nothing = true;
	} else if (!used) {
		e->has_any_peer =
			has_l4; /* neither L3 nor L4: the element only asks for default deny */
	}
	return 0;
}
