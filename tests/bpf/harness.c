/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/harness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "bpf/bpf_events.h"

unsigned harness_checks, harness_failures;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(99);
}

void harness_open(struct harness *h, const struct bpfobj_sizes *sizes)
{
	struct bpfobj_options opt = {.pin_dir = ""};
	struct err err = {0};
	int r;

	if (sizes)
		opt.sizes = *sizes;
	r = bpfobj_open(&opt, &h->obj, &err);
	if (r == -EPERM) {
		printf("skipped: no right to load BPF programs (%s)\n", err.text);
		exit(HARNESS_SKIP);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	must(r, "bpfobj_open");
	must(bpfconfig_open(h->obj, &h->conf), "bpfconfig_open");
	must(bpfconfig_init(h->conf), "bpfconfig_init");
	h->c = bpfconfig_get(h->conf);
}

void harness_close(struct harness *h)
{
	bpfconfig_free(h->conf);
	bpfobj_free(h->obj);
}

void harness_reset(struct harness *h)
{
	static const enum bpfobj_map maps[] = {
		BPFOBJ_IPCACHE4,    BPFOBJ_IPCACHE6,	BPFOBJ_CIDR4,	     BPFOBJ_CIDR6,
		BPFOBJ_CLASS,	    BPFOBJ_POLICY_ROW,	BPFOBJ_POLICY_PORT,  BPFOBJ_POLICY_RANGE,
		BPFOBJ_FAILSAFE,    BPFOBJ_CT4,		BPFOBJ_CT6,	     BPFOBJ_FRAGS,
		BPFOBJ_SHADOW};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		must(bpfmap_clear(h->obj, maps[i]), bpfobj_map_name(maps[i]));
	h->c->tunnel_port = 0;
	h->c->identity = 4242;
	memset(h->c->default_verdict, MESH_DENY_DEFAULT, sizeof(h->c->default_verdict));
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
}

int harness_done(void)
{
	printf("%u checks, %u failures\n", harness_checks, harness_failures);
	return harness_failures ? 1 : 0;
}

int harness_run_raw(struct harness *h, enum bpfobj_prog prog, const void *frame, size_t len,
		    uint32_t *mark)
{
	static struct mesh_counter before[MESH_REASON_MAX * 2], after[MESH_REASON_MAX * 2];
	struct __sk_buff ctx = {.mark = mark ? *mark : 0, .ingress_ifindex = h->came_by};
	unsigned char out[PKT_MAX + 256];
	int reason = -1, r;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &ctx, .ctx_size_out = sizeof(ctx),
		    .repeat = 1);

	must(bpfmap_counters(h->obj, before), "counters");
	r = bpf_prog_test_run_opts(bpfobj_prog_fd(h->obj, prog), &opts);
	if (r == -EINVAL && h->came_by)
		return HARNESS_CANNOT;
	must(r, "test run");
	must(bpfmap_counters(h->obj, after), "counters");
	for (int i = 0; i < MESH_REASON_MAX * 2; i++) {
		if (after[i].packets == before[i].packets)
			continue;
		/* one packet has one fate, counted once */
		CHECK_EQ(reason, -1);
		CHECK_EQ(after[i].packets - before[i].packets, 1);
		CHECK_EQ(after[i].bytes - before[i].bytes, len);
		reason = i / 2;
	}
	/* the return value and the reason agree */
	CHECK_EQ((int)opts.retval, reason >= MESH_DROP_FIRST ? 2 : -1);
	if (mark)
		*mark = ctx.mark;
	return reason;
}

int harness_run(struct harness *h, enum bpfobj_prog prog, const struct pkt_spec *s, uint32_t *mark)
{
	uint8_t frame[PKT_MAX];
	size_t len = pkt_build(s, frame);

	return harness_run_raw(h, prog, frame, len, mark);
}

void harness_ip(struct harness *h, const char *addr, uint32_t identity, uint16_t node,
		uint8_t flags)
{
	struct mesh_ipinfo info = {.identity = identity, .node = node, .flags = flags};
	uint8_t a[16];

	pkt_addr16(addr, a);
	if (strchr(addr, ':'))
		must(bpfmap_put(h->obj, BPFOBJ_IPCACHE6, a, &info), "ipcache6");
	else
		must(bpfmap_put(h->obj, BPFOBJ_IPCACHE4, a + 12, &info), "ipcache4");
}

void harness_cidr(struct harness *h, const char *addr, uint32_t len, uint32_t identity)
{
	struct mesh_ipinfo info = {.identity = identity};
	struct mesh_lpm4 k4 = {.prefixlen = len};
	struct mesh_lpm6 k6 = {.prefixlen = len};
	uint8_t a[16];

	pkt_addr16(addr, a);
	memcpy(k4.addr, a + 12, 4);
	memcpy(k6.addr, a, 16);
	if (strchr(addr, ':'))
		must(bpfmap_put(h->obj, BPFOBJ_CIDR6, &k6, &info), "cidr6");
	else
		must(bpfmap_put(h->obj, BPFOBJ_CIDR4, &k4, &info), "cidr4");
}

void harness_class(struct harness *h, uint32_t identity, uint32_t class0, uint32_t class1)
{
	struct mesh_class c = {.class = {class0, class1}};

	must(bpfmap_put(h->obj, BPFOBJ_CLASS, &identity, &c), "class");
}

void harness_row(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t slot,
		 uint8_t verdict, uint8_t flags)
{
	struct mesh_row_key k = {
		.class = class, .dir = (uint8_t)dir, .slot = slot, .bank = (uint8_t)bank};
	struct mesh_row v = {.verdict = verdict, .flags = flags, .rule = 1000 + class};

	must(bpfmap_put(h->obj, BPFOBJ_POLICY_ROW, &k, &v), "row");
}

void harness_port(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t proto,
		  uint16_t port, uint8_t verdict)
{
	struct mesh_port_key k = {.class = class,
				  .dir = (uint8_t)dir,
				  .proto = proto,
				  .bank = (uint8_t)bank,
				  .port = htons(port)};
	struct mesh_port v = {.verdict = verdict, .rule = 2000 + class};

	must(bpfmap_put(h->obj, BPFOBJ_POLICY_PORT, &k, &v), "port");
}

void harness_range(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t proto,
		   uint16_t port, uint32_t bits, uint8_t verdict)
{
	struct mesh_range_key k = {.prefixlen = MESH_RANGE_BITS + bits,
				   .key = {.class = class,
					   .dir = (uint8_t)dir,
					   .proto = proto,
					   .bank = (uint8_t)bank,
					   .port = htons(port)}};
	struct mesh_port v = {.verdict = verdict, .rule = 3000 + class};

	must(bpfmap_put(h->obj, BPFOBJ_POLICY_RANGE, &k, &v), "range");
}

void harness_failsafe(struct harness *h, unsigned dir, uint8_t proto, uint16_t port,
		      const char *addr, uint32_t bits, uint32_t index)
{
	struct mesh_failsafe_key k = {.prefixlen = MESH_FAILSAFE_BITS + bits,
				      .dir = (uint8_t)dir,
				      .proto = proto,
				      .port = htons(port)};

	pkt_addr16(addr, k.addr);
	must(bpfmap_put(h->obj, BPFOBJ_FAILSAFE, &k, &index), "failsafe");
	if (!port)
		h->c->failsafe_any_port |= (uint16_t)(1u << dir);
}

struct told {
	struct mesh_event last;
	unsigned n;
};

static void keep_event(const struct mesh_event *ev, void *arg)
{
	struct told *t = arg;

	t->last = *ev;
	t->n++;
}

unsigned harness_events(struct harness *h, struct mesh_event *ret_last)
{
	CLEANUP(bpfevents_free) struct bpfevents *e = NULL;
	CLEANUP(loop_free) struct loop *l = NULL;
	struct told t = {0};

	must(loop_new(&l), "loop");
	must(bpfevents_open(h->obj, l, keep_event, &t, &e), "events");
	must(bpfevents_drain(e), "events");
	*ret_last = t.last;
	return t.n;
}
