/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of interface that the kernel here can make, in a network namespace of its own: whether it leads outside (recon_nic.h), by
 * itself and with an address, that a pattern chooses it in any case, and whether the programs read its frames. Kinds that cannot be
 * made here are named; tests/unit/netlink goes through all.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "bpf/bpf_attach.h"
#include "bpf/harness.h"
#include "bpf/lab.h"
#include "event/loop.h"
#include "recon/recon_net.h"

enum { WAIT_US = 15 * 1000 * 1000 };

enum when { NEVER, ADDRESS, ALWAYS };

/* up0 has an address, so that it is external; up1 and up2 have none. */
static const struct {
	const char *kind;
	const char *make; /* of x0: what follows "ip" */
	enum when external;
	bool is_unread; /* no programs for its frames */
} kinds[] = {
	{"hsr", "link add x0 type hsr slave1 up1 slave2 up2", ALWAYS},
	{"hsr (PRP)", "link add x0 type hsr slave1 up1 slave2 up2 proto 1", ALWAYS},
	{"macsec", "link add x0 link up0 type macsec", ALWAYS},
	{"vlan", "link add x0 link up0 type vlan id 5", NEVER},
	{"vlan above none", "link add x0 link up1 type vlan id 5", ALWAYS},
	{"macvlan", "link add x0 link up0 type macvlan", NEVER},
	{"macvlan above none", "link add x0 link up1 type macvlan", ALWAYS},
	{"macvtap", "link add x0 link up0 type macvtap", NEVER},
	{"macvtap above none", "link add x0 link up1 type macvtap", ALWAYS},
	{"ipvlan", "link add x0 link up0 type ipvlan", NEVER},
	{"ipvlan above none", "link add x0 link up1 type ipvlan", ALWAYS},
	{"ipvtap", "link add x0 link up0 type ipvtap", NEVER},
	{"bond", "link add x0 type bond", NEVER},
	{"team", "link add x0 type team", NEVER},
	{"bridge", "link add x0 type bridge", NEVER},
	{"batadv", "link add x0 type batadv", NEVER},
	{"amt", "link add x0 type amt mode gateway local 10.79.1.1 discovery 10.79.1.2 dev up0", ADDRESS},
	{"bareudp", "link add x0 type bareudp dstport 6635 ethertype ipv4", ADDRESS},
	{"erspan", "link add x0 type erspan local 10.79.1.1 remote 10.79.1.2 seq key 1 erspan_ver 1", ADDRESS},
	{"geneve", "link add x0 type geneve id 7 remote 10.79.1.2", ADDRESS},
	{"gre", "link add x0 type gre local 10.79.1.1 remote 10.79.1.2", ADDRESS},
	{"gretap", "link add x0 type gretap local 10.79.1.1 remote 10.79.1.2", ADDRESS},
	{"ip6erspan", "link add x0 type ip6erspan local fd79::1 remote fd79::2 seq key 1 erspan_ver 1", ADDRESS},
	{"ip6gre", "link add x0 type ip6gre local fd79::1 remote fd79::2", ADDRESS},
	{"ip6gretap", "link add x0 type ip6gretap local fd79::1 remote fd79::2", ADDRESS},
	{"ip6tnl", "link add x0 type ip6tnl local fd79::1 remote fd79::2", ADDRESS},
	{"ipip", "link add x0 type ipip local 10.79.1.1 remote 10.79.1.2", ADDRESS},
	{"ovpn", "link add x0 type ovpn", ADDRESS},
	{"rmnet", "link add x0 link up1 type rmnet mux_id 3", ADDRESS},
	{"sit", "link add x0 type sit local 10.79.1.1 remote 10.79.1.2", ADDRESS},
	{"tun", "tuntap add x0 mode tun", ADDRESS},
	{"tap", "tuntap add x0 mode tap", NEVER},
	{"vti", "link add x0 type vti local 10.79.1.1 remote 10.79.1.2 key 1", ADDRESS},
	{"vti6", "link add x0 type vti6 local fd79::1 remote fd79::2 key 1", ADDRESS},
	{"vxlan", "link add x0 type vxlan id 7 dev up0 dstport 4789", ADDRESS},
	{"wireguard", "link add x0 type wireguard", ADDRESS},
	{"xfrm", "link add x0 type xfrm dev up0 if_id 7", ADDRESS},
	{"netkit", "link add x0 type netkit", ADDRESS},
	{"veth", "link add x0 type veth peer name x1", ADDRESS},
	{"dummy", "link add x0 type dummy", NEVER},
	{"ifb", "link add x0 type ifb", NEVER},
	{"nlmon", "link add x0 type nlmon", NEVER, .is_unread = true},
	{"vcan", "link add x0 type vcan", NEVER, .is_unread = true},
	{"vrf", "link add x0 type vrf table 9", NEVER},
	{"vsockmon", "link add x0 type vsockmon", NEVER, .is_unread = true},
	{"vxcan", "link add x0 type vxcan", NEVER, .is_unread = true},
};

static void on_settled(const struct net_status *s, void *arg)
{
	(void)s;
	*(bool *)arg = true;
}

/* What somebody who comes to see the interfaces as they are now takes it for. */
static bool is_external(struct loop *loop, int ifindex, const struct strv *patterns)
{
	const struct net_callbacks callbacks = {.settled = on_settled};
	uint64_t end = clock_boot_us() + WAIT_US;
	struct recon_net *net = NULL;
	bool is_settled = false, r;

	CHECK_EQ(recon_net_new(loop, &callbacks, &is_settled, &net), 0);
	CHECK_EQ(recon_net_set_patterns(net, patterns), 0);
	while (!is_settled && clock_boot_us() < end)
		CHECK(loop_once(loop, 20000) >= 0);
	CHECK(is_settled);
	r = recon_net_is_external(net, ifindex);
	recon_net_free(net);
	return r;
}

static void same(const char *kind, const char *what, int want, int got)
{
	if (want != got)
		printf("%s, %s: %d, not %d\n", kind, what, got, want);
	CHECK_EQ(got, want);
}

/* False if there is no such kind here. */
static bool one_kind(struct loop *loop, struct bpfobj *o, size_t i)
{
	char *name = (char *)"x?";
	const struct strv chosen = {.v = &name, .n = 1}, none = {0};
	const char *kind = kinds[i].kind;
	struct err err = {0};
	int ifindex, r;

	lab_sh("ip %s >/dev/null 2>&1 || true", kinds[i].make);
	ifindex = (int)if_nametoindex("x0");
	if (!ifindex)
		return false;
	same(kind, "leads outside", kinds[i].external == ALWAYS, is_external(loop, ifindex, &none));
	lab_sh("ip addr add 10.79.0.1/24 dev x0 2>/dev/null || true"); /* not those that know no IP */
	same(kind, "leads outside with an address", kinds[i].external != NEVER, is_external(loop, ifindex, &none));
	same(kind, "leads outside if it is chosen", true, is_external(loop, ifindex, &chosen));
	r = bpfattach_if(o, ifindex, BPFATTACH_NIC, NULL, &err);
	same(kind, "its frames are read", kinds[i].is_unread ? -EOPNOTSUPP : 0, r);
	if (r == 0) {
		CHECK(bpfattach_if_is_ok(o, ifindex, BPFATTACH_NIC));
		CHECK_EQ(bpfattach_if_detach(o, ifindex, &err), 0);
	}
	lab_sh("ip link del x0");
	return true;
}

int main(void)
{
	char pin[128], missing[1024] = "";
	struct bpfobj_options opt = {.pin_dir = pin};
	struct bpfobj *o = NULL;
	struct loop *loop = NULL;
	struct err err = {0};
	size_t made = 0, len = 0;
	struct lab lab;
	int r;

	lab_open(&lab);
	(void)snprintf(pin, sizeof(pin), "%s/agent/v1", lab.bpf); /* fits */
	r = bpfobj_open(&opt, &o, &err);
	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		return r == -EPERM ? HARNESS_SKIP : 99;
	}
	CHECK_EQ(loop_new(&loop), 0);
	lab_sh("ip link add up0 type veth peer name up0p && ip addr add 10.79.1.1/24 dev up0 && "
	       "ip -6 addr add fd79::1/64 dev up0 nodad && ip link set up0 up");
	lab_sh("ip link add up1 type veth peer name up1p; ip link add up2 type veth peer name up2p");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (one_kind(loop, o, i))
			made++;
		else if (len < sizeof(missing))
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s,", kinds[i].kind);
	}
	CHECK(made > 0);
	printf("%zu kinds; this kernel, or its ip(8), has no%s or others\n", made, missing);
	bpfobj_free(o);
	loop_free(loop);
	lab_close(&lab);
	return harness_done();
}
