/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: names refused, answers seen and held back, over loopback sockets with an upstream of the test's own. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "dns/dns_answer.h"
#include "dns/dns_sock.h"
#include "upstream.h"

struct guard {
	bool holds;
	unsigned checked, answered, cluster, tcp;
	struct ip ip;
	uint32_t ttl_s;
	struct dns_asked asked; /* of the last question; and what find() says */
	struct dns_asked found;
	bool is_unknown;
	struct dns_upstream from;
	uint8_t proto;
};

/* Names with "evil" in them are refused, those with "free" are not looked at. */
static enum dns_gate_verdict check(void *ctx, const struct dns_query *q, const struct dns_asked *asked,
				   bool is_cluster, bool is_tcp)
{
	struct guard *g = ctx;
	char text[DNS_TEXT_MAX];

	(void)dns_name_str(&q->name, text);
	g->checked++;
	g->cluster += is_cluster;
	g->tcp += is_tcp;
	g->asked = *asked;
	if (strstr(text, "evil"))
		return DNS_GATE_REFUSE;
	return strstr(text, "free") ? DNS_GATE_PASS : DNS_GATE_WATCH;
}

static bool answered(void *ctx, const struct dns_query *q, const uint8_t *msg, size_t len)
{
	struct guard *g = ctx;
	struct ip ips[4];
	size_t n;

	(void)q;
	g->answered++;
	cr_assert_eq(dns_answer_read(msg, len, ips, 4, &n, &g->ttl_s), 0);
	g->ip = n ? ips[0] : (struct ip){0};
	return g->holds;
}

struct lab {
	struct fixture f;
	struct guard g;
	int upstream, client;
	uint16_t port;
};

static int bound(uint16_t *ret_port)
{
	struct ip ip = loopback();
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &ip, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0);
	len = sizeof(sa);
	cr_assert(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
	(void)dns_sockaddr_ip(&sa, ret_port);
	return fd;
}

static void lab_init(struct lab *l, uint64_t delay_us)
{
	struct dns_gate gate = {.check = check, .answered = answered, .ctx = &l->g, .max_delay_us = delay_us,
				.refuse_rcode = DNS_REFUSED};
	struct dns_upstream u = {.ip = loopback()};
	struct ip ip = loopback();
	struct err err = {0};

	*l = (struct lab){0};
	l->upstream = bound(&u.port);
	fixture_init(&l->f, &u, 1);
	dns_server_set_gate(l->f.server, &gate);
	cr_assert(dns_server_listen(l->f.server, &ip, 0, &l->port, &err) == 0, "%s", err.text);
	l->client = connect_to(SOCK_DGRAM, l->port);
}

static void lab_done(struct lab *l)
{
	close(l->upstream);
	close(l->client);
	fixture_done(&l->f);
}

static void lab_ask(struct lab *l, const char *name)
{
	uint8_t msg[DNS_UDP_MIN];
	size_t len = query_build(name, DNS_A, 0, msg);

	cr_assert(send(l->client, msg, len, 0) == (ssize_t)len);
}

/* Plays the upstream once: 192.0.2.7 for 9 seconds, behind a CNAME of 5. */
static void serve_once(struct lab *l)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	uint8_t in[2048], out[DNS_UDP_MAX];
	struct dns_name target;
	struct dns_writer w;
	struct dns_query q;
	struct ip ip;
	ssize_t n = -1;
	size_t size;

	while (n < 0 && clock_boot_us() < end) {
		cr_assert(loop_once(l->f.loop, 10000) >= 0);
		n = recvfrom(l->upstream, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&sa, &len);
	}
	cr_assert(n > 0 && dns_query_parse(in, (size_t)n, &q) == 0);
	cr_assert(dns_name_parse("real.cdn.example", &target) == 0 && ip_parse("192.0.2.7", &ip) == 0);
	dns_writer_begin(&w, &q, out, DNS_UDP_MAX, DNS_UDP_MAX);
	cr_assert(dns_put_name(&w, DNS_ANSWER, &q.name, DNS_CNAME, 5, &target));
	cr_assert(dns_put_ip(&w, DNS_ANSWER, &target, 9, &ip));
	size = dns_writer_end(&w, DNS_NOERROR, DNS_FLAG_RA);
	cr_assert(sendto(l->upstream, out, size, 0, (struct sockaddr *)&sa, len) == (ssize_t)size);
}

/* The rcode of what comes within `ms`, or -1. */
static int rcode_within(struct lab *l, unsigned ms)
{
	uint64_t end = clock_boot_us() + ms * USEC_PER_MSEC;
	uint8_t buf[2048];

	do {
		ssize_t n = recv(l->client, buf, sizeof(buf), MSG_DONTWAIT);

		if (n >= DNS_HEADER_LEN)
			return buf[3] & 0xf;
		cr_assert(loop_once(l->f.loop, 5000) >= 0);
	} while (clock_boot_us() < end);
	return -1;
}

static struct dns_server_counts counts(struct lab *l)
{
	struct dns_server_counts c;

	dns_server_counts(l->f.server, &c);
	return c;
}

Test(gate, refuses_before_anyone_is_asked)
{
	struct lab l;

	lab_init(&l, 100000);
	lab_ask(&l, "evil.example.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_REFUSED);
	lab_ask(&l, "evil.prod.svc.cluster.local.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_REFUSED);
	cr_expect_eq(l.g.cluster, 1);
	cr_expect_eq(l.g.answered, 0);
	cr_expect_eq(counts(&l).denied, 2);
	cr_expect_eq(counts(&l).forwarded, 0);
	lab_done(&l);
}

Test(gate, sees_answers_of_zones_upstreams_and_cache)
{
	struct lab l;

	lab_init(&l, 100000);
	lab_ask(&l, "web.prod.svc.cluster.local.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(l.g.answered, 1);
	lab_ask(&l, "a.example.");
	serve_once(&l);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(l.g.answered, 2);
	cr_expect_eq(l.g.ttl_s, 5, "the least of the chain");
	cr_expect_eq(l.g.ip.b[3], 7);
	lab_ask(&l, "a.example.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(l.g.answered, 3);
	cr_expect_eq(counts(&l).cached, 1);
	lab_ask(&l, "free.example.");
	serve_once(&l);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(l.g.answered, 3);
	cr_expect_eq(counts(&l).held, 0);
	lab_done(&l);
}

Test(gate, holds_answers_until_they_are_released)
{
	struct lab l;

	lab_init(&l, 20 * USEC_PER_SEC);
	l.g.holds = true;
	lab_ask(&l, "web.prod.svc.cluster.local."); /* at once */
	lab_ask(&l, "a.example.");			/* later */
	serve_once(&l);
	cr_expect_eq(rcode_within(&l, 100), -1);
	cr_expect_eq(counts(&l).held, 2);
	dns_server_release(l.f.server);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(counts(&l).late, 0);
	lab_done(&l);
}

Test(gate, holds_no_longer_than_the_delay)
{
	struct lab l;
	uint64_t before;

	lab_init(&l, 50000);
	l.g.holds = true;
	before = clock_boot_us();
	lab_ask(&l, "web.prod.svc.cluster.local.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_geq(clock_boot_us() - before, 50000);
	cr_expect_eq(counts(&l).late, 1);
	lab_done(&l);
}

/* Past the cap answers go out at once, rather than not at all. */
Test(gate, holds_a_bounded_number)
{
	struct lab l;
	int at_once = 0;

	lab_init(&l, 20 * USEC_PER_SEC);
	l.g.holds = true;
	for (int i = 0; i < LIMIT_DNS_HELD + 10; i++) {
		lab_ask(&l, "web.prod.svc.cluster.local.");
		at_once += rcode_within(&l, 0) >= 0;
	}
	while (rcode_within(&l, 20) >= 0)
		at_once++;
	cr_expect_eq(at_once, 10);
	cr_expect_eq(counts(&l).held, LIMIT_DNS_HELD);
	lab_done(&l); /* frees what is held */
}

/* A connection that goes takes what was held for it along; one that stays gets it. */
Test(gate, holds_for_connections)
{
	uint8_t msg[2 + DNS_UDP_MIN], in[4];
	struct lab l;
	ssize_t n = -1;
	size_t len;
	int fd[2];

	lab_init(&l, 20 * USEC_PER_SEC);
	l.g.holds = true;
	len = query_build("web.prod.svc.cluster.local.", DNS_A, 0, msg + 2);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	for (int i = 0; i < 2; i++) {
		fd[i] = connect_to(SOCK_STREAM, l.port);
		cr_assert(send(fd[i], msg, len + 2, 0) == (ssize_t)len + 2);
	}
	for (int i = 0; i < 100 && counts(&l).held < 2; i++)
		cr_assert(loop_once(l.f.loop, 10000) >= 0);
	cr_expect_eq(counts(&l).held, 2);
	cr_expect_eq(l.g.tcp, 2);
	cr_assert(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)) == 0);
	close(fd[0]); /* resets it */
	for (int i = 0; i < 100 && counts(&l).tcp_clients > 1; i++)
		cr_assert(loop_once(l.f.loop, 10000) >= 0);
	cr_expect_eq(counts(&l).tcp_clients, 1);
	dns_server_release(l.f.server);
	for (int i = 0; i < 100 && n < 0; i++) {
		cr_assert(loop_once(l.f.loop, 10000) >= 0);
		n = recv(fd[1], in, sizeof(in), MSG_DONTWAIT);
	}
	cr_expect_eq(n, 4);
	close(fd[1]);
	lab_done(&l);
}

static bool find(void *ctx, uint8_t proto, const struct dns_upstream *client, const struct dns_upstream *server,
		 struct dns_asked *ret)
{
	struct guard *g = ctx;

	cr_expect(ip_is_loopback(&server->ip) && server->port);
	g->from = *client;
	g->proto = proto;
	*ret = g->found;
	return !g->is_unknown;
}

/* Who asks arrives where queries for others do; these were meant for a server at `meant`. */
static void lab_init_others(struct lab *l, uint16_t *ret_meant, int *ret_meant_fd)
{
	const struct dns_finder finder = {.find = find, .ctx = &l->g};
	struct ip ip = loopback();
	struct dns_upstream v[4];
	struct err err = {0};

	lab_init(l, 100000);
	*ret_meant_fd = bound(ret_meant);
	l->g.found = (struct dns_asked){.ip = loopback(), .port = *ret_meant};
	close(l->client);
	cr_assert(dns_server_listen_for_others(l->f.server, &ip, 0, &finder, &l->port, &err) == 0, "%s", err.text);
	cr_expect_eq(dns_server_listeners(l->f.server, v, 4), 1, "for others is not for this server");
	l->client = connect_to(SOCK_DGRAM, l->port);
}

/* serve_once(), by another socket than the upstream's. */
static void serve_as(struct lab *l, int fd)
{
	int upstream = l->upstream;

	l->upstream = fd;
	serve_once(l);
	l->upstream = upstream;
}

Test(gate, queries_for_others_go_to_them_alone)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	uint16_t meant;
	struct lab l;
	int fd;

	lab_init_others(&l, &meant, &fd);
	cr_assert(getsockname(l.client, (struct sockaddr *)&own, &len) == 0);
	for (int i = 0; i < 2; i++) { /* the second time as well: nothing is cached */
		lab_ask(&l, "a.example.");
		serve_as(&l, fd);
		cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	}
	cr_expect_eq(l.g.asked.port, meant);
	cr_expect_eq(l.g.from.port, ntohs(own.sin_port));
	cr_expect_eq(l.g.proto, IPPROTO_UDP);
	cr_expect_eq(l.g.answered, 2);
	cr_expect_eq(counts(&l).cached, 0);
	cr_expect_eq(counts(&l).others, 2);
	cr_expect_eq(counts(&l).cache_entries, 0);
	lab_ask(&l, "web.prod.svc.cluster.local."); /* it knows nothing of the cluster, and may say so itself */
	serve_as(&l, fd);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(counts(&l).local, 0);
	lab_ask(&l, "evil.example.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_REFUSED);
	l.g.found.is_cluster = true;
	lab_ask(&l, "web.prod.svc.cluster.local.");
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(counts(&l).local, 1);
	lab_ask(&l, "a.example.");
	serve_as(&l, fd);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	l.g.found.port = 0; /* it was meant for this server after all */
	lab_ask(&l, "b.example.");
	serve_once(&l);
	cr_expect_eq(rcode_within(&l, 5000), DNS_NOERROR);
	cr_expect_eq(l.g.asked.port, 0);
	cr_expect_eq(counts(&l).others, 6);
	l.g.is_unknown = true;
	lab_ask(&l, "c.example.");
	cr_expect_eq(rcode_within(&l, 300), -1);
	cr_expect_eq(counts(&l).dropped, 1);
	cr_expect_eq(counts(&l).pending, 0);
	close(fd);
	lab_done(&l);
}

Test(gate, connections_for_others)
{
	uint8_t msg[2 + DNS_UDP_MIN], out[2048];
	uint16_t meant;
	struct lab l;
	size_t len;
	int fd, conn;
	ssize_t n = -1;

	lab_init_others(&l, &meant, &fd);
	conn = connect_to(SOCK_STREAM, l.port);
	len = query_build("a.example.", DNS_A, 0, msg + 2);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	cr_assert(send(conn, msg, len + 2, 0) == (ssize_t)len + 2);
	serve_as(&l, fd);
	for (uint64_t end = clock_boot_us() + 5 * USEC_PER_SEC; n < 0 && clock_boot_us() < end;) {
		cr_assert(loop_once(l.f.loop, 5000) >= 0);
		n = recv(conn, out, sizeof(out), MSG_DONTWAIT);
	}
	cr_expect(n > 2 + DNS_HEADER_LEN && (out[5] & 0xf) == DNS_NOERROR);
	cr_expect_eq(l.g.proto, IPPROTO_TCP);
	cr_expect_eq(l.g.asked.port, meant);
	cr_expect_eq(l.g.tcp, 1);
	close(conn);
	close(fd);
	lab_done(&l);
}
