/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's datapath on interfaces that change under it: what goes down, appears, loses its programs,
 * or cannot have any; leftovers of another version; a boot.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/datapath.h"
#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"
#include "bpf/bpf_map.h"
#include "bpf/harness.h"
#include "bpf/lab.h"
#include "lib/result.h"

enum { WAIT_US = 5 * 1000 * 1000, OWN = 4242, CARDS = 20, DETACHED = 5 };

struct agent_net {
	struct lab lab;
	struct loop *loop;
	struct conf *conf;
	struct health *health;
	struct world *world;
	struct datapath *d;
	unsigned n_owed; /* times that something failed */
};

static void on_network(void *arg)
{
	(void)arg;
}

static void on_event(const struct mesh_event *ev, void *arg)
{
	(void)ev;
	(void)arg;
}

static void on_owed(void *arg)
{
	((struct agent_net *)arg)->n_owed++;
}

#define WAIT_FOR(n, cond)                                                                          \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + WAIT_US;                                         \
		while (!(cond) && clock_boot_us() < end_)                                          \
			(void)loop_once((n)->loop, 20000);                                         \
		CHECK(cond);                                                                       \
	} while (0)

static bool is_attached(struct agent_net *n, const char *name)
{
	return bpfattach_if_is_ok(datapath_obj(n->d), (int)if_nametoindex(name), BPFATTACH_NIC);
}

static bool has_tunnel(struct agent_net *n)
{
	return bpfattach_if_is_ok(datapath_obj(n->d), (int)if_nametoindex("mesh0"), BPFATTACH_TUNNEL);
}

/* The backstop is not asked about packets from there. */
static bool is_let_be(struct agent_net *n, unsigned ifindex)
{
	uint32_t value;

	return bpfmap_get(datapath_obj(n->d), BPFOBJ_COVERED, &ifindex, &value) == 0;
}

static void configure(struct agent_net *n, const char *attach, const char *interfaces)
{
	char text[512];
	struct err err = {0};

	(void)snprintf(text, sizeof(text),
		       "bpf-root = \"%s/agent\";\ncgroup-root = \"%s\";\ninterfaces = [ %s ];\ndatapath = { attach = \"%s\"; };\n",
		       n->lab.bpf, n->lab.cgroup, interfaces, attach); /* fits */
	if (conf_parse(text, strlen(text), "test", &n->conf, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
}

/* As if the CiliumIdentity of this host had come. */
static void add_own_identity(struct world *w)
{
	struct label_builder l = {.table = identity_labels(w->identities)};
	struct label_set *set;

	CHECK_EQ(label_builder_add_text(&l, "k8s:jedi=luke"), 0);
	CHECK_EQ(label_builder_take(&l, &set), 0);
	CHECK_EQ(identity_upsert(w->identities, OWN, set), 0);
}

static int access_pin(struct agent_net *n, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", bpfobj_pin_dir(datapath_obj(n->d)), name); /* fits */
	return access(path, F_OK);
}

/* The daemon before it knows anything of the cluster. */
static void begin(struct agent_net *n)
{
	const struct datapath_callbacks cb = {.on_network = on_network, .on_event = on_event, .on_owed = on_owed, .arg = n};
	struct cilium_config config = {.routing = CILIUM_VXLAN, .tunnel_port = 8472, .has_ipv4 = true,
				       .has_ipv6 = true, .identity_min = 256, .identity_max = 65535};
	struct err err = {0};
	int r;

	CHECK_EQ(loop_new(&n->loop), 0);
	CHECK_EQ(health_new(&n->health), 0);
	CHECK_EQ(world_new(&config, "ahch-to", OWN, n->conf, &n->world), 0);
	add_own_identity(n->world);
	r = datapath_new(n->loop, n->conf, n->health, &cb, &n->d, &err);
	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		exit(r == -EPERM ? HARNESS_SKIP : 99);
	}
}

/* And once it does. */
static void go_on(struct agent_net *n)
{
	CHECK_EQ(datapath_bind(n->d, n->world), 0);
	n->world->routes_dirty = true;
	WAIT_FOR(n, recon_net_nics(datapath_net(n->d))->n > 0);
	CHECK_EQ(datapath_apply(n->d, NULL, 0), 0);
	WAIT_FOR(n, recon_net_status(datapath_net(n->d))->is_applied);
}

static void start(struct agent_net *n)
{
	begin(n);
	go_on(n);
}

static void end(struct agent_net *n)
{
	datapath_free(n->d);
	world_free(n->world);
	health_free(n->health);
	loop_free(n->loop);
}

static void stop(struct agent_net *n)
{
	struct err err = {0};

	CHECK_EQ(datapath_remove(n->d, &err), 0);
	CHECK(!health_has(n->health, "datapath.order")); /* of what is no more */
	end(n);
}

/* What was in force is again, on every interface, before anybody has asked the API server. */
static void test_last(struct agent_net *n)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(snapshot_done) struct snapshot s = {0};
	struct err err = {0};
	uint64_t changes = datapath_changes(n->d);
	bool has_tcx;

	CHECK_EQ(datapath_save(n->d, "me", &b), 0);
	CHECK_EQ(datapath_changes(n->d), changes);
	datapath_set_verdict_events(n->d, true);
	datapath_set_dns(n->d, true);
	CHECK(datapath_changes(n->d) != changes);
	b.len = 0;
	CHECK_EQ(datapath_save(n->d, "me", &b), 0);
	stop(n);
	lab_sh("ip link del mesh0");
	begin(n);
	CHECK(!datapath_is_in_force(n->d));
	datapath_enforce(n->d); /* nothing was prepared */
	CHECK(!datapath_is_in_force(n->d));
	CHECK_EQ(snapshot_open(b.data, b.len, "me", &s, &err), 0);
	CHECK_EQ(datapath_restore(n->d, &s, false), 0);
	CHECK(!datapath_is_in_force(n->d));
	datapath_enforce(n->d);
	CHECK(datapath_is_in_force(n->d) && !datapath_is_ready(n->d));
	CHECK(!(datapath_flags(n->d) & (MESH_STATE_AUDIT | MESH_STATE_EV_NEW | MESH_STATE_DNS))); /* nobody is there yet */
	WAIT_FOR(n, is_attached(n, "eth0") && has_tunnel(n));
	CHECK(bpfattach_cgroup_is_ok(datapath_obj(n->d), n->lab.cgroup));
	b.len = 0;
	CHECK_EQ(datapath_save(n->d, "me", &b), -ENODATA);
	/* the daemon dies: this is no boot any more */
	end(n);
	begin(n);
	CHECK(datapath_is_in_force(n->d));
	WAIT_FOR(n, is_attached(n, "eth0"));
	has_tcx = bpfobj_features(datapath_obj(n->d))->has_tcx;
	CHECK(!has_tcx || is_let_be(n, if_nametoindex("mesh0")));
	go_on(n);
	CHECK(!has_tcx || is_let_be(n, if_nametoindex("mesh0")));
	lab_sh("ip link del mesh0"); /* pods are none of the backstop's business from its first packet on */
	WAIT_FOR(n, has_tunnel(n));
	CHECK(!has_tcx || is_let_be(n, if_nametoindex("mesh0")));
	CHECK(datapath_is_ready(n->d));
	CHECK(is_attached(n, "eth0") && has_tunnel(n));
	CHECK(datapath_changes(n->d) != 0);
}

/* Addresses that no one knows: those of the cluster's only family are its world, the others are of their family's. */
static void test_families(struct agent_net *n)
{
	static const struct {
		bool has_ipv4, has_ipv6;
		uint32_t world_v4, world_v6;
	} cases[] = {
		{true, false, IDENTITY_WORLD, IDENTITY_WORLD_IPV6},
		{false, true, IDENTITY_WORLD_IPV4, IDENTITY_WORLD},
		{true, true, IDENTITY_WORLD_IPV4, IDENTITY_WORLD_IPV6},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {0};
		CLEANUP(snapshot_done) struct snapshot s = {0};
		struct err err = {0};

		n->world->config.has_ipv4 = cases[i].has_ipv4;
		n->world->config.has_ipv6 = cases[i].has_ipv6;
		CHECK_EQ(datapath_apply(n->d, NULL, 0), 0);
		CHECK_EQ(datapath_save(n->d, "me", &b), 0);
		CHECK_EQ(snapshot_open(b.data, b.len, "me", &s, &err), 0);
		CHECK_EQ(s.world_v4, cases[i].world_v4);
		CHECK_EQ(s.world_v6, cases[i].world_v6);
	}
}

/* Only what is configured to be policed is, from the start. */
static void test_closed(struct agent_net *n, const char *attach)
{
	stop(n);
	conf_free(n->conf);
	configure(n, attach, "\"eth*\"");
	lab_sh("ip link add out0 type veth peer name peer1 && ip addr add 10.78.0.1/24 dev out0 && ip link set peer1 up && "
	       "ip link set out0 up");
	begin(n);
	CHECK_EQ(datapath_close(n->d, OWN, false), 0);
	datapath_enforce(n->d);
	CHECK(datapath_enforces(n->d, MESH_INGRESS) && datapath_enforces(n->d, MESH_EGRESS));
	WAIT_FOR(n, is_attached(n, "eth0"));
	CHECK(!is_attached(n, "out0"));
	go_on(n);
	CHECK(is_attached(n, "eth0") && !is_attached(n, "out0"));
	CHECK(!datapath_enforces(n->d, MESH_INGRESS)); /* there is no policy */
	stop(n);
	begin(n);
	CHECK_EQ(datapath_close(n->d, OWN, true), 0); /* nobody has confirmed the joining */
	datapath_enforce(n->d);
	CHECK(datapath_flags(n->d) & MESH_STATE_AUDIT);
	CHECK(health_has(n->health, "policy.audit"));
	go_on(n);
	CHECK(!health_has(n->health, "policy.audit"));
}

/* Down and up again: the programs are there all the time. */
static void test_down_and_up(struct agent_net *n)
{
	CHECK(is_attached(n, "eth0"));
	lab_sh("ip link set eth0 down");
	WAIT_FOR(n, !recon_net_nics(datapath_net(n->d))->v[0].is_up);
	CHECK(is_attached(n, "eth0"));
	lab_sh("ip link set eth0 up");
	CHECK(is_attached(n, "eth0"));
	WAIT_FOR(n, recon_net_nics(datapath_net(n->d))->v[0].is_up);
	CHECK(is_attached(n, "eth0"));
}

/* What cannot be attached to is told by name, and stops nothing. */
static void test_unreadable(struct agent_net *n)
{
	CHECK(datapath_is_ready(n->d));
	CHECK(health_has(n->health, "datapath.attach") == (if_nametoindex("odd0") != 0));
}

/* Socket programs that someone took off come back with the audit, and the tunnel device's. */
static void test_audit(struct agent_net *n)
{
	const char *dir = bpfobj_pin_dir(datapath_obj(n->d));

	lab_sh("bpftool link detach pinned %s/cgroup-mesh_connect4", dir);
	CHECK(!bpfattach_cgroup_is_ok(datapath_obj(n->d), n->lab.cgroup));
	if (bpfobj_features(datapath_obj(n->d))->has_tcx) {
		lab_sh("bpftool link detach pinned %s/link-%u-ingress", dir, if_nametoindex("mesh0"));
		CHECK(!has_tunnel(n));
	}
	if (bpfobj_features(datapath_obj(n->d))->has_backstop)
		lab_sh("rm %s/netns-mesh_backstop", dir);
	datapath_audit(n->d);
	CHECK(bpfattach_cgroup_is_ok(datapath_obj(n->d), n->lab.cgroup));
	CHECK(bpfattach_backstop_is_ok(datapath_obj(n->d)));
	CHECK(has_tunnel(n));
	/* programs that could not be attached get another try */
	lab_sh("umount %s", n->lab.cgroup);
	datapath_audit(n->d);
	CHECK(health_has(n->health, "datapath.cgroup"));
	lab_sh("mount -t cgroup2 none %s", n->lab.cgroup);
	datapath_audit(n->d);
	CHECK(!health_has(n->health, "datapath.cgroup"));
	WAIT_FOR(n, recon_net_status(datapath_net(n->d))->is_applied);
}

/* A program of others that is asked first is told of. It stays until its link is closed. */
static int put_before(struct agent_net *n, int ifindex, unsigned dir)
{
	unsigned id;
	int link = lab_attach_before(ifindex, dir, &id);

	WAIT_FOR(n, (datapath_audit(n->d), health_has(n->health, "datapath.order")));
	return link;
}

static void test_order(struct agent_net *n)
{
	if (!bpfobj_features(datapath_obj(n->d))->has_tcx)
		return;
	close(put_before(n, (int)if_nametoindex("eth0"), MESH_INGRESS));
	datapath_audit(n->d);
	CHECK(!health_has(n->health, "datapath.order"));
	close(put_before(n, recon_net_status(datapath_net(n->d))->tunnel_ifindex, MESH_EGRESS));
	datapath_audit(n->d);
	CHECK(!health_has(n->health, "datapath.order"));
	(void)put_before(n, (int)if_nametoindex("eth0"), MESH_EGRESS); /* until the end: see stop() */
}

/* What could not be attached is asked for, and is there as soon as it can be. */
static void test_owed(struct agent_net *n)
{
	bool has_odd = if_nametoindex("odd0") != 0;
	unsigned before = n->n_owed;
	int ifindex;

	datapath_audit(n->d);
	datapath_retry(n->d);
	CHECK_EQ(n->n_owed, before); /* nothing failed; what no version can do is not tried again */
	lab_sh("umount %s", n->lab.cgroup);
	datapath_audit(n->d);
	CHECK(n->n_owed > before);
	before = n->n_owed;
	datapath_retry(n->d);
	CHECK(n->n_owed > before);
	lab_sh("mount -t cgroup2 none %s", n->lab.cgroup);
	before = n->n_owed;
	datapath_retry(n->d);
	CHECK_EQ(n->n_owed, before);
	CHECK(!health_has(n->health, "datapath.cgroup"));
	CHECK(bpfattach_cgroup_is_ok(datapath_obj(n->d), n->lab.cgroup));
	if (bpfobj_features(datapath_obj(n->d))->has_backstop) {
		lab_sh("rm %s/netns-mesh_backstop && mkdir %s/netns-mesh_backstop", bpfobj_pin_dir(datapath_obj(n->d)),
		       bpfobj_pin_dir(datapath_obj(n->d)));
		datapath_audit(n->d);
		CHECK(n->n_owed > before && health_has(n->health, "datapath.backstop"));
		lab_sh("rmdir %s/netns-mesh_backstop", bpfobj_pin_dir(datapath_obj(n->d)));
		before = n->n_owed;
		datapath_retry(n->d);
		CHECK_EQ(n->n_owed, before);
		CHECK(!health_has(n->health, "datapath.backstop") && bpfattach_backstop_is_ok(datapath_obj(n->d)));
	}
	if (!bpfobj_features(datapath_obj(n->d))->has_tcx)
		return; /* a filter needs no pin, which the test takes the place of */
	lab_sh("ip link add card0 type veth peer name end0");
	ifindex = (int)if_nametoindex("card0");
	lab_sh("mkdir %s/link-%d-ingress", bpfobj_pin_dir(datapath_obj(n->d)), ifindex); /* where its link belongs */
	lab_sh("ip addr add 10.82.0.1/24 dev card0"); /* from now on it leads outside */
	WAIT_FOR(n, n->n_owed > before);
	CHECK(health_has(n->health, "datapath.attach") && !is_attached(n, "card0"));
	CHECK(!is_let_be(n, (unsigned)ifindex));
	WAIT_FOR(n, nics_find(recon_net_nics(datapath_net(n->d)), ifindex));
	lab_sh("rmdir %s/link-%d-ingress", bpfobj_pin_dir(datapath_obj(n->d)), ifindex);
	CHECK(!is_attached(n, "card0")); /* no event tells of it */
	datapath_retry(n->d);
	CHECK(is_attached(n, "card0") && is_let_be(n, (unsigned)ifindex));
	CHECK(health_has(n->health, "datapath.attach") == has_odd);
	lab_sh("ip link del card0");
	WAIT_FOR(n, !nics_find(recon_net_nics(datapath_net(n->d)), ifindex));
	WAIT_FOR(n, recon_net_status(datapath_net(n->d))->is_applied);
}

/* A tunnel device that is made anew and cannot have the programs stays down; once it can, nothing is told of it any more. */
static void test_owed_tunnel(struct agent_net *n)
{
	const char *dir = bpfobj_pin_dir(datapath_obj(n->d));
	bool has_odd = if_nametoindex("odd0") != 0;
	unsigned next, before;

	if (!bpfobj_features(datapath_obj(n->d))->has_tcx)
		return; /* as above */
	lab_sh("ip link add last0 type veth peer name last1");
	next = MAX(if_nametoindex("last0"), if_nametoindex("last1")) + 1;
	lab_sh("mkdir %s/link-%u-ingress && ip link del last0 && ip link del mesh0", dir, next);
	WAIT_FOR(n, if_nametoindex("mesh0") == next && strstr(recon_net_status(datapath_net(n->d))->err.text, "programs of the tunnel"));
	CHECK(health_has(n->health, "datapath.attach") && health_has(n->health, "datapath.network"));
	CHECK(!has_tunnel(n));
	before = n->n_owed;
	lab_sh("rmdir %s/link-%u-ingress", dir, next);
	WAIT_FOR(n, recon_net_status(datapath_net(n->d))->is_applied);
	CHECK(has_tunnel(n));
	CHECK(n->n_owed > before);
	datapath_retry(n->d);
	CHECK(health_has(n->health, "datapath.attach") == has_odd);
	CHECK(!health_has(n->health, "datapath.network"));
}

/* What others take off comes back, without waiting for the audit. */
static void test_filters(struct agent_net *n)
{
	uint64_t times = result_amount("MESH_TEST_DETACHED", DETACHED), longest_us = 0, sum_us = 0, us;

	for (uint64_t i = 0; i < times && !harness_failures; i++) {
		lab_sh("tc qdisc del dev eth0 clsact");
		us = clock_boot_us();
		CHECK(!is_attached(n, "eth0"));
		WAIT_FOR(n, is_attached(n, "eth0"));
		us = clock_boot_us() - us;
		sum_us += us;
		longest_us = MAX(longest_us, us);
	}
	result_add("detached", json_pack("{s:I, s:I, s:I}", "times", (json_int_t)times, "mean_us", (json_int_t)(sum_us / times), "longest_us",
					 (json_int_t)longest_us));
	lab_sh("tc filter del dev mesh0 ingress");
	CHECK(!has_tunnel(n));
	WAIT_FOR(n, has_tunnel(n));
}

static int count_links(struct agent_net *n)
{
	int all[BPFATTACH_INTERFACES_MAX];

	return bpfattach_if_list(datapath_obj(n->d), all, ARRAY_LEN(all));
}

/*
 * Cards that come, get another name and go, as those of machines on the host do: each has the programs before it is up,
 * and keeps them under its other name; nothing is left of those that went. MESH_TEST_CARDS asks for more.
 */
static void test_cards(struct agent_net *n, const char *attach)
{
	const struct recon_net *net = datapath_net(n->d);
	uint64_t cards = result_amount("MESH_TEST_CARDS", CARDS), longest_us = 0, sum_us = 0, us;
	size_t before = recon_net_nics(net)->n;
	int links = count_links(n);

	for (uint64_t i = 0; i < cards && !harness_failures; i++) {
		lab_sh("printf 'link add card0 type veth peer name end0\nlink set end0 up\naddr add 10.80.0.1/24 dev card0\n' | ip -batch -");
		us = clock_boot_us();
		WAIT_FOR(n, is_attached(n, "card0"));
		us = clock_boot_us() - us;
		sum_us += us;
		longest_us = MAX(longest_us, us);
		lab_sh("ip link set card0 up");
		CHECK(is_attached(n, "card0"));
		lab_sh("printf 'link set card0 down\nlink set card0 name other0\nlink set other0 up\n' | ip -batch -");
		CHECK(is_attached(n, "other0"));
		WAIT_FOR(n, recon_net_nics(net)->n == before + 1);
		CHECK(is_attached(n, "other0"));
		lab_sh("ip link del other0");
		WAIT_FOR(n, recon_net_nics(net)->n == before && count_links(n) == links);
	}
	CHECK(!health_has(n->health, "datapath.attach") || if_nametoindex("odd0"));
	CHECK(is_attached(n, "eth0"));
	result_add("cards", json_pack("{s:s, s:I, s:I, s:I}", "attach", attach, "cards", (json_int_t)cards, "mean_us", (json_int_t)(sum_us / cards),
				      "longest_us", (json_int_t)longest_us));
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

	CHECK_EQ(inet_pton(AF_INET, text, &sa.sin_addr), 1);
	return sa;
}

/* One that somebody outside made while a card had no programs yet is inbound, though the host is the first to speak after. */
static void test_older_connection(struct agent_net *n)
{
	struct sockaddr_in own = address("10.81.0.1", 5432), peer = address("10.81.0.2", 40000);
	struct mesh_ct4_key k = {.local_port = own.sin_port, .remote_port = peer.sin_port, .proto = IPPROTO_TCP};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client, server;
	size_t nics = recon_net_nics(datapath_net(n->d))->n;
	int links = count_links(n);
	struct mesh_ct e = {.flags = 0xff};

	memcpy(&k.local, &own.sin_addr, sizeof(k.local));
	memcpy(&k.remote, &peer.sin_addr, sizeof(k.remote));
	lab_sh("ip link add card0 type veth peer name end0 netns /proc/%d/fd/%d && ip addr add 10.81.0.1/24 dev card0 && ip link set card0 up",
	       getpid(), n->lab.peer_ns);
	CHECK_EQ(bind(listener, (struct sockaddr *)&own, sizeof(own)), 0);
	CHECK_EQ(listen(listener, 1), 0);
	lab_enter(n->lab.peer_ns);
	lab_sh("ip addr add 10.81.0.2/24 dev end0 && ip link set end0 up");
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(client, (struct sockaddr *)&peer, sizeof(peer)), 0);
	CHECK_EQ(connect(client, (struct sockaddr *)&own, sizeof(own)), 0);
	lab_enter(n->lab.host_ns);
	server = accept(listener, NULL, NULL);
	CHECK(server >= 0);
	CHECK(!is_attached(n, "card0")); /* nobody has looked */
	CHECK_EQ(bpfmap_get(datapath_obj(n->d), BPFOBJ_CT4, &k, &e), -ENOENT);
	WAIT_FOR(n, is_attached(n, "card0"));
	CHECK_EQ(send(server, "x", 1, MSG_NOSIGNAL), 1);
	CHECK_EQ(bpfmap_get(datapath_obj(n->d), BPFOBJ_CT4, &k, &e), 0);
	CHECK(!(e.flags & MESH_CT_EGRESS));
	close(client);
	close(server);
	close(listener);
	lab_sh("ip link del card0");
	WAIT_FOR(n, recon_net_nics(datapath_net(n->d))->n == nics && count_links(n) == links);
}

/* A tun device of a type that nobody knows how to read; -1 if there is no tun driver. */
static int open_odd(void)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "odd0"};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0) {
		printf("skipped: an interface that cannot be read: no tun device: %s\n", strerror(errno));
		return fd;
	}
	CHECK_EQ(ioctl(fd, TUNSETLINK, 825 /* ARPHRD_6LOWPAN */), 0);
	lab_sh("ip addr add 10.79.0.1/24 dev odd0");
	return fd;
}

static bool is_underlay(struct agent_net *n, int ifindex)
{
	const struct nic *nic = nics_find(recon_net_nics(datapath_net(n->d)), ifindex);

	return nic && nic->is_underlay;
}

/* Connections that are older than the programs are known, also where these could not be attached at first. */
static void test_older_connections(struct agent_net *n, const char *attach)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5432), .sin_addr.s_addr = inet_addr("10.80.0.2")};
	int listener, older[2], ifindex;
	size_t entries;

	stop(n);
	conf_free(n->conf);
	configure(n, attach, "");
	lab_sh("ip link add up0 type veth peer name up1 netns /proc/%d/fd/%d && ip addr add 10.80.0.1/24 dev up0 && "
	       "ip link set up0 up", getpid(), n->lab.peer_ns);
	ifindex = (int)if_nametoindex("up0");
	lab_enter(n->lab.peer_ns);
	lab_sh("ip addr add 10.80.0.2/24 dev up1 && ip link set up1 up");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	CHECK_EQ(listen(listener, 2), 0);
	lab_enter(n->lab.host_ns);
	lab_sh("ip route add default via 10.80.0.2 dev up0");
	older[0] = lab_tcp(&at);
	begin(n);
	lab_sh("mkdir %s/link-%d-ingress", bpfobj_pin_dir(datapath_obj(n->d)), ifindex); /* where its link belongs */
	CHECK_EQ(datapath_bind(n->d, n->world), 0);
	n->world->routes_dirty = true;
	WAIT_FOR(n, is_underlay(n, ifindex));
	CHECK(datapath_apply(n->d, NULL, 0) < 0);
	CHECK(!is_attached(n, "up0"));
	older[1] = lab_tcp(&at);
	lab_sh("rmdir %s/link-%d-ingress", bpfobj_pin_dir(datapath_obj(n->d)), ifindex);
	CHECK_EQ(datapath_apply(n->d, NULL, 0), 0);
	CHECK(is_attached(n, "up0"));
	CHECK_EQ(bpfmap_count(datapath_obj(n->d), BPFOBJ_CT4, &entries), 0);
	CHECK_EQ(entries, 2);
	for (unsigned i = 0; i < 2; i++)
		close(older[i]);
	close(listener);
}

/* A device whose other end, of that address, is outside. */
static void cable(struct agent_net *n, const char *name, const char *own, const char *peer)
{
	lab_sh("ip link add %s type veth peer name %s-end netns /proc/%d/fd/%d && ip addr add %s/24 dev %s && ip link set %s up", name, name,
	       getpid(), n->lab.peer_ns, own, name, name);
	lab_enter(n->lab.peer_ns);
	lab_sh("ip addr add %s/24 dev %s-end && ip link set %s-end up", peer, name, name);
	lab_enter(n->lab.host_ns);
}

/* A datagram from the far end to a socket of the host. */
static bool is_received(struct agent_net *n, const char *own, const char *peer)
{
	int server = lab_udp(own, 5353), client;
	char buf[8];
	bool has_it;

	lab_enter(n->lab.peer_ns);
	client = lab_udp(peer, 0);
	lab_send(client, own, 5353, "ping", 4);
	lab_enter(n->lab.host_ns);
	has_it = lab_recv(server, buf, sizeof(buf)) == 4;
	close(client);
	close(server);
	return has_it;
}

/* Whether the admin gets in there. */
static bool has_ssh(struct agent_net *n, const char *own)
{
	struct sockaddr_in at = address(own, 22);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	bool has_it;

	CHECK_EQ(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	CHECK_EQ(listen(listener, 1), 0);
	lab_enter(n->lab.peer_ns);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	has_it = connect(client, (const struct sockaddr *)&at, sizeof(at)) == 0;
	lab_enter(n->lab.host_ns);
	close(client);
	close(listener);
	return has_it;
}

static void enforce_failsafe_only(struct agent_net *n)
{
	begin(n);
	if (!datapath_is_in_force(n->d)) {
		CHECK_EQ(datapath_close(n->d, OWN, false), 0);
		CHECK_EQ(datapath_set_control_plane(n->d, NULL, NULL, 0, false), 0);
		datapath_enforce(n->d);
	}
}

/*
 * Where an interface has no programs nothing gets to a socket but the failsafe set, whether the agent has not looked yet or
 * is not there; what is of the host itself does, from when the agent has seen it.
 */
static void test_gap(struct agent_net *n, const char *attach)
{
	unsigned inside;

	stop(n);
	conf_free(n->conf);
	configure(n, attach, "");
	cable(n, "gap0", "10.82.0.1", "10.82.0.2");
	lab_sh("ip link add inside0 type bridge && ip link set inside0 up");
	enforce_failsafe_only(n);
	if (!bpfobj_features(datapath_obj(n->d))->has_backstop) {
		printf("skipped: gaps: this kernel has no backstop\n");
		CHECK(health_has(n->health, "datapath.backstop"));
		return;
	}
	CHECK(bpfattach_backstop_is_ok(datapath_obj(n->d)));
	WAIT_FOR(n, is_attached(n, "gap0") && is_let_be(n, if_nametoindex("inside0")));
	CHECK_EQ(is_let_be(n, if_nametoindex("gap0")), str_eq(attach, "auto"));
	CHECK(!is_received(n, "10.82.0.1", "10.82.0.2") && has_ssh(n, "10.82.0.1"));
	if (str_eq(attach, "clsact")) {
		lab_sh("tc qdisc del dev gap0 clsact");
		CHECK(!is_attached(n, "gap0")); /* nobody has looked */
		CHECK(!is_received(n, "10.82.0.1", "10.82.0.2") && has_ssh(n, "10.82.0.1"));
		WAIT_FOR(n, is_attached(n, "gap0"));
	}
	cable(n, "gap1", "10.83.0.1", "10.83.0.2");
	CHECK(!is_attached(n, "gap1"));
	CHECK(!is_received(n, "10.83.0.1", "10.83.0.2") && has_ssh(n, "10.83.0.1"));
	WAIT_FOR(n, is_attached(n, "gap1"));
	CHECK(!is_received(n, "10.83.0.1", "10.83.0.2") && has_ssh(n, "10.83.0.1"));
	end(n); /* it dies */
	cable(n, "gap2", "10.84.0.1", "10.84.0.2");
	CHECK(!is_received(n, "10.84.0.1", "10.84.0.2") && has_ssh(n, "10.84.0.1"));
	/* a container on a bridge that the agent has not seen is a stranger, on one that it has it is not */
	lab_sh("ip link add inside1 type bridge && ip link set inside1 up && ip addr add 10.85.0.1/24 dev inside1 && "
	       "ip addr add 10.86.0.1/24 dev inside0");
	cable(n, "port1", "10.87.0.1", "10.85.0.2");
	cable(n, "port0", "10.88.0.1", "10.86.0.2");
	lab_sh("ip addr flush dev port0 && ip addr flush dev port1 && ip link set port1 master inside1 && ip link set port0 master inside0");
	CHECK(!is_received(n, "10.85.0.1", "10.85.0.2") && has_ssh(n, "10.85.0.1"));
	CHECK(is_received(n, "10.86.0.1", "10.86.0.2"));
	enforce_failsafe_only(n);
	inside = if_nametoindex("inside1");
	WAIT_FOR(n, is_attached(n, "gap2") && is_let_be(n, inside));
	CHECK(is_received(n, "10.85.0.1", "10.85.0.2") && is_received(n, "10.86.0.1", "10.86.0.2"));
	CHECK(!is_received(n, "10.84.0.1", "10.84.0.2") && has_ssh(n, "10.84.0.1"));
	lab_sh("ip link del inside1 && ip link del gap2");
	WAIT_FOR(n, !is_let_be(n, inside));
	/* switched off, nothing stands there */
	end(n);
	n->conf->datapath.has_backstop = false;
	enforce_failsafe_only(n);
	go_on(n);
	CHECK(!health_has(n->health, "datapath.backstop"));
	CHECK(access_pin(n, "netns-mesh_backstop") < 0);
	lab_sh("ip link del gap0 && ip link del gap1 && ip link del port0 && ip link del port1 && ip link del inside0");
}

static size_t set_outbound(struct agent_net *n, struct conf_failsafe *v, size_t count)
{
	size_t there;

	n->conf->failsafe.outbound.v = v;
	n->conf->failsafe.outbound.n = count;
	CHECK_EQ(datapath_set_control_plane(n->d, NULL, NULL, 0, false), 0);
	CHECK_EQ(bpfmap_count(datapath_obj(n->d), BPFOBJ_FAILSAFE, &there), 0);
	return there;
}

static uint32_t generation(const struct agent_net *n)
{
	const uint32_t zero = 0;
	struct mesh_config c;

	CHECK_EQ(bpfmap_get(datapath_obj(n->d), BPFOBJ_CONFIG, &zero, &c), 0);
	return (uint32_t)c.state;
}

/*
 * All of a large failsafe set changes: the map has no room for both. When an entry is gone, what it let through is judged
 * anew.
 */
static void test_failsafe_set(struct agent_net *n)
{
	struct conf_failsafe entries[200], *configured = n->conf->failsafe.outbound.v;
	size_t n_configured = n->conf->failsafe.outbound.n, others = set_outbound(n, NULL, 0);
	uint32_t before;

	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < ARRAY_LEN(entries); i++)
			entries[i] = (struct conf_failsafe){.protocol = IPPROTO_TCP, .port = (uint16_t)(1000 + turn * 500 + i)};
		CHECK_EQ(set_outbound(n, entries, ARRAY_LEN(entries)), others + ARRAY_LEN(entries));
	}
	before = generation(n);
	(void)set_outbound(n, entries, ARRAY_LEN(entries));
	CHECK_EQ(generation(n), before);
	(void)set_outbound(n, entries, ARRAY_LEN(entries) - 1);
	CHECK_EQ(generation(n), before + 1);
	(void)set_outbound(n, configured, n_configured);
}

static void run(const char *attach)
{
	struct agent_net n = {0};
	bool is_clsact = str_eq(attach, "clsact");
	char path[256];
	int odd;

	lab_open(&n.lab);
	if (mkdir(n.lab.cgroup, 0700) < 0 && errno != EEXIST)
		exit(99);
	lab_sh("mount -t cgroup2 none %s", n.lab.cgroup);
	lab_sh("ip link add eth0 type veth peer name peer0 && ip addr add 10.77.0.1/24 dev eth0 && "
	       "ip link set peer0 up && ip link set eth0 up");
	odd = open_odd();
	configure(&n, attach, "");
	/* another version was here: its link would enforce for ever */
	(void)snprintf(path, sizeof(path), "%s/agent/v0", n.lab.bpf); /* fits */
	lab_sh("mkdir -p %s && bpftool map create %s/mesh_ct4 type hash key 4 value 4 entries 8 name x", path, path);
	start(&n);
	CHECK(str_eq(datapath_attach_name(n.d), is_clsact ? "clsact" : "tcx"));
	WAIT_FOR(&n, access(path, F_OK) < 0);
	CHECK(bpfattach_cgroup_is_ok(datapath_obj(n.d), n.lab.cgroup));
	CHECK(has_tunnel(&n));
	test_families(&n);
	test_down_and_up(&n);
	test_unreadable(&n);
	test_audit(&n);
	test_order(&n);
	test_owed(&n);
	test_owed_tunnel(&n);
	if (is_clsact)
		test_filters(&n);
	test_failsafe_set(&n);
	test_older_connection(&n);
	test_cards(&n, datapath_attach_name(n.d));
	test_last(&n);
	test_closed(&n, attach);
	test_gap(&n, attach);
	if (!is_clsact) /* a filter needs no pin, which the test takes the place of */
		test_older_connections(&n, attach);
	stop(&n);
	conf_free(n.conf);
	if (odd >= 0)
		close(odd);
	(void)umount2(n.lab.cgroup, 0);
	lab_close(&n.lab);
}

int main(void)
{
	run("auto");
	run("clsact");
	return harness_done();
}
