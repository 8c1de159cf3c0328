/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/macro.h"
#include "identity/named_port.h"
#include "policy/policy_parse.h"
#include "policy/policy_shadow.h"

struct policy_options policy_options_default(void)
{
	return (struct policy_options){
		.mode = POLICY_MODE_DEFAULT,
		.cluster = "default",
		.is_local_cluster_default = true,
		.has_ipv4 = true,
		.has_icmp_rules = true,
		.has_l7_proxy = true,
		.has_non_default_deny = true,
	};
}

int policy_repo_new(struct identity_table *ids, const struct policy_options *options,
		    const struct policy_service_view *services, struct policy_repo **ret)
{
	CLEANUP(policy_repo_free) struct policy_repo *r = NULL;
	int err;

	if (!options->cluster || (!options->has_ipv4 && !options->has_ipv6))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->ids = ids;
	r->labels = identity_labels(ids);
	r->options = *options;
	if (services)
		r->services = *services;
	r->generation = 1;
	err = selector_cache_new(r->labels, options->cidr_modes, options->has_ipv4,
				 options->has_ipv6, &r->selectors);
	if (err == 0)
		err = ARRAY_ADD(&r->by_number, NULL);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(r);
	return 0;
}

void policy_repo_free(struct policy_repo *r)
{
	struct policy_object *o, *tmp;

	if (!r)
		return;
	HASH_ITER(hh, r->objects, o, tmp)
	{
		HASH_DEL(r->objects, o);
		policy_object_free(r, o);
	}
	policy_fqdn_done(r);
	policy_choices_done(r);
	ARRAY_DONE(&r->by_number);
	ARRAY_DONE(&r->free_numbers);
	label_set_free(r->labels, r->subject);
	named_ports_free(r->labels, r->subject_ports);
	selector_cache_free(r->selectors);
	free(r);
}

int policy_set_subject(struct policy_repo *r, struct label_set *labels,
		       const struct named_port *ports, size_t n_ports)
{
	struct named_ports *p;
	int err = named_ports_make(r->labels, NULL, ports, n_ports, &p);

	if (err < 0) {
		label_set_free(r->labels, labels);
		return err;
	}
	label_set_free(r->labels, r->subject);
	named_ports_free(r->labels, r->subject_ports);
	r->subject = labels;
	r->subject_ports = p;
	r->subject_flags = labels ? identity_flags_of(r->labels, labels) : 0;
	r->generation++;
	return 0;
}

bool policy_key(enum policy_kind kind, const char *ns, const char *name, char ret[POLICY_KEY_MAX])
{
	int n = snprintf(ret, POLICY_KEY_MAX, "%d/%s/%s", (int)kind, ns, name);

	return n > 0 && n < POLICY_KEY_MAX;
}

static struct policy_object *repo_find(const struct policy_repo *r, const char *key)
{
	struct policy_object *o;

	HASH_FIND_STR(r->objects, key, o);
	return o;
}

/* The names of a fresh object from metadata. */
static int object_read_meta(struct policy_parser *p, const struct doc *obj, struct policy_object *o)
{
	const char *name = NULL, *ns = NULL, *uid = NULL;
	const char *unknown = NULL;
	const struct doc *meta = NULL, *generation;
	bool is_clusterwide = o->kind == POLICY_CCNP || o->kind == POLICY_CIDR_GROUP;
	int r;

	if (!doc_is_object(obj))
		return policy_bad(p, "not an object");
	r = policy_get_object(p, obj, "metadata", &meta);
	if (r == 0)
		r = policy_get_string(p, meta, "name", &name);
	if (r == 0)
		r = policy_get_string(p, meta, "namespace", &ns);
	if (r == 0)
		r = policy_get_string(p, meta, "uid", &uid);
	if (r < 0)
		return r;
	if (!name || !str_is_dns_subdomain(name) || strlen(name) > LIMIT_NAME)
		return policy_bad(p, "metadata.name is missing or no name");
	ns = is_clusterwide ? "" : ns && *ns ? ns : "default";
	if (*ns && !str_is_dns_label(ns))
		return policy_bad(p, "metadata.namespace is no name");
	generation = doc_get(meta, "generation");
	o->generation = doc_is_integer(generation) ? doc_int(generation) : 0;
	o->name = strdup(name);
	o->ns = strdup(ns);
	o->key = str_printf("%d/%s/%s", (int)o->kind, ns, name);
	o->is_marked = policy_object_is_marked(obj, &unknown);
	o->digest =
		uid && o->generation ? hash_bytes(uid, strlen(uid)) ^ (uint64_t)o->generation : 0;
	/* annotations change without a new generation */
	if (o->digest && (o->is_marked || unknown))
		o->digest ^= hash_bytes(unknown ? unknown : "", unknown ? strlen(unknown) + 1 : 1);
	return o->name && o->ns && o->key ? 0 : -ENOMEM;
}

/* Group labels change without a new generation, so all that counts is compared. */
static uint64_t group_digest(const struct doc *obj)
{
	return 1 + doc_hash(doc_get_any(obj, "spec")) + 3 * doc_hash(doc_at(obj, "metadata.labels"));
}

static size_t object_count_entries(const struct policy_object *o)
{
	size_t n = 0;

	for (size_t i = 0; o && i < o->rules.n; i++)
		n += o->rules.v[i].entries.n;
	return n;
}

/* Entries keep the numbers of the same places in the old version, so that an edit changes few. */
static int repo_number(struct policy_repo *r, struct policy_object *o,
		       const struct policy_object *old)
{
	size_t need = object_count_entries(o), have = object_count_entries(old);
	ARRAY(uint32_t) numbers = {0};
	int err = ARRAY_RESERVE(&numbers, need + have + 1);

	if (err == 0)
		err = ARRAY_RESERVE(&r->by_number, need);
	if (err == 0)
		err = ARRAY_RESERVE(&r->free_numbers, have);
	if (err < 0) {
		ARRAY_DONE(&numbers);
		return err;
	}
	for (size_t i = 0; old && i < old->rules.n; i++)
		for (size_t k = 0; k < old->rules.v[i].entries.n; k++)
			numbers.v[numbers.n++] = old->rules.v[i].entries.v[k].number;
	for (size_t i = need; i < have; i++) {
		r->by_number.v[numbers.v[i]] = NULL;
		r->free_numbers.v[r->free_numbers.n++] = numbers.v[i];
	}
	for (size_t i = have; i < need; i++) {
		if (r->free_numbers.n) {
			numbers.v[numbers.n++] = r->free_numbers.v[--r->free_numbers.n];
		} else {
			numbers.v[numbers.n++] = (uint32_t)r->by_number.n;
			r->by_number.v[r->by_number.n++] = NULL;
		}
	}
	need = 0;
	for (size_t i = 0; i < o->rules.n; i++)
		for (size_t k = 0; k < o->rules.v[i].entries.n; k++) {
			struct policy_entry *e = &o->rules.v[i].entries.v[k];

			e->number = numbers.v[need++];
			r->by_number.v[e->number] = e;
		}
	ARRAY_DONE(&numbers);
	return 0;
}

static void repo_drop_numbers(struct policy_repo *r, const struct policy_object *o)
{
	for (size_t i = 0; i < o->rules.n; i++)
		for (size_t k = 0; k < o->rules.v[i].entries.n; k++) {
			uint32_t number = o->rules.v[i].entries.v[k].number;

			r->by_number.v[number] = NULL;
			(void)ARRAY_ADD(&r->free_numbers, number); /* or it stays unused */
		}
}

/*
 * Whether an object can alter a verdict here: most policies of a cluster are about others, and need no
 * new tables. With a cidr: key in a selector, prefixes of others count too.
 */
static bool object_counts(const struct policy_repo *r, const struct policy_object *o)
{
	if (o->kind == POLICY_CIDR_GROUP || r->uses_all_prefixes)
		return true;
	for (size_t i = 0; i < o->rules.n; i++)
		if (policy_rule_selects(r, &o->rules.v[i]))
			return true;
	return false;
}

/* Remembers why the newest version is refused; what is in force stays. Takes `o`. */
static int repo_refuse(struct policy_repo *r, struct policy_object *o, const struct err *why)
{
	struct policy_object *old = repo_find(r, o->key);
	char *text = strdup(why->text);

	if (!text) {
		policy_object_free(r, o);
		return -ENOMEM;
	}
	if (old) {
		free(old->error);
		old->error = text;
		old->digest = o->digest;
		old->generation = o->generation;
		policy_object_free(r, o);
		return -EBADMSG;
	}
	for (size_t i = 0; i < o->rules.n; i++)
		policy_rule_done(r, &o->rules.v[i]);
	o->rules.n = 0;
	o->error = text;
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, r->objects, o->key, strlen(o->key), o);
	if (!hash_oom)
		return -EBADMSG;
	policy_object_free(r, o);
	return -ENOMEM;
}

/* Puts a valid object in the place of its old version, which stays in force if that fails. Takes `o`. */
static int repo_install(struct policy_repo *r, struct policy_object *o)
{
	struct policy_object *old = repo_find(r, o->key);
	bool counts;
	int err;

	for (size_t i = 0; i < o->rules.n; i++) {
		o->rules.v[i].object = o;
		for (size_t k = 0; k < o->rules.v[i].entries.n; k++)
			o->rules.v[i].entries.v[k].rule = &o->rules.v[i];
	}
	o->is_valid = true;
	policy_object_settle(r, o);
	counts = object_counts(r, o) || (old && object_counts(r, old));
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, r->objects, o->key, strlen(o->key), o);
	if (hash_oom) {
		policy_object_free(r, o);
		return -ENOMEM;
	}
	err = repo_number(r, o, old);
	if (err < 0) {
		HASH_DEL(r->objects, o);
		policy_object_free(r, o);
		return err;
	}
	if (old) {
		HASH_DEL(r->objects, old);
		policy_object_free(r, old);
	}
	r->generation += counts;
	return 1;
}

static size_t count_rules(const struct policy_object *o)
{
	size_t n = 0;

	for (size_t i = 0; o && i < o->rules.n; i++)
		n += o->rules.v[i].entries.n;
	return n;
}

static size_t rules_of_all(const struct policy_repo *r)
{
	return r->by_number.n - r->free_numbers.n;
}

bool policy_has_room(const struct policy_repo *r)
{
	return HASH_COUNT(r->objects) < LIMIT_POLICIES && rules_of_all(r) < LIMIT_POLICIES_RULES;
}

/* A word in the annotation that means nothing must not pass in silence: the policy is enforced. */
static int note_mode(const struct doc *obj, struct policy_object *o)
{
	const char *unknown;
	char *text;

	(void)policy_object_is_marked(obj, &unknown); /* known */
	if (!unknown || o->kind == POLICY_CIDR_GROUP)
		return 0;
	text = str_printf("%s%sannotation " POLICY_MODE_ANNOTATION ": \"%.40s\" is neither shadow nor enforce",
			  o->degraded ? o->degraded : "", o->degraded ? "; " : "", unknown);
	if (!text)
		return -ENOMEM;
	free(o->degraded);
	o->degraded = text;
	return 0;
}

int policy_set(struct policy_repo *r, enum policy_kind kind, const struct doc *obj, struct err *reterr)
{
	struct err why = {0};
	struct policy_parser p = {.repo = r, .err = &why, .degraded = {.max = 4096}};
	struct policy_object *o = calloc(1, sizeof(*o)), *old;
	int err;

	if (!o)
		return -ENOMEM;
	o->kind = kind;
	p.object = o;
	err = object_read_meta(&p, obj, o);
	if (err < 0) {
		policy_object_free(r, o);
		(void)err_set(reterr, -err, "%s", why.text);
		return err;
	}
	if (kind == POLICY_CIDR_GROUP)
		o->digest = group_digest(obj);
	old = repo_find(r, o->key);
	if (old && o->digest && old->digest == o->digest) {
		policy_object_free(r, o);
		return old->error ? err_set(reterr, EBADMSG, "%s", old->error) : 0;
	}
	if (!old && HASH_COUNT(r->objects) >= LIMIT_POLICIES) {
		policy_object_free(r, o);
		return err_set(reterr, ENOSPC, "more than %d policies", LIMIT_POLICIES);
	}
	err = policy_parse_object(&p, obj, o);
	if (err == 0)
		err = note_mode(obj, o);
	buf_done(&p.degraded);
	if (err == -EBADMSG) {
		(void)err_set(reterr, EBADMSG, "%s", why.text);
		return repo_refuse(r, o, &why);
	}
	if (err < 0) {
		policy_object_free(r, o);
		return err;
	}
	if (rules_of_all(r) - count_rules(old) + count_rules(o) > LIMIT_POLICIES_RULES) {
		policy_object_free(r, o);
		return err_set(reterr, ENOSPC, "more than %d rules of all policies", LIMIT_POLICIES_RULES);
	}
	return repo_install(r, o);
}

struct policy_object *policy_find(const struct policy_repo *r, enum policy_kind kind, const char *ns,
				  const char *name)
{
	char key[POLICY_KEY_MAX];

	return policy_key(kind, ns, name, key) ? repo_find(r, key) : NULL;
}

bool policy_counts(const struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name)
{
	const struct policy_object *o = policy_find(r, kind, ns, name);

	return o && o->is_valid && (!r->subject || object_counts(r, o));
}

int policy_remove(struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name)
{
	struct policy_object *o = policy_find(r, kind, ns ? ns : "", name);

	if (!o)
		return 0;
	r->generation += object_counts(r, o);
	repo_drop_numbers(r, o);
	HASH_DEL(r->objects, o);
	policy_object_free(r, o);
	return 1;
}

static int services_hash(struct policy_repo *r, uint64_t *ret)
{
	int err = 0;

	*ret = 0;
	for (size_t i = 0; err == 0 && r->options.mode != POLICY_MODE_NEVER && i < r->by_number.n; i++) {
		const struct policy_entry *e = r->by_number.v[i];
		struct selector_list found = {0};

		if (!e || !e->services.n || e->has_any_peer || !policy_rule_selects(r, e->rule))
			continue;
		err = policy_services_resolve(r, e, &found);
		*ret += policy_services_hash(e, &found);
		selector_list_done(r, &found);
	}
	return err;
}

void policy_services_changed(struct policy_repo *r)
{
	uint64_t now;

	/* Services change all the time, and few are those that a rule with toServices is about. */
	if (services_hash(r, &now) < 0 || now != r->services_hash)
		r->generation++;
}

uint64_t policy_generation(const struct policy_repo *r)
{
	return r->generation;
}

uint64_t policy_names_generation(const struct policy_repo *r)
{
	return r->names_generation;
}

int policy_origin(const struct policy_repo *r, uint32_t rule, struct policy_origin *ret)
{
	const struct policy_entry *e = rule < r->by_number.n ? r->by_number.v[rule] : NULL;

	if (!e)
		return -ENOENT;
	*ret = (struct policy_origin){
		.kind = e->rule->object->kind,
		.ns = e->rule->object->ns,
		.name = e->rule->object->name,
		.path = e->path,
		.labels = e->rule->labels,
		.log = e->rule->log,
	};
	return 0;
}
