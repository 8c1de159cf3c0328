/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath on real interfaces: a veth pair to a peer that speaks VXLAN by hand, so that every
 * VNI and inner source can be tried; restart under traffic; tcx and clsact.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "bpf/bpf_attach.h"
#include "bpf/bpf_others.h"
#include "bpf/harness.h"
#include "bpf/lab.h"

enum { VXLAN_PORT = 8472, OWN_ID = 4242, POD_ID = 100 };

struct net {
	struct lab lab;
	struct harness h;
	struct bpfobj_options opt;
	char pin[128];
	int nic, tunnel;
	int server; /* of the host, port 5353 */
	int node;   /* of the peer, the tunnel port */
};

static void open_obj(struct net *n)
{
	struct err err = {0};
	int r = bpfobj_open(&n->opt, &n->h.obj, &err);

	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		exit(r == -EPERM ? HARNESS_SKIP : 99);
	}
	CHECK_EQ(bpfconfig_open(n->h.obj, &n->h.conf), 0);
	CHECK_EQ(bpfconfig_init(n->h.conf), 0);
	n->h.c = bpfconfig_get(n->h.conf);
}

static void close_obj(struct net *n)
{
	bpfconfig_free(n->h.conf);
	bpfobj_free(n->h.obj);
}

static void topology(struct net *n)
{
	lab_open(&n->lab);
	(void)snprintf(n->pin, sizeof(n->pin), "%s/agent/v1", n->lab.bpf); /* fits */
	n->opt.pin_dir = n->pin;
	lab_sh("ip link add nic0 type veth peer name nic1 netns /proc/%d/fd/%d", getpid(),
	       n->lab.peer_ns);
	lab_sh("ip addr add 10.77.0.1/24 dev nic0 && ip link set nic0 up");
	lab_sh("ip link add tun0 type vxlan external dstport %d nolearning", VXLAN_PORT);
	lab_sh("ip link set tun0 up arp off");
	lab_sh("echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter");
	lab_sh("echo 0 >/proc/sys/net/ipv4/conf/tun0/rp_filter");
	lab_sh("ip route add 10.244.0.0/16 dev tun0 src 10.77.0.1");
	n->nic = (int)if_nametoindex("nic0");
	n->tunnel = (int)if_nametoindex("tun0");
	n->server = lab_udp("10.77.0.1", 5353);
	lab_enter(n->lab.peer_ns);
	lab_sh("ip link set lo up; ip addr add 10.77.0.2/24 dev nic1 && "
	       "ip addr add 10.77.0.3/24 dev nic1 && ip link set nic1 up");
	n->node = lab_udp("10.77.0.2", VXLAN_PORT);
	lab_enter(n->lab.host_ns);
}

/* The policy of these tests: pods of identity 100 and nodes may use UDP 5353; we may answer. */
static void policy(struct net *n)
{
	struct mesh_node node = {.v4 = inet_addr("10.77.0.2")};
	uint32_t index = 1;

	harness_reset(&n->h);
	n->h.c->tunnel_port = htons(VXLAN_PORT);
	n->h.c->identity = OWN_ID;
	CHECK_EQ(bpfmap_put(n->h.obj, BPFOBJ_NODES, &index, &node), 0);
	harness_ip(&n->h, "10.77.0.1", OWN_ID, 0, 0);
	harness_ip(&n->h, "10.77.0.2", 6, 1, MESH_IP_NODE);
	harness_ip(&n->h, "10.77.0.3", 777, 0, 0);
	harness_ip(&n->h, "10.244.1.1", 6, 1, MESH_IP_TUNNEL);
	harness_ip(&n->h, "10.244.1.5", POD_ID, 1, MESH_IP_TUNNEL);
	harness_ip(&n->h, "10.244.1.6", POD_ID + 1, 1, MESH_IP_TUNNEL);
	harness_class(&n->h, 2, 1, 1);
	harness_class(&n->h, 6, 1, 1);
	harness_class(&n->h, POD_ID, 1, 1);
	harness_row(&n->h, 0, MESH_INGRESS, 1, MESH_SLOT_UDP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(&n->h, 0, MESH_INGRESS, 1, IPPROTO_UDP, 5353, MESH_ALLOW);
	bpfconfig_commit(n->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
}

/* The kernel checks the sum of an IPv4 header. */
static void set_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void send_vxlan(struct net *n, int fd, uint32_t vni, const char *inner_src, uint16_t dport)
{
	uint8_t data[PKT_MAX + 8] = {0x08, 0, 0, 0, (uint8_t)(vni >> 16), (uint8_t)(vni >> 8),
				     (uint8_t)vni, 0};
	size_t len = pkt_build(&(struct pkt_spec){.src = inner_src, .dst = "10.77.0.1",
						  .proto = IPPROTO_UDP, .sport = 4000,
						  .dport = dport, .payload_bytes = 4}, data + 8);

	set_checksum(data + 8 + 14);
	(void)n;
	lab_send(fd, "10.77.0.1", VXLAN_PORT, data, len + 8);
}

static uint64_t packets(struct net *n, unsigned reason)
{
	struct mesh_counter c[MESH_REASON_MAX * 2];

	CHECK_EQ(bpfmap_counters(n->h.obj, c), 0);
	return c[reason * 2].packets + c[reason * 2 + 1].packets;
}

/* One packet through the tunnel; whether the server got it, and that `reason` counted it. */
static void expect_vxlan(struct net *n, uint32_t vni, const char *src, bool arrives, unsigned reason)
{
	uint64_t before = packets(n, reason);
	char buf[64];

	send_vxlan(n, n->node, vni, src, 5353);
	CHECK_EQ(lab_recv(n->server, buf, sizeof(buf)) >= 0, arrives);
	CHECK_EQ(packets(n, reason) - before, 1);
}

static void test_tunnel(struct net *n)
{
	uint8_t out[PKT_MAX];
	char buf[64];
	int stranger;

	expect_vxlan(n, POD_ID, "10.244.1.5", true, MESH_PASS_NEW);
	expect_vxlan(n, POD_ID, "10.244.1.5", true, MESH_PASS_ESTABLISHED);
	/* our answer: encapsulated to the pod's node, with our identity */
	lab_send(n->server, "10.244.1.5", 4000, "pong", 4);
	CHECK_EQ(lab_recv(n->node, out, sizeof(out)), 8 + 14 + 20 + 8 + 4);
	CHECK_EQ(out[4] << 16 | out[5] << 8 | out[6], OWN_ID);
	CHECK_EQ(out[8 + 14 + 20 + 8], 'p');
	/* to others of the tunnel nothing is allowed; without a node there is no way at all */
	uint64_t before = packets(n, MESH_DROP_POLICY);
	lab_send(n->server, "10.244.1.6", 4000, "ping", 4);
	CHECK_EQ(packets(n, MESH_DROP_POLICY) - before, 1);
	before = packets(n, MESH_DROP_NO_TUNNEL_ENDPOINT);
	lab_send(n->server, "10.244.9.9", 4000, "ping", 4);
	CHECK_EQ(packets(n, MESH_DROP_NO_TUNNEL_ENDPOINT) - before, 1);
	/* identities that the inner source does not have, also on a known flow */
	expect_vxlan(n, POD_ID + 1, "10.244.1.5", false, MESH_DROP_TUNNEL_IDENTITY);
	expect_vxlan(n, POD_ID, "10.244.1.6", false, MESH_DROP_TUNNEL_IDENTITY);
	expect_vxlan(n, POD_ID, "10.244.7.7", false, MESH_DROP_TUNNEL_IDENTITY);
	expect_vxlan(n, POD_ID + 1, "10.244.1.6", false, MESH_DROP_POLICY);
	expect_vxlan(n, 1, "10.244.1.5", false, MESH_DROP_TUNNEL_HOST);
	expect_vxlan(n, 6, "10.244.1.5", false, MESH_DROP_TUNNEL_REMOTE_NODE);
	expect_vxlan(n, 7, "10.244.1.5", false, MESH_DROP_TUNNEL_REMOTE_NODE);
	expect_vxlan(n, 2, "10.244.1.5", false, MESH_DROP_TUNNEL_WORLD);
	/* nor as one family of it, for which no node has a number */
	n->h.c->world_v4 = 9;
	harness_class(&n->h, 9, 1, 1);
	expect_vxlan(n, 9, "203.0.113.7", false, MESH_DROP_TUNNEL_WORLD);
	n->h.c->world_v4 = 2;
	expect_vxlan(n, 6, "10.244.1.1", true, MESH_PASS_NEW);
	/* a node's address serves the node and, masqueraded, the world: each is judged, also on a known flow */
	expect_vxlan(n, 2, "10.244.1.1", true, MESH_PASS_NEW);
	expect_vxlan(n, 2, "10.244.1.1", true, MESH_PASS_ESTABLISHED);
	harness_class(&n->h, 2, 0, 0);
	expect_vxlan(n, 6, "10.244.1.1", true, MESH_PASS_NEW);
	expect_vxlan(n, 2, "10.244.1.1", false, MESH_DROP_POLICY);
	expect_vxlan(n, 6, "10.244.1.1", true, MESH_PASS_ESTABLISHED);
	harness_class(&n->h, 2, 1, 1);
	/* another outer source */
	lab_enter(n->lab.peer_ns);
	stranger = lab_udp("10.77.0.3", VXLAN_PORT);
	lab_enter(n->lab.host_ns);
	before = packets(n, MESH_DROP_TUNNEL_UNKNOWN_NODE);
	send_vxlan(n, stranger, POD_ID, "10.244.1.5", 5353);
	CHECK(lab_recv(n->server, buf, sizeof(buf)) < 0);
	CHECK_EQ(packets(n, MESH_DROP_TUNNEL_UNKNOWN_NODE) - before, 1);
	close(stranger);
	/* a local process that sends to the tunnel port itself */
	before = packets(n, MESH_DROP_TUNNEL_FORGED);
	lab_send(n->server, "10.77.0.2", VXLAN_PORT, out, 40);
	CHECK_EQ(packets(n, MESH_DROP_TUNNEL_FORGED) - before, 1);
}

static bool reaches(struct net *n, int from)
{
	char buf[16];

	lab_send(from, "10.77.0.1", 5353, "ping", 4);
	return lab_recv(n->server, buf, sizeof(buf)) == 4;
}

/* As another process that does not find all the pins. */
static void reopen_without(struct net *n, const char *pins)
{
	close_obj(n);
	lab_sh("rm %s/%s", n->pin, pins);
	open_obj(n);
}

static void test_restart(struct net *n)
{
	enum bpfattach_how how;
	uint64_t established;
	struct err err = {0};
	int client, ifs[8];
	size_t flows = 0;

	lab_enter(n->lab.peer_ns);
	client = lab_udp("10.77.0.2", 3333);
	int outsider = lab_udp("10.77.0.3", 3333);
	lab_enter(n->lab.host_ns);
	CHECK(reaches(n, client));
	CHECK(!reaches(n, outsider));
	established = packets(n, MESH_PASS_ESTABLISHED);
	/* nobody is home: the datapath goes on */
	close_obj(n);
	CHECK(reaches(n, client));
	CHECK(!reaches(n, outsider));
	open_obj(n);
	CHECK_EQ(bpfobj_features(n->h.obj)->adopted, BPFOBJ_MAPS);
	CHECK_EQ(packets(n, MESH_PASS_ESTABLISHED) - established, 1);
	CHECK_EQ(bpfmap_count(n->h.obj, BPFOBJ_CT4, &flows), 0);
	CHECK(flows > 0);
	CHECK(reaches(n, client));
	CHECK(bpfattach_if_is_ok(n->h.obj, n->nic, BPFATTACH_NIC)); /* by the same programs, taken up */
	reopen_without(n, "mesh_frags");
	CHECK(!bpfattach_if_is_ok(n->h.obj, n->nic, BPFATTACH_NIC)); /* they have a map that is not the others' any more */
	CHECK_EQ(bpfattach_if(n->h.obj, n->nic, BPFATTACH_NIC, NULL, &err), 0);
	lab_sh("test $(ls %s | grep -c ^prog-0-) = 1", n->pin); /* nothing is left of what is of no use */
	reopen_without(n, "prog-1-*");
	/* the old programs are replaced where they are */
	CHECK(!bpfattach_if_is_ok(n->h.obj, n->nic, BPFATTACH_NIC));
	CHECK_EQ(bpfattach_if(n->h.obj, n->nic, BPFATTACH_NIC, &how, &err), 0);
	CHECK_EQ(how, bpfobj_features(n->h.obj)->has_tcx ? BPFATTACH_UPDATED_TCX :
							    BPFATTACH_UPDATED_CLSACT);
	CHECK(bpfattach_if_is_ok(n->h.obj, n->nic, BPFATTACH_NIC));
	CHECK_EQ(bpfattach_if(n->h.obj, n->tunnel, BPFATTACH_TUNNEL, NULL, &err), 0);
	CHECK(reaches(n, client));
	CHECK(!reaches(n, outsider));
	if (bpfobj_features(n->h.obj)->has_tcx)
		CHECK_EQ(bpfattach_if_list(n->h.obj, ifs, 8), 2);
	/* leaving: all is as before we came */
	CHECK_EQ(bpfattach_if_detach(n->h.obj, n->nic, &err), 0);
	CHECK(!bpfattach_if_is_ok(n->h.obj, n->nic, BPFATTACH_NIC));
	CHECK(reaches(n, outsider));
	CHECK_EQ(bpfattach_if(n->h.obj, n->nic, BPFATTACH_NIC, NULL, &err), 0);
	CHECK(!reaches(n, outsider));
	close(client);
	close(outsider);
}

/* A frame that a packet socket sends as ARP, whatever is in it; `reason` must have counted it. */
static void expect_packet_socket(struct net *n, int ifindex, const struct pkt_spec *s, size_t skip,
				 unsigned reason)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP),
				 .sll_ifindex = ifindex, .sll_halen = ETH_ALEN};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));
	uint64_t before = packets(n, reason);
	uint8_t frame[PKT_MAX];
	size_t len = pkt_build(s, frame);

	CHECK(fd >= 0);
	(void)sendto(fd, frame + skip, len - skip, 0, (struct sockaddr *)&to, sizeof(to)); /* refused where the filter drops it */
	CHECK_EQ(packets(n, reason) - before, 1);
	close(fd);
}

/* What a frame is, its own bytes say, not the process that sends it. */
static void test_packet_socket(struct net *n)
{
	struct pkt_spec s = {.src = "10.77.0.1", .dst = "10.77.0.3", .proto = IPPROTO_UDP,
			     .sport = 5353, .dport = 4000};

	expect_packet_socket(n, n->nic, &s, 0, MESH_DROP_POLICY);
	s.vlan_tags = 1;
	expect_packet_socket(n, n->nic, &s, 0, MESH_DROP_POLICY);
	s.vlan_tags = 2;
	expect_packet_socket(n, n->nic, &s, 0, MESH_DROP_POLICY);
	s = (struct pkt_spec){.src = "10.77.0.1", .dst = "10.77.0.3", .ethertype = ETH_P_ARP};
	expect_packet_socket(n, n->nic, &s, 0, MESH_PASS_INFRA);
}

/* A datagram of 10.77.0.3 behind so many tags without a number; what the server gets of it. */
static bool arrives_tagged(struct net *n, unsigned tags)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};
	uint8_t frame[PKT_MAX];
	size_t len = pkt_build(&(struct pkt_spec){.src = "10.77.0.3", .dst = "10.77.0.1", .proto = IPPROTO_UDP, .sport = 4000,
						  .dport = 5353, .vlan_tags = (uint8_t)tags, .payload_bytes = 4}, frame);
	char buf[16];
	int fd;

	set_checksum(frame + ETH_HLEN + 4 * tags);
	memset(frame, 0xff, ETH_ALEN);
	for (unsigned i = 0; i < tags; i++)
		memset(frame + ETH_HLEN + 4 * i, 0, 2);
	lab_enter(n->lab.peer_ns);
	to.sll_ifindex = (int)if_nametoindex("nic1");
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK_EQ(sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	lab_enter(n->lab.host_ns);
	close(fd);
	return lab_recv(n->server, buf, sizeof(buf)) == 4;
}

/*
 * The kernel takes off as many tags without a number as there are. What is denied, where all else may come in, stays denied
 * behind them.
 */
static void test_priority_tags(struct net *n)
{
	enum { STRANGER = 777 };

	CHECK_EQ(bpfattach_if_detach(n->h.obj, n->nic, NULL), 0);
	CHECK(arrives_tagged(n, 0));
	CHECK(arrives_tagged(n, 6)); /* as said: else this test says nothing */
	CHECK_EQ(bpfattach_if(n->h.obj, n->nic, BPFATTACH_NIC, NULL, NULL), 0);
	harness_class(&n->h, STRANGER, 2, 2);
	harness_row(&n->h, 0, MESH_INGRESS, 2, MESH_SLOT_UDP, MESH_ALLOW, MESH_ROW_PORTS);
	harness_port(&n->h, 0, MESH_INGRESS, 2, IPPROTO_UDP, 5353, MESH_DENY_RULE);
	n->h.c->default_verdict[0][MESH_INGRESS] = MESH_ALLOW;
	bpfconfig_commit(n->h.conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
	for (unsigned tags = 0; tags <= 6; tags++)
		CHECK(!arrives_tagged(n, tags));
	policy(n);
}

static int open_tun(const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name); /* fits */
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &req) == 0)
		return fd;
	printf("skipped: interfaces without link header: no tun device: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static void write_tun(int fd, uint16_t dport)
{
	uint8_t frame[PKT_MAX];
	size_t len = pkt_build(&(struct pkt_spec){.src = "10.78.0.2", .dst = "10.77.0.1",
						  .proto = IPPROTO_UDP, .sport = 4000,
						  .dport = dport, .payload_bytes = 4}, frame);

	set_checksum(frame + 14);
	CHECK_EQ(write(fd, frame + 14, len - 14), len - 14);
}

/* An interface that has no link header, as those of VPNs, is policed as any other. */
static void test_only_ip(struct net *n)
{
	struct pkt_spec s = {.src = "10.77.0.1", .dst = "10.78.0.2", .proto = IPPROTO_UDP,
			     .sport = 5353, .dport = 4001};
	int tun = open_tun("vpn0"), ifindex;
	struct err err = {0};
	uint64_t before;
	char buf[256];

	if (tun < 0)
		return;
	lab_sh("ip addr add 10.78.0.1/24 dev vpn0 && ip link set vpn0 up");
	ifindex = (int)if_nametoindex("vpn0");
	CHECK_EQ(bpfattach_if(n->h.obj, ifindex, BPFATTACH_TUNNEL, NULL, &err), -EOPNOTSUPP);
	CHECK_EQ(bpfattach_if(n->h.obj, ifindex, BPFATTACH_NIC, NULL, &err), 0);
	CHECK(bpfattach_if_is_ok(n->h.obj, ifindex, BPFATTACH_NIC));
	while (read(tun, buf, sizeof(buf)) > 0)
		; /* router solicitations from before */
	before = packets(n, MESH_PASS_NEW);
	write_tun(tun, 5353);
	CHECK_EQ(lab_recv(n->server, buf, sizeof(buf)), 4);
	CHECK_EQ(packets(n, MESH_PASS_NEW) - before, 1);
	before = packets(n, MESH_PASS_REPLY);
	lab_send(n->server, "10.78.0.2", 4000, "pong", 4);
	CHECK_EQ(packets(n, MESH_PASS_REPLY) - before, 1);
	before = packets(n, MESH_DROP_POLICY);
	write_tun(tun, 5354);
	CHECK_EQ(packets(n, MESH_DROP_POLICY) - before, 1);
	lab_send(n->server, "10.78.0.2", 4001, "ping", 4);
	CHECK_EQ(packets(n, MESH_DROP_POLICY) - before, 2);
	expect_packet_socket(n, ifindex, &s, 14, MESH_DROP_ETHERTYPE);
	CHECK_EQ(bpfattach_if_detach(n->h.obj, ifindex, &err), 0);
	close(tun);
}

static void test_order(struct net *n)
{
	CHECK_EQ(bpfattach_if_before(n->h.obj, n->nic), 0);
	CHECK_EQ(bpfattach_if_before(n->h.obj, 9999), 0);
	if (!bpfobj_features(n->h.obj)->has_tcx)
		return;
	for (unsigned dir = MESH_INGRESS; dir <= MESH_EGRESS; dir++) {
		unsigned id = 0;
		int link = lab_attach_before(n->nic, dir, &id);

		CHECK(id != 0);
		CHECK_EQ(bpfattach_if_before(n->h.obj, n->nic), id);
		CHECK_EQ(bpfattach_if_before(n->h.obj, n->tunnel), 0);
		close(link);
		CHECK_EQ(bpfattach_if_before(n->h.obj, n->nic), 0);
	}
}

static void test_other_layout(struct net *n)
{
	char path[256];
	struct bpfobj *o = NULL;
	struct err err = {0};
	struct bpfobj_options opt = {.pin_dir = path};

	(void)snprintf(path, sizeof(path), "%s/foreign", n->lab.bpf); /* fits */
	lab_sh("mkdir %s && bpftool map create %s/mesh_ct4 type hash key 4 value 4 entries 8 name x",
	       path, path);
	CHECK_EQ(bpfobj_open(&opt, &o, &err), -EEXIST);
	CHECK(strstr(err.text, "mesh_ct4") != NULL);
	bpfobj_free(o);
}

/*
 * Who has the directory of pins may put a link in it. Whatever that leads to, nobody removes what is there, and root least of
 * all; and a map whose values are longer than they seem is not read.
 */
static void test_planted(struct net *n)
{
	CLEANUP(bpfobj_free) struct bpfobj *o = NULL;
	char path[256], victim[128];
	struct err err = {0};

	(void)snprintf(path, sizeof(path), "%s/agent/v9", n->lab.bpf); /* fits */
	(void)snprintf(victim, sizeof(victim), "%s/victim", n->lab.dir);
	lab_sh("mkdir %s && echo x >%s/passwd && ln -s %s %s", victim, victim, victim, path);
	CHECK(bpfothers_remove(n->h.obj, &err) < 0);
	CHECK_EQ(bpfobj_open_pins(path, &o), 0);
	CHECK(bpfobj_unpin(o) < 0);
	lab_sh("rm %s && mkdir %s/plain && test -s %s/passwd", path, victim, victim);
	bpfobj_free(TAKE_PTR(o));
	CHECK_EQ(bpfobj_open_pins(victim, &o), 0);
	CHECK_EQ(bpfobj_unpin(o), -EXDEV);
	lab_sh("test -s %s/passwd && rm -r %s && mkdir %s", victim, victim, path);
	lab_sh("bpftool map create %s/mesh_config type percpu_array key 4 value 1024 entries 1 name x", path);
	lab_sh("bpftool map update pinned %s/mesh_config key 0 0 0 0 value $(yes 255 | head -n 1024 | tr '\n' ' ')", path);
	CHECK(!bpfothers_in_force(n->h.obj));
	CHECK(bpfothers_remove(n->h.obj, &err) >= 0);
	CHECK(access(path, F_OK) < 0);
}

static void run(bool no_tcx)
{
	enum bpfattach_how how;
	struct net n = {.opt.no_tcx = no_tcx};
	struct err err = {0};

	topology(&n);
	open_obj(&n);
	policy(&n);
	CHECK_EQ(bpfattach_if(n.h.obj, n.nic, BPFATTACH_NIC, &how, &err), 0);
	CHECK_EQ(how, no_tcx || !bpfobj_features(n.h.obj)->has_tcx ? BPFATTACH_NEW_CLSACT :
								      BPFATTACH_NEW_TCX);
	CHECK_EQ(bpfattach_if(n.h.obj, n.tunnel, BPFATTACH_TUNNEL, &how, &err), 0);
	CHECK_EQ(bpfattach_if(n.h.obj, 9999, BPFATTACH_NIC, &how, &err), -ENODEV);
	CHECK_EQ(bpfattach_if(n.h.obj, 1, BPFATTACH_NIC, &how, &err), -EOPNOTSUPP);
	CHECK(bpfattach_if_is_ok(n.h.obj, n.nic, BPFATTACH_NIC));
	test_tunnel(&n);
	test_packet_socket(&n);
	test_priority_tags(&n);
	test_only_ip(&n);
	test_restart(&n);
	test_order(&n);
	if (!no_tcx)
		test_other_layout(&n);
	test_planted(&n);
	CHECK_EQ(bpfattach_detach_all(n.h.obj, &err), 0);
	CHECK(!bpfattach_if_is_ok(n.h.obj, n.nic, BPFATTACH_NIC));
	CHECK(!bpfattach_if_is_ok(n.h.obj, n.tunnel, BPFATTACH_TUNNEL));
	if (no_tcx)
		lab_sh("! tc filter show dev nic0 ingress | grep -q bpf");
	CHECK_EQ(bpfobj_unpin(n.h.obj), 0);
	CHECK(access(n.pin, F_OK) < 0);
	close_obj(&n);
	close(n.server);
	close(n.node);
	lab_close(&n.lab);
}

int main(void)
{
	run(false);
	run(true);
	return harness_done();
}
