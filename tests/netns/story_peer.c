/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands opposite the agent in the demo and in the network namespace tests: a node of the
 * cluster in as few lines as a node can have, forgers, and a web server of one sentence.
 *
 *   story_peer node ADDRESS PORT DEVICE IDENTITY   tunnel between a new TUN device and the hosts; prints
 *                                                  each new pair of sender and VNI
 *   story_peer spoof FROM PORT HOST IDENTITY SOURCE DESTINATION DPORT COUNT
 *                                                  UDP in a tunnel with any identity and addresses
 *                                                  Both speak Geneve if PORT is 6081, else VXLAN
 *   story_peer plain SOURCE DESTINATION DPORT COUNT
 *                                                  UDP without a tunnel, from an address that is not ours
 *   story_peer sink PORT                           UDP: a line for each datagram that arrived
 *   story_peer serve PORT TEXT                     HTTP: every request is answered with TEXT, or with status 500 while
 *                                                  the file $FAIL_IF is there
 *   story_peer load ADDRESS PORT                   HTTP: a request each 10 ms, a new connection each; a line a second
 *                                                  says how many failed and why, and how many gave which answer.
 *                                                  A name is asked for each time, and any of its addresses taken
 *   story_peer late PORT FILE                      one connection; says "late" when there is a FILE
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "story_web.h"

enum { VXLAN_LEN = 8, ETHER_LEN = 14, INNER = VXLAN_LEN + ETHER_LEN, IP_LEN = 20, UDP_LEN = 8, ROOM = 65536, SEEN_MAX = 64, GENEVE_PORT = 6081 };

int fail(const char *what)
{
	perror(what);
	return 1;
}

unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || n > max) {
		(void)fprintf(stderr, "story_peer: \"%s\" is no number up to %lu\n", text, max);
		exit(2);
	}
	return n;
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		(void)fprintf(stderr, "story_peer: \"%s\" is no IPv4 address\n", text);
		exit(2);
	}
	return a;
}

/* VXLAN or Geneve, which differ in what is not the VNI, and Ethernet in front of an IPv4 packet at p + INNER. */
static void put_headers(uint8_t *p, uint32_t vni, uint16_t port)
{
	static const uint8_t ether[ETHER_LEN] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};

	memset(p, 0, VXLAN_LEN);
	if (port == GENEVE_PORT) { /* no options; Ethernet inside */
		p[2] = 0x65;
		p[3] = 0x58;
	} else {
		p[0] = 8; /* the VNI is valid */
	}
	p[4] = (uint8_t)(vni >> 16);
	p[5] = (uint8_t)(vni >> 8);
	p[6] = (uint8_t)vni;
	memcpy(p + VXLAN_LEN, ether, sizeof(ether));
}

static int tun_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		exit(fail("story_peer: /dev/net/tun"));
	return fd;
}

/* Says once who sends with which identity: what the far end of the tunnel sees of the agent. */
static void tell(const struct sockaddr_in *from, uint32_t vni)
{
	static struct {
		in_addr_t from;
		uint32_t vni;
	} seen[SEEN_MAX];
	static size_t n;
	char text[INET_ADDRSTRLEN];

	for (size_t i = 0; i < n; i++)
		if (seen[i].from == from->sin_addr.s_addr && seen[i].vni == vni)
			return;
	if (n < SEEN_MAX) {
		seen[n].from = from->sin_addr.s_addr;
		seen[n++].vni = vni;
	}
	(void)printf("from %s vni %u\n", inet_ntop(AF_INET, &from->sin_addr, text, sizeof(text)), vni);
	(void)fflush(stdout);
}

/*
 * Between two ends of one machine the kernel leaves the inner checksum to the hardware that is not
 * there, so it is declared as still to be made: then nobody checks it.
 */
static void to_pod(int tun, uint8_t *packet, size_t len)
{
	struct virtio_net_hdr h = {.csum_start = (uint16_t)((packet[0] & 15) * 4)};
	struct iovec v[] = {{&h, sizeof(h)}, {packet, len}};

	if (packet[9] == IPPROTO_TCP || packet[9] == IPPROTO_UDP) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_offset = packet[9] == IPPROTO_TCP ? 16 : 6;
	}
	if (writev(tun, v, 2) < 0)
		perror("story_peer: to the pod");
}

static void from_tunnel(int fd, int tun, uint8_t *p)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, p, ROOM, 0, (struct sockaddr *)&from, &len);

	if (n <= INNER + IP_LEN || p[VXLAN_LEN + 12] != 8 || p[VXLAN_LEN + 13] != 0)
		return;
	tell(&from, (uint32_t)p[4] << 16 | (uint32_t)p[5] << 8 | p[6]);
	to_pod(tun, p + INNER, (size_t)n - INNER);
}

/* The hosts are their own tunnel endpoints: the inner destination is the outer one. */
static void to_tunnel(int fd, int tun, uint8_t *p, uint32_t vni, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct virtio_net_hdr h; /* all zero: we did not ask for offloads */
	struct iovec v[] = {{&h, sizeof(h)}, {p + INNER, ROOM - INNER}};
	ssize_t n = readv(tun, v, 2) - (ssize_t)sizeof(h);

	if (n < IP_LEN || p[INNER] >> 4 != 4)
		return;
	memcpy(&to.sin_addr, p + INNER + 16, sizeof(to.sin_addr));
	put_headers(p, vni, port);
	if (sendto(fd, p, (size_t)n + INNER, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		perror("story_peer: to the host");
}

static int run_node(char **argv)
{
	uint16_t port = (uint16_t)number(argv[1], UINT16_MAX);
	uint32_t vni = (uint32_t)number(argv[3], (1U << 24) - 1);
	struct sockaddr_in own = address(argv[0], port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tun = tun_open(argv[2]);
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = tun, .events = POLLIN}};
	static uint8_t room[ROOM];

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return fail("story_peer: bind");
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			from_tunnel(fd, tun, room);
		if (p[1].revents)
			to_tunnel(fd, tun, room, vni, port);
	}
	return fail("story_peer: poll");
}

static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* A socket with an address that may be somebody else's. */
static int bind_as(const char *text, uint16_t port)
{
	struct sockaddr_in from = address(text, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -1;
	return fd;
}

static int run_spoof(char **argv)
{
	struct sockaddr_in to = address(argv[2], (uint16_t)number(argv[1], UINT16_MAX));
	struct sockaddr_in source = address(argv[4], 0), destination = address(argv[5], 0);
	uint16_t dport = (uint16_t)number(argv[6], UINT16_MAX), sum;
	uint8_t p[INNER + IP_LEN + UDP_LEN + 4] = {0}, *ip = p + INNER, *udp = ip + IP_LEN;
	int fd = bind_as(argv[0], 0);

	if (fd < 0)
		return fail("story_peer: bind");
	put_headers(p, (uint32_t)number(argv[3], (1U << 24) - 1), ntohs(to.sin_port));
	ip[0] = 0x45;
	ip[3] = IP_LEN + UDP_LEN + 4;
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &source.sin_addr, 4);
	memcpy(ip + 16, &destination.sin_addr, 4);
	sum = checksum(ip, IP_LEN);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	udp[0] = 0x9c; /* source port 40000 */
	udp[1] = 0x40;
	udp[2] = (uint8_t)(dport >> 8);
	udp[3] = (uint8_t)dport;
	udp[5] = UDP_LEN + 4; /* no checksum: allowed in IPv4 */
	memcpy(udp + UDP_LEN, "evil", 4);
	for (unsigned long n = number(argv[7], 1000); n; n--)
		if (sendto(fd, p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return fail("story_peer: send");
	return 0;
}

static int run_plain(char **argv)
{
	struct sockaddr_in to = address(argv[1], (uint16_t)number(argv[2], UINT16_MAX));
	int fd = bind_as(argv[0], 40000);

	if (fd < 0)
		return fail("story_peer: bind");
	for (unsigned long n = number(argv[3], 1000); n; n--)
		if (sendto(fd, "evil", 4, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return fail("story_peer: send");
	return 0;
}

static int run_sink(char **argv)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(argv[0], UINT16_MAX))}, from;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[INET_ADDRSTRLEN], data[64];

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return fail("story_peer: bind");
	for (;;) {
		socklen_t len = sizeof(from);

		if (recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len) < 0)
			return fail("story_peer: receive");
		(void)printf("from %s\n", inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)));
		(void)fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(char **argv);
	} commands[] = {{"node", 4, run_node}, {"spoof", 8, run_spoof}, {"plain", 4, run_plain}, {"serve", 2, web_serve},
		      {"sink", 1, run_sink}, {"late", 2, web_late}, {"load", 2, web_load}};

	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc == commands[i].args + 2)
			return commands[i].run(argv + 2);
	(void)fprintf(stderr, "story_peer: see the head of tests/netns/story_peer.c\n");
	return 2;
}
