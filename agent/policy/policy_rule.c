/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_rule.h"

#include "base/macro.h"
#include "identity/named_port.h"

static void service_ref_done(struct policy_repo *r, struct policy_service_ref *s)
{
	free(s->ns);
	free(s->name);
	selector_put(r->selectors, s->selector);
}

void policy_entry_done(struct policy_repo *r, struct policy_entry *e)
{
	for (size_t i = 0; i < e->peers.n; i++)
		selector_put(r->selectors, e->peers.v[i]);
	ARRAY_DONE(&e->peers);
	for (size_t i = 0; i < e->services.n; i++)
		service_ref_done(r, &e->services.v[i]);
	ARRAY_DONE(&e->services);
	for (size_t i = 0; i < e->l4.n; i++)
		intern_put(label_table_strings(r->labels), e->l4.v[i].name);
	ARRAY_DONE(&e->l4);
	for (size_t i = 0; i < e->dns.n; i++)
		free(e->dns.v[i]);
	ARRAY_DONE(&e->dns);
	free(e->path);
}

void policy_rule_trim(struct policy_rule *rule)
{
	ARRAY_TRIM(&rule->entries);
	for (size_t i = 0; i < rule->entries.n; i++) {
		ARRAY_TRIM(&rule->entries.v[i].peers);
		ARRAY_TRIM(&rule->entries.v[i].l4);
	}
}

void policy_rule_done(struct policy_repo *r, struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->entries.n; i++)
		policy_entry_done(r, &rule->entries.v[i]);
	ARRAY_DONE(&rule->entries);
	selector_put(r->selectors, rule->subject);
	free(rule->labels);
	free(rule->log);
}

void policy_object_free(struct policy_repo *r, struct policy_object *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->rules.n; i++)
		policy_rule_done(r, &o->rules.v[i]);
	ARRAY_DONE(&o->rules);
	label_set_free(r->labels, o->group.labels);
	free(o->group.cidrs);
	free(o->ns);
	free(o->name);
	free(o->error);
	free(o->degraded);
	free(o->key);
	free(o);
}

bool policy_entry_is_shadow(const struct policy_entry *e)
{
	return e->rule->object->is_shadow;
}

bool policy_rule_selects(const struct policy_repo *r, const struct policy_rule *rule)
{
	/* a host that joined is no node */
	return r->subject && !rule->is_node &&
	       selector_match(r->selectors, rule->subject, r->subject, r->subject_flags);
}

int policy_each_entry(const struct policy_repo *r, enum policy_dir dir, policy_entry_fn fn, void *arg)
{
	const struct policy_object *o, *tmp;
	int err = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; err == 0 && i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			if (!policy_rule_selects(r, rule))
				continue;
			for (size_t k = 0; err == 0 && k < rule->entries.n; k++)
				if (rule->entries.v[k].dir == dir)
					err = fn(&rule->entries.v[k], arg);
		}
	}
	return err;
}

const struct label_set *policy_world_labels(const struct policy_repo *r, int family)
{
	return identity_get(r->ids, identity_of_world(r->options.has_ipv4, r->options.has_ipv6, family))->labels;
}

bool policy_is_always(const struct policy_repo *r)
{
	return r->options.mode == POLICY_MODE_ALWAYS || (r->subject_flags & IDENTITY_IS_INIT);
}

struct service_walk {
	struct policy_repo *repo;
	const struct policy_service_ref *ref;
	struct selector_list *list;
};

static int add_backends(struct policy_repo *r, const struct policy_service *svc,
			struct selector_list *list)
{
	int err;

	for (size_t i = 0; i < svc->n_backends; i++) {
		CLEANUP(selector_builder_done) struct selector_builder b = {.cache = r->selectors};
		struct cidr c = cidr_of_ip(&svc->backends[i]);

		err = ARRAY_RESERVE(list, 1);
		if (err == 0)
			err = selector_builder_take_cidr(&b, &c, &list->v[list->n]);
		if (err < 0)
			return err;
		list->n++;
	}
	return 0;
}

/* The pods behind a Service by its selector, as a toEndpoints item (Cilium
 * pkg/policy/k8s/service.go). */
static int add_pods(struct policy_repo *r, const struct policy_service *svc,
		    struct selector_list *list)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = r->selectors};
	const char *key, *text;
	const json_t *v;
	int err;

	json_object_foreach((json_t *)svc->selector, key, v)
	{
		text = json_string_value(v);
		if (!text || strlen(key) > LIMIT_LABEL_KEY)
			return 0; /* no selector that the API server would let in */
		err = selector_builder_add(&b, LABEL_K8S, key, SELECTOR_IN, &text, 1);
		if (err < 0)
			return err;
	}
	selector_builder_drop(&b, LABEL_K8S, "io.kubernetes.pod.namespace");
	err = selector_builder_add(&b, LABEL_K8S, "io.kubernetes.pod.namespace", SELECTOR_IN,
				   &svc->ns, 1);
	if (err == 0 && r->options.is_local_cluster_default &&
	    !selector_builder_has(&b, LABEL_K8S, "io.cilium.k8s.policy.cluster"))
		err = selector_builder_add(&b, LABEL_K8S, "io.cilium.k8s.policy.cluster",
					   SELECTOR_IN, &r->options.cluster, 1);
	if (err == 0)
		err = ARRAY_RESERVE(list, 1);
	if (err == 0)
		err = selector_builder_take(&b, &list->v[list->n]);
	if (err < 0)
		return err;
	list->n++;
	return 0;
}

static int visit_service(const struct policy_service *svc, void *arg)
{
	struct service_walk *w = arg;
	struct label_set *set = NULL;
	bool is_ours = true;
	const char *key;
	const json_t *v;
	int r = 0;

	if (w->ref->selector) {
		CLEANUP(label_builder_done) struct label_builder b = {.table = w->repo->labels};

		json_object_foreach((json_t *)svc->labels, key, v)
		{
			if (r == 0 && json_is_string(v))
				r = label_builder_add_kv(&b, LABEL_K8S, key, json_string_value(v));
		}
		if (r == 0)
			r = label_builder_take(&b, &set);
		if (r < 0)
			return r == -ENOMEM ? r : 0;
		is_ours = selector_match(w->repo->selectors, w->ref->selector, set, 0);
		label_set_free(w->repo->labels, set);
	}
	if (!is_ours)
		return 0;
	if (!json_object_size(svc->selector))
		return add_backends(w->repo, svc, w->list);
	r = add_pods(w->repo, svc, w->list);
	/* what no selector can be made of selects nobody, and is no fault of the policy */
	return r == -E2BIG || r == -EINVAL ? 0 : r;
}

int policy_services_resolve(struct policy_repo *r, const struct policy_entry *e,
			    struct selector_list *ret)
{
	int err = 0;

	if (e->is_deny || e->is_nothing || !r->services.each)
		return 0;
	for (size_t i = 0; err >= 0 && i < e->services.n; i++) {
		const struct policy_service_ref *ref = &e->services.v[i];
		struct service_walk w = {.repo = r, .ref = ref, .list = ret};

		if (ref->name && !*ref->name)
			continue; /* no service has an empty name */
		err = r->services.each(r->services.ctx, *ref->ns ? ref->ns : NULL, ref->name, visit_service, &w);
	}
	return err < 0 ? err : 0;
}

/* Numbers of selectors are never used again, and what is in the table keeps its own. */
uint64_t policy_services_hash(const struct policy_entry *e, const struct selector_list *found)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < found->n; i++) {
		uint32_t v[] = {e->number, found->v[i]->number};

		sum += hash_bytes(v, sizeof(v));
	}
	return sum;
}

void selector_list_done(struct policy_repo *r, struct selector_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		selector_put(r->selectors, l->v[i]);
	free(l->v);
	*l = (struct selector_list){0};
}
