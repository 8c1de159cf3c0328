/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/sock_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "bpf/bpf_attach.h"

struct sockaddr_in6 sa6(const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	pkt_addr16(addr, sa.sin6_addr.s6_addr);
	return sa;
}

struct sockaddr_in sa4(const char *addr, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = inet_addr(addr)};
}

int make_socket(int family, int type)
{
	struct timeval limit = {.tv_usec = 500000};
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

int serve(int type, const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = sa6(addr, port);
	int fd = make_socket(AF_INET6, type);

	CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (type == SOCK_STREAM)
		CHECK_EQ(listen(fd, 64), 0);
	return fd;
}

struct mesh_svc_key svc_key(const char *addr, uint16_t port, uint8_t proto)
{
	struct mesh_svc_key k = {.port = htons(port), .proto = proto};

	pkt_addr16(addr, k.addr);
	return k;
}

void service(struct sock_lab *l, const char *addr, uint16_t port, uint8_t proto,
		    struct mesh_svc v)
{
	struct mesh_svc_key k = svc_key(addr, port, proto);

	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_SVC, &k, &v), 0);
}

void slot(struct sock_lab *l, uint32_t set, uint32_t index, const char *addr, uint16_t port,
		 uint32_t backend)
{
	struct mesh_svc_slot_key k = {.set = set, .slot = index};
	struct mesh_svc_slot v = {.port = htons(port), .backend_id = backend};

	pkt_addr16(addr, v.addr);
	CHECK_EQ(bpfmap_put(l->h.obj, BPFOBJ_SVC_SLOT, &k, &v), 0);
}

void unslot(struct sock_lab *l, uint32_t set, uint32_t index)
{
	struct mesh_svc_slot_key k = {.set = set, .slot = index};

	CHECK_EQ(bpfmap_del(l->h.obj, BPFOBJ_SVC_SLOT, &k), 0);
}

void sock_lab_open(struct sock_lab *l)
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

void sock_lab_close(struct sock_lab *l)
{
	struct err err = {0};

	lab_sh("echo %d >%s/cgroup.procs", getpid(), l->lab.cgroup);
	CHECK_EQ(bpfattach_detach_all(l->h.obj, &err), 0);
	CHECK_EQ(bpfobj_unpin(l->h.obj), 0);
	harness_close(&l->h);
	CHECK_EQ(rmdir(l->group), 0);
	lab_close(&l->lab);
}
