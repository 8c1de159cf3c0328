/* SPDX-License-Identifier: Apache-2.0 */
/* Services at the socket, in a cgroup and a network namespace of this test. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "bpf/bpf_attach.h"
#include "bpf/harness.h"
#include "bpf/lab.h"

struct sock_lab {
	struct lab lab;
	struct harness h;
	char pin[128];
	char group[160];
};

static struct sockaddr_in6 sa6(const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	pkt_addr16(addr, sa.sin6_addr.s6_addr);
	return sa;
}

static struct sockaddr_in sa4(const char *addr, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = inet_addr(addr)};
}

static int make_socket(int family, int type)
{
	struct timeval limit = {.tv_usec = 500000};
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

/* A server on [::] that takes IPv4 as well. */
static int serve(int type, const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = sa6(addr, port);
	int fd = make_socket(AF_INET6, type);

	CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (type == SOCK_STREAM)
		CHECK_EQ(listen(fd, 64), 0);
	return fd;
}

static struct mesh_svc_key svc_key(const char *addr, uint16_t port, uint8_t proto)
{
	struct mesh_svc_key k = {.port = htons(port), .proto = proto};

	pkt_addr16(addr, k.addr);
	return k;
}

static void service(struct sock_lab *l, const char *addr, uint16_t port, uint8_t proto,
		    struct mesh_svc v)
{
	struct mesh_svc_key k = svc_key(addr, port, proto);

	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_SVC, &k, &v), 0);
}

static void slot(struct sock_lab *l, uint32_t set, uint32_t index, const char *addr, uint16_t port,
		 uint32_t backend)
{
	struct mesh_svc_slot_key k = {.set = set, .slot = index};
	struct mesh_svc_slot v = {.port = htons(port), .backend_id = backend};

	pkt_addr16(addr, v.addr);
	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_SVC_SLOT, &k, &v), 0);
}

static void unslot(struct sock_lab *l, uint32_t set, uint32_t index)
{
	struct mesh_svc_slot_key k = {.set = set, .slot = index};

	CHECK_EQ(bpfmap_del(l->h.obj, BPFOBJ_SVC_SLOT, &k), 0);
}

static void open_lab(struct sock_lab *l)
{
	struct bpfobj_options opt = {.pin_dir = l->pin};
	struct err err = {0};
	int r;

	lab_open(&l->lab);
	if (mount("none", l->lab.cgroup, "cgroup2", 0, NULL) < 0) {
		printf("skipped: no cgroup2: %s\n", strerror(errno));
		exit(HARNESS_SKIP);
	}
	(void)snprintf(l->pin, sizeof(l->pin), "%s/v1", l->lab.bpf); /* fits */
	(void)snprintf(l->group, sizeof(l->group), "%s/mesh-test-%d", l->lab.cgroup, getpid());
	CHECK_EQ(mkdir(l->group, 0755), 0);
	lab_sh("echo %d >%s/cgroup.procs", getpid(), l->group);
	r = bpfobj_open(&opt, &l->h.obj, &err);
	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		exit(r == -EPERM ? HARNESS_SKIP : 99);
	}
	CHECK_EQ(bpfconfig_open(l->h.obj, &l->h.conf), 0);
	CHECK_EQ(bpfconfig_init(l->h.conf), 0);
	l->h.c = bpfconfig_get(l->h.conf);
	CHECK_EQ(bpfattach_cgroup(l->h.obj, l->lab.bpf, &err), -EBADF);
	CHECK_EQ(bpfattach_cgroup(l->h.obj, l->group, &err), 0);
	/* a second time: in place */
	CHECK_EQ(bpfattach_cgroup(l->h.obj, l->group, &err), 0);
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_SERVICES);
}

static void close_lab(struct sock_lab *l)
{
	struct err err = {0};

	lab_sh("echo %d >%s/cgroup.procs", getpid(), l->lab.cgroup);
	CHECK_EQ(bpfattach_detach_all(l->h.obj, &err), 0);
	CHECK_EQ(bpfobj_unpin(l->h.obj), 0);
	harness_close(&l->h);
	CHECK_EQ(rmdir(l->group), 0);
	lab_close(&l->lab);
}

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

/* Whom the programs leave alone. There is no route to the service, so it cannot be reached then. */
static void test_exempt(struct sock_lab *l, int b)
{
	struct sockaddr_in to = sa4("10.96.0.10", 80);
	uint32_t mark = 77;
	int fd;

	CHECK_EQ(try4("10.96.0.10", 80), 0);
	CHECK_EQ(accepted(b), 1);
	l->h.c->skip_mark = mark;
	CHECK_EQ(try4("10.96.0.10", 80), 0);
	CHECK_EQ(accepted(b), 1);
	fd = make_socket(AF_INET, SOCK_STREAM);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	CHECK_EQ(errno, ENETUNREACH);
	close(fd);
	lab_enter(l->lab.peer_ns);
	CHECK_EQ(try4("10.96.0.10", 80), -ENETUNREACH);
	lab_enter(l->lab.host_ns);
	bpfconfig_commit(l->h.conf, 0, 0);
	CHECK_EQ(try4("10.96.0.10", 80), -ENETUNREACH);
	bpfconfig_commit(l->h.conf, 0, MESH_STATE_SERVICES);
}

int main(void)
{
	struct sock_lab l = {0};
	int a, b;

	open_lab(&l);
	a = serve(SOCK_STREAM, "127.0.0.1", 7001);
	b = serve(SOCK_STREAM, "127.0.0.2", 7002);
	/* accepted() must not wait */
	struct timeval soon = {.tv_usec = 20000};
	CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	CHECK_EQ(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	test_tcp(&l, a, b);
	test_udp(&l);
	test_affinity(&l, a, b);
	test_exempt(&l, b);
	close(a);
	close(b);
	close_lab(&l);
	return harness_done();
}
