/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/pkt.h"
#include "lib/tcx.h"
#include "mesh_abi.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(99);
}

static void skip_unless(int r, const char *what)
{
	if (r >= 0)
		return;
	printf("skipped: %s: %s\n", what, strerror(errno));
	exit(77);
}

static int ns_fd(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	must(fd, "/proc/self/ns/net");
	return fd;
}

/* Before 5.14 the socket programs cannot tell namespaces apart and work in the first one only. */
static bool is_first_only(void)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	must(fd, "socket");
	r = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	close(fd);
	return r < 0;
}

void lab_open(struct lab *l)
{
	int first = is_first_only() && getenv("LAB_IN_FIRST_NETNS") ? ns_fd() : -1;

	skip_unless(unshare(CLONE_NEWNS | CLONE_NEWNET), "no namespaces of our own");
	l->peer_ns = ns_fd();
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	(void)snprintf(l->dir, sizeof(l->dir), "/tmp/mesh-lab-XXXXXX"); /* fits */
	must(mkdtemp(l->dir) ? 0 : -1, l->dir);
	must(mount("tmpfs", l->dir, "tmpfs", 0, NULL), "tmpfs");
	(void)snprintf(l->bpf, sizeof(l->bpf), "%s/bpf", l->dir);	/* fits */
	(void)snprintf(l->cgroup, sizeof(l->cgroup), "%s/cgroup", l->dir); /* fits */
	must(mkdir(l->bpf, 0700), l->bpf);
	must(mkdir(l->cgroup, 0700), l->cgroup);
	skip_unless(mount("bpf", l->bpf, "bpf", 0, NULL), "no bpf file system");
	if (first >= 0)
		lab_enter(first);
	else
		must(unshare(CLONE_NEWNET), "network namespace");
	l->host_ns = first >= 0 ? first : ns_fd();
	lab_sh("ip link set lo up");
}

void lab_close(struct lab *l)
{
	close(l->host_ns);
	close(l->peer_ns);
	(void)umount2(l->bpf, MNT_DETACH);
	(void)umount2(l->cgroup, MNT_DETACH);
	(void)umount2(l->dir, MNT_DETACH);
	(void)rmdir(l->dir);
}

void lab_enter(int ns)
{
	must(setns(ns, CLONE_NEWNET), "setns");
}

void lab_sh(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (r < 0 || (size_t)r >= sizeof(cmd))
		abort();
	r = system(cmd);
	if (r != 0) {
		fprintf(stderr, "%s: status %d\n", cmd, r);
		exit(99);
	}
}

static struct sockaddr_in6 sockaddr_of(const char *addr, unsigned short port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	pkt_addr16(addr, sa.sin6_addr.s6_addr);
	return sa;
}

int lab_udp(const char *addr, unsigned short port)
{
	struct timeval limit = {.tv_usec = 300000};
	struct sockaddr_in6 sa = sockaddr_of(addr, port);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	must(fd, "socket");
	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), "SO_RCVTIMEO");
	must(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), "bind");
	return fd;
}

long lab_recv(int fd, void *buf, unsigned long size)
{
	return recv(fd, buf, size, 0);
}

void lab_send(int fd, const char *addr, unsigned short port, const void *data, unsigned long len)
{
	struct sockaddr_in6 sa = sockaddr_of(addr, port);

	/* a refusal by a filter is what some tests are about */
	(void)sendto(fd, data, len, 0, (struct sockaddr *)&sa, sizeof(sa));
}

int lab_tcp(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd, "socket");
	must(connect(fd, (const struct sockaddr *)to, sizeof(*to)), "connect");
	return fd;
}

int lab_attach_before(int ifindex, unsigned dir, unsigned *ret_id)
{
	int link = tcx_attach(ifindex, dir == MESH_EGRESS, TC_ACT_OK, true, ret_id);

	errno = link < 0 ? -link : 0;
	must(link, "link");
	return link;
}
