/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshctl policy list` shows. */
#include "base/macro.h"
#include "identity/named_port.h"
#include "policy/policy_rule.h"

const char *policy_kind_str(enum policy_kind kind)
{
	static const char *const names[] = {[POLICY_CNP] = "CiliumNetworkPolicy",
					    [POLICY_CCNP] = "CiliumClusterwideNetworkPolicy",
					    [POLICY_KNP] = "NetworkPolicy",
					    [POLICY_CIDR_GROUP] = "CiliumCIDRGroup"};

	return (unsigned)kind < ARRAY_LEN(names) ? names[kind] : "?";
}

const char *policy_state_str(enum policy_state state)
{
	static const char *const names[] = {[POLICY_ENFORCED] = "enforced",
					    [POLICY_NOT_SELECTING] = "not-selecting",
					    [POLICY_REJECTED] = "rejected",
					    [POLICY_STALE] = "stale",
					    [POLICY_DEGRADED] = "degraded",
					    [POLICY_SHADOW] = "shadow"};

	return (unsigned)state < ARRAY_LEN(names) ? names[state] : "?";
}

static int add_reason(struct buf *out, const char *path, const char *text)
{
	int r = buf_addf(out, "%s%s%s%s", out->len ? "; " : "", path, *path ? ": " : "", text);

	return r == -E2BIG ? 0 : r; /* what was said is enough to know */
}

/* Reasons that depend on more than the object. */
static int entry_reasons(struct policy_repo *r, const struct policy_entry *e, struct buf *out)
{
	struct selector_list found = {0};
	int err = 0;

	if (e->has_fqdn && !r->options.has_dns_server)
		err = add_reason(out, e->path,
				 "toFQDNs matches nothing while the agent's DNS server is off");
	else if (e->has_fqdn && !policy_has_dns_rules(r))
		err = add_reason(out, e->path,
				 "toFQDNs matches nothing, as no dns rule of a policy about this host "
				 "lets names be looked up");
	if (err == 0 && e->services.n && !e->is_deny) {
		err = policy_services_resolve(r, e, &found);
		if (err == 0 && found.n == 0)
			err = add_reason(out, e->path,
					 "toServices matches no Service, so it grants nothing");
		selector_list_done(r, &found);
	}
	for (size_t i = 0; err == 0 && e->dir == POLICY_INGRESS && i < e->l4.n; i++)
		if (e->l4.v[i].name &&
		    named_ports_find(r->subject_ports, e->l4.v[i].name, e->l4.v[i].proto) < 0)
			return add_reason(
				out, e->path,
				e->is_deny
					? "this host has no port of that name, so nothing is denied"
					: "this host has no port of that name, so nothing is "
					  "granted");
	return err;
}

static bool object_has_dir(const struct policy_object *o, enum policy_dir dir)
{
	for (size_t i = 0; i < o->rules.n; i++)
		for (size_t k = 0; k < o->rules.v[i].entries.n; k++)
			if (o->rules.v[i].entries.v[k].dir == dir)
				return true;
	return false;
}

static int object_status(struct policy_repo *r, const struct policy_object *o, struct buf *reason,
			 struct policy_status *ret)
{
	bool selects = o->kind == POLICY_CIDR_GROUP;
	int err = o->error ? add_reason(reason, "", o->error) : 0;

	if (err == 0 && o->degraded)
		err = add_reason(reason, "", o->degraded);
	for (size_t i = 0; err == 0 && i < o->rules.n; i++) {
		const struct policy_rule *rule = &o->rules.v[i];

		if (!policy_rule_selects(r, rule))
			continue;
		selects = true;
		for (size_t k = 0; err == 0 && k < rule->entries.n; k++)
			err = entry_reasons(r, &rule->entries.v[k], reason);
	}
	if (err < 0)
		return err;
	*ret = (struct policy_status){.kind = o->kind,
				      .ns = o->ns,
				      .name = o->name,
				      .generation = o->generation,
				      .n_rules = o->rules.n,
				      .has_ingress = object_has_dir(o, POLICY_INGRESS),
				      .has_egress = object_has_dir(o, POLICY_EGRESS),
				      .is_marked = o->is_marked,
				      .reason = reason->len ? reason->data : ""};
	if (!o->is_valid)
		ret->state = POLICY_REJECTED;
	else if (o->error)
		ret->state = POLICY_STALE;
	else if (!selects)
		ret->state = POLICY_NOT_SELECTING;
	else if (o->is_shadow)
		ret->state = POLICY_SHADOW;
	else
		ret->state = reason->len ? POLICY_DEGRADED : POLICY_ENFORCED;
	return 0;
}

static int object_cmp(const struct policy_object *a, const struct policy_object *b)
{
	int r = (int)a->kind - (int)b->kind;

	if (r == 0)
		r = strcmp(a->ns, b->ns);
	return r ? r : strcmp(a->name, b->name);
}

int policy_each(struct policy_repo *r, policy_status_fn fn, void *arg)
{
	struct policy_object *o, *tmp;

	HASH_SORT(r->objects, object_cmp);
	HASH_ITER(hh, r->objects, o, tmp)
	{
		CLEANUP(buf_done) struct buf reason = {.max = 4096};
		struct policy_status st;
		int err = object_status(r, o, &reason, &st);

		if (err == 0)
			err = fn(&st, arg);
		if (err)
			return err;
	}
	return 0;
}
