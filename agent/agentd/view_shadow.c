/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/view_shadow.h"

#include <arpa/inet.h>
#include <errno.h>

#include "agentd/apply.h"
#include "agentd/view.h"
#include "base/clock.h"
#include "base/log.h"
#include "bpf/bpf_map.h"
#include "json/json.h"
#include "plan/plan_service.h"

enum { ENTRIES_MAX = 2048, PEERS_MAX = 200 };

/* One peer and port that the datapath counted, and what the policies say of it now. */
struct sight {
	struct mesh_shadow_key key;
	struct mesh_shadow value;
	struct policy_why why;
};

struct report {
	struct agent *a;
	const char *ns, *name; /* of the one policy that is asked for; NULL = all */
	uint64_t flows[2];     /* new flows in all, by direction */
	uint64_t unlisted;
	ARRAY(struct sight) sights;
	json_t *policies;
};

static void set(json_t *o, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(o, key, value); /* out of memory: the member is missing */
}

static uint64_t age_ms(uint64_t since_us)
{
	uint64_t now = clock_boot_us();

	return since_us && since_us < now ? (now - since_us) / USEC_PER_MSEC : 0;
}

/* Guard and shadow policies come with the world and go when the host leaves. */
static int need_policies(const struct agent *a, struct err *reterr)
{
	int r = view_need_world(a, reterr);

	if (r < 0 || (a->guarding && a->shadowing))
		return r;
	return err_set(reterr, ENOTCONN, "this host has left its cluster");
}

/* What was counted */

static int read_sight(const void *key, const void *value, void *arg)
{
	static const struct mesh_shadow_key rest;
	struct report *rep = arg;
	struct sight s = {0};

	memcpy(&s.key, key, sizeof(s.key));
	memcpy(&s.value, value, sizeof(s.value));
	if (memcmp(&s.key, &rest, sizeof(rest)) == 0) {
		rep->unlisted += s.value.flows;
		return 0;
	}
	if (rep->sights.n >= ENTRIES_MAX) { /* each costs a walk through the rules */
		rep->unlisted += s.value.flows;
		return 0;
	}
	return ARRAY_ADD(&rep->sights, s);
}

static uint16_t port_of(const struct mesh_shadow_key *k)
{
	return ntohs(k->port);
}

/* The answer of the rules for the peer as it is now. */
static int judge(struct report *rep, struct sight *s)
{
	const struct world *w = rep->a->world;
	struct policy_peer peer = {0};

	if (identity_get(w->identities, s->key.identity))
		view_peer_by_number(w, s->key.identity, &peer);
	peer.ip = ip_unmapped(s->key.addr);
	return policy_why_shadow(rep->a->world->policies, &peer, s->key.dir == MESH_INGRESS ? POLICY_INGRESS : POLICY_EGRESS,
				 s->key.proto, port_of(&s->key), &s->why);
}

/* Most flows first. */
static int sight_cmp(const void *pa, const void *pb)
{
	const struct sight *a = pa, *b = pb;

	if (a->value.flows != b->value.flows)
		return a->value.flows > b->value.flows ? -1 : 1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int collect(struct report *rep)
{
	int r = bpfmap_each(datapath_obj(rep->a->datapath), BPFOBJ_SHADOW, read_sight, rep);

	if (r == 0)
		r = bpfmap_shadow_flows(datapath_obj(rep->a->datapath), rep->flows);
	ARRAY_SORT(&rep->sights, sight_cmp);
	for (size_t i = 0; r == 0 && i < rep->sights.n; i++)
		r = judge(rep, &rep->sights.v[i]);
	return r;
}

static void report_done(struct report *rep)
{
	for (size_t i = 0; i < rep->sights.n; i++)
		policy_why_done(&rep->sights.v[i].why);
	ARRAY_DONE(&rep->sights);
	json_decref(rep->policies);
}
DEFINE_CLEANUP_DONE(struct report, report_done)

/* Telling it */

static const char *reason_of(uint8_t action)
{
	switch (action) {
	case POLICY_DENY_RULE:
		return "a deny rule of it";
	case POLICY_DENY_AUTH:
		return "it asks for authentication, which this host cannot do";
	default:
		return "nothing allows it";
	}
}

static json_t *peer_json(const struct agent *a, const struct sight *s)
{
	struct ip ip = ip_unmapped(s->key.addr);
	bool is_icmp = s->key.proto == IPPROTO_ICMP || s->key.proto == IPPROTO_ICMPV6;
	struct ipcache_claim claim;
	const char *name = NULL;
	char text[IP_STRLEN];
	json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o, s:s, s:I, s:I, s:I}", "direction",
			      s->key.dir == MESH_INGRESS ? "ingress" : "egress", "address", ip_str(&ip, text), "identity",
			      (json_int_t)s->key.identity, "labels", view_labels(a, s->key.identity), "protocol",
			      view_protocol(s->key.proto), "reason", reason_of(s->why.verdict.action), "flows",
			      (json_int_t)s->value.flows, "first_seen_ms", (json_int_t)age_ms(s->value.first_ns / 1000),
			      "last_seen_ms", (json_int_t)age_ms(s->value.last_ns / 1000));

	if (!o)
		return NULL;
	if (is_icmp)
		set(o, "icmp_type", json_integer(port_of(&s->key)));
	else if (s->key.port)
		set(o, "port", json_integer(port_of(&s->key)));
	if (ipcache_get(a->world->addresses, &ip, &claim) && claim.identity >= IDENTITY_CLUSTER_MIN &&
	    claim.identity < IDENTITY_LOCAL_CIDR)
		name = endpoint_table_name(a->world->endpoints, claim.owner);
	if (name)
		set(o, "name", json_string(name));
	return o;
}

/* A time for a sentence: the two largest units. */
static const char *time_text(uint64_t ms, char *buf, size_t size)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		(void)snprintf(buf, size, "%llud%lluh", (unsigned long long)(s / 86400), (unsigned long long)(s % 86400 / 3600));
	else if (s >= 3600)
		(void)snprintf(buf, size, "%lluh%llum", (unsigned long long)(s / 3600), (unsigned long long)(s % 3600 / 60));
	else if (s >= 60)
		(void)snprintf(buf, size, "%llum%llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
	else
		(void)snprintf(buf, size, "%llus", (unsigned long long)s);
	return buf;
}

/* What the counts allow to say, and no more. */
static void add_statement(const struct report *rep, json_t *o, uint64_t watched_ms, uint64_t flows, uint64_t would_drop)
{
	const char *verdict = "safe";
	size_t others = shadowing_count(rep->a->shadowing) - 1;
	char text[320], since[32], with[64] = "";

	(void)time_text(watched_ms, since, sizeof(since));
	if (others)
		(void)snprintf(with, sizeof(with), ", together with the other %s",
			       others == 1 ? "shadow policy" : "shadow policies"); /* fits */
	if (would_drop) {
		verdict = "would-drop";
		(void)snprintf(text, sizeof(text), "enforced, it would have dropped %llu of %llu new flows in %s%s",
			       (unsigned long long)would_drop, (unsigned long long)MAX(flows, would_drop), since, with);
	} else if (rep->unlisted) {
		verdict = "unknown";
		(void)snprintf(text, sizeof(text),
			       "%llu flows that shadow policies would have dropped found no room to be told apart",
			       (unsigned long long)rep->unlisted);
	} else if (flows == 0) {
		verdict = "unknown";
		(void)snprintf(text, sizeof(text), "no new flow was seen in %s, so nothing can be said", since);
	} else {
		(void)snprintf(text, sizeof(text),
			       "safe to enforce%s, as far as %s and %llu new flows tell: it would have dropped none of them", with,
			       since, (unsigned long long)flows);
	}
	set(o, "verdict", json_string(verdict));
	set(o, "statement", json_string(text));
}

/* Flows that it is the reason for, since it is watched. */
static void add_peers(const struct report *rep, json_t *o, const struct policy_status *st, const struct shadow_watch *w,
		      uint64_t *ret_flows)
{
	json_t *peers = json_array();
	json_int_t more = 0;

	*ret_flows = 0;
	for (size_t i = 0; w && i < rep->sights.n; i++) {
		const struct sight *s = &rep->sights.v[i];
		enum policy_dir dir = s->key.dir == MESH_INGRESS ? POLICY_INGRESS : POLICY_EGRESS;

		if (s->value.last_ns / 1000 < w->since_us ||
		    !policy_shadow_blames(rep->a->world->policies, &s->why, dir, st->kind, st->ns, st->name))
			continue;
		*ret_flows += s->value.flows ? s->value.flows : 1; /* one that is older than the entry */
		if (json_array_size(peers) >= PEERS_MAX)
			more++;
		else
			(void)json_array_append_new(peers, peer_json(rep->a, s)); /* out of memory: it is missing */
	}
	set(o, "peers", peers);
	set(o, "more_peers", json_integer(more));
}

static int shadow_json(const struct policy_status *st, void *arg)
{
	struct report *rep = arg;
	const struct shadow_watch *w = shadowing_watch(rep->a->shadowing, st->kind, st->ns, st->name);
	bool is_chosen = policy_choice_of(rep->a->world->policies, st->ns, st->name) == POLICY_CHOICE_SHADOW;
	uint64_t flows = 0, would_drop, watched_ms = w ? age_ms(w->since_us) : 0;
	json_t *directions, *o;

	if (st->state != POLICY_SHADOW || (rep->name && (!str_eq(rep->ns, st->ns) || !str_eq(rep->name, st->name))))
		return 0;
	directions = json_array();
	o = json_pack("{s:s, s:s, s:s, s:o}", "kind", policy_kind_str(st->kind), "name", st->name, "by",
		      is_chosen ? "choice" : "annotation", "directions", directions);
	if (!o)
		return -ENOMEM;
	if (*st->ns)
		set(o, "namespace", json_string(st->ns));
	if (st->has_ingress)
		(void)json_array_append_new(directions, json_string("ingress")); /* as in set() */
	if (st->has_egress)
		(void)json_array_append_new(directions, json_string("egress"));
	if (w && st->has_ingress && rep->flows[MESH_INGRESS] > w->flows[MESH_INGRESS])
		flows += rep->flows[MESH_INGRESS] - w->flows[MESH_INGRESS];
	if (w && st->has_egress && rep->flows[MESH_EGRESS] > w->flows[MESH_EGRESS])
		flows += rep->flows[MESH_EGRESS] - w->flows[MESH_EGRESS];
	if (w)
		set(o, "watched_ms", json_integer((json_int_t)watched_ms));
	set(o, "flows", json_integer((json_int_t)flows));
	add_peers(rep, o, st, w, &would_drop);
	set(o, "would_drop", json_integer((json_int_t)would_drop));
	add_statement(rep, o, watched_ms, flows, would_drop);
	return json_array_append_new(rep->policies, o) < 0 ? -ENOMEM : 0;
}

static int choice_json(const char *ns, const char *name, enum policy_choice choice, void *arg)
{
	return json_array_append_new(arg, json_pack("{s:s, s:s, s:s}", "namespace", ns, "name", name, "mode",
						    choice == POLICY_CHOICE_SHADOW ? "shadow" : "enforce"));
}

int view_policy_shadow(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	CLEANUP(report_done) struct report rep = {.a = a, .name = json_str(args, "name", NULL), .ns = json_str(args, "namespace", "")};
	CLEANUP(json_decref) json_t *choices = NULL;
	int r = need_policies(a, reterr);

	if (r < 0)
		return r;
	rep.policies = json_array();
	choices = json_array();
	r = rep.policies && choices ? 0 : -ENOMEM;
	if (r == 0 && shadowing_count(a->shadowing))
		r = collect(&rep);
	if (r == 0)
		r = policy_each(a->world->policies, shadow_json, &rep);
	if (r == 0)
		r = policy_each_choice(a->world->policies, choice_json, choices);
	if (r == 0) {
		*ret = json_pack("{s:O, s:O, s:I}", "policies", rep.policies, "choices", choices, "unlisted_flows",
				 (json_int_t)rep.unlisted);
		r = *ret ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(reterr, -r, "%s", err_name(r)) : 0;
}

/* Choosing */

struct named {
	const char *ns, *name;
	bool is_known, is_marked;
};

static int look_for(const struct policy_status *st, void *arg)
{
	struct named *n = arg;

	if (st->kind == POLICY_CIDR_GROUP || !str_eq(st->ns, n->ns) || !str_eq(st->name, n->name))
		return 0;
	n->is_known = true;
	n->is_marked = n->is_marked || st->is_marked;
	return 0;
}

int view_policy_shadow_set(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct named n = {.ns = json_str(args, "namespace", ""), .name = json_str(args, "name", "")};
	const char *mode = json_str(args, "mode", "");
	enum policy_choice choice = POLICY_CHOICE_NONE;
	int r = need_policies(a, reterr);

	if (r < 0)
		return r;
	if (guarding_is_held(a->guarding))
		return err_set(reterr, EBUSY,
			       "the guard holds the confirmed policies; first meshctl policy confirm, or meshctl policy guard --off");
	if (policy_each(a->world->policies, look_for, &n) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	if (!n.is_known && !str_eq(mode, "auto"))
		return err_set(reterr, ENOENT, "there is no policy %s%s%s", n.ns, *n.ns ? "/" : "", n.name);
	if (str_eq(mode, "on"))
		choice = POLICY_CHOICE_SHADOW;
	else if (str_eq(mode, "off")) /* without an annotation there is nothing to win over */
		choice = n.is_marked ? POLICY_CHOICE_ENFORCE : POLICY_CHOICE_NONE;
	else if (!str_eq(mode, "auto"))
		return err_set(reterr, EINVAL, "mode must be on, off or auto");
	r = shadowing_choose(a->shadowing, n.ns, n.name, choice, reterr);
	if (r < 0)
		return r;
	if (r > 0) {
		log_event(LOG_INFO, "policy.chosen", "the mode of a policy was chosen on this host", F_STR("namespace", n.ns),
			  F_STR("name", n.name), F_STR("mode", mode));
		apply_want(a);
	}
	*ret = json_pack("{s:b, s:s}", "changed", r, "mode",
			 choice == POLICY_CHOICE_SHADOW	   ? "shadow"
			 : choice == POLICY_CHOICE_ENFORCE ? "enforce"
							   : "as-marked");
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

/* The guard */

static int guard_answer(const struct agent *a, json_t **ret, struct err *reterr)
{
	*ret = guarding_json(a->guarding);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int view_policy_guard(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	int r = need_policies(arg, reterr);

	(void)args;
	return r < 0 ? r : guard_answer(arg, ret, reterr);
}

int view_policy_guard_set(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *confirm = json_str(args, "confirm", NULL);
	uint64_t timeout_us;
	int r = need_policies(a, reterr);

	if (r < 0)
		return r;
	if (!confirm && !json_truth(args, "off", 0))
		return err_set(reterr, EINVAL, "neither a time nor off is given");
	if (confirm && !datapath_is_ready(a->datapath))
		return err_set(reterr, EBUSY, "no policy is in force yet that could be confirmed");
	if (confirm) {
		r = guard_parse_timeout(confirm, &timeout_us, reterr);
		if (r == 0)
			r = guarding_arm(a->guarding, timeout_us, reterr);
	} else {
		r = guarding_end(a->guarding, reterr);
	}
	if (r < 0)
		return r;
	log_event(LOG_INFO, "policy.guard", confirm ? "a guard was armed" : "the guard was taken off");
	apply_want(a);
	return guard_answer(a, ret, reterr);
}

int view_policy_confirm(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	int r = need_policies(a, reterr);

	(void)args;
	if (r == 0)
		r = guarding_confirm(a->guarding, reterr);
	if (r < 0)
		return r;
	log_event(LOG_INFO, "policy.confirmed", "the policies in force were confirmed");
	apply_want(a);
	return guard_answer(a, ret, reterr);
}
