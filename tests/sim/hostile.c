/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects made to do harm: larger, deeper, more than anybody needs, or with what no text may have. Each comes by a watch and
 * once more by a list, beside objects of its kind that are as they should be; whatever becomes of it, those are all there,
 * another one is heard of, and once it has gone nothing of it stays. How long each takes and how much memory is printed.
 * Then answers that do not end: what comes is refused before it takes more memory than one object may, and nothing is lost.
 *   hostile [TEXT]   only the objects in whose names that is
 */
#include "steady.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "lib/result.h"

enum { GOOD = 50, OTHER = STEADY_OBJECTS - 1, HOST = 0 /* the identity that the host itself has */ };

/*
 * The members of an object behind its metadata: each part so often, '#' being its number, '@' the same as
 * two groups of an IPv6 address; and `close` as often.
 */
struct part {
	const char *text;
	unsigned n;
	bool has_commas;
	const char *close;
};

struct hostile {
	const char *what;
	enum sim_kind kind;
	const char *name; /* NULL = one that is as it should be */
	const char *meta; /* more members of the metadata */
	unsigned n_meta;  /* so often, by commas */
	struct part parts[5];
};

#define ONCE(t)		 {.text = (t), .n = 1}
#define MANY(t, k)	 {.text = (t), .n = (k)}
#define LIST(t, k)	 {.text = (t), .n = (k), .has_commas = true}
#define NESTED(t, k, c) {.text = (t), .n = (k), .close = (c)}

#define CNP_HEAD "\"spec\":{\"endpointSelector\":{},"
#define LONG63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG253 LONG63 "." LONG63 "." LONG63 "." "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define WANTS "{\"authentication\":{\"mode\":\"required\"},\"toPorts\":["
#define RANGE(port) "{\"port\":\"" port "#\",\"endPort\":65535}"
#define FIVE(a, b, c, d, e) RANGE(a) "," RANGE(b) "," RANGE(c) "," RANGE(d) "," RANGE(e)
#define TEN(t) FIVE(t "0", t "1", t "2", t "3", t "4") "," FIVE(t "5", t "6", t "7", t "8", t "9")

static const struct hostile all[] = {
	/* size */
	{"a policy of 1 MiB", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"description\":\""), MANY("0123456789abcdef", 65536), ONCE("\",\"ingress\":[{}]}")}},
	{"10,000 rules", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":["), LIST("{\"fromEndpoints\":[{\"matchLabels\":{\"a\":\"v#\"}}]}", 10000), ONCE("]}")}},
	{"10,000 rules with 40 ports", SIM_CCNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":["),
	  LIST("{\"fromEndpoints\":[{}],\"toPorts\":[{\"ports\":[{\"port\":\"1\",\"endPort\":65535},{\"port\":\"#\"}]}]}", 10000),
	  ONCE("]}")}},
	{"more rules than anybody means", SIM_CNP, NULL, NULL, 0, {ONCE(CNP_HEAD "\"ingress\":["), LIST("{}", 400000), ONCE("]}")}},
	{"30,000 specs with a rule", SIM_CCNP, NULL, NULL, 0,
	 {ONCE("\"specs\":["), LIST("{\"endpointSelector\":{},\"ingress\":[{}]}", 30000), ONCE("]")}},
	{"10,000 rules that want authentication", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":["),
	  LIST(WANTS "{\"ports\":[{\"port\":\"1#\",\"endPort\":65535,\"protocol\":\"TCP\"}]}]}", 10000),
	  ONCE("]}")}},
	{"1,000 rules of 40 ranges that want authentication", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":["), LIST(WANTS "{\"ports\":[" TEN("1") "," TEN("2") "," TEN("3") "," TEN("4") "]}]}", 999), ONCE("]}")}},
	{"60,000 peers with 60,000 ports", SIM_KNP, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[{}"), MANY(",{}", 60000), ONCE("],\"ports\":[{\"port\":80}"),
	  MANY(",{\"port\":80}", 60000), ONCE("]}]}")}},
	{"20,000 values of a selector", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":[{\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":["),
	  LIST("\"v#\"", 20000), ONCE("]}]}]}]}")}},
	{"20,000 holes in a prefix", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"egress\":[{\"toCIDRSet\":[{\"cidr\":\"2001:db8::/32\",\"except\":["), LIST("\"2001:db8:@::/64\"", 20000),
	  ONCE("]}]}]}")}},
	{"a text of 3 MiB", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"description\":\""), MANY("0123456789abcdef", 196608), ONCE("\",\"ingress\":[{}]}")}},
	{"1.5 MiB of nothing", SIM_SERVICE, NULL, NULL, 0, {ONCE("\"spec\":{\"ports\":["), LIST("{}", 524288), ONCE("]}")}},
	{"40,000 prefixes", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"ingress\":[{\"fromCIDR\":["), LIST("\"2001:db8:@::/64\"", 40000), ONCE("]}]}")}},
	{"10,000 patterns of names", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"egress\":[{\"toFQDNs\":["), LIST("{\"matchPattern\":\"*a*a*a*a*a*a*a*a*a*a*a*#*.io\"}", 10000),
	  ONCE("]}]}")}},
	{"patterns as of regular expressions", SIM_CNP, NULL, NULL, 0,
	 {ONCE(CNP_HEAD "\"egress\":[{\"toFQDNs\":[{\"matchPattern\":\""), NESTED("(", 1000, "a+)+"), ONCE("\"}]}]}")}},
	{"100,000 labels of a policy", SIM_CNP, NULL, "\"l#\":\"v\"", 100000, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"100,000 labels of a selector", SIM_CNP, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"endpointSelector\":{\"matchLabels\":{"), LIST("\"l#\":\"v\"", 100000), ONCE("}},\"ingress\":[{}]}")}},
	{"100,000 labels of an identity", SIM_IDENTITY, "9999", NULL, 0,
	 {ONCE("\"security-labels\":{"), LIST("\"k8s:l#\":\"v\"", 100000), ONCE("}")}},
	{"100,000 labels of a namespace", SIM_NAMESPACE, NULL, "\"l#\":\"v\"", 100000, {ONCE("\"spec\":{}")}},
	{"100,000 labels of a node", SIM_NODE, NULL, "\"l#\":\"v\"", 100000,
	 {ONCE("\"spec\":{\"addresses\":[{\"type\":\"InternalIP\",\"ip\":\"172.20.250.1\"}]}")}},
	{"100,000 addresses of an endpoint", SIM_ENDPOINT, NULL, NULL, 0,
	 {ONCE("\"status\":{\"id\":7,\"state\":\"ready\",\"identity\":{\"id\":7777},\"networking\":{\"node\":\"172.19.0.9\",\"addressing\":["),
	  LIST("{\"ipv6\":\"fd00::@\"}", 100000), ONCE("]}}")}},
	{"100,000 addresses of a node", SIM_NODE, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"addresses\":["), LIST("{\"type\":\"InternalIP\",\"ip\":\"fd01::@\"}", 100000), ONCE("]}")}},
	{"50,000 ports of a service", SIM_SERVICE, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"clusterIP\":\"10.96.250.1\",\"clusterIPs\":[\"10.96.250.1\"],\"ports\":["),
	  LIST("{\"name\":\"p#\",\"port\":#,\"protocol\":\"TCP\"}", 50000), ONCE("]}")}},
	{"50,000 endpoints of a slice", SIM_SLICE, NULL, NULL, 0,
	 {ONCE("\"addressType\":\"IPv6\",\"ports\":[{\"port\":1}],\"endpoints\":["), LIST("{\"addresses\":[\"fd02::@\"]}", 50000),
	  ONCE("]")}},
	{"40,000 prefixes of a group", SIM_CIDR_GROUP, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"externalCIDRs\":["), LIST("\"2001:db9:@::/64\"", 40000), ONCE("]}")}},
	{"10,000 rules of a NetworkPolicy", SIM_KNP, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"podSelector\":{},\"ingress\":["),
	  LIST("{\"from\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]}}],\"ports\":[{\"port\":#}]}", 10000),
	  ONCE("]}")}},
	/* names */
	{"a name of 253 letters", SIM_CNP, LONG253, NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"a name of 254 letters", SIM_CNP, LONG253 "a", NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"no name", SIM_CNP, "", NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"NUL in a name", SIM_ENDPOINT, "e1\\u0000x", NULL, 0,
	 {ONCE("\"status\":{\"identity\":{\"id\":7777},\"networking\":{\"addressing\":[{\"ipv4\":\"10.3.0.1\"}]}}")}},
	{"NUL in the name of a policy", SIM_CNP, "e1\\u0000x", NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"a name as of a file", SIM_SERVICE, "../../etc/passwd", NULL, 0, {ONCE("\"spec\":{\"clusterIP\":\"10.96.250.1\"}")}},
	{"no UTF-8 in a name", SIM_CNP, "e1\xff", NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]}")}},
	{"no UTF-8 in a text", SIM_CNP, NULL, NULL, 0, {ONCE(CNP_HEAD "\"description\":\"\xc3(\",\"ingress\":[{}]}")}},
	{"no UTF-8 in a label", SIM_IDENTITY, "9999", NULL, 0, {ONCE("\"security-labels\":{\"k8s:\xff\":\"\xff\"}")}},
	/* depth, keys, numbers */
	{"nested 100,000 deep", SIM_CNP, NULL, NULL, 0, {ONCE(CNP_HEAD "\"ingress\":"), NESTED("[", 100000, "]"), ONCE("}")}},
	{"objects nested 100,000 deep", SIM_CCNP, NULL, NULL, 0, {ONCE("\"spec\":"), NESTED("{\"a\":[", 100000, "]}")}},
	{"an endpoint nested 100,000 deep", SIM_ENDPOINT, NULL, NULL, 0, {ONCE("\"status\":"), NESTED("[", 100000, "]")}},
	{"a service nested 100,000 deep", SIM_SERVICE, NULL, NULL, 0, {ONCE("\"spec\":"), NESTED("[", 100000, "]")}},
	{"100,000 equal keys", SIM_CNP, NULL, NULL, 0,
	 {ONCE("\"spec\":{"), LIST("\"endpointSelector\":{}", 100000), ONCE(",\"ingress\":[{}]}")}},
	{"100,000 specs", SIM_CNP, NULL, NULL, 0, {ONCE(CNP_HEAD "\"ingress\":[{}]},\"specs\":["), LIST("{}", 100000), ONCE("]")}},
	{"numbers beyond all", SIM_KNP, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":1e999},"
	       "{\"port\":-1,\"endPort\":99999999999999999999999},{\"port\":0.5},"
	       "{\"port\":1111111111111111111111111111111111111111111111111111111111111111111111111}]}]}")}},
	{"an identity beyond all", SIM_ENDPOINT, NULL, NULL, 0,
	 {ONCE("\"status\":{\"identity\":{\"id\":99999999999999999999},\"networking\":{\"addressing\":[{\"ipv4\":\"10.3.0.1\"}]}}")}},
	{"ports beyond all", SIM_SERVICE, NULL, NULL, 0,
	 {ONCE("\"spec\":{\"clusterIP\":\"10.96.250.1\",\"ports\":[{\"port\":-1},{\"port\":65536},{\"port\":1e30}]}")}},
	{"kinds for kinds", SIM_SLICE, NULL, NULL, 0, {ONCE("\"addressType\":{},\"endpoints\":\"x\",\"ports\":7")}},
};

static void put(struct buf *b, const char *text)
{
	if (buf_add(b, text, strlen(text)) < 0)
		abort();
}

static void put_part(struct buf *b, const struct part *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (i && p->has_commas)
			put(b, ",");
		for (const char *c = p->text; *c; c++)
			if ((*c == '#' ? buf_addf(b, "%u", i) : *c == '@' ? buf_addf(b, "%x:%x", i >> 16, i & 0xffff) : buf_add(b, c, 1)) < 0)
				abort();
	}
	for (unsigned i = 0; p->close && i < p->n; i++)
		put(b, p->close);
}

static void write_object(struct buf *b, const struct hostile *h)
{
	const struct sim_path *path = sim_path_of(h->kind);
	const struct part meta = {h->meta, h->n_meta, true, NULL};

	if (buf_addf(b, "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"namespace\":\"legacy\",\"uid\":\"u\",\"generation\":1,"
			"\"resourceVersion\":\"%" PRIu64 "\",\"name\":\"", path->api, path->name, ++steady.version) < 0)
		abort();
	put(b, h->name ? h->name : "hostile");
	put(b, "\"");
	if (h->meta) {
		put(b, ",\"labels\":{");
		put_part(b, &meta);
		put(b, "}");
	}
	put(b, "},");
	for (size_t i = 0; i < ARRAY_LEN(h->parts) && h->parts[i].text; i++)
		put_part(b, &h->parts[i]);
	put(b, "}");
}

/* Those of the kind that are as they should be. */
struct tally {
	enum policy_kind kind;
	size_t n;
};

static int tally_policy(const struct policy_status *st, void *arg)
{
	struct tally *t = arg;

	t->n += st->kind == t->kind && st->name[0] == 'e' && strlen(st->name) <= 3;
	return 0;
}

static size_t tally_policies(enum policy_kind kind)
{
	struct tally t = {.kind = kind};

	if (policy_each(sim->world->policies, tally_policy, &t) < 0)
		sim_fail("no memory");
	return t.n;
}

static size_t tally_identities(void)
{
	size_t n = 0;

	for (unsigned i = 0; i < STEADY_OBJECTS; i++)
		n += identity_get(sim->world->identities, 5000 + i) != NULL;
	return n;
}

static size_t tally_addresses(enum sim_kind kind)
{
	size_t n = 0;

	for (unsigned i = 0; i < STEADY_OBJECTS; i++) {
		uint32_t a = object_address(kind, i, steady.objects[kind][i].payload, 0);
		const uint8_t bytes[] = {(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a};
		struct ip ip = ip_from_bytes(AF_INET, bytes);
		struct ipcache_claim c;

		n += kind == SIM_SERVICE ? service_table_by_cluster_ip(sim->world->services, &ip) != NULL
					 : ipcache_get(sim->world->addresses, &ip, &c) && c.identity;
	}
	return n;
}

static size_t tally_slices(void)
{
	struct service_view view;
	char name[8];
	size_t n = 0;

	for (unsigned i = 0; i < STEADY_OBJECTS; i++) {
		(void)snprintf(name, sizeof(name), "e%u", i);
		n += service_table_find(sim->world->services, "legacy", 6, name, strlen(name), &view) && view.n_slices == 1;
	}
	return n;
}

/* SIZE_MAX for kinds that no table shows. */
static size_t tally(enum sim_kind kind)
{
	switch (kind) {
	case SIM_CNP:
		return tally_policies(POLICY_CNP);
	case SIM_CCNP:
		return tally_policies(POLICY_CCNP);
	case SIM_KNP:
		return tally_policies(POLICY_KNP);
	case SIM_CIDR_GROUP:
		return tally_policies(POLICY_CIDR_GROUP);
	case SIM_IDENTITY:
		return tally_identities();
	case SIM_NODE:
	case SIM_ENDPOINT:
	case SIM_SERVICE:
		return tally_addresses(kind);
	case SIM_SLICE:
		return tally_slices();
	default:
		return SIZE_MAX;
	}
}

static void expect(const struct hostile *h, const char *when, size_t want)
{
	size_t got = tally(h->kind);

	if (got != SIZE_MAX && got != want)
		sim_fail("%s: %s: %zu others of its kind, not %zu", h->what, when, got, want);
	if (reflector_get_state(sync_reflector(sim->sync, h->kind)) != REFLECTOR_SYNCED)
		sim_fail("%s: %s: its kind is not read any more", h->what, when);
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* only fails for a bad clock */
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* The most that was resident since the mark was put to what is; 0 if the kernel does not say. */
static uint64_t peak_kib(bool is_reset)
{
	CLEANUP(close_fd) int fd = is_reset ? open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC) : -1;
	CLEANUP(buf_done) struct buf b = {0};
	const char *line;

	if (is_reset)
		(void)malloc_trim(0); /* what was freed is not there to be used again */
	if (is_reset && (fd < 0 || write(fd, "5", 1) != 1))
		return 0;
	if (file_read("/proc/self/status", 65536, &b) < 0 || buf_add(&b, "", 1) < 0 || !(line = strstr(b.data, "VmHWM:")))
		return 0;
	return strtoull(line + strlen("VmHWM:"), NULL, 10);
}

struct cost {
	uint64_t us, kib;
};

/* The object comes, is listed and goes. What took longest of that, and the most memory. */
static struct cost visit(const struct hostile *h)
{
	uint64_t us, kib, longest_us;
	int r;

	expect(h, "before it comes", GOOD);
	kib = peak_kib(true);
	us = cpu_us();
	r = steady_tell_extra(true);
	steady_apply();
	longest_us = cpu_us() - us;
	kib = peak_kib(false) - kib;
	if (r < 0)
		sim_fail("%s: the watch does not go on: %d", h->what, r);
	expect(h, "it came", GOOD);
	steady_change(h->kind, OTHER, true);
	steady_apply();
	expect(h, "another one came", GOOD + 1);
	steady_end_watch(h->kind, -ESTALE);
	steady_apply();
	expect(h, "all are listed", GOOD + 1);
	steady_change(h->kind, OTHER, false);
	us = cpu_us();
	(void)steady_tell_extra(false); /* as it was taken when it came */
	steady_apply();
	longest_us = MAX(longest_us, cpu_us() - us);
	expect(h, "it went", GOOD);
	return (struct cost){longest_us, kib};
}

/* Of a few visits the one that others on the machine disturbed least; memory that was there already shows in the first. */
static void one(const struct hostile *h)
{
	enum { VISITS = 3 };
	CLEANUP(buf_done) struct buf text = {.max = 2 * LIMIT_OBJECT_BYTES};
	struct cost cost = {0};

	write_object(&text, h);
	if (buf_add(&text, "", 1) < 0)
		abort();
	steady.extra_kind = h->kind;
	steady.extra = text.data;
	for (unsigned i = 0; i < VISITS && !sim->failure[0]; i++) {
		struct cost c = visit(h);

		cost.us = i ? MIN(cost.us, c.us) : c.us;
		cost.kib = MAX(cost.kib, c.kib);
	}
	steady.extra = NULL;
	(void)printf("%-40s %8zu bytes %8.1f ms %6" PRIu64 " KiB\n", h->what, text.len, (double)cost.us / 1000, cost.kib);
	result_add("hostile", json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "what", h->what, "kind", sim_path_of(h->kind)->name, "bytes",
					(json_int_t)text.len, "cpu_us", (json_int_t)cost.us, "peak_kib", (json_int_t)cost.kib, "failed",
					sim->failure[0] != '\0'));
}

/* How an answer begins, and what follows without end. */
static const struct endless {
	const char *what, *begin, *again;
	bool is_well; /* each of it is an object as it should be */
} answers[] = {
	{"a name without end", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"", "aaaaaaaaaaaaaaaa", false},
	{"a list without end", "{\"type\":\"ADDED\",\"object\":{\"spec\":[", "1,", false},
	{"objects in objects without end", "{\"type\":\"ADDED\",\"object\":{\"spec\":", "{\"a\":", false},
	{"members without end", "{\"type\":\"ADDED\",\"object\":{\"spec\":{", "\"a\":{},", false},
	{"space without end", "{\"type\":\"ADDED\",", "                ", false},
	{"a page", "<html>", "<p>502 Bad Gateway</p>", false},
	{"events without end", "", "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"hostile\",\"namespace\":\"legacy\",\"resourceVersion\":\"9\"}}}\n", true},
};

/* What one object may take, and a quarter of it; the tools that look for faults in memory have more of their own. */
#if defined(__SANITIZE_ADDRESS__)
#define KNOWS_MEMORY false
#else
#define KNOWS_MEMORY true
#endif
enum { MOST_KIB = (LIMIT_DOCUMENT_BYTES + LIMIT_DOCUMENT_BYTES / 4) / 1024 };

static void endless(enum sim_kind kind, const struct endless *e)
{
	enum { PIECES = 4096, MOST = 2 * LIMIT_OBJECT_BYTES };
	CLEANUP(buf_done) struct buf piece = {0};
	size_t fed = strlen(e->begin);
	uint64_t kib;
	int r;

	for (unsigned i = 0; i < PIECES / 16; i++)
		put(&piece, e->again);
	kib = peak_kib(true);
	r = steady_feed(kind, e->begin, fed);
	for (; r == 0 && fed < MOST; fed += piece.len)
		r = steady_feed(kind, piece.data, piece.len);
	kib = peak_kib(false) - kib;
	if ((r == 0) != e->is_well)
		sim_fail("%s: %d after %zu bytes", e->what, r, fed);
	steady_end_watch(kind, r < 0 ? r : -ECONNRESET);
	if (tally(kind) != GOOD)
		sim_fail("%s: %zu are left, not %d", e->what, tally(kind), (int)GOOD);
	if (KNOWS_MEMORY && kib > MOST_KIB)
		sim_fail("%s: %" PRIu64 " KiB, not %u at most", e->what, kib, (unsigned)MOST_KIB);
	(void)printf("%-40s %8zu bytes of %s %6" PRIu64 " KiB\n", e->what, fed, sim_path_of(kind)->name, kib);
	result_add("endless", json_pack("{s:s, s:s, s:I, s:I}", "what", e->what, "kind", sim_path_of(kind)->name, "bytes", (json_int_t)fed, "peak_kib",
					(json_int_t)kib));
}

int main(int argc, char *argv[])
{
	steady_start();
	for (unsigned k = SIM_NAMESPACE; k < SIM_KINDS; k++)
		for (unsigned i = 0; i < GOOD; i++)
			steady_change((enum sim_kind)k, i, true);
	steady_apply();
	for (size_t i = 0; i < ARRAY_LEN(all) && !sim->failure[0]; i++)
		if (argc < 2 || strstr(all[i].what, argv[1]))
			one(&all[i]);
	for (size_t i = 0; i < ARRAY_LEN(answers) && argc < 2 && !sim->failure[0]; i++) {
		endless(SIM_ENDPOINT, &answers[i]); /* read by fields */
		endless(SIM_CNP, &answers[i]);	    /* as documents */
	}
	if (sim->failure[0])
		(void)printf("%s\n", sim->failure);
	steady_stop();
	return sim->failure[0] ? 1 : 0;
}
