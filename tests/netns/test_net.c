/* SPDX-License-Identifier: Apache-2.0 */
/* recon_net against the kernel, in a network namespace of its own. What happened is checked with ip(8). */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "event/loop.h"
#include "lib/nl_refuse.h"
#include "netlink/nl_driver.h"
#include "netlink/nl_dummy.h"
#include "recon/recon_net.h"

enum { SKIP = 77, WAIT_US = 15 * 1000 * 1000, MANY = 5000 };

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct world {
	struct loop *loop;
	struct recon_net *net;
	int ifindex;		 /* as told */
	int n_told, n_gone, n_nics, n_addrs, n_settled;
	int new_nic, n_new, n_filters, filters;
	bool refuses, is_new_external;
};

/* Runs ip(8); its output into `out` if not NULL. The exit status. */
static int ip_run(char *out, size_t size, const char *args)
{
	CLEANUP(strv_done) struct strv l = {0};
	char *argv[32] = {(char *)"ip"};
	int p[2], status;
	size_t i, len = 0;
	ssize_t n;
	pid_t pid;

	CHECK(strv_split(&l, args, ' ') == 0 && l.n + 2 < ARRAY_LEN(argv));
	for (i = 0; i < l.n; i++)
		argv[i + 1] = l.v[i];
	CHECK(pipe(p) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		(void)dup2(p[1], STDOUT_FILENO); /* a failure shows as missing output */
		if (out)
			(void)dup2(p[1], STDERR_FILENO);
		(void)execvp("ip", argv);
		_exit(127);
	}
	(void)close(p[1]); /* ours */
	while (out && len + 1 < size && (n = read(p[0], out + len, size - len - 1)) > 0)
		len += (size_t)n;
	if (out)
		out[len] = '\0';
	(void)close(p[0]); /* ours */
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ip_ok(const char *args)
{
	if (ip_run(NULL, 0, args) != 0) {
		(void)fprintf(stderr, "ip %s failed\n", args);
		exit(1);
	}
}

static int run_shell(const char *command)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Quicker than a process. */
static void set_mtu(const char *name, int mtu)
{
	CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_mtu = mtu};

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name); /* fits */
	CHECK(fd >= 0 && ioctl(fd, SIOCSIFMTU, &req) == 0);
}

static bool ip_shows(const char *args, const char *text)
{
	static char out[1 << 20];

	return ip_run(out, sizeof(out), args) == 0 && strstr(out, text);
}

static int on_tunnel(int ifindex, void *arg)
{
	struct world *w = arg;

	if (ifindex == 0) {
		w->n_gone++;
		w->ifindex = 0;
		return 0;
	}
	if (w->refuses)
		return -EPERM;
	w->n_told++;
	w->ifindex = ifindex;
	return 0;
}

static void on_nics(const struct nics *nics, void *arg)
{
	(void)nics;
	((struct world *)arg)->n_nics++;
}

static void on_addrs(const struct nl_addrs *addrs, void *arg)
{
	(void)addrs;
	((struct world *)arg)->n_addrs++;
}

static void on_settled(const struct net_status *s, void *arg)
{
	(void)s;
	((struct world *)arg)->n_settled++;
}

static void on_nic(const struct nic *nic, void *arg)
{
	struct world *w = arg;

	w->n_new++;
	w->new_nic = nic->ifindex;
	w->is_new_external = !nics_find(recon_net_nics(w->net), nic->ifindex) && recon_net_is_external(w->net, nic->ifindex);
}

static void on_filters(int ifindex, void *arg)
{
	struct world *w = arg;

	w->n_filters++;
	w->filters = ifindex;
}

static const struct net_callbacks callbacks = {
	.tunnel = on_tunnel, .nic = on_nic, .filters = on_filters, .nics = on_nics, .addrs = on_addrs, .settled = on_settled};

static bool turn(struct world *w, uint64_t end)
{
	if (clock_boot_us() > end)
		return false;
	CHECK(loop_once(w->loop, 20000) >= 0);
	return true;
}

#define WAIT_FOR(w, cond)                                                                          \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + WAIT_US;                                         \
		while (!(cond) && turn((w), end_))                                                 \
			;                                                                          \
		if (!(cond))                                                                       \
			(void)fprintf(stderr, "status: applied %d, resyncs %llu, changes %llu, %s\n", STATUS(w)->is_applied, \
				      (unsigned long long)STATUS(w)->n_resyncs, (unsigned long long)STATUS(w)->n_changes, \
				      STATUS(w)->err.text); \
		CHECK(cond);                                                                       \
	} while (0)

#define STATUS(w) recon_net_status((w)->net)

/* What is still to come of earlier changes has come: notifications of a busy kernel come late. */
static void wait_for_quiet(struct world *w)
{
	enum { QUIET_US = 300 * 1000 };
	uint64_t end = clock_boot_us() + WAIT_US, last = clock_boot_us();
	int r;

	while (clock_boot_us() - last < QUIET_US) {
		CHECK(clock_boot_us() < end);
		r = loop_once(w->loop, 20000);
		CHECK(r >= 0);
		if (r > 0)
			last = clock_boot_us();
	}
}

static struct cidr cidr(const char *text)
{
	struct cidr c;

	CHECK(cidr_parse(text, false, &c) == 0);
	return c;
}

static struct ip ip(const char *text)
{
	struct ip a;

	CHECK(ip_parse(text, &a) == 0);
	return a;
}

static struct net_route routes[4];
static struct ip targets[2];

static struct net_desired desired(enum nl_tunnel_kind kind)
{
	struct net_desired d = {.tunnel = {.kind = kind, .port = 8472}, .routes = routes, .n_routes = 3,
				.targets = targets, .n_targets = 1};

	routes[0] = (struct net_route){.dst = cidr("10.244.1.0/24"), .src = ip("172.31.0.2"), .mtu = 1400};
	routes[1] = (struct net_route){.dst = cidr("10.244.2.0/24"), .src = ip("172.31.0.2")};
	routes[2] = (struct net_route){.dst = cidr("fd10:244:1::/64"), .src = ip("fd31::2")};
	routes[3] = (struct net_route){.dst = cidr("10.99.0.0/16"), .via = ip("172.31.0.1")};
	targets[0] = ip("172.31.0.1");
	targets[1] = ip("203.0.113.5");
	return d;
}

static void start(struct world *w)
{
	w->ifindex = w->n_told = w->n_gone = w->n_nics = w->n_addrs = 0;
	CHECK(recon_net_new(w->loop, &callbacks, w, &w->net) == 0);
}

static void want(struct world *w, const struct net_desired *d)
{
	struct err e = {0};

	if (recon_net_set(w->net, d, &e) != 0) {
		(void)fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
}

static void test_observes_first(struct world *w)
{
	struct nl_addrs const *a;

	start(w);
	WAIT_FOR(w, w->n_settled > 0);
	CHECK(!STATUS(w)->is_applied && STATUS(w)->n_changes == 0 && w->n_nics == 1 && w->n_addrs == 1);
	CHECK(recon_net_nics(w->net)->n == 1 && str_eq(recon_net_nics(w->net)->v[0].name, "eth0"));
	CHECK(recon_net_nics(w->net)->v[0].is_underlay); /* it has the default route */
	a = recon_net_addrs(w->net);
	CHECK(nl_addrs_have(a, &(struct ip){.family = AF_INET, .b = {172, 31, 0, 2}}));
}

static void test_refused_stays_down(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);

	w->refuses = true;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->err.text[0]);
	if (!strstr(STATUS(w)->err.text, "programs of the tunnel"))
		(void)fprintf(stderr, "%s\n", STATUS(w)->err.text);
	CHECK(strstr(STATUS(w)->err.text, "programs of the tunnel"));
	CHECK(!ip_shows("link show up", "mesh_tun"));
	w->refuses = false;
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(w->n_told == 1 && ip_shows("link show up", "mesh_tun"));
}

static void test_as_wanted(struct world *w)
{
	struct ip src;

	CHECK(ip_shows("-d link show mesh_tun", "vxlan external"));
	CHECK(ip_shows("-d link show mesh_tun", "dstport 8472"));
	CHECK(ip_shows("-d link show mesh_tun", "nolearning"));
	CHECK(ip_shows("-d link show mesh_tun", "NOARP"));
	CHECK(ip_shows("-d link show mesh_tun", "addrgenmode none"));
	CHECK(ip_shows("-d link show mesh_tun", "mtu 1450"));
	CHECK(!ip_shows("-6 addr show dev mesh_tun", "fe80"));
	CHECK(ip_shows("route show proto 155", "10.244.1.0/24 dev mesh_tun scope link src 172.31.0.2 mtu 1400"));
	CHECK(ip_shows("route show proto 155", "10.244.2.0/24 dev mesh_tun scope link src 172.31.0.2"));
	CHECK(ip_shows("-6 route show proto 155", "fd10:244:1::/64 dev mesh_tun src fd31::2 metric 1"));
	CHECK(recon_net_source(w->net, 0, &src) && ip_eq(&src, &(struct ip){.family = AF_INET, .b = {172, 31, 0, 2}}));
	CHECK(recon_net_nics(w->net)->n == 1);
}

static void test_repairs(struct world *w)
{
	CLEANUP(buf_done) struct buf b = {.max = 16};
	const char *rp = "/proc/sys/net/ipv4/conf/mesh_tun/rp_filter";
	int old = w->ifindex;
	CLEANUP(close_fd) int fd = -1;

	ip_ok("route del 10.244.1.0/24");
	ip_ok("-6 route del fd10:244:1::/64");
	WAIT_FOR(w, ip_shows("route show proto 155", "10.244.1.0/24") &&
			    ip_shows("-6 route show proto 155", "fd10:244:1::/64"));
	ip_ok("route replace 10.244.2.0/24 dev mesh_tun proto 155"); /* without source */
	WAIT_FOR(w, ip_shows("route show proto 155", "10.244.2.0/24 dev mesh_tun scope link src 172.31.0.2"));
	ip_ok("route add 10.244.77.0/24 dev mesh_tun proto 155"); /* an orphan of ours */
	WAIT_FOR(w, !ip_shows("route show proto 155", "10.244.77.0/24"));
	ip_ok("link set mesh_tun down");
	WAIT_FOR(w, ip_shows("link show up", "mesh_tun") && ip_shows("route show proto 155", "10.244.2.0/24"));
	ip_ok("link del mesh_tun");
	WAIT_FOR(w, w->n_told == 2 && w->n_gone == 1 && ip_shows("route show proto 155", "10.244.2.0/24"));
	CHECK(w->ifindex != old);
	ip_ok("link set eth0 mtu 1400");
	WAIT_FOR(w, ip_shows("link show mesh_tun", "mtu 1350"));
	ip_ok("link set eth0 mtu 1500");
	WAIT_FOR(w, ip_shows("link show mesh_tun", "mtu 1450"));
	fd = open(rp, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, "1", 1) == 1);
	WAIT_FOR(w, (buf_done(&b), file_read(rp, 16, &b) == 0) && b.data[0] == '2');
	WAIT_FOR(w, STATUS(w)->is_applied);
}

/* A route of someone else is neither changed nor removed; it is reported. */
static void test_foreign_route(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);

	d.n_routes = 4;
	ip_ok("route add 10.99.0.0/16 dev eth0 proto static");
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->n_routes_failed == 1);
	CHECK(!STATUS(w)->is_applied && strstr(STATUS(w)->err.text, "10.99.0.0/16: another program"));
	CHECK(ip_shows("route show 10.99.0.0/16", "dev eth0 proto static"));
	ip_ok("route del 10.99.0.0/16");
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(ip_shows("route show proto 155", "10.99.0.0/16 via 172.31.0.1 dev eth0"));
}

/* The address that routes prefer goes away and comes back: the kernel drops such routes without a word. */
static void test_address_change(struct world *w)
{
	int before = w->n_addrs;

	ip_ok("addr del 172.31.0.2/24 dev eth0");
	WAIT_FOR(w, STATUS(w)->n_routes_failed > 0 && strstr(STATUS(w)->err.text, "source address"));
	CHECK(w->n_addrs > before);
	ip_ok("addr add 172.31.0.2/24 dev eth0");
	ip_ok("route add default via 172.31.0.1");
	WAIT_FOR(w, STATUS(w)->is_applied && ip_shows("route show proto 155", "10.244.1.0/24"));
}

/* An interface is told with its first report, though down; and stays one while it is down. */
static void test_hotplug(struct world *w)
{
	uint64_t start;

	w->n_new = 0;
	w->n_nics = 0;
	start = clock_boot_us();
	ip_ok("link add wan0 type veth peer name wan1");
	ip_ok("addr add 172.30.0.2/24 dev wan0"); /* a veth without an address leads to a container */
	WAIT_FOR(w, w->n_new > 0);
	(void)printf("hot-plugged interface told after %.1f ms\n", (double)(clock_boot_us() - start) / 1000);
	CHECK(w->new_nic == (int)if_nametoindex("wan0") && w->n_nics == 0);
	CHECK(w->is_new_external); /* before it is in the list: what looks for leftovers meanwhile lets it be */
	WAIT_FOR(w, recon_net_nics(w->net)->n == 2);
	CHECK(!nics_find(recon_net_nics(w->net), w->new_nic)->is_up);
	ip_ok("link set wan1 up");
	ip_ok("link set wan0 up");
	WAIT_FOR(w, nics_find(recon_net_nics(w->net), w->new_nic)->is_up);
	w->n_settled = 0;
	ip_ok("addr del 172.30.0.2/24 dev wan0"); /* the next one may come with a packet */
	WAIT_FOR(w, w->n_settled > 0);
	CHECK(recon_net_is_external(w->net, w->new_nic));
	ip_ok("link set wan0 down");
	WAIT_FOR(w, !nics_find(recon_net_nics(w->net), w->new_nic)->is_up);
	ip_ok("link del wan0");
	WAIT_FOR(w, recon_net_nics(w->net)->n == 1);
	CHECK(!recon_net_is_external(w->net, w->new_nic));
}

static void tc_ok(const char *args)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "tc %s", args); /* fits */
	CHECK(run_shell(cmd) == 0);
}

/* Removed filters and qdiscs are told, with their interface. */
static void test_filters(struct world *w)
{
	if (run_shell("tc qdisc add dev eth0 clsact") != 0) {
		(void)printf("skipped: removed filters: no clsact here\n");
		return;
	}
	w->n_filters = w->filters = 0;
	tc_ok("filter add dev eth0 ingress prio 9 bpf bytecode '1,6 0 0 0,'");
	tc_ok("filter del dev eth0 ingress prio 9");
	WAIT_FOR(w, w->n_filters == 1);
	CHECK(w->filters == (int)if_nametoindex("eth0"));
	w->n_filters = w->filters = 0;
	tc_ok("qdisc del dev eth0 clsact");
	WAIT_FOR(w, w->n_filters > 0);
	CHECK(w->filters == (int)if_nametoindex("eth0"));
}

/* The smallest of what is configured, the cluster's and what the underlay leaves; IPv6 takes more. */
static void test_mtu(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);

	d.n_routes = 4;
	d.tunnel.mtu = 1500;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1450);
	d.tunnel.mtu = 1300;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1300);
	d.tunnel.mtu = 0;
	d.underlay_mtu = 1440;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1390);
	d.underlay_mtu = 9000;
	targets[1] = ip("fd31::7");
	d.n_targets = 2;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1430);
	/* a target behind another interface, not behind that of the default route */
	ip_ok("link add wan0 mtu 1400 type veth peer name wan1");
	ip_ok("addr add 172.30.0.2/24 dev wan0");
	ip_ok("link set wan1 up");
	ip_ok("link set wan0 up");
	targets[1] = ip("172.30.0.7");
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1350);
	ip_ok("link del wan0");
	d = desired(NL_TUNNEL_VXLAN);
	d.n_routes = 4;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && STATUS(w)->tunnel_mtu == 1450);
}

/* Events that never pause for as long as the pass waits do not put it off. */
static void test_steady_events(struct world *w)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC, last = 0; /* what waits for quiet would wait for all of it */
	bool is_repaired = false;
	int i = 0;

	ip_ok("route del 10.244.1.0/24");
	while (clock_boot_us() < end && !is_repaired) {
		if (clock_boot_us() - last > 5000) {
			set_mtu("p0", 1300 + i++ % 2);
			last = clock_boot_us();
		}
		CHECK(loop_once(w->loop, 1000) >= 0);
		is_repaired = i % 16 == 0 && ip_shows("route show proto 155", "10.244.1.0/24");
	}
	CHECK(is_repaired);
	WAIT_FOR(w, STATUS(w)->is_applied);
}

static void test_lost_notifications(struct world *w)
{
	uint64_t before = STATUS(w)->n_resyncs;
	int tunnel = STATUS(w)->tunnel_ifindex;
	char name[] = "/tmp/test-net-XXXXXX";
	CLEANUP(close_fd) int fd = mkstemp(name);
	char args[64];
	int i;

	CHECK(fd >= 0);
	for (i = 0; i < 4000; i++)
		CHECK(dprintf(fd, "link set p0 mtu %d\n", 1300 + i % 2) > 0);
	CHECK(dprintf(fd, "link del mesh_tun\n") > 0);
	(void)snprintf(args, sizeof(args), "-batch %s", name); /* fits */
	ip_ok(args);
	CHECK(unlink(name) == 0);
	/* asking ip is slow: not before there is a new device */
	WAIT_FOR(w, STATUS(w)->n_resyncs > before && STATUS(w)->tunnel_ifindex != tunnel && STATUS(w)->is_applied &&
			    ip_shows("route show proto 155", "10.244.1.0/24 dev mesh_tun"));
}

static uint64_t shortest_us; /* of the delays since it was set */
int __real_source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us);
int __wrap_source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us);

int __wrap_source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us)
{
	shortest_us = MIN(shortest_us, delay_us);
	return __real_source_arm(s, delay_us, slack_us);
}

/* The first failure may be of the moment; a row of them must not keep the host busy. */
static void test_no_buffers(struct world *w)
{
	enum { TIMES = 4, PAUSE_MIN_US = 50 * 1000 };

	wait_for_quiet(w); /* a notification asks for a pass of its own */
	nl_refuse(RTM_GETLINK, TIMES);
	recon_net_audit(w->net);
	WAIT_FOR(w, nl_refuse_left() == TIMES - 2);
	shortest_us = UINT64_MAX;
	WAIT_FOR(w, nl_refuse_left() == 0);
	CHECK(shortest_us >= PAUSE_MIN_US && shortest_us != UINT64_MAX);
	WAIT_FOR(w, STATUS(w)->is_applied);
}

/* A question that was lost is not the answer that an interface leads nowhere, for then its programs would go. */
static void test_lost_questions(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);
	int before;

	ip_ok("link add way0 type bridge");
	ip_ok("link set way0 up");
	ip_ok("addr add 172.40.0.1/24 dev way0");
	ip_ok("route add 203.0.113.0/24 via 172.40.0.2 dev way0");
	d.n_routes = 4;
	d.n_targets = 2;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied && recon_net_nics(w->net)->n == 2);
	nl_refuse(RTM_GETROUTE, 4); /* two targets, two default routes */
	before = w->n_settled;
	recon_net_audit(w->net);
	WAIT_FOR(w, w->n_settled > before);
	CHECK(nl_refuse_left() == 0);
	CHECK(recon_net_nics(w->net)->n == 2);
	CHECK(strstr(STATUS(w)->err.text, "asking for routes"));
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(recon_net_nics(w->net)->n == 2);
	ip_ok("link del way0");
	WAIT_FOR(w, recon_net_nics(w->net)->n == 1);
	d.n_targets = 1;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied);
}

/* A new process adopts what is there and right: not one change. */
static void test_restart_changes_nothing(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);
	int old = w->ifindex;

	d.n_routes = 4;
	recon_net_free(w->net);
	CHECK(ip_shows("route show proto 155", "10.244.1.0/24"));
	start(w);
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(STATUS(w)->n_changes == 0 && w->ifindex == old && w->n_told == 1);
}

static void test_many_routes(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);
	struct net_route *many = calloc(MANY, sizeof(*many));
	uint64_t t0, t1, changes;
	size_t i;

	CHECK(many);
	for (i = 0; i < MANY; i++) {
		many[i].dst = cidr("10.128.0.0/24");
		many[i].dst.ip.b[1] = (uint8_t)(128 + i / 256);
		many[i].dst.ip.b[2] = (uint8_t)i;
	}
	d.routes = many;
	d.n_routes = MANY;
	t0 = clock_boot_us();
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied);
	t1 = clock_boot_us();
	changes = STATUS(w)->n_changes;
	recon_net_audit(w->net);
	w->n_settled = 0;
	WAIT_FOR(w, w->n_settled > 0 && STATUS(w)->is_applied);
	(void)printf("%d routes: applied in %.1f ms, compared in %.1f ms\n", MANY, (double)(t1 - t0) / 1000,
		     (double)(clock_boot_us() - t1) / 1000);
	CHECK(STATUS(w)->n_changes == changes);
	CHECK(ip_shows("route show proto 155", "10.147.135.0/24 dev mesh_tun"));
	free(many);
}

static void test_port_change_and_foreign_name(struct world *w)
{
	struct net_desired d = desired(NL_TUNNEL_VXLAN);
	int old = w->ifindex;

	d.tunnel.port = 4789;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(w->ifindex != old && ip_shows("-d link show mesh_tun", "dstport 4789"));
	ip_ok("link add other type bridge");
	(void)snprintf(d.tunnel.name, sizeof(d.tunnel.name), "other"); /* fits */
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->err.text[0]);
	CHECK(strstr(STATUS(w)->err.text, "not ours") && ip_shows("-d link show other", "bridge"));
	ip_ok("link del other");
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(ip_shows("-d link show other", "vxlan external") && !ip_shows("link show", "mesh_tun"));
}

static void test_clear(struct world *w)
{
	ip_ok("route add 10.244.9.0/24 dev eth0 proto static");
	CHECK(recon_net_clear(w->net) == 0);
	WAIT_FOR(w, STATUS(w)->is_applied);
	CHECK(!ip_shows("link show", "other") && !ip_shows("route show proto 155", "10.") &&
	      !ip_shows("-6 route show proto 155", "fd10"));
	CHECK(ip_shows("route show", "10.244.9.0/24 dev eth0 proto static") && ip_shows("route show", "default"));
	CHECK(w->ifindex == 0 && STATUS(w)->tunnel_ifindex == 0);
}

/* Without the driver the reason is told; with it the device is there. */
static void test_geneve(struct world *w)
{
	bool has_driver = ip_run(NULL, 0, "link add gprobe type geneve external") == 0;
	struct net_desired d = desired(NL_TUNNEL_GENEVE);

	if (has_driver)
		ip_ok("link del gprobe");
	CHECK(nl_driver_is_there("geneve") == has_driver);
	CHECK(nl_driver_is_there("vxlan") == 1 && nl_driver_is_there("nosuch") == 0 && nl_driver_is_there("") == -EINVAL);
	CHECK(!ip_shows("link show", "geneve0") && !ip_shows("link show", "vxlan0")); /* as the kernel would call them */
	d.tunnel.port = 6081;
	want(w, &d);
	WAIT_FOR(w, STATUS(w)->is_applied || STATUS(w)->err.text[0]);
	(void)printf("geneve: %s\n", has_driver ? "created" : STATUS(w)->err.text);
	CHECK(STATUS(w)->is_applied == has_driver);
	CHECK(ip_shows("-d link show", "geneve external") == has_driver);
	CHECK(STATUS(w)->lacks_driver == !has_driver);
}

/* An idle one sleeps: nothing of its own wakes the loop. */
static void test_idle(struct world *w)
{
	uint64_t end;

	CHECK(recon_net_clear(w->net) == 0);
	WAIT_FOR(w, STATUS(w)->is_applied);
	wait_for_quiet(w);
	w->n_settled = 0;
	end = clock_boot_us() + 500 * USEC_PER_MSEC;
	while (clock_boot_us() < end)
		CHECK(loop_once(w->loop, 100000) == 0);
	CHECK(w->n_settled == 0);
}

/* A device that holds an address: made, taken up again, removed; those of others are left alone. */
static void test_dummy(void)
{
	int ifindex, again, r;
	char text[1024];
	struct ip ip;

	CHECK(ip_parse("198.18.53.53", &ip) == 0);
	CHECK(nl_dummy_remove("test0", "ours") == 0);
	r = nl_dummy_make("test0", "ours", &ip, &ifindex);
	if (r == -EOPNOTSUPP) {
		(void)printf("skipped: this kernel has no device that only holds an address\n");
		return;
	}
	CHECK(r == 0);
	CHECK(ip_run(text, sizeof(text), "addr show dev test0") == 0);
	CHECK(strstr(text, "inet 198.18.53.53/32 scope global") && strstr(text, "LOWER_UP") && strstr(text, "NOARP"));
	CHECK(!strstr(text, "inet6"));
	ip_ok("link set test0 down");
	CHECK(nl_dummy_make("test0", "ours", &ip, &again) == 0 && again == ifindex);
	CHECK(ip_run(text, sizeof(text), "addr show dev test0") == 0 && strstr(text, "LOWER_UP") && strstr(text, "198.18.53.53"));
	CHECK(nl_dummy_make("test0", "others", &ip, &again) == -EEXIST);
	CHECK(nl_dummy_remove("test0", "others") == 0 && ip_run(text, sizeof(text), "link show dev test0") == 0);
	CHECK(nl_dummy_remove("test0", "ours") == 0 && ip_run(text, sizeof(text), "link show dev test0") != 0);
	CHECK(nl_dummy_make("eth0", "ours", &ip, &again) == -EEXIST);
	CHECK(nl_dummy_make("", "ours", &ip, &again) == -EINVAL);
	CHECK(nl_dummy_make("a_name_that_is_too_long", "ours", &ip, &again) == -EINVAL);
}

int main(void)
{
	struct world w = {0};

	if (unshare(CLONE_NEWNET) < 0) {
		(void)printf("skipped: a network namespace needs root (%s)\n", strerror(errno));
		return SKIP;
	}
	if (ip_run(NULL, 0, "link set lo up") != 0) {
		(void)printf("skipped: ip(8) is not here\n");
		return SKIP;
	}
	ip_ok("link add eth0 type veth peer name p0");
	ip_ok("link set eth0 up");
	ip_ok("link set p0 up");
	ip_ok("addr add 172.31.0.2/24 dev eth0");
	ip_ok("-6 addr add fd31::2/64 dev eth0 nodad");
	ip_ok("route add default via 172.31.0.1");
	test_dummy();
	CHECK(loop_new(&w.loop) == 0);
	test_observes_first(&w);
	test_refused_stays_down(&w);
	test_as_wanted(&w);
	test_repairs(&w);
	test_foreign_route(&w);
	test_address_change(&w);
	test_hotplug(&w);
	test_filters(&w);
	test_mtu(&w);
	test_steady_events(&w);
	test_lost_notifications(&w);
	test_no_buffers(&w);
	test_lost_questions(&w);
	test_restart_changes_nothing(&w);
	test_many_routes(&w);
	test_port_change_and_foreign_name(&w);
	test_clear(&w);
	test_geneve(&w);
	test_idle(&w);
	recon_net_free(w.net);
	loop_free(w.loop);
	return 0;
}
