/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/view.h"

#include <arpa/inet.h>
#include <net/if.h>

#include "bpf/bpf_map.h"
#include "ctl/ctl_verbs.h"
#include "plan/plan_service.h"
#include "policy/policy_explain.h"

static void set(json_t *o, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(o, key, value); /* out of memory: the member is missing */
}

static void set_flags(json_t *o, uint8_t flags)
{
	static const char letters[] = "FSRPAUEC";
	char text[sizeof(letters)];
	size_t n = 0;

	for (unsigned bit = 0; bit < 8; bit++)
		if (flags & (1u << bit))
			text[n++] = letters[bit];
	text[n] = '\0';
	set(o, "tcp_flags", json_string(text));
}

static void set_rule(const struct agent *a, json_t *o, uint32_t rule)
{
	struct policy_origin origin;
	json_t *r;

	if (!rule || !a->world || policy_origin(a->world->policies, rule, &origin) < 0)
		return;
	r = json_pack("{s:s, s:s, s:s}", "kind", policy_kind_str(origin.kind), "name", origin.name, "path", origin.path);
	if (r && *origin.ns)
		set(r, "namespace", json_string(origin.ns));
	set(o, "rule", r);
}

void agent_forget_isolation(struct agent *a)
{
	for (unsigned dir = 0; dir < POLICY_DIRS; dir++)
		json_decref(a->isolation.by[dir]);
	a->isolation = (struct view_isolation){0};
}

/* Whose default deny it is. */
static void set_isolation(struct agent *a, json_t *o, enum policy_dir dir)
{
	uint64_t generation = a->world ? policy_generation(a->world->policies) : 0;

	if (!a->world)
		return;
	if (generation != a->isolation.generation)
		agent_forget_isolation(a);
	a->isolation.generation = generation;
	if (!a->isolation.by[dir] && policy_explain_isolation(a->world->policies, dir, &a->isolation.by[dir]) < 0)
		return; /* out of memory: the member is missing */
	if (json_array_size(a->isolation.by[dir]))
		set(o, "isolated_by", json_incref(a->isolation.by[dir]));
}

static void set_peer(const struct agent *a, json_t *o, const struct mesh_event *ev)
{
	struct ip ip = ip_unmapped(ev->dir == MESH_INGRESS ? ev->saddr : ev->daddr);
	json_t *peer = json_pack("{s:I, s:o}", "identity", (json_int_t)ev->peer, "labels", view_labels(a, ev->peer));
	struct ipcache_claim claim;

	if (peer && a->world && ipcache_get(a->world->addresses, &ip, &claim) && claim.identity == ev->peer &&
	    claim.identity >= IDENTITY_CLUSTER_MIN && claim.identity < IDENTITY_LOCAL_CIDR) {
		const char *name = endpoint_table_name(a->world->endpoints, claim.owner);

		if (name)
			set(peer, "name", json_string(name));
	}
	set(o, "peer", peer);
}

/* "audit", "shadow": policy or shadow policies would have dropped it, and it passed. */
static const char *verdict_of(const struct mesh_event *ev)
{
	if (ev->flags & MESH_EV_AUDIT)
		return "audit";
	if (ev->flags & MESH_EV_SHADOW)
		return "shadow";
	return ev->reason >= MESH_DROP_FIRST ? "deny" : "allow";
}

/* Denied because policies about the direction allow it nowhere. The backstop names the peer if it has asked them. */
static bool is_default_deny(const struct mesh_event *ev)
{
	if (ev->flags & MESH_EV_AUDIT)
		return !ev->rule;
	return ev->reason == MESH_DROP_POLICY ||
	       (ev->reason == MESH_DROP_BACKSTOP && ev->peer && ev->verdict == MESH_DENY_DEFAULT);
}

void agent_publish_event(struct agent *a, const struct mesh_event *ev)
{
	struct ip source = ip_unmapped(ev->saddr), destination = ip_unmapped(ev->daddr);
	char src[IP_STRLEN], dst[IP_STRLEN], name[IF_NAMESIZE];
	bool is_drop = ev->reason >= MESH_DROP_FIRST;
	const char *reason = bpfmap_reason_text(ev->reason);
	bool has_ports = ev->proto == IPPROTO_TCP || ev->proto == IPPROTO_UDP || ev->proto == IPPROTO_SCTP;
	json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:i, s:s, s:b, s:i, s:s, s:s, s:o, s:I, s:I}", "type",
			      ev->flags & (MESH_EV_AUDIT | MESH_EV_SHADOW) ? verdict_of(ev) : is_drop ? "drop" : "verdict",
			      "direction",
			      ev->dir == MESH_INGRESS ? "ingress" : "egress", "time_us", (json_int_t)(ev->time_ns / 1000),
			      "reason", reason ? reason : "unknown", "reason_code", ev->reason, "verdict",
			      verdict_of(ev), "tunnel", !!(ev->flags & MESH_EV_TUNNEL), "family", ev->family,
			      "source", ev->family ? ip_str(&source, src) : "", "destination",
			      ev->family ? ip_str(&destination, dst) : "", "protocol", view_protocol(ev->proto), "bytes",
			      (json_int_t)ev->len_bytes, "suppressed", (json_int_t)ev->suppressed);

	if (!o)
		return;
	if (if_indextoname(ev->ifindex, name))
		set(o, "interface", json_string(name));
	if (has_ports) {
		set(o, "source_port", json_integer(ntohs(ev->sport)));
		set(o, "destination_port", json_integer(ntohs(ev->dport)));
	}
	if (ev->proto == IPPROTO_TCP)
		set_flags(o, ev->tcp_flags);
	else if (ev->proto == IPPROTO_ICMP || ev->proto == IPPROTO_ICMPV6)
		set(o, "icmp_type", json_integer(ev->tcp_flags));
	set_peer(a, o, ev);
	set_rule(a, o, ev->rule);
	if (is_default_deny(ev))
		set_isolation(a, o, ev->dir == MESH_INGRESS ? POLICY_INGRESS : POLICY_EGRESS);
	(void)ctl_publish(a->ctl, CTL_TOPIC_MONITOR, o); /* out of memory: one event less */
	json_decref(o);
}
