/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backstop, with packets from a peer: what reaches a socket of this host where the programs of the interface are, where
 * somebody took them off, and where there never were any.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bpf/bpf_attach.h"
#include "bpf/harness.h"
#include "bpf/lab.h"

enum { ALLOWED = 5353, DENIED = 5354, TRANSLATED = 5355, SSH = 22, PORTS = 4, VXLAN_PORT = 8472, PEER_ID = 777 };

static const uint16_t ports[PORTS] = {ALLOWED, DENIED, SSH, VXLAN_PORT};

struct backstop {
	struct lab lab;
	struct harness h;
	struct bpfobj_options opt;
	char pin[128];
	int nic;
	int udp[PORTS], tcp[PORTS]; /* servers of the host */
	int node; /* the peer's tunnel port */
};

static void open_obj(struct backstop *b)
{
	struct err err = {0};
	int r = bpfobj_open(&b->opt, &b->h.obj, &err);

	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		exit(r == -EPERM ? HARNESS_SKIP : 99);
	}
	CHECK_EQ(bpfconfig_open(b->h.obj, &b->h.conf), 0);
	CHECK_EQ(bpfconfig_init(b->h.conf), 0);
	b->h.c = bpfconfig_get(b->h.conf);
}

static void close_obj(struct backstop *b)
{
	bpfconfig_free(b->h.conf);
	bpfobj_free(b->h.obj);
}

static int listen_on(const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	pkt_addr16(addr, sa.sin6_addr.s6_addr);
	CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CHECK_EQ(listen(fd, 8), 0);
	return fd;
}

static void open_lab(struct backstop *b)
{
	lab_open(&b->lab);
	(void)snprintf(b->pin, sizeof(b->pin), "%s/agent/v1", b->lab.bpf); /* fits */
	b->opt.pin_dir = b->pin;
	lab_sh("ip link add nic0 type veth peer name nic1 netns /proc/%d/fd/%d", getpid(), b->lab.peer_ns);
	lab_sh("ip addr add 10.77.0.1/24 dev nic0 && ip addr add fd77::1/64 dev nic0 nodad && "
	       "ip addr add 10.77.0.9/32 dev lo && ip addr add fd77::9/128 dev lo && ip link set nic0 up");
	b->nic = (int)if_nametoindex("nic0");
	for (unsigned i = 0; i < PORTS; i++) {
		b->udp[i] = lab_udp("::", ports[i]);
		b->tcp[i] = listen_on("::", ports[i]);
	}
	lab_enter(b->lab.peer_ns);
	lab_sh("ip link set lo up; ip addr add 10.77.0.2/24 dev nic1 && ip addr add 10.77.0.3/24 dev nic1 && "
	       "ip addr add 10.244.1.5/32 dev nic1 && ip addr add fd77::2/64 dev nic1 nodad && ip link set nic1 up");
	b->node = lab_udp("10.77.0.2", VXLAN_PORT);
	lab_enter(b->lab.host_ns);
	lab_sh("ip route add 10.244.1.5 via 10.77.0.2");
	lab_sh("echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter");
}

/* The peer may use one port, by TCP and by UDP; the failsafe set has another. Nothing may go out. */
static void policy(struct backstop *b)
{
	static const uint8_t slots[2] = {MESH_SLOT_TCP, MESH_SLOT_UDP}, protocols[2] = {IPPROTO_TCP, IPPROTO_UDP};

	harness_reset(&b->h);
	b->h.c->tunnel_port = htons(VXLAN_PORT);
	harness_ip(&b->h, "10.77.0.2", PEER_ID, 1, MESH_IP_NODE);
	harness_ip(&b->h, "fd77::2", PEER_ID, 0, 0);
	harness_ip(&b->h, "10.244.1.5", PEER_ID, 1, MESH_IP_TUNNEL);
	harness_class(&b->h, PEER_ID, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		harness_row(&b->h, 0, MESH_INGRESS, 1, slots[i], MESH_DENY_DEFAULT, MESH_ROW_PORTS);
		harness_port(&b->h, 0, MESH_INGRESS, 1, protocols[i], ALLOWED, MESH_ALLOW);
	}
	harness_failsafe(&b->h, MESH_INGRESS, IPPROTO_TCP, SSH, "0.0.0.0", 0, 0);
	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
}

static uint64_t stopped(struct backstop *b)
{
	struct mesh_counter c[MESH_REASON_MAX * 2];

	CHECK_EQ(bpfmap_counters(b->h.obj, c), 0);
	return c[MESH_DROP_BACKSTOP * 2 + MESH_INGRESS].packets;
}

static unsigned place_of(uint16_t port)
{
	unsigned i = 0;

	while (ports[i] != port)
		i++;
	return i;
}

/* A datagram of the peer, from `from` to `addr`. */
static bool is_received(struct backstop *b, const char *from, const char *addr, uint16_t port)
{
	char buf[8];
	int fd;

	lab_enter(b->lab.peer_ns);
	fd = lab_udp(from, 0);
	lab_send(fd, addr, port == TRANSLATED ? ALLOWED : port, "ping", 4);
	lab_enter(b->lab.host_ns);
	close(fd);
	return lab_recv(b->udp[place_of(port == TRANSLATED ? DENIED : port)], buf, sizeof(buf)) == 4;
}

/* 0, or the errno of connect(2). */
static int connect_from(const char *from, const char *addr, uint16_t port)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6}, to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct timeval limit = {.tv_usec = 300000};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	pkt_addr16(from, own.sin6_addr.s6_addr);
	pkt_addr16(addr, to.sin6_addr.s6_addr);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	r = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
	close(fd);
	return r;
}

static int connects(struct backstop *b, const char *from, const char *addr, uint16_t port)
{
	int r;

	lab_enter(b->lab.peer_ns);
	r = connect_from(from, addr, port);
	lab_enter(b->lab.host_ns);
	return r;
}

/* What holds where the programs of the interface are missing, and where they are not. */
static void expect_policy(struct backstop *b, bool has_programs)
{
	static const struct {
		const char *from, *to;
	} ways[] = {{"10.77.0.2", "10.77.0.1"}, {"fd77::2", "fd77::1"}};

	for (unsigned i = 0; i < 2; i++) {
		uint64_t before = stopped(b);

		CHECK(is_received(b, ways[i].from, ways[i].to, ALLOWED));
		CHECK_EQ(connects(b, ways[i].from, ways[i].to, ALLOWED), 0);
		CHECK_EQ(stopped(b), before);
		CHECK(!is_received(b, ways[i].from, ways[i].to, DENIED));
		CHECK_EQ(stopped(b), before + !has_programs);
		CHECK(connects(b, ways[i].from, ways[i].to, DENIED) != 0);
		CHECK_EQ(stopped(b) > before + 1, !has_programs);
	}
	/* nobody is locked out */
	CHECK_EQ(connects(b, "10.77.0.3", "10.77.0.1", SSH), 0);
	CHECK(connects(b, "10.77.0.3", "10.77.0.1", ALLOWED) != 0);
}

static void take_off(struct backstop *b)
{
	if (b->opt.no_tcx)
		lab_sh("tc qdisc del dev nic0 clsact");
	else
		CHECK_EQ(bpfattach_if_detach(b->h.obj, b->nic, NULL), 0);
	CHECK(!bpfattach_if_is_ok(b->h.obj, b->nic, BPFATTACH_NIC));
}

static void put_on(struct backstop *b)
{
	struct err err = {0};

	CHECK_EQ(bpfattach_if(b->h.obj, b->nic, BPFATTACH_NIC, NULL, &err), 0);
}

/* What comes from a node's address to the tunnel's port is the tunnel's, whatever the policy; what claims to be a pod's is not. */
static void test_tunnel(struct backstop *b)
{
	char buf[8];

	lab_send(b->node, "10.77.0.1", VXLAN_PORT, "ping", 4);
	CHECK_EQ(lab_recv(b->udp[place_of(VXLAN_PORT)], buf, sizeof(buf)), 4);
	CHECK(!is_received(b, "10.77.0.3", "10.77.0.1", VXLAN_PORT));
	CHECK(!is_received(b, "10.244.1.5", "10.77.0.1", ALLOWED));
	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE); /* without a tunnel a pod comes like anybody */
	CHECK(is_received(b, "10.244.1.5", "10.77.0.1", ALLOWED));
	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
}

/* Whom it kept out is told as what the programs drop is, with the rule and the identity. */
static void test_events(struct backstop *b)
{
	struct mesh_event ev;
	uint8_t addr[16];

	b->h.c->event_burst = 10;
	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_EV_DROP);
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", ALLOWED));
	CHECK_EQ(harness_events(&b->h, &ev), 0);
	CHECK(!is_received(b, "fd77::2", "fd77::1", DENIED));
	CHECK_EQ(harness_events(&b->h, &ev), 1);
	CHECK_EQ(ev.family, 6);
	CHECK(connects(b, "10.77.0.2", "10.77.0.1", DENIED) != 0);
	CHECK(harness_events(&b->h, &ev) >= 1);
	CHECK_EQ(ev.reason, MESH_DROP_BACKSTOP);
	CHECK_EQ(ev.verdict, MESH_DENY_DEFAULT);
	CHECK_EQ(ev.peer, PEER_ID);
	CHECK_EQ(ev.rule, 1001);
	CHECK_EQ(ev.ifindex, b->nic);
	CHECK_EQ(ev.family, 4);
	CHECK_EQ(ev.proto, IPPROTO_TCP);
	CHECK_EQ(ntohs(ev.dport), DENIED);
	CHECK_EQ(ev.dir, MESH_INGRESS);
	pkt_addr16("10.77.0.2", addr);
	CHECK(memcmp(ev.saddr, addr, 16) == 0);
	pkt_addr16("10.77.0.1", addr);
	CHECK(memcmp(ev.daddr, addr, 16) == 0);
	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
}

static void set_own(struct backstop *b, const char *addr, int ifindex)
{
	uint32_t value = (uint32_t)ifindex;
	uint8_t key[16];

	pkt_addr16(addr, key);
	CHECK_EQ(bpfmap_put(b->h.obj, BPFOBJ_OWN, key, &value), 0);
}

/* The host itself is never asked about, by whichever of its addresses it speaks to itself. */
static void test_own(struct backstop *b)
{
	static const char *const own[] = {"127.0.0.1", "::1", "10.77.0.1", "fd77::1"};

	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(connect_from(own[i], own[i], DENIED), 0);
	CHECK_EQ(connect_from("127.0.0.1", "10.77.0.1", DENIED), 0);
	/* what one of them is, has to be told */
	CHECK_EQ(connect_from("10.77.0.9", "10.77.0.1", DENIED), ECONNREFUSED);
	CHECK_EQ(connect_from("fd77::9", "fd77::1", DENIED), ECONNREFUSED);
	set_own(b, "10.77.0.9", 1);
	set_own(b, "fd77::9", 1);
	set_own(b, "10.77.0.1", b->nic + 100); /* it went to another device */
	CHECK_EQ(connect_from("10.77.0.9", "10.77.0.1", DENIED), ECONNREFUSED);
	set_own(b, "10.77.0.1", b->nic);
	set_own(b, "fd77::1", b->nic);
	CHECK_EQ(connect_from("10.77.0.9", "10.77.0.1", DENIED), 0);
	CHECK_EQ(connect_from("fd77::9", "fd77::1", DENIED), 0);
}

/* What does not enforce, does not here either. */
static void test_states(struct backstop *b)
{
	uint32_t ifindex = (uint32_t)b->nic, nothing = 0;

	bpfconfig_commit(b->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_AUDIT);
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	bpfconfig_commit(b->h.conf, 0, 0);
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	policy(b);
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	CHECK_EQ(bpfmap_put(b->h.obj, BPFOBJ_COVERED, &ifindex, &nothing), 0);
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	CHECK_EQ(bpfmap_del(b->h.obj, BPFOBJ_COVERED, &ifindex), 0);
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
}

/* A flow that the programs knew goes on; an answer to what the host began gets in. */
static void test_flows(struct backstop *b)
{
	struct mesh_ct4_key k = {.local = htonl(0x0a4d0001), .remote = htonl(0x0a4d0002), .local_port = htons(DENIED),
				 .remote_port = htons(4000), .proto = IPPROTO_UDP};
	struct mesh_ct e = {.expires = UINT64_MAX, .flags = MESH_CT_EGRESS};
	char buf[8];
	int fd;

	lab_enter(b->lab.peer_ns);
	fd = lab_udp("10.77.0.2", 4000);
	lab_enter(b->lab.host_ns);
	lab_send(fd, "10.77.0.1", DENIED, "ping", 4);
	CHECK(lab_recv(b->udp[place_of(DENIED)], buf, sizeof(buf)) < 0);
	CHECK_EQ(bpfmap_put(b->h.obj, BPFOBJ_CT4, &k, &e), 0);
	lab_send(fd, "10.77.0.1", DENIED, "ping", 4);
	CHECK_EQ(lab_recv(b->udp[place_of(DENIED)], buf, sizeof(buf)), 4);
	e.flags = 0; /* the peer began it, and a policy has changed since */
	e.generation = bpfconfig_generation(b->h.conf) - 1;
	CHECK_EQ(bpfmap_put(b->h.obj, BPFOBJ_CT4, &k, &e), 0);
	lab_send(fd, "10.77.0.1", DENIED, "ping", 4);
	CHECK(lab_recv(b->udp[place_of(DENIED)], buf, sizeof(buf)) < 0);
	e.generation++;
	CHECK_EQ(bpfmap_put(b->h.obj, BPFOBJ_CT4, &k, &e), 0);
	lab_send(fd, "10.77.0.1", DENIED, "ping", 4);
	CHECK_EQ(lab_recv(b->udp[place_of(DENIED)], buf, sizeof(buf)), 4);
	CHECK_EQ(bpfmap_del(b->h.obj, BPFOBJ_CT4, &k), 0);
	close(fd);
}

/*
 * A packet that the programs let in and that the host sends on to another of its ports: at the socket its port is one that no
 * policy allows. Where the programs were asked, that is no matter.
 */
static void test_translated(struct backstop *b)
{
	lab_sh("nft 'table inet t { chain c { type nat hook prerouting priority -100; udp dport %d redirect to :%d; "
	       "tcp dport %d redirect to :%d; }; }'", ALLOWED, DENIED, ALLOWED, DENIED);
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", TRANSLATED));
	CHECK_EQ(connects(b, "10.77.0.2", "10.77.0.1", ALLOWED), 0);
	CHECK_EQ(connects(b, "fd77::2", "fd77::1", ALLOWED), 0);
	lab_sh("nft delete table inet t");
}

/* Nobody is there: what is pinned goes on, and the next process puts its own program into it. */
static void test_restart(struct backstop *b)
{
	struct err err = {0};

	close_obj(b);
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", ALLOWED));
	lab_sh("ls %s/netns-mesh_backstop >/dev/null && rm %s/prog-*", b->pin, b->pin);
	open_obj(b);
	CHECK(!bpfattach_backstop_is_ok(b->h.obj)); /* it is the last one's */
	CHECK_EQ(bpfattach_backstop(b->h.obj, &err), 0);
	CHECK(bpfattach_backstop_is_ok(b->h.obj));
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	lab_sh("bpftool link detach pinned %s/netns-mesh_backstop", b->pin);
	CHECK(!bpfattach_backstop_is_ok(b->h.obj));
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	CHECK_EQ(bpfattach_backstop(b->h.obj, &err), 0);
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	/* switched off */
	close_obj(b);
	b->opt.no_backstop = true;
	open_obj(b);
	CHECK(!bpfobj_features(b->h.obj)->has_backstop);
	CHECK_EQ(bpfobj_prog_fd(b->h.obj, BPFOBJ_BACKSTOP), -1);
	CHECK(!bpfattach_backstop_is_ok(b->h.obj));
	CHECK_EQ(bpfattach_backstop(b->h.obj, &err), 0);
	CHECK(bpfattach_backstop_is_ok(b->h.obj));
	CHECK(is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
	close_obj(b);
	b->opt.no_backstop = false;
	open_obj(b);
	CHECK_EQ(bpfattach_backstop(b->h.obj, &err), 0);
	CHECK(!is_received(b, "10.77.0.2", "10.77.0.1", DENIED));
}

static void close_all(struct backstop *b)
{
	close_obj(b);
	for (unsigned i = 0; i < PORTS; i++) {
		close(b->udp[i]);
		close(b->tcp[i]);
	}
	close(b->node);
	lab_close(&b->lab);
}

/* A kernel that does not tell by which interface a packet came, before 5.17: all is as if nobody wanted a backstop. */
static void test_without(struct backstop *b)
{
	struct err err = {0};

	printf("skipped: gaps: this kernel has no backstop\n");
	CHECK(bpfattach_backstop_is_ok(b->h.obj));
	CHECK_EQ(bpfattach_backstop(b->h.obj, &err), 0);
	CHECK(bpfattach_backstop_is_ok(b->h.obj));
	expect_policy(b, true);
	CHECK_EQ(bpfattach_detach_all(b->h.obj, &err), 0);
	CHECK_EQ(bpfobj_unpin(b->h.obj), 0);
	close_all(b);
}

static void run(bool no_tcx)
{
	struct backstop b = {.opt.no_tcx = no_tcx};
	struct err err = {0};

	open_lab(&b);
	open_obj(&b);
	policy(&b);
	put_on(&b);
	if (!bpfobj_features(b.h.obj)->has_backstop) {
		test_without(&b);
		return;
	}
	CHECK(!bpfattach_backstop_is_ok(b.h.obj));
	CHECK_EQ(bpfattach_backstop(b.h.obj, &err), 0);
	CHECK(bpfattach_backstop_is_ok(b.h.obj));
	expect_policy(&b, true);
	if (!bpfobj_features(b.h.obj)->has_tcx)
		test_translated(&b);
	take_off(&b);
	harness_reset(&b.h);
	policy(&b);
	expect_policy(&b, false);
	test_tunnel(&b);
	test_events(&b);
	test_own(&b);
	test_states(&b);
	test_flows(&b);
	test_restart(&b);
	put_on(&b);
	expect_policy(&b, true);
	take_off(&b);
	CHECK_EQ(bpfattach_detach_all(b.h.obj, &err), 0);
	CHECK(is_received(&b, "10.77.0.2", "10.77.0.1", DENIED));
	CHECK_EQ(bpfobj_unpin(b.h.obj), 0);
	close_all(&b);
}

int main(void)
{
	run(false);
	run(true);
	return harness_done();
}
