/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/tunnel_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bpf/bpf_map.h"
#include "netlink/nl_link.h"

/* One or two may be cut or meant for nobody. */
enum { OUTER_MIN = 3 };

#define CONDITION "datapath.tunnel-blocked"

struct tunnel_watch {
	struct health *health;
	const struct bpfobj *obj;
	struct recon_net *net;
	struct tunnel_counts before, now;
	char text[200], remedy[200]; /* of the condition, which borrows the latter */
	uint16_t port;
	bool has_before, has_inner, is_asking;
};

enum tunnel_flow tunnel_flow(const struct tunnel_counts *before, const struct tunnel_counts *now)
{
	uint64_t inner = now->inner >= before->inner ? now->inner - before->inner : now->inner;

	if (inner)
		return TUNNEL_FLOWS;
	return now->outer >= before->outer && now->outer - before->outer >= OUTER_MIN ? TUNNEL_BLOCKED : TUNNEL_QUIET;
}

static void tell(struct tunnel_watch *w)
{
	switch (tunnel_flow(&w->before, &w->now)) {
	case TUNNEL_FLOWS:
		health_clear(w->health, CONDITION);
		break;
	case TUNNEL_BLOCKED:
		(void)snprintf(w->text, sizeof(w->text), "packets of the cluster's tunnel, UDP port %u, arrive and go no further: a packet "
			       "filter of this host drops them, so no pod reaches it and no answer of a pod does", w->port); /* fits */
		(void)snprintf(w->remedy, sizeof(w->remedy), "let UDP port %u in; with firewalld: firewall-cmd --permanent --add-port=%u/udp "
			       "&& firewall-cmd --reload; else see: nft list ruleset", w->port, w->port); /* fits */
		health_raise(w->health, HEALTH_ERROR, CONDITION, w->text, w->remedy);
		break;
	case TUNNEL_QUIET:
		break;
	}
}

static int on_device(const struct nlmsghdr *msg, void *arg)
{
	struct tunnel_watch *w = arg;

	w->has_inner = nl_link_received(msg, &w->now.inner) == 0; /* else there is nothing to compare */
	return 0;
}

static void on_done(int r, const struct err *why, void *arg)
{
	struct tunnel_watch *w = arg;

	(void)why;
	w->is_asking = false;
	if (r < 0 || !w->has_inner) { /* no device now, so nothing to say of it */
		w->has_before = false;
		return;
	}
	if (w->has_before)
		tell(w);
	w->before = w->now;
	w->has_before = true;
}

void tunnel_watch_look(struct tunnel_watch *w, uint16_t port)
{
	struct mesh_counter counters[MESH_REASON_MAX * 2];

	if (w->is_asking || !recon_net_status(w->net)->tunnel_ifindex || bpfmap_counters(w->obj, counters) < 0)
		return; /* the next look may tell */
	w->port = port;
	w->now.outer = counters[MESH_PASS_TUNNEL * 2 + MESH_INGRESS].packets;
	w->has_inner = false;
	w->is_asking = recon_net_get_tunnel(w->net, &(struct nl_reply){.part = on_device, .done = on_done, .arg = w}) == 0;
}

int tunnel_watch_new(struct health *health, const struct bpfobj *obj, struct recon_net *net, struct tunnel_watch **ret)
{
	struct tunnel_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->health = health;
	w->obj = obj;
	w->net = net;
	*ret = w;
	return 0;
}

void tunnel_watch_free(struct tunnel_watch *w)
{
	if (w)
		health_clear(w->health, CONDITION);
	free(w);
}
