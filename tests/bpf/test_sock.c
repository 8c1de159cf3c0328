/* SPDX-License-Identifier: Apache-2.0 */
/* Services at the socket, in a cgroup and a network namespace of this test. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bpf/sock_lab.h"

/* Connects; 0 or -errno. If it worked, checks what the application sees as its peer. */
static int try4(const char *addr, uint16_t port)
{
	struct sockaddr_in to = sa4(addr, port), peer = {0};
	socklen_t len = sizeof(peer);
	int fd = make_socket(AF_INET, SOCK_STREAM);
	int r = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;

	if (r == 0) {
		CHECK_EQ(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
		CHECK_EQ(peer.sin_addr.s_addr, to.sin_addr.s_addr);
		CHECK_EQ(peer.sin_port, to.sin_port);
	}
	close(fd);
	return r;
}

static int try6(const char *addr, uint16_t port)
{
	struct sockaddr_in6 to = sa6(addr, port), peer = {0};
	socklen_t len = sizeof(peer);
	int fd = make_socket(AF_INET6, SOCK_STREAM);
	int r = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;

	if (r == 0) {
		CHECK_EQ(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
		CHECK(memcmp(&peer.sin6_addr, &to.sin6_addr, 16) == 0);
		CHECK_EQ(peer.sin6_port, to.sin6_port);
	}
	close(fd);
	return r;
}

/* Takes waiting connections; how many there were. */
static unsigned accepted(int server)
{
	unsigned n = 0;
	int fd;

	while ((fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		close(fd);
		n++;
	}
	return n;
}

static void test_tcp(struct sock_lab *l, int a, int b)
{
	const int refused = bpfobj_features(l->h.obj)->has_set_retval ? -EHOSTUNREACH : -EPERM;
	unsigned na, nb;

	slot(l, 1, 0, "127.0.0.1", 7001, 1);
	slot(l, 1, 1, "127.0.0.2", 7002, 2);
	service(l, "10.96.0.10", 80, IPPROTO_TCP, (struct mesh_svc){1, 2, 0, 0, 5});
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(try4("10.96.0.10", 80), 0);
	na = accepted(a);
	nb = accepted(b);
	CHECK_EQ(na + nb, 40);
	/* either count below 5 has a chance of one in a million */
	CHECK(na >= 5 && nb >= 5);
	/* an IPv6 socket with a mapped address */
	CHECK_EQ(try6("10.96.0.10", 80), 0);
	CHECK_EQ(accepted(a) + accepted(b), 1);
	/* a new set takes over at once; the old one can go */
	slot(l, 2, 0, "127.0.0.2", 7002, 2);
	service(l, "10.96.0.10", 80, IPPROTO_TCP, (struct mesh_svc){2, 1, 0, 0, 5});
	unslot(l, 1, 0);
	unslot(l, 1, 1);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(try4("10.96.0.10", 80), 0);
	CHECK_EQ(accepted(b), 5);
	/* other protocols and ports are not the service */
	CHECK_EQ(try4("127.0.0.1", 80), -ECONNREFUSED);
	/* no backend, and a set whose slots are missing */
	service(l, "10.96.0.11", 80, IPPROTO_TCP, (struct mesh_svc){3, 0, 0, 0, 6});
	CHECK_EQ(try4("10.96.0.11", 80), refused);
	CHECK_EQ(try6("10.96.0.11", 80), refused);
	service(l, "10.96.0.12", 80, IPPROTO_TCP, (struct mesh_svc){99, 2, 0, 0, 7});
	CHECK_EQ(try4("10.96.0.12", 80), refused);
	/* IPv6 */
	slot(l, 4, 0, "::1", 7003, 3);
	service(l, "fd00:96::1", 443, IPPROTO_TCP, (struct mesh_svc){4, 1, 0, 0, 8});
	int c = serve(SOCK_STREAM, "::1", 7003);
	CHECK_EQ(try6("fd00:96::1", 443), 0);
	close(c);
}

static void test_udp(struct sock_lab *l)
{
	struct sockaddr_in to = sa4("10.96.0.53", 53), from = {0};
	struct sockaddr_in6 client;
	socklen_t len = sizeof(from);
	int server = serve(SOCK_DGRAM, "127.0.0.1", 7053), fd = make_socket(AF_INET, SOCK_DGRAM);
	char buf[16];

	slot(l, 10, 0, "127.0.0.1", 7053, 20);
	service(l, "10.96.0.53", 53, IPPROTO_UDP, (struct mesh_svc){10, 1, 0, 0, 30});
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(sendto(fd, "ask", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
		len = sizeof(client);
		CHECK_EQ(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&client, &len), 3);
		CHECK_EQ(sendto(server, "yes", 3, 0, (struct sockaddr *)&client, len), 3);
		/* the answer comes from the service */
		len = sizeof(from);
		CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
		CHECK_EQ(from.sin_addr.s_addr, to.sin_addr.s_addr);
		CHECK_EQ(from.sin_port, to.sin_port);
	}
	/* once the service is another one, the answer is shown as it is */
	service(l, "10.96.0.53", 53, IPPROTO_UDP, (struct mesh_svc){10, 1, 0, 0, 31});
	CHECK_EQ(sendto(server, "old", 3, 0, (struct sockaddr *)&client, sizeof(client)), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK_EQ(from.sin_addr.s_addr, inet_addr("127.0.0.1"));
	close(fd);
	/* connected */
	fd = make_socket(AF_INET, SOCK_DGRAM);
	CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	CHECK_EQ(send(fd, "ask", 3, 0), 3);
	len = sizeof(client);
	CHECK_EQ(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&client, &len), 3);
	CHECK_EQ(sendto(server, "yes", 3, 0, (struct sockaddr *)&client, len), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK_EQ(from.sin_addr.s_addr, to.sin_addr.s_addr);
	close(fd);
	close(server);
}

static void test_affinity(struct sock_lab *l, int a, int b)
{
	unsigned na, nb;

	for (uint32_t i = 0; i < 2; i++) {
		slot(l, 40, i, i ? "127.0.0.2" : "127.0.0.1", i ? 7002 : 7001, i + 1);
		slot(l, 40, MESH_SLOT_BACKEND | (i + 1), i ? "127.0.0.2" : "127.0.0.1",
		     i ? 7002 : 7001, i + 1);
	}
	service(l, "10.96.0.40", 80, IPPROTO_TCP,
		(struct mesh_svc){40, 2, MESH_SVC_AFFINITY, 100, 40});
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(try4("10.96.0.40", 80), 0);
	na = accepted(a);
	nb = accepted(b);
	CHECK_EQ(na * nb, 0);
	CHECK_EQ(na + nb, 20);
	/* the backend goes away: the other one takes over, and keeps */
	uint32_t left = na ? 2 : 1;

	slot(l, 41, 0, left == 1 ? "127.0.0.1" : "127.0.0.2", left == 1 ? 7001 : 7002, left);
	slot(l, 41, MESH_SLOT_BACKEND | left, left == 1 ? "127.0.0.1" : "127.0.0.2",
	     left == 1 ? 7001 : 7002, left);
	service(l, "10.96.0.40", 80, IPPROTO_TCP,
		(struct mesh_svc){41, 1, MESH_SVC_AFFINITY, 100, 40});
	CHECK_EQ(try4("10.96.0.40", 80), 0);
	service(l, "10.96.0.40", 80, IPPROTO_TCP,
		(struct mesh_svc){40, 2, MESH_SVC_AFFINITY, 100, 40});
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(try4("10.96.0.40", 80), 0);
	CHECK_EQ(accepted(left == 1 ? a : b), 21);
}

/* Each use begins the time anew; when it is over, the choice is free again. */
static void test_affinity_ends(struct sock_lab *l, int a, int b)
{
	struct mesh_affinity_key k = {.service_id = 40};
	struct mesh_affinity v;
	uint64_t hour;

	k.netns_cookie = l->h.c->netns_cookie;
	hour = (uint64_t)3600 * l->h.c->ticks_per_s;
	for (unsigned i = 0; i < 40; i++) {
		/* as if the last use was 3600 s ago; the limit of the service is 100 s */
		CHECK_EQ(bpfmap_get(l->h.obj, BPFOBJ_AFFINITY, &k, &v), 0);
		CHECK(v.last_ticks > hour);
		v.last_ticks -= hour;
		CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_AFFINITY, &k, &v), 0);
		CHECK_EQ(try4("10.96.0.40", 80), 0);
	}
	unsigned na = accepted(a), nb = accepted(b);

	CHECK_EQ(na + nb, 40);
	CHECK(na >= 5 && nb >= 5); /* as in test_tcp() */
	/* half of the time later the backend is kept, and its time is that of this use */
	CHECK_EQ(bpfmap_get(l->h.obj, BPFOBJ_AFFINITY, &k, &v), 0);
	uint64_t last = v.last_ticks;

	v.last_ticks -= 50 * (uint64_t)l->h.c->ticks_per_s;
	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_AFFINITY, &k, &v), 0);
	CHECK_EQ(try4("10.96.0.40", 80), 0);
	CHECK_EQ(accepted(v.backend_id == 1 ? a : b), 1);
	CHECK_EQ(bpfmap_get(l->h.obj, BPFOBJ_AFFINITY, &k, &v), 0);
	CHECK(v.last_ticks >= last);
}

static size_t remembered(struct sock_lab *l)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(l->h.obj, BPFOBJ_SOCK_REV, &n), 0);
	return n;
}

/* A closed socket leaves nothing behind, whatever ended it, and an open one what getpeername() needs. */
static void test_release(struct sock_lab *l, int a)
{
	struct sockaddr_in to = sa4("10.96.0.60", 80), udp_to = sa4("10.96.0.60", 53), peer;
	struct sockaddr_in6 to6 = sa6("10.96.0.60", 80);
	socklen_t len = sizeof(peer);
	int keep = make_socket(AF_INET, SOCK_STREAM), mapped = make_socket(AF_INET6, SOCK_STREAM), c;
	int udp = make_socket(AF_INET, SOCK_DGRAM);
	size_t before;

	CHECK_EQ(bpfmap_clear(l->h.obj, BPFOBJ_SOCK_REV), 0);
	before = remembered(l);
	slot(l, 60, 0, "127.0.0.1", 7001, 1);
	service(l, "10.96.0.60", 80, IPPROTO_TCP, (struct mesh_svc){60, 1, 0, 0, 60});
	service(l, "10.96.0.60", 53, IPPROTO_UDP, (struct mesh_svc){60, 1, 0, 0, 61});
	CHECK_EQ(connect(keep, (struct sockaddr *)&to, sizeof(to)), 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(try4("10.96.0.60", 80), 0);
	CHECK_EQ(remembered(l), before + 1);
	CHECK_EQ(connect(mapped, (struct sockaddr *)&to6, sizeof(to6)), 0);
	CHECK_EQ(connect(udp, (struct sockaddr *)&udp_to, sizeof(udp_to)), 0);
	CHECK_EQ(remembered(l), before + 3);
	close(mapped);
	close(udp);
	CHECK_EQ(remembered(l), before + 1);
	CHECK_EQ(getpeername(keep, (struct sockaddr *)&peer, &len), 0);
	CHECK_EQ(peer.sin_addr.s_addr, to.sin_addr.s_addr);
	/* the peer resets, then the client closes */
	while ((c = accept4(a, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct linger hard = {.l_onoff = 1};

		CHECK_EQ(setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
		close(c);
	}
	CHECK_EQ(remembered(l), before + 1);
	close(keep);
	CHECK_EQ(remembered(l), before);
}

static void node_port(struct sock_lab *l, const char *unspecified, uint16_t port, uint8_t proto, struct mesh_svc v)
{
	struct mesh_svc_key k = svc_key(unspecified, port, proto);

	k.scope = MESH_SVC_NODE_PORT;
	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_SVC, &k, &v), 0);
}

/* A node port is there on every node, and nowhere else. */
static void test_node_ports(struct sock_lab *l, int a)
{
	int c = serve(SOCK_STREAM, "::1", 7003);

	harness_ip(&l->h, "192.0.2.11", 6, 0, MESH_IP_NODE);
	harness_ip(&l->h, "192.0.2.12", 4711, 0, MESH_IP_NODE); /* whatever else the node is */
	harness_ip(&l->h, "192.0.2.13", 6, 0, 0); /* another external host */
	harness_ip(&l->h, "fd00:19::11", 6, 0, MESH_IP_NODE);
	slot(l, 50, 0, "127.0.0.1", 7001, 1);
	node_port(l, "0.0.0.0", 30080, IPPROTO_TCP, (struct mesh_svc){50, 1, 0, 0, 50});
	slot(l, 51, 0, "::1", 7003, 3);
	node_port(l, "::", 30080, IPPROTO_TCP, (struct mesh_svc){51, 1, 0, 0, 51});
	node_port(l, "0.0.0.0", 30081, IPPROTO_TCP, (struct mesh_svc){52, 0, 0, 0, 52});
	CHECK_EQ(try4("192.0.2.11", 30080), -ENETUNREACH); /* no range, no node ports */
	l->h.c->node_port_min = 30080;
	l->h.c->node_port_max = 30081;
	CHECK_EQ(try4("192.0.2.11", 30080), 0);
	CHECK_EQ(try6("192.0.2.12", 30080), 0); /* mapped */
	CHECK_EQ(accepted(a), 2);
	CHECK_EQ(try6("fd00:19::11", 30080), 0);
	CHECK_EQ(accepted(c), 1);
	CHECK_EQ(try4("192.0.2.11", 30081), bpfobj_features(l->h.obj)->has_set_retval ? -EHOSTUNREACH : -EPERM);
	/* in the range, but of no Service; beside it; of no node; this host itself, by whatever name */
	CHECK_EQ(try4("192.0.2.11", 30082), -ENETUNREACH);
	CHECK_EQ(try4("192.0.2.11", 30079), -ENETUNREACH);
	CHECK_EQ(try4("192.0.2.13", 30080), -ENETUNREACH);
	CHECK_EQ(try4("127.0.0.1", 30080), -ECONNREFUSED);
	CHECK_EQ(try6("::1", 30080), -ECONNREFUSED);
	struct sockaddr_in any = sa4("0.0.0.0", 30080);
	int fd = make_socket(AF_INET, SOCK_STREAM);

	CHECK_EQ(connect(fd, (struct sockaddr *)&any, sizeof(any)), -1);
	CHECK_EQ(errno, ECONNREFUSED);
	close(fd);
	close(c);
}

/* Datagrams, both ways: the answer comes from the node that was asked. */
static void test_node_port_udp(struct sock_lab *l)
{
	struct sockaddr_in to = sa4("192.0.2.11", 30080), from = {0};
	int server = serve(SOCK_DGRAM, "127.0.0.1", 7054), fd = make_socket(AF_INET, SOCK_DGRAM);
	struct sockaddr_in6 client;
	socklen_t len = sizeof(client);
	char buf[16];

	slot(l, 53, 0, "127.0.0.1", 7054, 21);
	node_port(l, "0.0.0.0", 30080, IPPROTO_UDP, (struct mesh_svc){53, 1, 0, 0, 53});
	CHECK_EQ(sendto(fd, "ask", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
	CHECK_EQ(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&client, &len), 3);
	CHECK_EQ(sendto(server, "yes", 3, 0, (struct sockaddr *)&client, len), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK_EQ(from.sin_addr.s_addr, to.sin_addr.s_addr);
	CHECK_EQ(from.sin_port, to.sin_port);
	close(fd);
	close(server);
}

/* Whom the programs leave alone. There is no route to the service, so it cannot be reached then. */
static void test_exempt(struct sock_lab *l, int b)
{
	CHECK_EQ(try4("10.96.0.10", 80), 0);
	CHECK_EQ(accepted(b), 1);
	lab_enter(l->lab.peer_ns);
	CHECK_EQ(try4("10.96.0.10", 80), -ENETUNREACH);
	lab_enter(l->lab.host_ns);
	bpfconfig_commit(l->h.conf, 0, 0);
	CHECK_EQ(try4("10.96.0.10", 80), -ENETUNREACH);
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_SERVICES);
}

/* A question of the socket arrives at `server`, and its answer seems to come from whom it was sent to. */
static void ask_through(int fd, int server, const struct sockaddr_storage *to, socklen_t to_len, bool is_connected)
{
	struct sockaddr_storage client, from = {0};
	socklen_t len = sizeof(client);
	char buf[16];

	if (is_connected) {
		CHECK_EQ(connect(fd, (const struct sockaddr *)to, to_len), 0);
		CHECK_EQ(send(fd, "ask", 3, 0), 3);
	} else {
		CHECK_EQ(sendto(fd, "ask", 3, 0, (const struct sockaddr *)to, to_len), 3);
	}
	CHECK_EQ(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&client, &len), 3);
	CHECK_EQ(sendto(server, "yes", 3, 0, (struct sockaddr *)&client, len), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK(memcmp(&from, to, to_len) == 0);
	if (is_connected) {
		len = sizeof(from);
		CHECK_EQ(getpeername(fd, (struct sockaddr *)&from, &len), 0);
		CHECK(memcmp(&from, to, to_len) == 0);
	}
}

static void ask_udp(const char *addr, int family, int server)
{
	struct sockaddr_storage to = {0};
	struct sockaddr_in v4 = sa4(family == AF_INET ? addr : "0.0.0.0", 53);
	struct sockaddr_in6 v6 = sa6(addr, 53);
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);

	memcpy(&to, family == AF_INET ? (void *)&v4 : (void *)&v6, len);
	for (int connected = 0; connected < 2; connected++) {
		int fd = make_socket(family, SOCK_DGRAM);

		ask_through(fd, server, &to, len, connected);
		close(fd);
	}
}

/* Whether a datagram to the address is sent to the server of the agent. There is no route elsewhere. */
static bool is_redirected(struct sock_lab *l, int fd, const char *addr, uint16_t port)
{
	struct sockaddr_in to = sa4(addr, port);
	struct mesh_counter before[MESH_REASON_MAX * 2], after[MESH_REASON_MAX * 2];
	const unsigned index = MESH_PASS_DNS_REDIRECT * 2 + MESH_EGRESS;

	CHECK_EQ(bpfmap_counters(l->h.obj, before), 0);
	(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)); /* the counter tells */
	CHECK_EQ(bpfmap_counters(l->h.obj, after), 0);
	return after[index].packets == before[index].packets + 1;
}

static bool is_fresh_redirected(struct sock_lab *l, const char *addr, uint16_t port, uint32_t mark)
{
	int fd = make_socket(AF_INET, SOCK_DGRAM);
	bool is;

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	is = is_redirected(l, fd, addr, port);
	close(fd);
	return is;
}

static void put_dns(struct sock_lab *l, const struct mesh_dns *m)
{
	uint32_t zero = 0;

	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_DNS, &zero, m), 0);
}

/* Queries to DNS servers go to that of the agent, and whose do not. */
static void test_dns(struct sock_lab *l)
{
	struct mesh_dns m = {.port4 = htons(7153), .port6 = htons(7154), .mark = 0x4e10};
	int v4 = serve(SOCK_DGRAM, "127.0.0.1", 7153), v6 = serve(SOCK_DGRAM, "::1", 7154), tcp, fd;

	pkt_addr16("127.0.0.1", m.addr4);
	pkt_addr16("::1", m.addr6);
	pkt_addr16("127.18.53.53", m.own[1]);
	put_dns(l, &m);
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 53, 0)); /* nothing says so */
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_DNS); /* services may be off */
	ask_udp("192.0.2.53", AF_INET, v4);
	ask_udp("127.0.0.53", AF_INET, v4); /* a resolver on this host */
	ask_udp("192.0.2.53", AF_INET6, v4); /* mapped */
	ask_udp("2001:db8::53", AF_INET6, v6);
	tcp = serve(SOCK_STREAM, "127.0.0.1", 7153);
	CHECK_EQ(try4("192.0.2.53", 53), 0);
	CHECK_EQ(try6("192.0.2.53", 53), 0);
	close(tcp);
	/* a Service's address is one of them, whatever is behind it */
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_DNS | MESH_STATE_SERVICES);
	service(l, "10.96.0.54", 53, IPPROTO_UDP, (struct mesh_svc){10, 1, 0, 0, 33});
	ask_udp("10.96.0.54", AF_INET, v4);
	/* two servers of one socket: the last one that was asked */
	fd = make_socket(AF_INET, SOCK_DGRAM);
	CHECK(is_redirected(l, fd, "192.0.2.1", 53));
	CHECK(is_redirected(l, fd, "192.0.2.2", 53));
	close(fd);
	CHECK(!is_fresh_redirected(l, "127.18.53.53", 53, 0));
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 54, 0));
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 53, 0x4e10));
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 53, 0x4e10 | MESH_DNS_ALLOWED));
	CHECK(is_fresh_redirected(l, "192.0.2.53", 53, 0x4e12));
	fd = make_socket(AF_INET, SOCK_DGRAM); /* what is bound to a device cannot reach us */
	lab_sh("ip link add dns0 type bridge");
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "dns0", 5), 0);
	CHECK(!is_redirected(l, fd, "192.0.2.53", 53));
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	CHECK(is_redirected(l, fd, "192.0.2.53", 53));
	close(fd);
	/* users */
	m.users[1] = 65534;
	put_dns(l, &m);
	CHECK(is_fresh_redirected(l, "192.0.2.53", 53, 0));
	fd = make_socket(AF_INET, SOCK_DGRAM);
	CHECK_EQ(setreuid(65534, 0), 0);
	CHECK(!is_redirected(l, fd, "192.0.2.53", 53));
	CHECK_EQ(setreuid(0, 0), 0);
	CHECK(is_redirected(l, fd, "192.0.2.53", 53));
	close(fd);
	/* another network namespace */
	lab_enter(l->lab.peer_ns);
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 53, 0));
	lab_enter(l->lab.host_ns);
	/* no server by IPv6 */
	m.port6 = 0;
	put_dns(l, &m);
	CHECK_EQ(try6("2001:db8::53", 53), -ENETUNREACH);
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_SERVICES);
	CHECK(!is_fresh_redirected(l, "192.0.2.53", 53, 0));
	close(v4);
	close(v6);
}

int main(void)
{
	struct sock_lab l = {0};
	int a, b;

	sock_lab_open(&l);
	a = serve(SOCK_STREAM, "127.0.0.1", 7001);
	b = serve(SOCK_STREAM, "127.0.0.2", 7002);
	/* accepted() must not wait */
	struct timeval soon = {.tv_usec = 20000};
	CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	CHECK_EQ(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	test_tcp(&l, a, b);
	test_udp(&l);
	test_affinity(&l, a, b);
	test_affinity_ends(&l, a, b);
	test_release(&l, a);
	test_node_ports(&l, a);
	test_node_port_udp(&l);
	test_exempt(&l, b);
	test_dns(&l);
	close(a);
	close(b);
	sock_lab_close(&l);
	return harness_done();
}
