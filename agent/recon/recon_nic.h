/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which interfaces are external, that is, get the policy programs. Pure functions.
 *
 * An interface that is no loopback and not our own tunnel is external if
 *  - a pattern of the configuration names it (the patterns, if there are any, decide alone), or
 *  - a packet to one of the given targets (API servers, nodes) or to the default route leaves by it, or
 *  - it is hardware (no link kind: virtio, e1000, SR-IOV...) or MACsec, of which hardware shows nothing, or a bond, team or bridge with such
 *    a port or a tunnel for one, or a VLAN, macvlan, macvtap, ipvlan or ipvtap on something that is no external interface
 *    here, or
 *  - it is a tunnel (wireguard, tun, ppp, gre, vxlan...) or a veth with an address of its own.
 * Never are ports (of a bond, bridge...; a VRF does not count, its ports do) and VLANs or macvlans above an external
 * interface, since the interface above or below sees each of their packets already; nor bridges with no such port
 * (docker0, virbr0), tap devices and veths without address: there the far end is a container or a
 * guest of this very host, whose packets to the outside pass an external interface later.
 * Whether it is up does not matter: programs must be there before the first packet. One that is down has
 * lost routes and IPv6 addresses, so what was external before it went down stays so.
 */
#pragma once

#include "base/str.h"
#include "netlink/nl_addr.h"
#include "netlink/nl_link.h"

struct nic {
	int ifindex;
	uint32_t mtu;
	uint16_t type; /* ARPHRD_* */
	bool is_up;
	bool is_underlay; /* a target or the default route is behind it */
	char name[IFNAMSIZ];
};

struct nics {
	struct nic *v;
	size_t n, cap;
};

struct nic_inputs {
	const struct nl_links *links;
	const struct nl_addrs *addrs;
	const int *underlay; /* ifindexes that targets and default routes leave by */
	size_t n_underlay;
	const struct strv *patterns; /* fnmatch(3); NULL or empty = automatic */
	int tunnel_ifindex;	     /* 0 = none */
	const struct nics *before;   /* the last choice; may be NULL */
};

/* Fills `ret`, sorted by ifindex; its old content is dropped. 0 or -ENOMEM. */
int nics_pick(const struct nic_inputs *in, struct nics *ret);

/* Whether a link of in->links is external. */
bool nics_wants(const struct nic_inputs *in, const struct nl_link *l);

/* NULL if it is not among them. */
const struct nic *nics_find(const struct nics *n, int ifindex);

bool nics_same(const struct nics *a, const struct nics *b);
void nics_done(struct nics *n);
DEFINE_CLEANUP_DONE(struct nics, nics_done)
