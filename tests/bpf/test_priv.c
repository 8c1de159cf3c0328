/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process without the rights and the one that holds them: the first reads and writes maps, attaches and changes links
 * and routes as before, and can have nothing done that is not the agent's, whatever it sends: `test_priv 1000000` sends
 * as many messages that mean harm.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/datapath.h"
#include "agentd/privileged.h"
#include "base/str.h"
#include "bpf/bpf_others.h"
#include "bpf/bpf_call.h"
#include "bpf/bpf_wire.h"
#include "bpf/harness.h"
#include "bpf/lab.h"
#include "netlink/nl_change.h"
#include "netlink/nl_dummy.h"
#include "priv/priv_sock.h"
#include "recon/recon_net.h"

enum { ENTRIES = 5000, HOSTILE = 20000 };

static struct conf *configuration(const struct lab *l, const char *group)
{
	CLEANUP(free) char *text = str_printf("bpf-root = \"%s/agent\"; cgroup-root = \"%s\"; tunnel-device = \"mesh7\";", l->bpf,
					      group);
	struct conf *conf = NULL;
	struct err err = {0};

	if (!text || conf_parse(text, strlen(text), "test", &conf, &err) < 0) {
		printf("failed: %s\n", err.text);
		exit(99);
	}
	return conf;
}

static struct bpfobj *open_obj(const struct conf *conf)
{
	struct bpfobj_options opt;
	struct bpfobj *o = NULL;
	struct err err = {0};
	int r = datapath_options(conf, &opt);

	if (r == 0)
		r = bpfobj_open(&opt, &o, &err);
	free((char *)(uintptr_t)opt.pin_dir);
	if (r < 0) {
		printf("%s: %s\n", r == -EPERM ? "skipped" : "failed", err.text);
		exit(r == -EPERM ? HARNESS_SKIP : 99);
	}
	return o;
}

static struct mesh_ipinfo info_of(uint32_t i)
{
	return (struct mesh_ipinfo){.identity = 1000 + i};
}

struct seen {
	unsigned n, wrong;
	const struct bpfobj *o;
};

static int on_entry(const void *key, const void *value, void *arg)
{
	struct seen *s = arg;
	uint32_t addr;
	struct mesh_ipinfo want, have;

	memcpy(&addr, key, sizeof(addr));
	memcpy(&have, value, sizeof(have));
	want = info_of(ntohl(addr) & 0xffff);
	s->n++;
	s->wrong += have.identity != want.identity;
	return s->o ? bpfmap_del(s->o, BPFOBJ_IPCACHE4, key) : 0;
}

/* Everything that bpf_map.h can do, in several messages. */
static void maps(const struct bpfobj *o)
{
	uint32_t *keys = calloc(ENTRIES, sizeof(*keys)), missing = htonl(0x0b000000);
	struct mesh_ipinfo *values = calloc(ENTRIES, sizeof(*values)), have;
	struct mesh_counter counters[MESH_REASON_MAX * 2];
	struct seen seen = {.n = 0};
	size_t n = 0;

	CHECK_EQ(bpfmap_key_size(o, BPFOBJ_IPCACHE4), sizeof(*keys));
	CHECK_EQ(bpfmap_value_size(o, BPFOBJ_IPCACHE4), sizeof(*values));
	for (uint32_t i = 0; i < ENTRIES; i++) {
		keys[i] = htonl(0x0a000000 + i);
		values[i] = info_of(i);
	}
	CHECK_EQ(bpfmap_put_batch(o, BPFOBJ_IPCACHE4, keys, values, ENTRIES, &n), 0);
	CHECK_EQ(n, ENTRIES);
	CHECK_EQ(bpfmap_get(o, BPFOBJ_IPCACHE4, &keys[77], &have), 0);
	CHECK_EQ(have.identity, values[77].identity);
	CHECK_EQ(bpfmap_get(o, BPFOBJ_IPCACHE4, &missing, &have), -ENOENT);
	CHECK_EQ(bpfmap_add(o, BPFOBJ_IPCACHE4, &keys[77], &have), -EEXIST);
	CHECK_EQ(bpfmap_count(o, BPFOBJ_IPCACHE4, &n), 0);
	CHECK_EQ(n, ENTRIES);
	CHECK_EQ(bpfmap_each(o, BPFOBJ_IPCACHE4, on_entry, &seen), 0);
	CHECK_EQ(seen.n, ENTRIES);
	CHECK_EQ(seen.wrong, 0);
	CHECK_EQ(bpfmap_del(o, BPFOBJ_IPCACHE4, &missing), -ENOENT);
	CHECK_EQ(bpfmap_del(o, BPFOBJ_IPCACHE4, &keys[0]), 0);
	CHECK_EQ(bpfmap_del_batch(o, BPFOBJ_IPCACHE4, keys, ENTRIES / 2, &n), 0);
	CHECK_EQ(n, ENTRIES / 2);
	seen = (struct seen){.o = o};
	CHECK_EQ(bpfmap_each(o, BPFOBJ_IPCACHE4, on_entry, &seen), 0);
	CHECK_EQ(seen.n, ENTRIES - ENTRIES / 2);
	CHECK_EQ(bpfmap_count(o, BPFOBJ_IPCACHE4, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(bpfmap_errors(o, BPFOBJ_IPCACHE4), 0);
	CHECK_EQ(bpfmap_counters(o, counters), 0);
	free(keys);
	free(values);
}

/* The two that are mapped into this process. */
static void mapped(const struct bpfobj *o)
{
	struct bpfconfig *c = NULL;
	uint32_t zero = 0;
	struct mesh_config have;

	CHECK_EQ(bpfconfig_open(o, &c), 0);
	CHECK_EQ(bpfconfig_init(c), 0);
	bpfconfig_commit(c, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(bpfmap_get(o, BPFOBJ_CONFIG, &zero, &have), 0);
	CHECK_EQ(have.state, bpfconfig_get(c)->state);
	CHECK(have.state & MESH_STATE_ACTIVE);
	bpfconfig_commit(c, 0, 0);
	bpfconfig_free(c);
	CHECK(bpfobj_map_fd(o, BPFOBJ_IPCACHE4) < 0);
	CHECK_EQ(syscall(SYS_bpf, 1, NULL, 0), -1);
	CHECK_EQ(errno, EPERM);
}

/* What the programs note is theirs: user space reads it, and neither makes nor removes any of it. */
static void kept_by_programs(const struct bpfobj *o)
{
	static const enum bpfobj_map maps[] = {BPFOBJ_CONFIG,	BPFOBJ_FRAGS,	    BPFOBJ_COUNTERS, BPFOBJ_EVENT_RATE, BPFOBJ_SOCK_REV,
					       BPFOBJ_AFFINITY, BPFOBJ_FAILSAFE_HITS, BPFOBJ_SHADOW_FLOWS, BPFOBJ_NOTES};
	const unsigned char key[64] = {0}, value[sizeof(struct mesh_config)] = {0};

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		CHECK(bpfmap_value_size(o, maps[i]) <= sizeof(value));
		CHECK_EQ(bpfmap_put(o, maps[i], key, value), -EINVAL);
		CHECK_EQ(bpfmap_add(o, maps[i], key, value), -EINVAL);
		CHECK_EQ(bpfmap_del(o, maps[i], key), -EINVAL);
	}
}

static void attaching(struct bpfobj *o, const char *cgroup)
{
	int nic = (int)if_nametoindex("eth0"), list[8];
	enum bpfattach_how how;
	struct err err = {0};
	size_t n = 0;

	CHECK(!bpfattach_if_is_ok(o, nic, BPFATTACH_NIC));
	CHECK_EQ(bpfattach_if(o, nic, BPFATTACH_NIC, &how, &err), 0);
	CHECK(bpfattach_if_is_ok(o, nic, BPFATTACH_NIC));
	CHECK(!bpfattach_if_is_ok(o, nic, BPFATTACH_TUNNEL));
	CHECK_EQ(bpfattach_if_is_held(o, nic), bpfobj_features(o)->has_tcx);
	if (bpfobj_features(o)->has_tcx) {
		CHECK_EQ(bpfattach_if_list(o, list, 8), 1);
		CHECK_EQ(list[0], nic);
	}
	CHECK_EQ(bpfattach_if(o, 99999, BPFATTACH_NIC, &how, &err), -ENODEV);
	CHECK(strstr(err.text, "interface 99999"));
	CHECK_EQ(bpfattach_if_detach(o, nic, &err), 0);
	CHECK(!bpfattach_if_is_ok(o, nic, BPFATTACH_NIC));
	CHECK(!bpfattach_cgroup_is_ok(o, cgroup));
	CHECK_EQ(bpfattach_cgroup(o, "/nowhere", &err), 0); /* it is not asked where */
	CHECK(bpfattach_cgroup_is_ok(o, cgroup));
	CHECK_EQ(bpfattach_backstop_is_ok(o), !bpfobj_features(o)->has_backstop);
	CHECK_EQ(bpfattach_backstop(o, &err), 0);
	CHECK(bpfattach_backstop_is_ok(o));
	CHECK_EQ(bpfothers_remove(o, &err), 0);
	CHECK(!bpfothers_in_force(o));
	CHECK_EQ(bpfothers_adopt_flows(o, 1, &n), 0);
	CHECK_EQ(bpfobj_load_l3(o, &err), 0);
	CHECK_EQ(bpfattach_detach_all(o, &err), 0);
	CHECK(!bpfattach_cgroup_is_ok(o, cgroup));
	CHECK_EQ(bpfattach_backstop_is_ok(o), !bpfobj_features(o)->has_backstop);
}

static int change(struct nl_change c)
{
	return priv_ask(PRIV_NL_CHANGE, &c, sizeof(c), NULL, 0, NULL);
}

static struct nl_route route_to(const char *prefix, int oif)
{
	struct nl_route r = {.oif = oif};

	CHECK_EQ(cidr_parse(prefix, false, &r.dst), 0);
	return r;
}

static void links(void)
{
	int nic = (int)if_nametoindex("eth0"), own, dummy = 0;
	struct nl_change tunnel = {.kind = NL_CHANGE_TUNNEL_ADD, .tunnel = {.name = "other", .kind = NL_TUNNEL_VXLAN, .port = 8472}};
	struct ip ip;

	CHECK_EQ(change(tunnel), -EPERM);
	memset(tunnel.tunnel.name, 'm', sizeof(tunnel.tunnel.name));
	CHECK_EQ(change(tunnel), -EPERM);
	memset(tunnel.tunnel.name, 0, sizeof(tunnel.tunnel.name));
	(void)snprintf(tunnel.tunnel.name, sizeof(tunnel.tunnel.name), "mesh7"); /* fits */
	CHECK_EQ(change(tunnel), 0);
	CHECK_EQ(change(tunnel), -EEXIST);
	own = (int)if_nametoindex("mesh7");
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_SET, .link = {.ifindex = nic, .set_up = true}}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_SET, .link = {.ifindex = own, .alias = "mine"}}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_SET, .link = {.ifindex = own, .alias = RECON_NET_ALIAS, .mtu = 1400, .set_up = true, .is_up = true}}), 0);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_DEL, .ifindex = nic}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_DEL, .ifindex = -1}), -EINVAL);

	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_ADD, .route = route_to("10.7.0.0/16", own)}), 0);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_ADD, .route = route_to("10.7.0.0/16", own)}), -EEXIST);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_ADD, .route = route_to("0.0.0.0/0", own)}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_ADD, .route = route_to("128.0.0.0/1", own)}), -EPERM); /* half of one */
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_REPLACE, .route = route_to("::/7", own)}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_ADD, .route = route_to("127.8.0.0/16", own)}), -EPERM);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_DEL, .route = route_to("10.9.0.0/16", 0)}), -ESRCH); /* another's */
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_ROUTE_DEL, .route = route_to("10.7.0.0/16", own)}), 0);
	CHECK_EQ(change((struct nl_change){.kind = NL_CHANGE_LINK_DEL, .ifindex = own}), 0);
	CHECK_EQ(if_nametoindex("mesh7"), 0);
	CHECK_EQ(change((struct nl_change){.kind = 99}), -EINVAL);

	CHECK_EQ(ip_parse("192.0.2.1", &ip), 0);
	CHECK_EQ(nl_dummy_make("eth0", "not looked at", &ip, &dummy), 0);
	CHECK_EQ(dummy, if_nametoindex("mesh_dns"));
	CHECK_EQ(nl_dummy_remove("eth0", "not looked at"), 0);
	CHECK_EQ(if_nametoindex("mesh_dns"), 0);
}

/* A connection that is nobody's business is not ended; low ports can be had. */
static void sockets(const struct bpfobj *o)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	struct nl_change c = {.kind = NL_CHANGE_SOCK_DESTROY, .sock = {.family = AF_INET, .proto = IPPROTO_TCP}};
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	uint64_t cookie = 0;
	socklen_t cookie_len = sizeof(cookie);
	struct mesh_sock_rev_key noted = {.proto = IPPROTO_TCP, .port = sa.sin_port};
	const struct mesh_sock_rev rev = {.service_id = 7};
	struct ip peer = ip_from_bytes(AF_INET, &sa.sin_addr);

	CHECK_EQ(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), -1);
	CHECK_EQ(priv_bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CHECK_EQ(listen(listener, 1), 0);
	CHECK_EQ(priv_bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&sa, sizeof(sa)), -EADDRINUSE);
	CHECK_EQ(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CHECK_EQ(getsockname(client, (struct sockaddr *)&own, &len), 0);
	CHECK_EQ(getsockopt(client, SOL_SOCKET, 57 /* SO_COOKIE */, &cookie, &cookie_len), 0);
	c.sock.id = (struct inet_diag_sockid){.idiag_sport = own.sin_port, .idiag_dport = sa.sin_port,
					      .idiag_src = {own.sin_addr.s_addr}, .idiag_dst = {sa.sin_addr.s_addr},
					      .idiag_cookie = {(uint32_t)cookie, (uint32_t)(cookie >> 32)}};
	CHECK_EQ(change(c), -EPERM);
	noted.cookie = cookie; /* nor if it is told that the programs had sent it somewhere */
	ip_mapped(&peer, noted.addr);
	CHECK_EQ(bpfmap_put(o, BPFOBJ_SOCK_REV, &noted, &rev), -EINVAL);
	CHECK_EQ(change(c), -EPERM);
	CHECK_EQ(send(client, "x", 1, MSG_NOSIGNAL), 1);
	CHECK_EQ(priv_set_mark(client, MESH_DNS_MARK), 0);
	CHECK_EQ(priv_set_mark(client, 1), -EACCES);
	CHECK_EQ(priv_set_rcvbuf(client, 1 << 20), 0);
	(void)close(client);
	(void)close(listener);
}

/* The same numbers in every run (xorshift). */
static uint32_t below(uint32_t bound)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % bound;
}

/* Anything at all, most of it with a head that is known. Nothing of it may harm the process or what is not the agent's. */
static void hostile(const struct bpfobj *o, unsigned count)
{
	static unsigned char bytes[PRIV_BYTES];
	static unsigned char out[PRIV_BYTES];
	unsigned n_good = 0;
	size_t n = 0;

	for (unsigned i = 0; i < count; i++) {
		struct priv_answer a = {.out = out, .out_max = sizeof(out)};
		uint32_t code = below(PRIV_CODES + 2);
		size_t len = below(4) ? below(300) : below(sizeof(bytes));
		struct iovec in = {bytes, len};
		struct bpfwire_map *m = (struct bpfwire_map *)(void *)bytes;

		/* those that take the maps away, or bring others, would end the test; loading takes long */
		if (code == PRIV_BPF_CLOSE || code == PRIV_BPF_UNPIN || code == PRIV_BPF_OPEN || code == PRIV_BPF_DETACH_ALL)
			continue;
		for (size_t k = 0; k < len && k < 512; k++)
			bytes[k] = (unsigned char)below(256);
		if (code >= PRIV_BPF_GET && code <= PRIV_BPF_READ && below(8)) {
			m->map = below(BPFOBJ_MAPS + 2);
			m->n = below(8);
			if (code == PRIV_BPF_READ)
				in.iov_len = sizeof(struct bpfwire_read);
			else if (m->map < BPFOBJ_MAPS && below(4))
				in.iov_len = sizeof(*m) + m->n * (size_t)(bpfmap_key_size(o, (enum bpfobj_map)m->map) +
					(code == PRIV_BPF_PUT ? bpfmap_value_size(o, (enum bpfobj_map)m->map) : 0));
		} else if (code == PRIV_NL_CHANGE && below(8)) {
			bytes[0] %= 9;
			memset(bytes + 1, 0, 3);
			in.iov_len = sizeof(struct nl_change);
		}
		n_good += priv_call((enum priv_code)code, &in, 1, below(16) ? -1 : STDERR_FILENO, &a) >= 0;
		close_fd(a.fds[0]);
		close_fd(a.fds[1]);
	}
	CHECK(n_good > count / 100);
	CHECK_EQ(bpfmap_count(o, BPFOBJ_IPCACHE4, &n), 0); /* it still answers */
	CHECK(if_nametoindex("eth0") && !if_nametoindex("mesh7"));
	lab_sh("ip route show 10.9.0.0/16 | grep -q eth0");
	lab_sh("ip link show eth0 | grep -q 'state UP'");
}

/* In a process of its own, whose rights are gone at the end. */
static int without_rights(struct conf *conf, const char *group, unsigned count)
{
	static char arg[] = "test_priv, with room for the title", *argv[] = {arg, NULL};
	struct err err = {0};
	struct bpfobj *o;

	if (privileged_start(conf, argv, &err) < 0 || priv_drop(&err) < 0) {
		printf("failed: %s\n", err.text);
		return 99;
	}
	o = open_obj(conf);
	maps(o);
	mapped(o);
	kept_by_programs(o);
	attaching(o, group);
	links();
	sockets(o);
	hostile(o, count);
	CHECK_EQ(bpfobj_unpin(o), 0);
	bpfobj_free(o);
	CHECK_EQ(priv_ask(PRIV_BPF_IS_ATTACHED, &(struct bpfwire_if){.ifindex = 1}, sizeof(struct bpfwire_if), NULL, 0, NULL), -EINVAL);
	CHECK_EQ(priv_ask(PRIV_BPF_DETACH_ALL, NULL, 0, NULL, 0, NULL), -EBADF);
	return harness_done();
}

int main(int argc, char **args)
{
	uint64_t count = HOSTILE;
	struct lab lab;
	char group[128];
	struct conf *conf;
	int status = -1;
	pid_t pid;

	if (argc > 1 && str_to_u64(args[1], UINT32_MAX, &count) < 0)
		return 2;
	lab_open(&lab);
	lab_sh("ip link set lo up; ip link add eth0 type veth peer name far && ip link set eth0 up && ip link set far up");
	lab_sh("ip address add 192.0.2.7/24 dev eth0 && ip route add 10.9.0.0/16 via 192.0.2.1");
	lab_sh("mount -t cgroup2 none %s", lab.cgroup);
	(void)snprintf(group, sizeof(group), "%s/mesh-test-%d", lab.cgroup, getpid()); /* fits */
	lab_sh("mkdir %s", group);
	conf = configuration(&lab, group);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		status = without_rights(conf, group, (unsigned)count);
		(void)fflush(stdout);
		_exit(status); /* who looks for leaks traces, which is one of the rights */
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(rmdir(group), 0);
	lab_close(&lab);
	conf_free(conf);
	return harness_failures || !WIFEXITED(status) ? 1 : WEXITSTATUS(status);
}
