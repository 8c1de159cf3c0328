/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds a packet of the shipped tc programs, by BPF test-run:
 *   bench_datapath [-o json] [ROUNDS]
 * Several datapaths are loaded, each with tables of another size and the failsafe set that a host has
 * by default. A round runs every case once, and every other round backwards, so that what disturbs the
 * machine disturbs all of them. Two cases are the same: how far their ratio is from one is what ratios
 * of others may be off. Prints; judges nothing.
 */
#include <bpf/bpf.h>
#include <jansson.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "bench/stats.h"
#include "bpf/harness.h"

enum { REPEAT = 20000, ROUNDS_DEFAULT = 41, ROUNDS_MAX = 1000, CASES_MAX = 96, NAME_MAX_BYTES = 48 };
enum { CLASSES_MAX = 1000, PORTS = 100, FIRST_PORT = 8000, NO_PORT = 7999, SPREAD = 2048 };

/* One loaded datapath. Peers are exact addresses, or all in prefixes. */
struct table {
	const char *name;
	unsigned peers;
	bool is_cidr;
	struct harness h;
};

static struct table tables[] = {
	{.name = "10 identities x 100 ports", .peers = 10},
	{.name = "1,000 identities x 100 ports", .peers = 1000},
	{.name = "10,000 identities x 100 ports", .peers = 10000},
	{.name = "10,000 prefixes x 100 ports", .peers = 10000, .is_cidr = true},
};

enum spread { SPREAD_NONE, SPREAD_ESTABLISHED, SPREAD_NEW, SPREAD_DENIED };

struct bench_case {
	struct table *table;
	const char *what;
	int family; /* 0 = says nothing */
	enum bpfobj_prog prog;
	enum spread spread;
	uint8_t frame[PKT_MAX];
	size_t len;
	int reason;
	double *ns; /* by round */
};

static struct bench_case cases[CASES_MAX];
static size_t n_cases;

static void peer_name(const struct table *t, int family, unsigned i, char buf[NAME_MAX_BYTES])
{
	if (family == 6)
		(void)snprintf(buf, NAME_MAX_BYTES, "fd00:%x:%x::9", t->is_cidr ? 0xc : 1, i); /* fits, like the next */
	else
		(void)snprintf(buf, NAME_MAX_BYTES, "%u.%u.%u.9", t->is_cidr ? 100 : 10, i / 250, i % 250);
}

static void fill_failsafe(struct harness *h)
{
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "::", 0, 0);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_TCP, 6443, "192.0.2.10", 128, 1);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_UDP, 53, "192.0.2.11", 128, 2);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_TCP, 53, "192.0.2.11", 128, 3);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_UDP, 67, "0.0.0.0", 96, 4);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_UDP, 547, "::", 0, 5);
}

static void fill(struct table *t)
{
	unsigned classes = MIN(t->peers, (unsigned)CLASSES_MAX);
	char name[NAME_MAX_BYTES];

	harness_open(&t->h, NULL);
	harness_reset(&t->h);
	fill_failsafe(&t->h);
	for (unsigned i = 0; i < t->peers; i++) {
		uint32_t identity = (t->is_cidr ? 0x01000001U : 1000U) + i;

		for (int family = 4; family <= 6; family += 2) {
			peer_name(t, family, i, name);
			if (t->is_cidr)
				harness_cidr(&t->h, name, family == 6 ? 48 : 24, identity);
			else
				harness_ip(&t->h, name, identity, 0, 0);
		}
		harness_class(&t->h, identity, 1 + i % classes, 0);
	}
	for (unsigned c = 1; c <= classes; c++) {
		harness_row(&t->h, 0, MESH_INGRESS, c, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
		for (unsigned p = 0; p < PORTS; p++)
			harness_port(&t->h, 0, MESH_INGRESS, c, IPPROTO_TCP, (uint16_t)(FIRST_PORT + p), MESH_ALLOW);
	}
}

static void die_of(const char *what)
{
	perror(what);
	exit(99);
}

static double run_many(const struct bench_case *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = c->frame, .data_size_in = (uint32_t)c->len, .repeat = REPEAT);
	double start = stats_thread_ns();

	if (bpf_prog_test_run_opts(bpfobj_prog_fd(c->table->h.obj, c->prog), &opts) < 0)
		die_of("test run");
	return (stats_thread_ns() - start) / REPEAT;
}

/* One packet of each of many peers, each in a run of its own, which leaves little in the caches. */
static double run_spread(const struct bench_case *c, unsigned round)
{
	double sum = 0;

	for (unsigned i = 0; i < SPREAD; i++) {
		unsigned peer = i * 7919U % c->table->peers;
		char name[NAME_MAX_BYTES];
		struct pkt_spec s = {.src = name, .dst = "192.0.2.1", .proto = IPPROTO_TCP,
				     .sport = (uint16_t)(20000 + i), .tcp_flags = PKT_SYN,
				     .dport = (uint16_t)(c->spread == SPREAD_DENIED ? NO_PORT : FIRST_PORT + i % PORTS)};
		uint8_t frame[PKT_MAX];
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .repeat = 1);

		if (c->spread == SPREAD_ESTABLISHED)
			s.tcp_flags = PKT_ACK;
		if (c->spread == SPREAD_NEW) /* a flow that was never there */
			s.sport = (uint16_t)(30000 + (round * SPREAD + i) % 30000);
		peer_name(c->table, 4, peer, name);
		opts.data_size_in = (uint32_t)pkt_build(&s, frame);
		if (bpf_prog_test_run_opts(bpfobj_prog_fd(c->table->h.obj, c->prog), &opts) < 0)
			die_of("test run");
		sum += opts.duration;
	}
	return sum / SPREAD;
}

static struct bench_case *case_add(struct table *t, const char *what, enum bpfobj_prog prog, const struct pkt_spec *s)
{
	struct bench_case *c = &cases[n_cases++];

	if (n_cases > CASES_MAX)
		exit(99);
	*c = (struct bench_case){.table = t, .what = what, .prog = prog, .family = strchr(s->src, ':') ? 6 : 4};
	c->len = pkt_build(s, c->frame);
	c->reason = harness_run(&t->h, prog, s, NULL);
	return c;
}

static void cases_of_family(struct table *t, int family)
{
	const char *us = family == 6 ? "fd00::1" : "192.0.2.1";
	char name[NAME_MAX_BYTES];
	struct pkt_spec p = {.src = name, .dst = us, .proto = IPPROTO_TCP, .sport = 4000, .dport = FIRST_PORT,
			     .tcp_flags = PKT_SYN};

	peer_name(t, family, t->peers / 2, name);
	(void)harness_run(&t->h, BPFOBJ_NIC_INGRESS, &p, NULL); /* opens the flow; the reasons are printed */
	p.tcp_flags = PKT_ACK;
	(void)case_add(t, "established, ingress", BPFOBJ_NIC_INGRESS, &p);
	(void)case_add(t, "established, answer", BPFOBJ_NIC_EGRESS,
		       &(struct pkt_spec){.src = us, .dst = name, .proto = IPPROTO_TCP, .sport = FIRST_PORT,
					  .dport = 4000, .tcp_flags = PKT_ACK});
	/* FIN: each packet begins the flow anew, entry included */
	p.sport = 4001;
	p.tcp_flags = PKT_SYN | PKT_FIN;
	(void)case_add(t, "new flow, allowed", BPFOBJ_NIC_INGRESS, &p);
	p.dport = NO_PORT;
	p.tcp_flags = PKT_SYN;
	(void)case_add(t, "denied, known peer", BPFOBJ_NIC_INGRESS, &p);
	p.src = family == 6 ? "2001:db8::1" : "198.51.100.1";
	(void)case_add(t, "denied, unknown peer", BPFOBJ_NIC_INGRESS, &p);
}

static void cases_spread(struct table *t)
{
	static const char *const what[] = {[SPREAD_ESTABLISHED] = "spread: established", [SPREAD_NEW] = "spread: new flow",
					   [SPREAD_DENIED] = "spread: denied"};
	char name[NAME_MAX_BYTES];
	struct pkt_spec p = {.src = name, .dst = "192.0.2.1", .proto = IPPROTO_TCP, .tcp_flags = PKT_SYN};

	for (unsigned i = 0; i < SPREAD; i++) { /* the flows that are established */
		peer_name(t, 4, i * 7919U % t->peers, name);
		p.sport = (uint16_t)(20000 + i);
		p.dport = (uint16_t)(FIRST_PORT + i % PORTS);
		(void)harness_run(&t->h, BPFOBJ_NIC_INGRESS, &p, NULL); /* the reasons are printed */
	}
	for (enum spread s = SPREAD_ESTABLISHED; s <= SPREAD_DENIED; s++) {
		peer_name(t, 4, 0, name);
		p.sport = s == SPREAD_ESTABLISHED ? 20000 : 19999;
		p.dport = s == SPREAD_DENIED ? NO_PORT : FIRST_PORT;
		p.tcp_flags = s == SPREAD_ESTABLISHED ? PKT_ACK : PKT_SYN;
		case_add(t, what[s], BPFOBJ_NIC_INGRESS, &p)->spread = s;
	}
}

static const char *reason_of(const struct bench_case *c)
{
	return c->reason < 0 ? "untouched" : bpfmap_reason_name((unsigned)c->reason);
}

static void measure(struct bench_case *c, unsigned round)
{
	c->ns[round] = c->spread ? run_spread(c, round) : run_many(c);
}

static void print_table(unsigned rounds, const struct bench_case *noop, const struct bench_case *noop_spread)
{
	printf("%-30s %-22s %-4s %7s %7s %7s %7s  %s\n", "", "ns", "", "least", "median", "p90", "net", "");
	for (size_t i = 0; i < n_cases; i++) {
		const struct bench_case *c = &cases[i];
		double median = stats_median(c->ns, rounds);
		double base = stats_median((c->spread ? noop_spread : noop)->ns, rounds);

		printf("%-30s %-22s IPv%d %7.1f %7.1f %7.1f %7.1f  %s\n", c->table->name, c->what, c->family,
		       stats_quantile(c->ns, rounds, 0), median, stats_quantile(c->ns, rounds, 0.9), median - base, reason_of(c));
	}
}

static json_t *case_json(const struct bench_case *c, unsigned rounds, const struct bench_case *base)
{
	double median = stats_median(c->ns, rounds);

	return json_pack("{s:s, s:s, s:i, s:s, s:b, s:f, s:f, s:f, s:f}", "table", c->table->name, "case", c->what, "family",
			 c->family, "reason", reason_of(c), "spread", c->spread != SPREAD_NONE, "least_ns",
			 stats_quantile(c->ns, rounds, 0), "median_ns", median, "p90_ns", stats_quantile(c->ns, rounds, 0.9),
			 "net_ns", median - stats_median(base->ns, rounds));
}

static void add(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value) < 0)
		exit(99);
}

static json_t *ratio_json(struct stats_interval r)
{
	return json_pack("{s:f, s:f, s:f}", "ratio", r.mid, "low", r.lo, "high", r.hi);
}

struct report {
	const struct bench_case *noop, *noop_spread;
	unsigned rounds;
	double stolen; /* part of the processors' time */
};

/* How the same packet fares with the largest tables, against the smallest. */
static void compare_sizes(const struct report *rep, json_t *json)
{
	for (size_t i = 0; i < n_cases; i++)
		for (size_t k = 0; k < n_cases; k++) {
			const struct bench_case *few = &cases[i], *many = &cases[k];
			struct stats_interval r;

			if (few->table != &tables[0] || many->table != &tables[2] || few->what != many->what ||
			    few->family != many->family)
				continue;
			r = stats_ratio(many->ns, few->ns, rep->rounds);
			if (!json)
				printf("10,000 / 10 identities: %-22s IPv%d %.3f (%.3f to %.3f)\n", few->what, few->family,
				       r.mid, r.lo, r.hi);
			else if (json_array_append_new(json, json_pack("{s:s, s:i, s:o}", "case", few->what, "family",
								       few->family, "many_to_few", ratio_json(r))) < 0)
				exit(99);
		}
}

static void print_json(const struct report *rep, struct stats_interval control)
{
	json_t *out = json_object(), *list = json_array(), *sizes = json_array(), *programs = json_array();

	for (size_t i = 0; i < n_cases; i++)
		if (json_array_append_new(list, case_json(&cases[i], rep->rounds,
							  cases[i].spread ? rep->noop_spread : rep->noop)) < 0)
			exit(99);
	for (unsigned i = BPFOBJ_NIC_INGRESS; i <= BPFOBJ_TUN_EGRESS; i++) {
		uint32_t insns = 0, bytes = 0;

		if (bpfobj_prog_stats(tables[0].h.obj, i, &insns, &bytes) == 0 &&
		    json_array_append_new(programs, json_pack("{s:s, s:i, s:i}", "name", bpfobj_prog_name(i), "verified_insns",
							      (int)insns, "jited_bytes", (int)bytes)) < 0)
			exit(99);
	}
	compare_sizes(rep, sizes);
	add(out, "programs", programs);
	add(out, "rounds", json_integer(rep->rounds));
	add(out, "repeat", json_integer(REPEAT));
	add(out, "stolen", json_real(rep->stolen));
	add(out, "control", ratio_json(control));
	add(out, "cases", list);
	add(out, "sizes", sizes);
	(void)json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5)); /* what stdout cannot take is lost anyway */
	putchar('\n');
	json_decref(out);
}

static void print_programs(void)
{
	for (unsigned i = BPFOBJ_NIC_INGRESS; i <= BPFOBJ_TUN_EGRESS; i++) {
		uint32_t insns = 0, bytes = 0;

		if (bpfobj_prog_stats(tables[0].h.obj, i, &insns, &bytes) == 0)
			printf("%-18s %6u instructions verified, %6u bytes of machine code\n", bpfobj_prog_name(i), insns, bytes);
	}
}

static struct table idle_table = {.name = "not active: the run itself", .peers = 10};

/* The programs while the agent has not joined: what the test-run costs by itself. */
static void cases_idle(struct report *rep)
{
	struct pkt_spec p = {.src = "10.0.0.9", .dst = "192.0.2.1", .proto = IPPROTO_TCP, .sport = 4000,
			     .dport = FIRST_PORT, .tcp_flags = PKT_ACK};
	struct bench_case *c;

	harness_open(&idle_table.h, NULL);
	harness_reset(&idle_table.h);
	bpfconfig_commit(idle_table.h.conf, 0, 0);
	rep->noop = case_add(&idle_table, "pass", BPFOBJ_NIC_INGRESS, &p);
	c = case_add(&idle_table, "spread: pass", BPFOBJ_NIC_INGRESS, &p);
	c->spread = SPREAD_ESTABLISHED;
	rep->noop_spread = c;
}

static void run(struct report *rep)
{
	struct stats_cpu before, after;

	for (size_t i = 0; i < n_cases; i++) {
		cases[i].ns = calloc(rep->rounds, sizeof(*cases[i].ns));
		if (!cases[i].ns)
			exit(99);
		measure(&cases[i], 0); /* warms up */
	}
	before = stats_cpu_now();
	for (unsigned r = 0; r < rep->rounds; r++)
		for (size_t i = 0; i < n_cases; i++)
			measure(&cases[r % 2 ? n_cases - 1 - i : i], r);
	after = stats_cpu_now();
	if (after.all > before.all)
		rep->stolen = (double)(after.stolen - before.stolen) / (double)(after.all - before.all);
}

int main(int argc, char **argv)
{
	struct report rep = {.rounds = ROUNDS_DEFAULT};
	struct bench_case *first, *again;
	struct stats_interval control;
	uint64_t rounds = ROUNDS_DEFAULT;
	bool is_json = argc > 2 && strcmp(argv[1], "-o") == 0 && strcmp(argv[2], "json") == 0;

	if (argc > (is_json ? 4 : 2) ||
	    (argc == (is_json ? 4 : 2) && (str_to_u64(argv[argc - 1], ROUNDS_MAX, &rounds) < 0 || !rounds))) {
		(void)fprintf(stderr, "usage: bench_datapath [-o json] [ROUNDS]\n");
		return 2;
	}
	rep.rounds = (unsigned)rounds;
	cases_idle(&rep);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		fill(&tables[i]);
		for (int family = 4; family <= 6; family += 2)
			cases_of_family(&tables[i], family);
		cases_spread(&tables[i]);
	}
	first = &cases[2];
	again = &cases[n_cases++]; /* the control: the very same */
	*again = *first;
	again->what = "the first once more";
	run(&rep);
	control = stats_ratio(again->ns, first->ns, rep.rounds);
	if (is_json) {
		print_json(&rep, control);
	} else {
		print_programs();
		print_table(rep.rounds, rep.noop, rep.noop_spread);
		compare_sizes(&rep, NULL);
		printf("control, the same case twice: %.3f (%.3f to %.3f); %u rounds, %.1f %% of the time stolen\n", control.mid,
		       control.lo, control.hi, rep.rounds, rep.stolen * 100);
	}
	for (size_t i = 0; i < n_cases; i++)
		free(cases[i].ns);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		harness_close(&tables[i].h);
	harness_close(&idle_table.h);
	return 0;
}
