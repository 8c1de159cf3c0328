/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that were changed at random, to a host that is open at one TCP port: what passes is what a plain reader of the
 * same bytes, which knows nothing of the programs, takes for a packet to that port or for something that keeps a link up.
 * MESH_TEST_FRAMES asks for more of them, MESH_TEST_SEED for others.
 */
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/harness.h"
#include "lib/random.h"
#include "lib/result.h"

enum {
	FRAMES = 200000,
	OPEN = 80,
	IDS = 64, /* of fragments, so that a later one may belong to a first one */
	TAGS_MAX = 2,
	EXT_MAX = 4,
	HEAD_MAX = 255, /* units of 8 bytes in front of what the first fragment must have */
};

static const char *const own[] = {"10.99.3.1", "fd99:3::1"}, *const peers[] = {"203.0.113.77", "2001:db8:113::77"};

enum fate { DROPPED, PASSED, EITHER /* depends on what came before */ };

static struct random rnd;

/* The plain reader. What it reads is in the frame, or there is no packet. */
struct reader {
	const uint8_t *frame;
	size_t len;
};

static unsigned byte_at(const struct reader *r, size_t at)
{
	return r->frame[at];
}

static unsigned pair_at(const struct reader *r, size_t at)
{
	return byte_at(r, at) << 8 | byte_at(r, at + 1);
}

static size_t header_of(unsigned proto)
{
	if (proto == IPPROTO_TCP)
		return 20;
	return proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? 8 : 0;
}

static bool keeps_v6_alive(unsigned type)
{
	return (type >= 130 && type <= 136) || type == 138 || (type >= 141 && type <= 143) || type == 148 || type == 149 ||
	       (type >= 151 && type <= 153);
}

/*
 * `end`: of the packet, by its own length; `before`: bytes of what is cut into fragments in front of the header; `ip6`: where
 * the IPv6 header is, 0 = none.
 */
static enum fate read_transport(const struct reader *r, unsigned proto, size_t at, size_t end, size_t before, size_t ip6)
{
	size_t need = header_of(proto), read = proto == IPPROTO_TCP ? 14 : need; /* up to the flags */

	if (!need)
		return DROPPED; /* no port is open there */
	if (at + need > end || at + read > r->len || (before + need + 7) / 8 > HEAD_MAX)
		return DROPPED;
	switch (proto) {
	case IPPROTO_TCP:
		return pair_at(r, at + 2) == OPEN ? PASSED : DROPPED;
	case IPPROTO_UDP: /* a DHCP server's answer */
		if (ip6)
			return pair_at(r, at + 2) == 546 && (pair_at(r, at) == 547 || (pair_at(r, ip6 + 8) & 0xffc0) == 0xfe80) ? PASSED : DROPPED;
		return pair_at(r, at) == 67 && pair_at(r, at + 2) == 68 ? PASSED : DROPPED;
	case IPPROTO_ICMP: /* errors may be about a flow that there is */
		return byte_at(r, at) == 3 || byte_at(r, at) == 11 || byte_at(r, at) == 12 ? EITHER : DROPPED;
	case IPPROTO_ICMPV6:
		return ip6 && keeps_v6_alive(byte_at(r, at)) ? PASSED : byte_at(r, at) >= 1 && byte_at(r, at) <= 4 ? EITHER : DROPPED;
	default:
		return DROPPED;
	}
}

/* A fragment that is not the first passes where the first one did; never one that overlaps what was decided on. */
static enum fate read_later(unsigned proto, unsigned offset, bool v6)
{
	if (proto == IPPROTO_TCP && offset * 8 < 20)
		return DROPPED;
	return header_of(proto) || v6 ? EITHER : DROPPED;
}

static enum fate read_v4(const struct reader *r, size_t at)
{
	size_t header, total;
	unsigned frag;

	if (at + 20 > r->len)
		return DROPPED;
	header = (byte_at(r, at) & 15) * 4;
	total = pair_at(r, at + 2);
	frag = pair_at(r, at + 6);
	if (byte_at(r, at) >> 4 != 4 || header < 20 || total < header)
		return DROPPED;
	if (frag & 0x1fff)
		return read_later(byte_at(r, at + 9), frag & 0x1fff, false);
	return read_transport(r, byte_at(r, at + 9), at + header, at + total, 0, 0);
}

static bool is_ext(unsigned next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

static enum fate read_v6(const struct reader *r, size_t ip)
{
	size_t at = ip + 40, start = at, end;
	unsigned next, n = 0;
	bool is_cut = false;

	if (at > r->len || byte_at(r, ip) >> 4 != 6)
		return DROPPED;
	next = byte_at(r, ip + 6);
	end = at + pair_at(r, ip + 4);
	for (; is_ext(next); n++) {
		unsigned kind = next;

		if (n == EXT_MAX || at + 8 > r->len)
			return DROPPED;
		next = byte_at(r, at);
		if (kind == 44) {
			unsigned field = pair_at(r, at + 2);

			if (is_cut)
				return DROPPED;
			if (field >> 3)
				return read_later(next, field >> 3, true);
			is_cut = field & 1;
			start = at + 8;
			at += 8;
		} else {
			at += kind == 51 ? (byte_at(r, at + 1) + 2U) * 4 : (byte_at(r, at + 1) + 1U) * 8;
		}
	}
	if (next == 59)
		return DROPPED;
	return read_transport(r, next, at, end, at - start, ip);
}

static bool keeps_link_up(unsigned ethertype)
{
	static const uint16_t all[] = {0x0806, 0x8035, 0x8808, 0x8809, 0x888e, 0x88cc, 0x88f7, 0x8863, 0x8864, 0x88e5,
				       0x892f, 0x88fb, 0x4305};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] == ethertype)
			return true;
	return ethertype < 0x600;
}

static enum fate read_frame(const struct reader *r)
{
	unsigned ethertype = pair_at(r, 12);
	size_t at = 14;

	for (unsigned n = 0; ethertype == 0x8100 || ethertype == 0x88a8; n++) {
		if (n == TAGS_MAX || at + 4 > r->len)
			return DROPPED;
		ethertype = pair_at(r, at + 2);
		at += 4;
	}
	if (ethertype == 0x0800)
		return read_v4(r, at);
	if (ethertype == 0x86dd)
		return read_v6(r, at);
	return keeps_link_up(ethertype) ? PASSED : DROPPED;
}

/* Frames */

static size_t build(uint8_t *frame)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};
	static const uint16_t ports[] = {OPEN, OPEN, OPEN, 22, 67, 68, 546, 547, 40000}, ethertypes[] = {0x0806, 0x88cc, 0x8847, 0x22f0, 0x8864, 0x88e5};
	static const uint8_t exts[] = {60, 43, 51, 255};
	bool v6 = random_chance(&rnd, 50);
	struct pkt_spec s = {.src = peers[v6], .dst = own[v6], .proto = PICK(&rnd, protos), .sport = PICK(&rnd, ports), .dport = PICK(&rnd, ports),
			     .tcp_flags = (uint8_t)(1u << random_below(&rnd, 5)), .payload_bytes = random_below(&rnd, 80), .frag_id = random_below(&rnd, IDS)};

	s.icmp_type = (uint8_t)(random_chance(&rnd, 50) ? random_below(&rnd, 20) : 120 + random_below(&rnd, 40));
	s.vlan_tags = (uint8_t)(random_chance(&rnd, 20) ? random_below(&rnd, 4) : 0);
	s.ethertype = random_chance(&rnd, 5) ? PICK(&rnd, ethertypes) : 0;
	if (!v6 && random_chance(&rnd, 20))
		s.option_words = (uint8_t)random_below(&rnd, 11);
	for (unsigned i = 0; v6 && random_chance(&rnd, 30) && i < 5; i++)
		s.ext[i] = PICK(&rnd, exts);
	if (random_chance(&rnd, 15)) {
		s.is_fragment = true;
		s.more_fragments = random_chance(&rnd, 70);
		s.offset_units = (uint16_t)(random_chance(&rnd, 50) ? 0 : random_below(&rnd, 40));
	}
	return pkt_build(&s, frame);
}

/* Anywhere, but mostly where headers are. */
static size_t place(size_t len)
{
	return random_below(&rnd, (uint32_t)(random_chance(&rnd, 80) ? MIN(len, (size_t)90) : len));
}

static size_t mutate(uint8_t *frame, size_t len)
{
	static const uint8_t edges[] = {0, 1, 4, 5, 6, 0x0f, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xff};

	for (unsigned n = random_below(&rnd, 4); n; n--) {
		size_t at = place(len), other = place(len);
		uint8_t kept = frame[at];

		switch (random_below(&rnd, 6)) {
		case 0:
			frame[at] = PICK(&rnd, edges);
			break;
		case 1:
			frame[at] = frame[other];
			frame[other] = kept;
			break;
		case 2: /* cut, not below what the kernel takes for a frame */
			len = MAX(at, (size_t)14);
			break;
		case 3: /* longer */
			for (uint32_t more = random_below(&rnd, 200); more && len < PKT_MAX; more--)
				frame[len++] = (uint8_t)random_below(&rnd, 256);
			break;
		default:
			frame[at] ^= (uint8_t)(1u << random_below(&rnd, 8));
		}
	}
	return len;
}

/* 1 or 0; -1 if the kernel itself takes it for no frame. */
static int passes(struct harness *h, const uint8_t *frame, size_t len)
{
	uint8_t out[PKT_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .data_out = out, .data_size_out = sizeof(out),
		    .repeat = 1);

	if (bpf_prog_test_run_opts(bpfobj_prog_fd(h->obj, BPFOBJ_NIC_INGRESS), &opts) < 0)
		return -1;
	return (int)opts.retval == -1;
}

static void show(const uint8_t *frame, size_t len, enum fate want)
{
	(void)fprintf(stderr, "not %s:", want == PASSED ? "passed" : "dropped");
	for (size_t i = 0; i < len; i++)
		(void)fprintf(stderr, " %02x", frame[i]);
	(void)fputc('\n', stderr);
}

int main(void)
{
	const struct bpfobj_sizes sizes = {.ct4 = 65536, .ct6 = 65536, .ipcache = 1024, .cidr = 1024, .classes = 1024, .rows = 8192,
					   .ports = 1024, .ranges = 1024, .frags = 1024, .shadow = 64};
	uint64_t frames = result_amount("MESH_TEST_FRAMES", FRAMES), n = 0, refused = 0, passed = 0, dropped = 0, either = 0, different = 0;
	struct harness h;

	harness_open(&h, &sizes);
	harness_reset(&h);
	harness_row(&h, 0, MESH_INGRESS, 0, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(&h, 0, MESH_INGRESS, 0, IPPROTO_TCP, OPEN, MESH_ALLOW);
	bpfconfig_commit(h.conf, 0, MESH_STATE_ACTIVE);
	rnd.state = result_amount("MESH_TEST_SEED", 20);
	while (n < frames && different < 10 && refused < frames) {
		uint8_t frame[PKT_MAX];
		size_t len = mutate(frame, build(frame));
		enum fate want = read_frame(&(struct reader){frame, len});
		int is = passes(&h, frame, len);

		if (is < 0) {
			refused++;
			continue;
		}
		n++;
		passed += want == PASSED;
		dropped += want == DROPPED;
		either += want == EITHER;
		if (want != EITHER && (is == 1) != (want == PASSED)) {
			show(frame, len, want);
			different++;
		}
	}
	(void)printf("%llu frames: %llu to pass, %llu to be dropped, %llu by what came before; %llu different, %llu that the kernel did not take\n",
		     (unsigned long long)n, (unsigned long long)passed, (unsigned long long)dropped, (unsigned long long)either,
		     (unsigned long long)different, (unsigned long long)refused);
	result_add("frames", json_pack("{s:s, s:I, s:I, s:I}", "what", "mutated", "frames", (json_int_t)n, "passed", (json_int_t)passed,
				       "different", (json_int_t)different));
	CHECK_EQ(different, 0);
	CHECK(passed > n / 20 && dropped > n / 5 && either > n / 200);
	harness_close(&h);
	return harness_done();
}
