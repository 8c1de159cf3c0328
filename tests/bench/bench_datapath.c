/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds a packet of the shipped tc programs, by BPF test-run, with a small policy and with
 * 10,000 identities x 100 ports. Minimum and median of rounds. Prints; asserts nothing about time.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"
#include "bpf/harness.h"

enum { ROUNDS = 15, REPEAT = 200000, IDENTITIES = 10000, CLASSES = 1000, PORTS = 100, SAMPLES = 64 };

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static double run_ns(struct harness *h, enum bpfobj_prog prog, const struct pkt_spec *s, int repeat)
{
	uint8_t frame[PKT_MAX];
	size_t len = pkt_build(s, frame);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .repeat = repeat);
	uint64_t start = now_ns(), end;

	if (bpf_prog_test_run_opts(bpfobj_prog_fd(h->obj, prog), &opts) < 0) {
		perror("test run");
		exit(99);
	}
	end = now_ns();
	return (double)(end - start) / repeat;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct harness *h, const char *what, enum bpfobj_prog prog,
		    const struct pkt_spec *s)
{
	double ns[ROUNDS];
	int reason = harness_run(h, prog, s, NULL);

	for (int i = 0; i < ROUNDS; i++)
		ns[i] = run_ns(h, prog, s, REPEAT);
	qsort(ns, ROUNDS, sizeof(ns[0]), cmp);
	printf("%-44s %6.1f ns min %6.1f ns median  (%s)\n", what, ns[0], ns[ROUNDS / 2],
	       reason < 0 ? "untouched" : bpfmap_reason_name((unsigned)reason));
}

static void peer_name(unsigned i, char buf[32])
{
	(void)snprintf(buf, 32, "10.1.%u.%u", i / 250, i % 250 + 1); /* fits */
}

static void fill(struct harness *h, unsigned identities, unsigned classes, unsigned ports)
{
	char name[32];

	harness_reset(h);
	for (unsigned i = 0; i < identities; i++) {
		peer_name(i, name);
		harness_ip(h, name, 1000 + i, 0, 0);
		harness_class(h, 1000 + i, 1 + i % classes, 0);
	}
	for (unsigned c = 1; c <= classes; c++) {
		harness_row(h, 0, MESH_INGRESS, c, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
		for (unsigned p = 0; p < ports; p++)
			harness_port(h, 0, MESH_INGRESS, c, IPPROTO_TCP, (uint16_t)(8000 + p),
				     MESH_ALLOW);
	}
}

/* New flows of many peers and ports in turn, so that no single table entry stays in the cache. */
static void measure_spread(struct harness *h, unsigned identities, unsigned ports)
{
	double ns[ROUNDS];

	for (int r = 0; r < ROUNDS; r++) {
		ns[r] = 0;
		for (unsigned i = 0; i < SAMPLES; i++) {
			char name[32];

			peer_name((i * 7919U + (unsigned)r * 104729U) % identities, name);
			ns[r] += run_ns(h, BPFOBJ_NIC_INGRESS,
					&(struct pkt_spec){.src = name, .dst = "10.0.0.1",
							   .proto = IPPROTO_TCP, .sport = 4000,
							   .dport = (uint16_t)(8000 + i % ports),
							   .tcp_flags = PKT_SYN | PKT_FIN},
					REPEAT / SAMPLES);
		}
		ns[r] /= SAMPLES;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), cmp);
	printf("  new flows of %2d random peers and ports      %6.1f ns min %6.1f ns median\n",
	       SAMPLES, ns[0], ns[ROUNDS / 2]);
}

static void suite(struct harness *h)
{
	struct pkt_spec p = {.src = "10.1.0.9", .dst = "10.0.0.1", .proto = IPPROTO_TCP,
			     .sport = 4000, .dport = 8000, .tcp_flags = PKT_SYN};

	(void)harness_run(h, BPFOBJ_NIC_INGRESS, &p, NULL); /* the reason is printed below */
	p.tcp_flags = PKT_ACK;
	measure(h, "  established, ingress", BPFOBJ_NIC_INGRESS, &p);
	measure(h, "  reply, egress", BPFOBJ_NIC_EGRESS,
		&(struct pkt_spec){.src = "10.0.0.1", .dst = "10.1.0.9", .proto = IPPROTO_TCP,
				   .sport = 8000, .dport = 4000, .tcp_flags = PKT_ACK});
	/* FIN makes each packet start the flow anew, entry included */
	p.sport = 4001;
	p.tcp_flags = PKT_SYN | PKT_FIN;
	measure(h, "  new flow, allowed", BPFOBJ_NIC_INGRESS, &p);
	p.dport = 7999;
	measure(h, "  denied, known peer", BPFOBJ_NIC_INGRESS, &p);
	p.src = "192.0.2.1";
	measure(h, "  denied, world", BPFOBJ_NIC_INGRESS, &p);
}

int main(void)
{
	struct pkt_spec p = {.src = "10.1.0.9", .dst = "10.0.0.1", .proto = IPPROTO_TCP,
			     .sport = 4000, .dport = 8000, .tcp_flags = PKT_ACK};
	struct harness h;

	harness_open(&h, NULL);
	for (unsigned i = 0; i < BPFOBJ_PROGS; i++) {
		uint32_t insns = 0, bytes = 0;

		if (bpfobj_prog_stats(h.obj, i, &insns, &bytes) == 0)
			printf("%-18s %6u instructions verified, %6u bytes of machine code\n",
			       bpfobj_prog_name(i), insns, bytes);
	}
	harness_reset(&h);
	bpfconfig_commit(h.conf, 0, 0);
	measure(&h, "not active (the cost of the test-run itself)", BPFOBJ_NIC_INGRESS, &p);
	puts("10 identities x 10 ports");
	fill(&h, 10, 10, 10);
	suite(&h);
	measure_spread(&h, 10, 10);
	printf("%d identities in %d classes x %d ports\n", IDENTITIES, CLASSES, PORTS);
	fill(&h, IDENTITIES, CLASSES, PORTS);
	suite(&h);
	measure_spread(&h, IDENTITIES, PORTS);
	puts("IPv6");
	harness_ip(&h, "fd00::9", 1000, 0, 0);
	p.src = "fd00::9";
	p.dst = "fd00::1";
	measure(&h, "  new, then established", BPFOBJ_NIC_INGRESS, &p);
	harness_close(&h);
	return 0;
}
