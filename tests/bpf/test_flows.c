/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are older than the programs: which policy ends them. Each is idle when the programs come, and then the
 * answering side is the first to speak.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macro.h"
#include "bpf/bpf_attach.h"
#include "bpf/harness.h"
#include "bpf/lab.h"
#include "recon/recon_flows.h"

enum { PORT = 5432, PATIENCE_MS = 3000, QUIET_MS = 400 };

/* A connection: our end and the peer's, and what it came to, which goes on listening, as servers do. */
struct pair {
	int own, peer, listener;
};

struct net {
	struct lab lab;
	struct harness h;
};

static struct sockaddr_in6 sockaddr_of(const char *addr, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	pkt_addr16(addr, sa.sin6_addr.s6_addr);
	return sa;
}

static int listener(const char *addr)
{
	struct sockaddr_in6 sa = sockaddr_of(addr, PORT);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	return fd;
}

/* From the namespace `from` to the other; leaves the process in the host's. */
static struct pair connect_pair(struct net *n, int from, const char *to)
{
	struct sockaddr_in6 sa = sockaddr_of(to, PORT);
	int other = from == n->lab.host_ns ? n->lab.peer_ns : n->lab.host_ns, fd, client, server;

	lab_enter(other);
	fd = listener(to);
	lab_enter(from);
	client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	server = accept(fd, NULL, NULL);
	CHECK(server >= 0);
	lab_enter(n->lab.host_ns);
	if (from == n->lab.host_ns)
		return (struct pair){.own = client, .peer = server, .listener = fd};
	return (struct pair){.own = server, .peer = client, .listener = fd};
}

static bool arrives(int from, int to, int wait_ms)
{
	struct pollfd p = {.fd = to, .events = POLLIN};
	char c = 'x';

	CHECK_EQ(send(from, &c, 1, MSG_NOSIGNAL), 1);
	return poll(&p, 1, wait_ms) == 1 && read(to, &c, 1) == 1;
}

static void topology(struct net *n)
{
	lab_open(&n->lab);
	lab_sh("ip link add nic0 type veth peer name nic1 netns /proc/%d/fd/%d", getpid(), n->lab.peer_ns);
	lab_sh("ip addr add 10.77.0.1/24 dev nic0 && ip addr add fd77::1/64 dev nic0 nodad && ip link set nic0 up");
	lab_enter(n->lab.peer_ns);
	lab_sh("ip link set lo up; ip addr add 10.77.0.2/24 dev nic1 && ip addr add fd77::2/64 dev nic1 nodad && ip link set nic1 up");
	lab_enter(n->lab.host_ns);
}

/* In the direction `dir` nothing is allowed, in the other all. */
static void forbid(struct net *n, unsigned dir)
{
	n->h.c->default_verdict[0][dir] = MESH_DENY_DEFAULT;
	n->h.c->default_verdict[0][!dir] = MESH_ALLOW;
	bpfconfig_commit(n->h.conf, 0, MESH_STATE_ACTIVE);
}

static void attach(struct net *n, bool seeds)
{
	int nic = (int)if_nametoindex("nic0");
	enum bpfattach_how how;
	struct err err;
	size_t count;

	if (seeds) {
		CHECK_EQ(recon_flows_seed(n->h.obj, n->h.conf, &count), 0);
		CHECK(count >= 1); /* others may still be about to end */
	}
	CHECK_EQ(bpfattach_if(n->h.obj, nic, BPFATTACH_NIC, &how, &err), 0);
	if (seeds) { /* what is there stays */
		CHECK_EQ(recon_flows_seed(n->h.obj, n->h.conf, &count), 0);
		CHECK_EQ(count, 0);
	}
}

static void detach(struct net *n)
{
	struct err err;

	CHECK_EQ(bpfattach_if_detach(n->h.obj, (int)if_nametoindex("nic0"), &err), 0);
}

static void close_pair(struct pair p)
{
	(void)close(p.own);
	(void)close(p.peer);
	(void)close(p.listener);
}

/*
 * From the host (MESH_EGRESS) or to it: a policy about the other direction is no matter of the connection, one about its own
 * ends it. `seeds` false: what the entries are for.
 */
static void test_older(struct net *n, unsigned dir, const char *to, bool seeds)
{
	struct pair p = connect_pair(n, dir == MESH_EGRESS ? n->lab.host_ns : n->lab.peer_ns, to);
	int client = dir == MESH_EGRESS ? p.own : p.peer, server = dir == MESH_EGRESS ? p.peer : p.own;

	harness_reset(&n->h);
	forbid(n, !dir);
	attach(n, seeds);
	CHECK_EQ(arrives(server, client, seeds ? PATIENCE_MS : QUIET_MS), seeds);
	if (seeds) {
		CHECK(arrives(client, server, PATIENCE_MS));
		forbid(n, dir);
		CHECK(!arrives(client, server, QUIET_MS));
	}
	detach(n);
	close_pair(p);
}

int main(void)
{
	struct net n = {0};

	harness_open(&n.h, NULL);
	topology(&n);
	test_older(&n, MESH_EGRESS, "10.77.0.2", false);
	test_older(&n, MESH_EGRESS, "10.77.0.2", true);
	test_older(&n, MESH_EGRESS, "fd77::2", true);
	test_older(&n, MESH_INGRESS, "10.77.0.1", false);
	test_older(&n, MESH_INGRESS, "10.77.0.1", true);
	test_older(&n, MESH_INGRESS, "fd77::1", true);
	lab_close(&n.lab);
	harness_close(&n.h);
	return harness_done();
}
