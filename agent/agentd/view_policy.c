/* SPDX-License-Identifier: Apache-2.0 */
/* policy.why: one packet under the policies in force. */
#include "agentd/view.h"

#include <errno.h>
#include <netinet/in.h>

#include "json/json.h"
#include "policy/policy_explain.h"
#include "policy/policy_shadow.h"

/* The other side as the datapath sees it. */
struct asked_peer {
	struct policy_peer peer;
	uint32_t identity;
	bool is_tunnelled;
};

/* Policies are asked by what is known of the number; an address adds what its prefixes say. */
void view_peer_by_number(const struct world *w, uint32_t number, struct policy_peer *ret)
{
	const struct identity *id = identity_get(w->identities, number);

	ret->is_unknown = !id;
	ret->labels = id ? id->labels : NULL;
	if (id && id->ports) {
		ret->ports = id->ports->told;
		ret->n_ports = id->ports->n_told;
	}
}

static int peer_of(struct agent *a, const json_t *args, struct asked_peer *ret, struct err *reterr)
{
	const char *address = json_str(args, "address", NULL);
	json_int_t number = json_int(args, "identity", -1);
	struct asked_peer p = {0};
	struct ipcache_claim claim;

	if (!address && number < 0)
		return err_set(reterr, EINVAL, "neither address nor identity is given");
	if (!address) {
		p.identity = number <= UINT32_MAX ? (uint32_t)number : 0;
		if (number && !identity_get(a->world->identities, p.identity))
			return err_set(reterr, ENOENT, "identity %lld is not known to this host", (long long)number);
		view_peer_by_number(a->world, p.identity, &p.peer);
	} else if (ip_parse(address, &p.peer.ip) < 0) {
		return err_set(reterr, EINVAL, "\"%.60s\" is no address", address);
	} else {
		p.identity = world_identity_of(a->world, &p.peer.ip);
		if (ipcache_get(a->world->addresses, &p.peer.ip, &claim)) {
			p.is_tunnelled = claim.flags & IPCACHE_IS_TUNNELLED;
			view_peer_by_number(a->world, p.identity, &p.peer);
		}
	}
	*ret = p;
	return 0;
}

/* As the map is asked: whole port, longest prefix; packets of the tunnel are not looked at. */
static bool has_failsafe(const struct agent *a, const struct asked_peer *p, const struct policy_question *q)
{
	enum mesh_dir dir = q->dir == POLICY_INGRESS ? MESH_INGRESS : MESH_EGRESS;
	bool is_icmp = q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6;
	const struct failsafe_entry *v = NULL;
	size_t n = a->datapath && !p->is_tunnelled ? datapath_failsafe(a->datapath, &v) : 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].dir == dir && v[i].protocol == q->proto && v[i].port == (is_icmp ? 0 : q->port) &&
		    (!v[i].cidr.ip.family || (p->peer.ip.family && cidr_contains_ip(&v[i].cidr, &p->peer.ip))))
			return true;
	return false;
}

static int question_of(const json_t *args, struct policy_question *ret, struct err *reterr)
{
	const struct policy_question_text text = {.direction = json_str(args, "direction", NULL),
						  .protocol = json_str(args, "protocol", NULL),
						  .port = json_str(args, "port", NULL),
						  .icmp_type = json_str(args, "icmp_type", NULL)};

	return policy_question_parse(&text, ret, reterr);
}

/* What the answer says beyond the rules. */
static int add_circumstances(const struct agent *a, const struct asked_peer *p, const struct policy_question *q,
			     json_t *answer)
{
	CLEANUP(json_decref) json_t *enforcement = view_enforcement(a);
	const char *state = json_str(enforcement, q->dir == POLICY_INGRESS ? "ingress" : "egress", "disabled");
	bool is_failsafe = has_failsafe(a, p, q);
	int r = json_object_set_new(answer, "identity", json_integer((json_int_t)p->identity));

	r |= json_object_set_new(answer, "labels", view_labels(a, p->identity));
	r |= json_object_set_new(answer, "failsafe", json_boolean(is_failsafe));
	r |= json_object_set_new(answer, "enforcement", json_string(state));
	if (is_failsafe) {
		r |= json_object_set_new(answer, "verdict", json_string("allow"));
		r |= json_object_set_new(answer, "reason",
					 json_string("the failsafe set lets it through before any policy is asked"));
	}
	return r ? -ENOMEM : 0;
}

/* What the shadow policies would make of it, if some are about that direction. */
static int add_shadow(const struct agent *a, const struct asked_peer *p, const struct policy_question *q, json_t *answer)
{
	CLEANUP(policy_why_done) struct policy_why why = {0};
	json_t *shadow;
	int r;

	if (!policy_table_shadowed(a->world->table, q->dir))
		return 0;
	r = policy_why_shadow(a->world->policies, &p->peer, q->dir, q->proto, q->port, &why);
	if (r == 0)
		r = policy_explain(a->world->policies, &why, q->dir, &shadow);
	return r < 0 ? r : json_object_set_new(answer, "shadow", shadow) < 0 ? -ENOMEM : 0;
}

int view_policy_why(struct agent *a, const json_t *args, json_t **ret, struct err *reterr)
{
	CLEANUP(policy_why_done) struct policy_why why = {0};
	CLEANUP(json_decref) json_t *answer = NULL;
	struct policy_question q;
	struct asked_peer p;
	int r = question_of(args, &q, reterr);

	if (r == 0)
		r = peer_of(a, args, &p, reterr);
	if (r < 0)
		return r;
	r = policy_why(a->world->policies, &p.peer, q.dir, q.proto, q.port, &why);
	if (r == 0)
		r = policy_explain(a->world->policies, &why, q.dir, &answer);
	if (r == 0)
		r = add_shadow(a, &p, &q, answer);
	if (r == 0)
		r = add_circumstances(a, &p, &q, answer);
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	*ret = TAKE_PTR(answer);
	return 0;
}
