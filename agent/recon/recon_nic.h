/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which interfaces are external, that is, get the policy programs. Pure functions.
 *
 * An interface that is no loopback and not our own tunnel is external if a pattern of the configuration names it: the patterns, if
 * there are any, decide alone. Else it is if a packet to one of the given targets (API servers, nodes) or to the default route leaves
 * by it, and otherwise by its kind, from the table in recon_nic.c:
 *
 *	role	kinds					external
 *	card	none (virtio, e1000, SR-IOV...), dsa,	always; but without an address not what only carries the frames of a switch's
 *		hsr, ipoib, macsec			ports (dsa) or of a modem's channels (rmnet), nor CAN, monitors of radio...
 *	above	vlan, macvlan, macvtap, ipvlan, ipvtap,	on something that is not external here: that sees each of its packets
 *		virt_wifi
 *	group	bond, team, bridge, batadv		with a card or a tunnel for a port, or something above a card
 *	tunnel	wireguard, tun, ppp, gre, vxlan, wwan,	with an address of its own
 *		rmnet...
 *	end	veth, netkit, openvswitch, and kinds	with an address of its own: without, the far end is a container or a guest
 *		that are not in the table		of this very host, whose packets to the outside pass another one later
 *	inside	tap, dummy, ifb, vrf, nlmon, can...	never
 *
 * Never are ports of a bond, team, bridge, Open vSwitch or failover card, since that sees each of their packets; those of HSR, batadv
 * and a VRF are as if they were none.
 *
 * How their frames are read is up to bpf_attach.h: as Ethernet, or as bare IP; those of ipoib, 6LoWPAN and others like them cannot be.
 * Whether it is up does not matter: programs must be there before the first packet. One that is down has
 * lost routes and IPv6 addresses, so what was external before it went down stays so; as does a tunnel or an end that has lost its
 * address, since the next one may come with a packet.
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

/*
 * Whether whatever comes by a link of in->links needs no second look: its far end is on this host, as that of docker0, or
 * the external interface that it is, or that it is stacked on or gathers, is one that `is_held` is true for. False where that
 * cannot be told.
 */
typedef bool (*nics_held_fn)(int ifindex, void *arg);
bool nics_covers(const struct nic_inputs *in, const struct nl_link *l, nics_held_fn is_held, void *arg);

/* NULL if it is not among them. */
const struct nic *nics_find(const struct nics *n, int ifindex);

bool nics_same(const struct nics *a, const struct nics *b);
void nics_done(struct nics *n);
DEFINE_CLEANUP_DONE(struct nics, nics_done)
