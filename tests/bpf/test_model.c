/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, peers and packets: the shipped programs against a plain model, which knows only
 * the rules ("a forward packet needs an allow now, a reply needs a flow") and searches lists.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/harness.h"

enum { PEERS = 6, PORTS = 5, PROTOS = 3, STEPS = 6000, ROUNDS = 12, FLOWS_MAX = 4096 };

static const char *const peers4[PEERS] = {"10.3.0.1", "10.3.0.2", "10.3.1.1",
					  "10.4.0.1", "10.5.0.1", "192.0.2.7"};
static const char *const peers6[PEERS] = {"fd03::1", "fd03::2", "fd03:1::1",
					  "fd04::1", "fd05::1", "2001:db8::7"};
static const uint16_t ports[PORTS] = {22, 80, 1024, 1500, 40000};
static const uint8_t protos[PROTOS] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

struct flow {
	uint8_t peer, proto, dir, v6;
	uint16_t local, remote;
	uint32_t generation;
};

struct model {
	/* verdicts as a full table, the simplest thing that can be right */
	uint8_t verdict[2][2][PEERS][PROTOS][PORTS]; /* bank, dir, ... by destination port */
	struct flow flows[FLOWS_MAX];
	unsigned n_flows;
	unsigned bank;
	uint32_t generation;
};

static uint64_t seed = 88172645463325252ULL;

static unsigned pick(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 32) % n;
}

static uint8_t random_verdict(void)
{
	static const uint8_t some[] = {MESH_ALLOW, MESH_ALLOW, MESH_DENY_DEFAULT, MESH_DENY_RULE,
				       MESH_DENY_AUTH};

	return some[pick(ARRAY_LEN(some))];
}

static uint8_t slot_of(unsigned proto)
{
	return (uint8_t)(proto == 0 ? MESH_SLOT_TCP : proto == 1 ? MESH_SLOT_UDP : MESH_SLOT_SCTP);
}

/*
 * One (class, direction, protocol): a row, some exact ports, and perhaps 1024-2047 as a range, in
 * the maps and in the table. Peer i is class i, class 5 being what unknown identities have: 0.
 */
static void random_row(struct harness *h, struct model *m, unsigned bank, unsigned dir,
		       unsigned peer, unsigned proto)
{
	uint32_t class = peer == PEERS - 1 ? 0 : peer + 1;
	uint8_t *cell = m->verdict[bank][dir][peer][proto];
	uint8_t all = random_verdict();
	bool has_range = pick(2);

	for (unsigned i = 0; i < PORTS; i++)
		cell[i] = h->c->default_verdict[bank][dir];
	if (!pick(5))
		return;
	harness_row(h, bank, dir, class, slot_of(proto), all,
		    (uint8_t)(MESH_ROW_PORTS | (has_range ? MESH_ROW_RANGES : 0)));
	memset(cell, all, PORTS);
	if (has_range) {
		uint8_t v = random_verdict();

		harness_range(h, bank, dir, class, protos[proto], 1024, 6, v);
		cell[2] = cell[3] = v;
	}
	for (unsigned i = 0; i < PORTS; i++) {
		if (has_range && (i == 2 || i == 3))
			continue;
		if (pick(2)) {
			cell[i] = random_verdict();
			harness_port(h, bank, dir, class, protos[proto], ports[i], cell[i]);
		}
	}
}

static void random_policy(struct harness *h, struct model *m)
{
	harness_reset(h);
	memset(m, 0, sizeof(*m));
	for (unsigned bank = 0; bank < 2; bank++)
		for (unsigned dir = 0; dir < 2; dir++) {
			h->c->default_verdict[bank][dir] = random_verdict();
			for (unsigned peer = 0; peer < PEERS; peer++)
				for (unsigned proto = 0; proto < PROTOS; proto++)
					random_row(h, m, bank, dir, peer, proto);
		}
	for (uint32_t i = 0; i + 1 < PEERS; i++)
		harness_class(h, 100 + i, i + 1, i + 1);
	for (uint32_t i = 0; i < 2; i++) {
		harness_ip(h, peers4[i], 100 + i, 0, 0);
		harness_ip(h, peers6[i], 100 + i, 0, 0);
	}
	harness_cidr(h, "10.3.0.0", 16, 102);
	harness_cidr(h, "10.4.0.0", 16, 103);
	harness_cidr(h, "10.5.0.0", 30, 104);
	harness_cidr(h, "fd03:1::", 32, 102);
	harness_cidr(h, "fd04::", 64, 103);
	harness_cidr(h, "fd05::1", 128, 104);
	m->generation = bpfconfig_generation(h->conf);
}

static int reason_for(uint8_t verdict)
{
	return verdict == MESH_ALLOW	    ? MESH_PASS_NEW :
	       verdict == MESH_DENY_RULE    ? MESH_DROP_POLICY_DENY :
	       verdict == MESH_DENY_AUTH    ? MESH_DROP_POLICY_AUTH :
					      MESH_DROP_POLICY;
}

/* What must become of the packet `f` seen in direction `dir`. */
static int model_run(struct model *m, const struct flow *f, unsigned dir, unsigned port,
		     unsigned proto)
{
	unsigned i = 0;
	int reason;

	while (i < m->n_flows &&
	       (m->flows[i].peer != f->peer || m->flows[i].proto != f->proto ||
		m->flows[i].v6 != f->v6 || m->flows[i].local != f->local ||
		m->flows[i].remote != f->remote))
		i++;
	if (i < m->n_flows && m->flows[i].dir != dir)
		return MESH_PASS_REPLY;
	if (i < m->n_flows && m->flows[i].generation == m->generation)
		return MESH_PASS_ESTABLISHED;
	reason = reason_for(m->verdict[m->bank][dir][f->peer][proto][port]);
	if (reason == MESH_PASS_NEW) {
		m->flows[i] = *f;
		m->flows[i].dir = (uint8_t)dir;
		m->flows[i].generation = m->generation;
		if (i == m->n_flows)
			m->n_flows++;
	}
	return reason; /* a flow that is denied keeps its entry, and so its direction */
}

static void step(struct harness *h, struct model *m)
{
	unsigned proto = pick(PROTOS), port = pick(PORTS), dir = pick(2), other = pick(PORTS);
	struct flow f = {.peer = (uint8_t)pick(PEERS), .proto = protos[proto],
			 .v6 = (uint8_t)pick(2)};
	const char *peer = f.v6 ? peers6[f.peer] : peers4[f.peer];
	const char *own = f.v6 ? "fd00::1" : "10.0.0.1";
	struct pkt_spec s = {.src = dir == MESH_INGRESS ? peer : own,
			     .dst = dir == MESH_INGRESS ? own : peer,
			     .proto = f.proto,
			     .sport = ports[other],
			     .dport = ports[port],
			     .tcp_flags = PKT_ACK,
			     .payload_bytes = pick(3) * 20,
			     .vlan_tags = (uint8_t)(pick(8) == 0),
			     .option_words = (uint8_t)(pick(8) == 0 ? pick(11) : 0)};
	int want, got;

	if (f.v6 && pick(6) == 0)
		s.ext[0] = 60;
	f.local = dir == MESH_INGRESS ? s.dport : s.sport;
	f.remote = dir == MESH_INGRESS ? s.sport : s.dport;
	want = model_run(m, &f, dir, port, proto);
	got = harness_run(h, dir == MESH_INGRESS ? BPFOBJ_NIC_INGRESS : BPFOBJ_NIC_EGRESS, &s,
			  NULL);
	if (got != want)
		fprintf(stderr, "%s -> %s proto %u %u -> %u:\n", s.src, s.dst, s.proto, s.sport,
			s.dport);
	CHECK_EQ(got, want);
}

int main(void)
{
	static struct model m;
	struct harness h;

	harness_open(&h, NULL);
	for (unsigned r = 0; r < ROUNDS; r++) {
		random_policy(&h, &m);
		for (unsigned i = 0; i < STEPS / ROUNDS; i++) {
			if (pick(100) == 0) {
				m.bank = pick(2);
				bpfconfig_commit(h.conf, m.bank, MESH_STATE_ACTIVE);
				m.generation = bpfconfig_generation(h.conf);
			}
			step(&h, &m);
		}
	}
	harness_close(&h);
	return harness_done();
}
