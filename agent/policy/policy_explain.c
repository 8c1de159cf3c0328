/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>

#include "base/macro.h"
#include "json/json.h"
#include "policy/policy_near.h"
#include "policy/policy_rule.h"

enum { NAMED_MAX = 3 }; /* policies in a sentence; the lists have all */

/* Words of the question */

static int parse_direction(const char *text, enum policy_dir *ret, struct err *reterr)
{
	if (!text)
		return err_set(reterr, EINVAL, "--direction is missing: ingress or egress");
	if (str_eq(text, "ingress"))
		*ret = POLICY_INGRESS;
	else if (str_eq(text, "egress"))
		*ret = POLICY_EGRESS;
	else
		return err_set(reterr, EINVAL, "--direction %.40s: must be ingress or egress", text);
	return 0;
}

static int parse_protocol(const char *text, uint8_t *ret, struct err *reterr)
{
	static const struct {
		const char *name;
		uint8_t number;
	} names[] = {{"tcp", IPPROTO_TCP},
		     {"udp", IPPROTO_UDP},
		     {"sctp", IPPROTO_SCTP},
		     {"icmp", IPPROTO_ICMP},
		     {"icmpv6", IPPROTO_ICMPV6}};
	uint64_t number;

	if (!text)
		return err_set(reterr, EINVAL, "--protocol is missing: tcp, udp, sctp, icmp, icmpv6 or a number");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(text, names[i].name) == 0) {
			*ret = names[i].number;
			return 0;
		}
	if (str_to_u64(text, UINT8_MAX, &number) < 0)
		return err_set(reterr, EINVAL, "--protocol %.40s: must be tcp, udp, sctp, icmp, icmpv6 or a number up to 255",
			       text);
	*ret = (uint8_t)number;
	return 0;
}

static int parse_number(const char *option, const char *text, uint64_t max, const char *why, uint16_t *ret,
			struct err *reterr)
{
	uint64_t number;

	if (!text)
		return err_set(reterr, EINVAL, "%s is missing: %s", option, why);
	if (str_to_u64(text, max, &number) < 0)
		return err_set(reterr, EINVAL, "%s %.40s: must be a number up to %u", option, text, (unsigned)max);
	*ret = (uint16_t)number;
	return 0;
}

int policy_question_parse(const struct policy_question_text *text, struct policy_question *ret, struct err *reterr)
{
	struct policy_question q = {0};
	bool is_icmp, has_ports;
	uint16_t ignored;
	int r = parse_direction(text->direction, &q.dir, reterr);

	if (r == 0)
		r = parse_protocol(text->protocol, &q.proto, reterr);
	if (r < 0)
		return r;
	is_icmp = q.proto == IPPROTO_ICMP || q.proto == IPPROTO_ICMPV6;
	has_ports = q.proto == IPPROTO_TCP || q.proto == IPPROTO_UDP || q.proto == IPPROTO_SCTP;
	if (!is_icmp && text->icmp_type)
		return err_set(reterr, EINVAL, "--icmp-type %.40s: only icmp and icmpv6 have types", text->icmp_type);
	if (is_icmp)
		r = parse_number("--icmp-type", text->icmp_type, UINT8_MAX, "icmp and icmpv6 need a type", &q.port, reterr);
	else if (has_ports)
		r = parse_number("--port", text->port, UINT16_MAX, "tcp, udp and sctp need a destination port", &q.port,
				 reterr);
	if (r == 0 && text->port)
		r = parse_number("--port", text->port, UINT16_MAX, "", &ignored, reterr);
	if (r == 0)
		*ret = q;
	return r;
}

/* Words of the answer */

static const char *action_of(const struct policy_match *m)
{
	if (m->is_deny)
		return "deny";
	if (m->is_restricted)
		return "proxy";
	return m->needs_auth ? "auth" : "allow";
}

static const char *dir_str(enum policy_dir dir)
{
	return dir == POLICY_INGRESS ? "ingress" : "egress";
}

static int say_rule(const struct policy_repo *r, const char *what, uint32_t rule, struct buf *out)
{
	struct policy_origin o;

	if (policy_origin(r, rule, &o) < 0)
		return buf_addf(out, "%s", what);
	return buf_addf(out, "%s by %s %s%s%s, %s", what, policy_kind_str(o.kind), o.ns, *o.ns ? "/" : "", o.name, o.path);
}

static int say_allow(const struct policy_repo *r, const struct policy_why *w, enum policy_dir dir, struct buf *out)
{
	if (w->verdict.rule)
		return say_rule(r, "allowed", w->verdict.rule, out);
	if (r->options.mode == POLICY_MODE_NEVER)
		return buf_addf(out, "enable-policy is never: nothing is enforced");
	if (!w->is_enforced)
		return buf_addf(out, "no policy is about the subject's %s: everything is allowed", dir_str(dir));
	if (!w->is_default_deny)
		return buf_addf(out, "no rule denies it, and no policy denies %s by default", dir_str(dir));
	return buf_addf(out, "the local host is let in where no rule denies it: allow-localhost");
}

/* Whether a rule that grants nothing by itself does so because it is about DNS names. */
static bool is_about_names(const struct policy_repo *r, uint32_t rule)
{
	const struct policy_entry *e = rule < r->by_number.n ? r->by_number.v[rule] : NULL;

	for (size_t i = 0; e && i < e->l4.n; i++)
		if (e->l4.v[i].has_dns && r->options.has_dns_server)
			return true;
	return false;
}

static int origin_cmp(const void *pa, const void *pb)
{
	const struct policy_origin *a = pa, *b = pb;
	int r = (int)a->kind - (int)b->kind;

	if (r == 0)
		r = strcmp(a->ns, b->ns);
	if (r == 0)
		r = strcmp(a->name, b->name);
	return r ? r : strverscmp(a->path, b->path); /* [10] comes after [9] */
}

/* Where the rules that deny by default come from, in order; on the heap. NULL when out of memory. */
static struct policy_origin *isolators_of(const struct policy_repo *r, const struct policy_why *w, size_t *ret_n)
{
	struct policy_origin *v = calloc(w->n_isolators + 1, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; v && i < w->n_isolators; i++)
		if (policy_origin(r, w->isolators[i], &v[n]) == 0)
			n++;
	if (v)
		qsort(v, n, sizeof(*v), origin_cmp);
	*ret_n = n;
	return v;
}

/* " by CiliumNetworkPolicy legacy/strict, ... and 4 more" */
static int say_isolators(const struct policy_repo *r, const struct policy_why *w, struct buf *out)
{
	size_t n;
	CLEANUP(free) struct policy_origin *v = isolators_of(r, w, &n);
	int err = v ? 0 : -ENOMEM;

	for (size_t i = 0; err == 0 && i < n && i < NAMED_MAX; i++)
		err = buf_addf(out, "%s%s %s%s%s", i ? ", " : " by ", policy_kind_str(v[i].kind), v[i].ns, *v[i].ns ? "/" : "", v[i].name);
	if (err == 0 && n > NAMED_MAX)
		err = buf_addf(out, " and %zu more", n - NAMED_MAX);
	return err;
}

static int say_default(const struct policy_repo *r, const struct policy_why *w, enum policy_dir dir, struct buf *out)
{
	bool has_restricted = false, has_names = false;
	int err;

	for (size_t i = 0; i < w->n_matches; i++) {
		if (!w->matches[i].is_restricted)
			continue;
		if (is_about_names(r, w->matches[i].rule))
			has_names = true;
		else
			has_restricted = true;
	}
	err = buf_addf(out, "no rule allows it, and %s is denied by default%s", dir_str(dir),
		       r->options.mode == POLICY_MODE_ALWAYS ? ": enable-policy is always" : "");
	if (err == 0 && r->options.mode != POLICY_MODE_ALWAYS)
		err = say_isolators(r, w, out);
	if (err == 0 && has_restricted)
		err = buf_addf(out, "; a rule that matches needs an L7 proxy, which this host has not");
	if (err == 0 && has_names)
		err = buf_addf(out, "; a dns rule matches, which is about names that the agent's DNS server is asked for");
	return err;
}

static int say(const struct policy_repo *r, const struct policy_why *w, enum policy_dir dir, struct buf *out)
{
	switch ((enum policy_action)w->verdict.action) {
	case POLICY_ALLOW:
		return say_allow(r, w, dir, out);
	case POLICY_DENY_RULE:
		return say_rule(r, "denied", w->verdict.rule, out);
	case POLICY_DENY_AUTH:
		return say_rule(r, "authentication, which this host cannot do, is asked for", w->verdict.rule, out);
	default:
		return say_default(r, w, dir, out);
	}
}

/* A match with its place, to be sorted. */
struct told {
	struct policy_origin origin;
	const struct policy_match *match;
};

static int told_cmp(const void *pa, const void *pb)
{
	const struct told *a = pa, *b = pb;
	int r = origin_cmp(&a->origin, &b->origin);

	return r ? r : (a->match->rule > b->match->rule) - (a->match->rule < b->match->rule);
}

static json_t *rules_json(const struct policy_repo *r, const struct policy_why *w)
{
	CLEANUP(json_decref) json_t *list = json_array();
	CLEANUP(free) struct told *v = calloc(w->n_matches + 1, sizeof(*v));
	size_t n = 0;

	if (!list || !v)
		return NULL;
	for (size_t i = 0; i < w->n_matches; i++)
		if (policy_origin(r, w->matches[i].rule, &v[n].origin) == 0)
			v[n++].match = &w->matches[i];
	qsort(v, n, sizeof(*v), told_cmp);
	for (size_t i = 0; i < n; i++) {
		json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", policy_kind_str(v[i].origin.kind), "namespace",
				      v[i].origin.ns, "name", v[i].origin.name, "path", v[i].origin.path, "action",
				      action_of(v[i].match));

		if (json_array_append_new(list, o) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static json_t *isolators_json(const struct policy_repo *r, const struct policy_why *w)
{
	CLEANUP(json_decref) json_t *list = json_array();
	size_t n;
	CLEANUP(free) struct policy_origin *v = isolators_of(r, w, &n);

	if (!list || !v)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", policy_kind_str(v[i].kind), "namespace", v[i].ns,
							  "name", v[i].name)) < 0)
			return NULL;
	return TAKE_PTR(list);
}

int policy_explain_isolation(const struct policy_repo *r, enum policy_dir dir, json_t **ret)
{
	CLEANUP(policy_why_done) struct policy_why why = {0};
	struct policy_numbers numbers = {0};
	int err = policy_isolators(r, dir, false, &numbers);

	why.isolators = numbers.v;
	why.n_isolators = numbers.n;
	if (err < 0)
		return err;
	*ret = isolators_json(r, &why);
	return *ret ? 0 : -ENOMEM;
}

/* A rule that would have allowed it, and what it lacks for that. */
struct near_told {
	struct policy_origin origin; /* first, for origin_cmp() */
	const char *differs;
};

static json_t *near_json(const struct policy_repo *r, const struct policy_why *w)
{
	CLEANUP(json_decref) json_t *list = json_array();
	CLEANUP(free) struct near_told *v = calloc(w->n_near + 1, sizeof(*v));
	size_t n = 0;

	if (!list || !v)
		return NULL;
	for (size_t i = 0; i < w->n_near; i++) {
		if (policy_origin(r, w->near[i].rule, &v[n].origin) < 0)
			continue;
		v[n++].differs = w->near[i].is_other_peer ? "peer" : "port";
	}
	qsort(v, n, sizeof(*v), origin_cmp);
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", policy_kind_str(v[i].origin.kind),
							  "namespace", v[i].origin.ns, "name", v[i].origin.name, "path",
							  v[i].origin.path, "differs", v[i].differs)) < 0)
			return NULL;
	return TAKE_PTR(list);
}

int policy_explain(struct policy_repo *r, const struct policy_why *why, enum policy_dir dir, json_t **ret)
{
	CLEANUP(buf_done) struct buf reason = {0};
	json_t *rules = rules_json(r, why), *isolators = isolators_json(r, why), *near = near_json(r, why), *o;

	if (!rules || !isolators || !near || say(r, why, dir, &reason) < 0) {
		json_decref(rules);
		json_decref(isolators);
		json_decref(near);
		return -ENOMEM;
	}
	o = json_pack("{s:s, s:s, s:o, s:o, s:o}", "verdict", why->verdict.action == POLICY_ALLOW ? "allow" : "deny", "reason",
		      reason.data, "rules", rules, "isolated_by", isolators, "near", near);
	if (!o)
		return -ENOMEM;
	*ret = o;
	return 0;
}
