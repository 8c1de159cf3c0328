/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connect() costs with the socket programs: a UDP socket connected again and again, in a cgroup
 * and namespaces of this process. CPU time, minimum of rounds. Prints; asserts nothing about time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bpf/bpf_attach.h"
#include "bpf/harness.h"
#include "bpf/lab.h"

enum { ROUNDS = 25, REPEAT = 20000 };

static double connect_ns(const char *addr, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = inet_addr(addr)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	double best = 1e9;

	for (int r = 0; r < ROUNDS; r++) {
		struct timespec a, b;
		double ns;

		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a); /* cannot fail for this clock */
		for (int i = 0; i < REPEAT; i++)
			if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
				perror("connect");
				exit(99);
			}
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
		ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
		if (ns / REPEAT < best)
			best = ns / REPEAT;
	}
	close(fd);
	return best;
}

static void services(struct harness *h, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct mesh_svc_key k = {.port = htons(53), .proto = IPPROTO_UDP};
		struct mesh_svc v = {.set = i + 1, .count = 1, .service_id = i + 1};
		struct mesh_svc_slot_key sk = {.set = i + 1};
		struct mesh_svc_slot sv = {.port = htons(7053), .backend_id = i + 1};
		char name[32];

		(void)snprintf(name, sizeof(name), "10.96.%u.%u", i / 250, i % 250 + 1); /* fits */
		pkt_addr16(name, k.addr);
		pkt_addr16("127.0.0.1", sv.addr);
		if (bpfmap_put(h->obj, BPFOBJ_SVC_SLOT, &sk, &sv) < 0 ||
		    bpfmap_put(h->obj, BPFOBJ_SVC, &k, &v) < 0)
			exit(99);
	}
}

int main(void)
{
	static const uint32_t sizes[] = {10, 1000, 10000};
	struct harness h;
	struct lab lab;
	struct err err = {0};
	char pin[128], group[160];
	double none;

	lab_open(&lab);
	(void)snprintf(pin, sizeof(pin), "%s/v1", lab.bpf); /* fits */
	(void)snprintf(group, sizeof(group), "%s/mesh-bench-%d", lab.cgroup, getpid());
	if (mount("none", lab.cgroup, "cgroup2", 0, NULL) < 0 || mkdir(group, 0755) < 0) {
		printf("skipped: no cgroup2: %s\n", strerror(errno));
		return HARNESS_SKIP;
	}
	lab_sh("echo %d >%s/cgroup.procs", getpid(), group);
	if (bpfobj_open(&(struct bpfobj_options){.pin_dir = pin}, &h.obj, &err) < 0 ||
	    bpfconfig_open(h.obj, &h.conf) < 0 || bpfconfig_init(h.conf) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 99;
	}
	none = connect_ns("127.0.0.1", 7053);
	printf("connect(), no programs                %7.1f ns\n", none);
	if (bpfattach_cgroup(h.obj, group, &err) < 0)
		return 99;
	bpfconfig_commit(h.conf, 0, MESH_STATE_SERVICES);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		services(&h, sizes[i]);
		printf("%5u services: other address           %+7.1f ns\n", sizes[i],
		       connect_ns("127.0.0.1", 7053) - none);
		printf("%5u services: service address         %+7.1f ns\n", sizes[i],
		       connect_ns("10.96.0.5", 53) - none);
	}
	lab_sh("echo %d >%s/cgroup.procs", getpid(), lab.cgroup);
	if (bpfattach_detach_all(h.obj, &err) < 0 || bpfobj_unpin(h.obj) < 0)
		return 99;
	harness_close(&h);
	(void)rmdir(group); /* a leftover empty group is harmless */
	lab_close(&lab);
	return 0;
}
