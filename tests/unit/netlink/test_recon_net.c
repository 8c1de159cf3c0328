/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the network reconciler: which interfaces are external, what to do to routes. */
#include <criterion/criterion.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "recon/recon_nic.h"
#include "recon/recon_route.h"

#define LINK(i, n, k, ...) {.ifindex = (i), .name = n, .kind = k, .mtu = 1500, __VA_ARGS__}
#define ETHER		   .type = ARPHRD_ETHER
#define UP		   .flags = IFF_UP

static struct nl_link machine[] = {
	LINK(1, "lo", "", .flags = IFF_UP | IFF_LOOPBACK, .type = ARPHRD_LOOPBACK),
	LINK(2, "eth0", "", UP, ETHER),
	LINK(3, "eth1", "", .flags = 0, ETHER),		   /* down */
	LINK(4, "eth2", "", .master = 6, UP, ETHER),		   /* port of a bond */
	LINK(5, "eth3", "", .master = 6, UP, ETHER),
	LINK(6, "bond0", "bond", UP, ETHER),
	LINK(7, "bond0.7", "vlan", .lower = 6, UP, ETHER),		   /* bond0 sees its packets */
	LINK(8, "docker0", "bridge", UP, ETHER),
	LINK(9, "veth1", "veth", .master = 8, .has_far_peer = true, UP, ETHER),
	LINK(10, "lxc1", "veth", .has_far_peer = true, UP, ETHER),	   /* far end of a container, no address */
	LINK(11, "eth9", "veth", .has_far_peer = true, UP, ETHER),	   /* we are the container */
	LINK(12, "wg0", "wireguard", .type = ARPHRD_NONE, UP),
	LINK(13, "tap0", "tun", UP, ETHER),
	LINK(14, "mesh_tun", "vxlan", UP, ETHER),
	LINK(15, "br1", "bridge", UP, ETHER),			   /* of a virtual machine host */
	LINK(16, "eth4", "", .master = 15, UP, ETHER),
	LINK(17, "vlan9", "vlan", .has_far_peer = true, UP, ETHER),   /* given to this container */
	LINK(18, "virbr0", "bridge", UP, ETHER),
	LINK(19, "vrf1", "vrf", UP, ETHER),
	LINK(20, "eth5", "", .master = 19, UP, ETHER),		   /* a VRF hides nothing */
};
static struct nl_addr addresses[] = {
	{.ifindex = 8, .ip = {AF_INET, {172, 17, 0, 1}}},
	{.ifindex = 10, .ip = {AF_INET6, {0xfe, 0x80}}, .scope = RT_SCOPE_LINK},
	{.ifindex = 11, .ip = {AF_INET, {10, 0, 0, 2}}},
	{.ifindex = 12, .ip = {AF_INET, {10, 1, 0, 2}}},
	{.ifindex = 13, .ip = {AF_INET, {10, 2, 0, 2}}},
};

static void expect(const struct nic_inputs *in, const char *const *names)
{
	struct nics got = {0};
	size_t i;

	cr_assert_eq(nics_pick(in, &got), 0);
	for (i = 0; names[i]; i++) {
		cr_assert_lt(i, got.n, "%s is missing", names[i]);
		cr_assert_str_eq(got.v[i].name, names[i]);
	}
	cr_assert_eq(got.n, i, "%s is too much", got.n > i ? got.v[i].name : "");
	nics_done(&got);
}

static struct nl_links links = {.v = machine, .n = ARRAY_LEN(machine)};
static struct nl_addrs addrs = {.v = addresses, .n = ARRAY_LEN(addresses)};

Test(recon_nic, picks_what_leads_outside)
{
	struct nic_inputs in = {.links = &links, .addrs = &addrs, .tunnel_ifindex = 14};

	expect(&in, (const char *const[]){"eth0", "eth1", "bond0", "eth9", "wg0", "br1", "vlan9", "eth5", NULL});
}

Test(recon_nic, the_way_to_a_target_is_external)
{
	int underlay[] = {18, 7};
	struct nic_inputs in = {.links = &links, .addrs = &addrs, .tunnel_ifindex = 14,
				.underlay = underlay, .n_underlay = 2};
	struct nics got = {0};
	size_t i;

	expect(&in, (const char *const[]){"eth0", "eth1", "bond0", "eth9", "wg0", "br1", "vlan9", "virbr0", "eth5",
				       NULL});
	cr_assert_eq(nics_pick(&in, &got), 0);
	for (i = 0; i < got.n; i++) /* bond0 through its VLAN */
		cr_assert_eq(got.v[i].is_underlay, got.v[i].ifindex == 18 || got.v[i].ifindex == 6);
	nics_done(&got);
}

Test(recon_nic, patterns_decide_alone_but_not_against_reason)
{
	char *names[] = {(char *)"docker*", (char *)"eth1", (char *)"lo", (char *)"mesh_*", (char *)"eth2"};
	struct strv patterns = {.v = names, .n = ARRAY_LEN(names)};
	struct nic_inputs in = {.links = &links, .addrs = &addrs, .tunnel_ifindex = 14, .patterns = &patterns};

	expect(&in, (const char *const[]){"eth1", "eth2", "docker0", NULL});
}

/* An interface that goes down loses routes and IPv6 addresses, and one between two leases its address; but not its programs. */
Test(recon_nic, what_was_external_stays_so)
{
	struct nl_link v[] = {LINK(1, "wg0", "wireguard", UP, .type = ARPHRD_NONE), LINK(2, "eth0", "veth", UP, ETHER),
			      LINK(3, "wg1", "wireguard", .type = ARPHRD_NONE)};
	struct nl_addr a[] = {{.ifindex = 1, .ip = {AF_INET6, {0xfd}}}};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	struct nl_addrs have = {.v = a, .n = 1}, none = {0};
	int underlay[] = {2};
	struct nics before = {0};
	struct nic_inputs in = {.links = &t, .addrs = &have, .underlay = underlay, .n_underlay = 1};

	expect(&in, (const char *const[]){"wg0", "eth0", NULL});
	cr_assert_eq(nics_pick(&in, &before), 0);
	in = (struct nic_inputs){.links = &t, .addrs = &none};
	expect(&in, (const char *const[]){NULL});
	in.before = &before;
	expect(&in, (const char *const[]){"wg0", "eth0", NULL});
	v[0].flags = v[1].flags = 0;
	expect(&in, (const char *const[]){"wg0", "eth0", NULL});
	v[0].master = 2; /* became a port: the interface above sees its packets */
	expect(&in, (const char *const[]){"eth0", NULL});
	nics_done(&before);
}

/* The card of a guest, above ours: that sees its packets, also if it is the way out. Nothing does in a container that was given one. */
Test(recon_nic, cards_of_guests)
{
	struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "macvtap0", "macvtap", .lower = 1, UP, ETHER),
			      LINK(3, "ipvtap0", "ipvtap", .lower = 1, UP, ETHER),
			      LINK(4, "macvtap1", "macvtap", .has_far_peer = true, UP, ETHER)};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	int underlay[] = {2};
	struct nic_inputs in = {.links = &t, .addrs = &addrs, .underlay = underlay, .n_underlay = 1};
	struct nics got = {0};

	expect(&in, (const char *const[]){"eth0", "macvtap1", NULL});
	cr_assert_eq(nics_pick(&in, &got), 0);
	cr_assert(got.v[0].is_underlay);
	cr_assert_not(got.v[1].is_underlay);
	nics_done(&got);
}

/* The programs of the card below pass what is encrypted, so those of MACsec decide; not again on a VLAN in it. */
Test(recon_nic, macsec_is_a_card_of_its_own)
{
	struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "macsec0", "macsec", .lower = 1, UP, ETHER),
			      LINK(3, "vlan5", "vlan", .lower = 2, UP, ETHER)};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	struct nl_addrs none = {0};
	struct nic_inputs in = {.links = &t, .addrs = &none};

	expect(&in, (const char *const[]){"eth0", "macsec0", NULL});
}

/* Behind each of them are other machines, whose packets no other interface shows. */
Test(recon_nic, tunnels_lead_outside)
{
	static const char *const kinds[] = {"wireguard", "ovpn", "gre", "gretap", "ip6gretap", "erspan", "vxlan", "geneve", "wwan"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct nl_link v[] = {LINK(1, "t0", "", UP, ETHER), LINK(2, "br0", "bridge", UP, ETHER),
				      LINK(3, "mesh_tun", "vxlan", UP, ETHER), LINK(4, "br1", "bridge", UP, ETHER),
				      LINK(5, "veth0", "veth", .master = 4, .has_far_peer = true, UP, ETHER)};
		struct nl_addr a[] = {{.ifindex = 1, .ip = {AF_INET, {10, 9, 0, 1}}}, {.ifindex = 3, .ip = {AF_INET, {10, 9, 1, 1}}}};
		struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
		struct nl_addrs have = {.v = a, .n = ARRAY_LEN(a)}, none = {0};
		struct nic_inputs in = {.links = &t, .addrs = &have, .tunnel_ifindex = 3};

		(void)snprintf(v[0].kind, sizeof(v[0].kind), "%s", kinds[i]);
		expect(&in, (const char *const[]){"t0", NULL});
		in.addrs = &none; /* nobody talks to this host by it */
		expect(&in, (const char *const[]){NULL});
		v[0].master = 2; /* but over the bridge, as with EVPN */
		expect(&in, (const char *const[]){"br0", NULL});
	}
}

/* Each by itself on a host with a card, without an address and with one. */
Test(recon_nic, kinds)
{
	enum { NEVER, ADDRESS, ALWAYS };
	static const struct {
		const char *kind;
		uint16_t type;
		int when;
	} of[] = {
		{"", ARPHRD_ETHER, ALWAYS}, {"hsr", ARPHRD_ETHER, ALWAYS}, {"macsec", ARPHRD_ETHER, ALWAYS}, {"dsa", ARPHRD_ETHER, ALWAYS},
		{"ipoib", ARPHRD_INFINIBAND, ALWAYS}, {"", ARPHRD_CAN, ADDRESS}, {"", ARPHRD_IEEE80211_RADIOTAP, ADDRESS},
		{"", ARPHRD_IEEE802154, ADDRESS}, {"bond", ARPHRD_ETHER, NEVER}, {"team", ARPHRD_ETHER, NEVER}, {"bridge", ARPHRD_ETHER, NEVER},
		{"batadv", ARPHRD_ETHER, NEVER}, {"wireguard", ARPHRD_NONE, ADDRESS}, {"ovpn", ARPHRD_NONE, ADDRESS},
		{"tun", ARPHRD_NONE, ADDRESS}, {"tun", ARPHRD_ETHER, NEVER}, {"tun", ARPHRD_IEEE80211, ADDRESS}, {"ppp", ARPHRD_PPP, ADDRESS}, {"sit", ARPHRD_SIT, ADDRESS},
		{"gre", ARPHRD_IPGRE, ADDRESS}, {"gretap", ARPHRD_ETHER, ADDRESS}, {"erspan", ARPHRD_ETHER, ADDRESS},
		{"ip6gre", 823, ADDRESS}, {"ip6gretap", ARPHRD_ETHER, ADDRESS}, {"ip6erspan", ARPHRD_ETHER, ADDRESS},
		{"ipip", ARPHRD_TUNNEL, ADDRESS}, {"ip6tnl", ARPHRD_TUNNEL6, ADDRESS}, {"vti", ARPHRD_TUNNEL, ADDRESS},
		{"vti6", ARPHRD_TUNNEL6, ADDRESS}, {"xfrm", ARPHRD_NONE, ADDRESS}, {"bareudp", ARPHRD_NONE, ADDRESS},
		{"gtp", ARPHRD_NONE, ADDRESS}, {"amt", ARPHRD_ETHER, ADDRESS}, {"geneve", ARPHRD_ETHER, ADDRESS},
		{"vxlan", ARPHRD_ETHER, ADDRESS}, {"wwan", ARPHRD_RAWIP, ADDRESS}, {"rmnet", ARPHRD_RAWIP, ADDRESS},
		{"veth", ARPHRD_ETHER, ADDRESS}, {"netkit", ARPHRD_ETHER, ADDRESS}, {"openvswitch", ARPHRD_ETHER, ADDRESS},
		{"of-tomorrow", ARPHRD_ETHER, ADDRESS}, {"dummy", ARPHRD_ETHER, NEVER}, {"ifb", ARPHRD_ETHER, NEVER},
		{"vrf", ARPHRD_ETHER, NEVER}, {"nlmon", 824, NEVER}, {"vsockmon", 826, NEVER}, {"can", ARPHRD_CAN, NEVER},
		{"vcan", ARPHRD_CAN, NEVER}, {"vxcan", ARPHRD_CAN, NEVER},
	};

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "x0", "", UP, .type = of[i].type)};
		struct nl_addr a[] = {{.ifindex = 2, .ip = {AF_INET, {10, 9, 0, 1}}}};
		struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
		struct nl_addrs have = {.v = a, .n = ARRAY_LEN(a)}, none = {0};
		struct nic_inputs in = {.links = &t, .addrs = &none};

		(void)snprintf(v[1].kind, sizeof(v[1].kind), "%s", of[i].kind);
		cr_expect_eq(nics_wants(&in, &v[1]), of[i].when == ALWAYS, "%s of type %d", of[i].kind, of[i].type);
		in.addrs = &have;
		cr_expect_eq(nics_wants(&in, &v[1]), of[i].when != NEVER, "%s of type %d with an address", of[i].kind, of[i].type);
		cr_expect(nics_wants(&in, &v[0]), "the card beside it");
	}
}

/* The link above has what comes out of their frames, and the cards below packets of their own. */
Test(recon_nic, cards_of_rings_and_meshes)
{
	struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "eth1", "", UP, ETHER), LINK(3, "hsr0", "hsr", UP, ETHER),
			      LINK(4, "eth2", "", .master = 5, UP, ETHER), LINK(5, "bat0", "batadv", UP, ETHER),
			      LINK(6, "hsr0.5", "vlan", .lower = 3, UP, ETHER), LINK(7, "bat0.5", "vlan", .lower = 5, UP, ETHER),
			      LINK(8, "bat1", "batadv", .master = 9, UP, ETHER), LINK(9, "br0", "bridge", UP, ETHER),
			      LINK(10, "eth3", "", .master = 8, UP, ETHER)};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	struct nl_addrs none = {0};
	struct nic_inputs in = {.links = &t, .addrs = &none};

	expect(&in, (const char *const[]){"eth0", "eth1", "hsr0", "eth2", "bat0", "br0", "eth3", NULL});
}

/* Of a switch and of a modem: the frames of the card below are not those of packets. */
Test(recon_nic, cards_that_carry_others)
{
	struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "lan0", "dsa", .lower = 1, UP, ETHER),
			      LINK(3, "eth1", "", UP, ETHER), LINK(4, "lan1", "", .lower = 3, UP, ETHER), /* before Linux 6.0 */
			      LINK(5, "br0", "bridge", UP, ETHER), LINK(6, "lan2", "dsa", .lower = 1, .master = 5, UP, ETHER),
			      LINK(7, "wwan0", "", UP, .type = ARPHRD_RAWIP), LINK(8, "qmimux0", "rmnet", .lower = 7, UP, .type = ARPHRD_RAWIP),
			      LINK(9, "wwan1", "", UP, .type = ARPHRD_RAWIP)};
	struct nl_addr a[] = {{.ifindex = 8, .ip = {AF_INET, {10, 9, 0, 1}}}, {.ifindex = 1, .ip = {AF_INET, {10, 9, 1, 1}}}};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	struct nl_addrs have = {.v = a, .n = 1};
	struct nic_inputs in = {.links = &t, .addrs = &have};

	expect(&in, (const char *const[]){"lan0", "lan1", "br0", "qmimux0", "wwan1", NULL});
	have.n = 2; /* then it has packets of its own */
	expect(&in, (const char *const[]){"eth0", "lan0", "lan1", "br0", "qmimux0", "wwan1", NULL});
}

/* Who is whose port: that of a failover card or of a switch passes all of it, one of something new may not. */
Test(recon_nic, ports)
{
	struct nl_link v[] = {LINK(1, "eth0", "", UP, ETHER), LINK(2, "eth1", "", .master = 1, UP, ETHER),
			      LINK(3, "ovs-system", "openvswitch", UP, ETHER), LINK(4, "eth2", "", .master = 3, UP, ETHER),
			      LINK(5, "br-ex", "openvswitch", UP, ETHER), LINK(6, "new0", "of-tomorrow", UP, ETHER),
			      LINK(7, "eth3", "", .master = 6, UP, ETHER)};
	struct nl_addr a[] = {{.ifindex = 5, .ip = {AF_INET, {10, 9, 0, 1}}}};
	struct nl_links t = {.v = v, .n = ARRAY_LEN(v)};
	struct nl_addrs have = {.v = a, .n = ARRAY_LEN(a)};
	struct nic_inputs in = {.links = &t, .addrs = &have};

	expect(&in, (const char *const[]){"eth0", "br-ex", "eth3", NULL});
}

struct covered {
	const int *held; /* ends with 0 */
	const char *names;
};

static bool is_held(int ifindex, void *arg)
{
	const struct covered *c = arg;

	for (const int *i = c->held; *i; i++)
		if (*i == ifindex)
			return true;
	return false;
}

static void expect_covered(const struct nic_inputs *in, struct covered want)
{
	char names[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < in->links->n; i++)
		if (nics_covers(in, &in->links->v[i], is_held, &want))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? " " : "", in->links->v[i].name);
	cr_assert_str_eq(names, want.names);
}

/* What leads outside is covered by programs that nobody can take off it, or off what is below it; what does not, by itself. */
Test(recon_nic, what_needs_no_second_look)
{
	struct nic_inputs in = {.links = &links, .addrs = &addrs, .tunnel_ifindex = 14};
	char *names[] = {(char *)"eth1", (char *)"eth2", (char *)"eth5"};
	struct strv patterns = {.v = names, .n = ARRAY_LEN(names)};
	struct nl_addrs none = {0};

	expect_covered(&in, (struct covered){(const int[]){0}, "lo docker0 lxc1 tap0 virbr0"});
	expect_covered(&in, (struct covered){(const int[]){2, 14, 15, 0}, "lo eth0 docker0 lxc1 tap0 mesh_tun br1 virbr0"});
	/* the VLAN has the programs of the bond; a port that leaves it has none */
	expect_covered(&in, (struct covered){(const int[]){6, 20, 0}, "lo bond0 bond0.7 docker0 lxc1 tap0 virbr0 vrf1 eth5"});
	/* an end without an address is one of a container, a tunnel without one may bring packets for another */
	in.addrs = &none;
	expect_covered(&in, (struct covered){(const int[]){0}, "lo docker0 lxc1 eth9 tap0 virbr0"});
	in.addrs = &addrs;
	/* what the patterns leave out is left out here, too, but what gathers one of theirs is not */
	in.patterns = &patterns;
	expect_covered(&in, (struct covered){(const int[]){3, 0}, "lo eth0 eth1 docker0 lxc1 eth9 wg0 tap0 br1 virbr0"});
	expect_covered(&in, (struct covered){(const int[]){3, 4, 20, 0},
					     "lo eth0 eth1 eth2 bond0 bond0.7 docker0 lxc1 eth9 wg0 tap0 br1 virbr0 vrf1 eth5"});
}

/* A VLAN on itself, or two on each other, ends. */
Test(recon_nic, circles_end)
{
	struct nl_link v[] = {LINK(1, "a", "vlan", .lower = 2, UP, ETHER), LINK(2, "b", "vlan", .lower = 1, UP, ETHER)};
	struct nl_links t = {.v = v, .n = 2};
	int underlay[] = {1};
	struct nic_inputs in = {.links = &t, .addrs = &addrs, .underlay = underlay, .n_underlay = 1};
	struct nics got = {0};

	cr_assert_eq(nics_pick(&in, &got), 0);
	nics_done(&got);
	in.n_underlay = 0;
	expect_covered(&in, (struct covered){(const int[]){0}, ""});
}

static struct nl_route rt(const char *dst, uint32_t mtu, uint32_t metric)
{
	struct nl_route r = {.oif = 7, .mtu = mtu, .metric = metric, .type = RTN_UNICAST};

	cr_assert_eq(cidr_parse(dst, false, &r.dst), 0);
	return r;
}

static const struct {
	const char *want, *have, *ops;
} cases[] = {
	{"", "", ""},
	{"a", "", "+a"},
	{"", "a", "-a"},
	{"a", "a", ""},
	{"ab", "bc", "+a -c"},
	{"cba", "abc", ""},
	{"A", "a", "!A"},      /* other MTU: replaced */
	{"a", "x", "+a -x"},   /* ours with a metric of an older version */
	{"a", "xa", "-x"},
	{"aa", "", "+a"},
	{"a", "xA", "!a -x"},
};

/* Letter to route: case is the MTU, x is a with another metric. */
static struct nl_route letter(char c)
{
	char dst[] = "10.0.0.0/24";

	if (c == 'x')
		return rt(dst, 0, 50);
	dst[5] = (char)('0' + ((c | 32) - 'a'));
	return rt(dst, c < 'a' ? 1400 : 0, 0);
}

static void routes_of(const char *letters, struct routes *ret)
{
	for (; *letters; letters++)
		cr_assert_eq(ARRAY_ADD(ret, letter(*letters)), 0);
}

Test(recon_route, diff)
{
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		struct routes want = {0}, have = {0};
		struct route_ops ops = {0};
		const char *p = cases[i].ops;

		routes_of(cases[i].want, &want);
		routes_of(cases[i].have, &have);
		cr_assert_eq(route_diff(&want, &have, &ops), 0);
		for (k = 0; k < ops.n; k++) {
			struct nl_route r;

			p += strspn(p, " ");
			cr_assert_eq("+!-"[ops.v[k].kind], *p, "case %zu, step %zu", i, k);
			r = letter(p[1]);
			cr_assert_eq(memcmp(&ops.v[k].route.dst, &r.dst, sizeof(r.dst)), 0, "case %zu", i);
			cr_assert_eq(ops.v[k].route.mtu, r.mtu);
			cr_assert_eq(ops.v[k].route.metric, r.metric);
			p += 2;
		}
		cr_assert_eq(*p, '\0', "case %zu: %s is missing", i, p);
		ARRAY_DONE(&want);
		ARRAY_DONE(&have);
		ARRAY_DONE(&ops);
	}
}
