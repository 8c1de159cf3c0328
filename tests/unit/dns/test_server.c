/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real loopback sockets. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "dns/dns_sock.h"
#include "upstream.h"

Test(server, udp)
{
	uint8_t msg[DNS_UDP_MIN], out[2048];
	struct fixture f;
	int fd;

	fixture_init(&f, NULL, 0);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	for (int i = 0; i < 200; i++) {
		size_t len = query_build("web.prod.svc.cluster.local.", DNS_A, i % 2 ? 1232 : 0, msg);

		cr_assert(send(fd, msg, len, 0) == (ssize_t)len);
	}
	for (int i = 0; i < 200; i++) {
		size_t n = run_until(&f, fd, out, sizeof(out));

		expect_answer(out, n, "NOERROR web.prod.svc.cluster.local. 5 A 10.96.0.20\n");
	}
	close(fd);
	fixture_done(&f);
}

static size_t frame(uint8_t *out, const char *name, uint16_t type)
{
	size_t len = query_build(name, type, 0, out + 2);

	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	return len + 2;
}

Test(server, tcp_takes_several_queries_in_any_pieces)
{
	static uint8_t msg[2 * DNS_UDP_MIN + 4], out[2 + DNS_MSG_MAX];
	struct fixture f;
	size_t len, n;
	int fd;

	fixture_init(&f, NULL, 0);
	fd = connect_to(SOCK_STREAM, listen_on(&f));
	len = frame(msg, "web.prod.svc.cluster.local.", DNS_A);
	len += frame(msg + len, "db-0.db.prod.svc.cluster.local.", DNS_A);
	for (size_t i = 0; i < len; i += 7) {
		cr_assert(send(fd, msg + i, len - i < 7 ? len - i : 7, 0) > 0);
		cr_assert(loop_once(f.loop, 1000) >= 0);
	}
	n = read_frame(&f, fd, out);
	expect_answer(out + 2, n, "NOERROR web.prod.svc.cluster.local. 5 A 10.96.0.20\n");
	n = read_frame(&f, fd, out);
	expect_answer(out + 2, n, "NOERROR db-0.db.prod.svc.cluster.local. 5 A 10.1.0.11\n");
	close(fd);
	fixture_done(&f);
}

Test(server, tcp_connections_are_capped_and_the_oldest_goes)
{
	uint8_t msg[DNS_UDP_MIN + 2], out[DNS_UDP_MIN];
	struct dns_server_counts c;
	struct fixture f;
	uint16_t port;
	int fd[70];

	fixture_init(&f, NULL, 0);
	port = listen_on(&f);
	for (int i = 0; i < 70; i++) {
		fd[i] = connect_to(SOCK_STREAM, port);
		cr_assert(loop_once(f.loop, 10000) >= 0);
	}
	while (loop_once(f.loop, 1000) > 0)
		;
	dns_server_counts(f.server, &c);
	cr_expect_eq(c.tcp_clients, 64);
	cr_expect_eq(recv(fd[0], out, sizeof(out), MSG_DONTWAIT), 0); /* closed by the server */
	cr_assert(send(fd[69], msg, frame(msg, "web.prod.svc.cluster.local.", DNS_A), 0) > 0);
	cr_expect(read_frame(&f, fd[69], out) > 0);
	for (int i = 0; i < 70; i++)
		close(fd[i]);
	while (loop_once(f.loop, 1000) > 0)
		;
	dns_server_counts(f.server, &c);
	cr_expect_eq(c.tcp_clients, 0);
	fixture_done(&f);
}

Test(server, idle_connections_are_closed)
{
	uint8_t out[16];
	struct fixture f;
	int fd;

	fixture_init(&f, NULL, 0);
	f.server->opt.tcp_idle_us = 1000;
	fd = connect_to(SOCK_STREAM, listen_on(&f));
	cr_assert(send(fd, "\0\50\1", 3, 0) == 3); /* a query that never ends */
	for (int i = 0; i < 200 && recv(fd, out, sizeof(out), MSG_DONTWAIT) != 0; i++)
		cr_assert(loop_once(f.loop, 10000) >= 0);
	cr_expect_eq(recv(fd, out, sizeof(out), MSG_DONTWAIT), 0);
	close(fd);
	fixture_done(&f);
}

Test(server, only_clients_of_this_host)
{
	struct dns_listener l = {0};
	struct sockaddr_storage peer;
	struct fixture f;
	struct ip ip;

	fixture_init(&f, NULL, 0);
	cr_assert(ip_parse("198.18.53.53", &l.ip) == 0);
	(void)dns_sockaddr_set(&peer, &l.ip, 1);
	cr_expect(dns_server_is_local(f.server, &l, &peer));
	cr_assert(ip_parse("127.0.0.9", &ip) == 0);
	(void)dns_sockaddr_set(&peer, &ip, 1);
	cr_expect(dns_server_is_local(f.server, &l, &peer));
	cr_assert(ip_parse("172.19.100.2", &ip) == 0);
	(void)dns_sockaddr_set(&peer, &ip, 1);
	cr_expect(!dns_server_is_local(f.server, &l, &peer));
	cr_assert(dns_server_set_local(f.server, &ip, 1) == 0);
	cr_expect(dns_server_is_local(f.server, &l, &peer));
	fixture_done(&f);
}

Test(forward, relays_checks_and_caches)
{
	struct upstream u = upstream_open();
	uint8_t msg[2048], forged[2048], out[2048];
	struct dns_forward_counts c;
	struct sockaddr_in from;
	struct fixture f;
	size_t len, n;
	int fd;

	fixture_init(&f, &u.at, 1);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	ask(fd, "WWW.example.com.", 0);
	len = upstream_get(&f, &u, msg, &from);
	len = make_answer(msg, len, 0, 0);
	memcpy(forged, msg, len);
	forged[0] ^= 1; /* wrong id */
	upstream_answer(&u, forged, len, &from);
	memcpy(forged, msg, len);
	forged[13] = 'x'; /* wrong question */
	upstream_answer(&u, forged, len, &from);
	upstream_answer(&u, forged, 7, &from);
	upstream_answer(&u, msg, len, &from);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR WWW.example.com. 60 A 203.0.113.5\n");
	cr_expect_eq(out[11], 0); /* no OPT for who sent none */
	dns_forward_counts(dns_server_forward(f.server), &c);
	cr_expect_eq(c.mismatched, 3);
	cr_expect_eq(c.in_flight, 0);
	ask(fd, "www.Example.com.", 1232); /* from the cache, in this client's letters */
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR www.Example.com. 60 A 203.0.113.5\n");
	cr_expect_eq(out[11], 1);
	close(fd);
	fixture_done(&f);
	upstream_close(&u);
}

static void expect_upstream(const struct fixture *f, size_t i, uint64_t queries, uint64_t failures, bool is_failing)
{
	struct dns_upstream_status s[8];

	cr_assert(dns_forward_status(dns_server_forward(f->server), s, 8) > i);
	cr_expect_eq(s[i].queries, queries, "upstream %zu: %llu queries", i, (unsigned long long)s[i].queries);
	cr_expect_eq(s[i].failures, failures, "upstream %zu: %llu failures", i, (unsigned long long)s[i].failures);
	cr_expect_eq(s[i].failed_us > s[i].answered_us, is_failing, "upstream %zu", i);
}

Test(forward, asks_the_next_upstream_and_gives_up_at_last)
{
	struct upstream u[2] = {upstream_open(), upstream_open()};
	struct dns_upstream at[2] = {u[0].at, u[1].at};
	struct sockaddr_in from;
	uint8_t msg[2048], out[2048];
	struct fixture f;
	size_t len, n;
	int fd;

	fixture_init(&f, at, 2);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	ask(fd, "a.example.com.", 1232);
	(void)upstream_get(&f, &u[0], msg, &from); /* stays silent */
	len = upstream_get(&f, &u[1], msg, &from);
	upstream_answer(&u[1], msg, make_answer(msg, len, 0, 0), &from);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR a.example.com. 60 A 203.0.113.5\n");
	expect_upstream(&f, 0, 1, 1, true);
	expect_upstream(&f, 1, 1, 0, false);
	ask(fd, "b.example.com.", 1232); /* the one that answered is asked first now */
	len = upstream_get(&f, &u[1], msg, &from);
	upstream_answer(&u[1], msg, make_answer(msg, len, 0, 2), &from);
	len = upstream_get(&f, &u[0], msg, &from);
	upstream_answer(&u[0], msg, make_answer(msg, len, 0, 0), &from);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR b.example.com. 60 A 203.0.113.5\n");
	expect_upstream(&f, 0, 2, 1, false);
	expect_upstream(&f, 1, 2, 1, true);
	ask(fd, "c.example.com.", 0);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "SERVFAIL ");
	close(fd);
	fixture_done(&f);
	upstream_close(&u[0]);
	upstream_close(&u[1]);
}

/* Whoever asks for names whose servers are dead takes nobody else's. */
Test(forward, the_oldest_makes_room)
{
	enum { MANY = 300 }; /* more than may be in flight */
	struct upstream u = upstream_open();
	struct sockaddr_in from;
	uint8_t msg[2048], out[2048];
	char name[32];
	struct fixture f;
	size_t len, n;
	uint16_t port;
	int dead, fd;

	fixture_init(&f, &u.at, 1);
	port = listen_on(&f);
	dead = connect_to(SOCK_DGRAM, port);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "n%d.dead.example.", i);
		ask(dead, name, 0);
		(void)upstream_get(&f, &u, msg, &from); /* stays silent */
	}
	n = run_until(&f, dead, out, sizeof(out));
	expect_answer(out, n, "SERVFAIL ");
	fd = connect_to(SOCK_DGRAM, port);
	ask(fd, "b.example.", 0);
	do
		len = upstream_get(&f, &u, msg, &from); /* some of the others are asked again meanwhile, on a slow machine */
	while (msg[DNS_HEADER_LEN] != 1);
	upstream_answer(&u, msg, make_answer(msg, len, 0, 0), &from);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR b.example. 60 A 203.0.113.5\n");
	close(dead);
	close(fd);
	fixture_done(&f);
	upstream_close(&u);
}

Test(forward, truncated_answers_are_asked_again_by_tcp)
{
	struct upstream u = upstream_open();
	uint8_t msg[2048], out[2048];
	struct sockaddr_in from;
	struct fixture f;
	size_t len, n, got = 0;
	int fd, conn;

	fixture_init(&f, &u.at, 1);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	ask(fd, "big.example.com.", 1232);
	len = upstream_get(&f, &u, msg, &from);
	upstream_answer(&u, msg, make_answer(msg, len, 2, 0), &from);
	for (int i = 0; i < 5; i++)
		cr_assert(loop_once(f.loop, 10000) >= 0);
	conn = accept(u.tcp, NULL, NULL);
	cr_assert(conn >= 0);
	got = read_frame(&f, conn, msg);
	cr_assert(got > 0);
	len = make_answer(msg + 2, got, 0, 0);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	cr_assert(send(conn, msg, 5, 0) == 5); /* in two pieces */
	cr_assert(loop_once(f.loop, 10000) >= 0);
	cr_assert(send(conn, msg + 5, len - 3, 0) == (ssize_t)(len - 3));
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR big.example.com. 60 A 203.0.113.5\n");
	cr_expect_eq(out[2] & 2, 0);
	close(conn);
	close(fd);
	fixture_done(&f);
	upstream_close(&u);
}

Test(forward, external_names_are_completed)
{
	struct upstream u = upstream_open();
	uint8_t msg[2048], out[2048];
	struct sockaddr_in from;
	struct fixture f;
	size_t len, n;
	int fd;

	fixture_init(&f, &u.at, 1);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	ask(fd, "ext.prod.svc.cluster.local.", 1232);
	len = upstream_get(&f, &u, msg, &from);
	upstream_answer(&u, msg, make_answer(msg, len, 0, 0), &from);
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR api.example.com. 60 A 203.0.113.5\next.prod.svc.cluster.local. 5 CNAME api.example.com.\n");
	ask(fd, "ext.prod.svc.cluster.local.", 1232); /* the target is cached now */
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR api.example.com. 60 A 203.0.113.5\next.prod.svc.cluster.local. 5 CNAME api.example.com.\n");
	dns_server_flush_cache(f.server);
	ask(fd, "ext.prod.svc.cluster.local.", 1232); /* no upstream answers: NODATA */
	n = run_until(&f, fd, out, sizeof(out));
	expect_answer(out, n, "NOERROR ");
	cr_expect_eq(out[9], 1); /* SOA */
	close(fd);
	fixture_done(&f);
	upstream_close(&u);
}

Test(forward, a_client_that_hangs_up_is_forgotten)
{
	struct upstream u = upstream_open();
	struct dns_server_counts c;
	uint8_t msg[2048];
	struct sockaddr_in from;
	struct linger now = {.l_onoff = 1};
	struct fixture f;
	int fd;

	fixture_init(&f, &u.at, 1);
	fd = connect_to(SOCK_STREAM, listen_on(&f));
	cr_assert(send(fd, msg, frame(msg, "a.example.com.", DNS_A), 0) > 0);
	(void)upstream_get(&f, &u, msg, &from);
	dns_server_counts(f.server, &c);
	cr_expect_eq(c.pending, 1);
	cr_assert(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0); /* RST */
	close(fd);
	for (int i = 0; i < 3; i++)
		cr_assert(loop_once(f.loop, 10000) >= 0);
	dns_server_counts(f.server, &c);
	cr_expect_eq(c.pending, 0);
	cr_expect_eq(c.tcp_clients, 0);
	fixture_done(&f);
	upstream_close(&u);
}

Test(server, explain)
{
	static const struct {
		const char *name, *type, *want;
		enum dns_source source;
	} cases[] = {
		{"web.prod.svc.cluster.local", "A", "zone cluster.local. of the cluster: the cluster address of Service prod/web\n",
		 DNS_SOURCE_ZONE},
		{"plain.prod.svc.cluster.local", "srv",
		 "zone cluster.local. of the cluster: the cluster address of Service prod/plain\n", DNS_SOURCE_ZONE},
		{"plain.prod.svc.cluster.local", "AAAA",
		 "zone cluster.local. of the cluster: the cluster address of Service prod/plain; it has no IPv6 address\n",
		 DNS_SOURCE_ZONE},
		{"plain.prod.svc.cluster.local", "TXT",
		 "zone cluster.local. of the cluster: the cluster address of Service prod/plain; it has no records of this type\n",
		 DNS_SOURCE_ZONE},
		{"_http._tcp.web.prod.svc.cluster.local", "SRV",
		 "zone cluster.local. of the cluster: port _http _tcp of Service prod/web\n", DNS_SOURCE_ZONE},
		{"_none._tcp.web.prod.svc.cluster.local", "SRV",
		 "zone cluster.local. of the cluster: Service prod/web has no port _none of that protocol, or no ready endpoint\n",
		 DNS_SOURCE_ZONE},
		{"db.prod.svc.cluster.local", "A",
		 "zone cluster.local. of the cluster: the ready endpoints of headless Service prod/db, from EndpointSlice "
		 "prod/db-1, prod/db-mesh-vm1, prod/db-6\n",
		 DNS_SOURCE_ZONE},
		{"gone.prod.svc.cluster.local", "A",
		 "zone cluster.local. of the cluster: headless Service prod/gone has no ready endpoint\n", DNS_SOURCE_ZONE},
		{"nobody.db.prod.svc.cluster.local", "A",
		 "zone cluster.local. of the cluster: Service prod/db has no ready endpoint nobody\n", DNS_SOURCE_ZONE},
		{"ext.prod.svc.cluster.local", "A",
		 "zone cluster.local. of the cluster: ExternalName of Service prod/ext: api.example.com.\n"
		 "api.example.com. is looked up and added, but there are no upstreams to ask\n",
		 DNS_SOURCE_ZONE},
		{"x.prod.svc.cluster.local", "A", "zone cluster.local. of the cluster: there is no Service prod/x\n", DNS_SOURCE_ZONE},
		{"\\027x.prod.svc.cluster.local", "A", NULL, DNS_SOURCE_ZONE},
		{"cluster.local", "A", "zone cluster.local. of the cluster: a name of the zone itself\n", DNS_SOURCE_ZONE},
		{"web.prod.cluster.local", "A",
		 "zone cluster.local. of the cluster: no such name in the cluster: those of Services are SERVICE.NAMESPACE.svc and "
		 "the zone\n",
		 DNS_SOURCE_ZONE},
		{"20.0.96.10.in-addr.arpa", "PTR", "zone arpa. of the cluster: the cluster address of Service prod/web\n",
		 DNS_SOURCE_ZONE},
		{"1.2.3.4.in-addr.arpa", "PTR", "refused: it is in no zone of the cluster and there are no upstreams\n",
		 DNS_SOURCE_REFUSED},
		{"pay.prod.svc.clusterset.local", "A",
		 "zone clusterset.local. of the cluster: the cluster address of ServiceImport prod/pay\n", DNS_SOURCE_ZONE},
	};
	struct dns_explanation e;
	struct err err = {0};
	struct fixture f;

	fixture_init(&f, NULL, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = dns_server_explain(f.server, cases[i].name, cases[i].type, NULL, &e, &err);

		if (!cases[i].want) {
			cr_expect_eq(r, -EINVAL, "%zu", i);
			continue;
		}
		cr_assert_eq(r, 0, "%s", err.text);
		cr_expect_str_eq(e.text, cases[i].want, "%s", e.text);
		cr_expect_eq(e.source, cases[i].source, "%zu", i);
		free(e.text);
	}
	cr_expect_eq(dns_server_explain(f.server, "a b", "A", NULL, &e, &err), -EINVAL);
	cr_expect_eq(dns_server_explain(f.server, "a.b", "BOGUS", NULL, &e, &err), -EINVAL);
	cr_expect_str_eq(err.text, "BOGUS is no record type");
	fixture_done(&f);
}

/* What was remembered of the query that the socket sent, as a sentence; "" if nothing was. */
static char *traced(struct fixture *f, int fd, const char *name, enum dns_source want)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	struct dns_explanation e;
	struct dns_traced t;

	cr_assert(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	cr_expect(!dns_server_traced(f->server, ntohs(own.sin_port), 4712, &t));
	if (!dns_server_traced(f->server, ntohs(own.sin_port), 4711, &t))
		return strdup("");
	cr_expect_eq(t.source, want, "%s", name);
	cr_assert_eq(dns_server_explain(f->server, name, "A", &t, &e, NULL), 0);
	return e.text;
}

/* `port`: the text goes on with it and `end`, unless it is 0. */
static void expect_traced(struct fixture *f, int fd, const char *name, enum dns_source source, const char *text, uint16_t port,
			  const char *end)
{
	CLEANUP(free) char *got = traced(f, fd, name, source),
			   *want = port ? str_printf("%s%u%s", text, port, end) : strdup(text);

	cr_expect_str_eq(got, want, "%s", got);
}

static void expect_asked(struct fixture *f, const char *text, bool is_asked)
{
	struct dns_name name;
	struct ip client;

	cr_assert_eq(dns_name_parse(text, &name), 0);
	cr_expect_eq(dns_server_asked(f->server, &name, &client), is_asked, "%s", text);
	if (is_asked)
		cr_expect(ip_is_loopback(&client), "%s", text);
}

Test(server, queries_are_remembered)
{
	struct upstream u = upstream_open();
	struct dns_upstream_status st[2];
	uint8_t msg[2048], out[2048];
	struct sockaddr_in from;
	struct fixture f;
	size_t len;
	int fd;

	fixture_init(&f, &u.at, 1);
	fd = connect_to(SOCK_DGRAM, listen_on(&f));
	cr_expect_eq(dns_forward_status(dns_server_forward(f.server), st, 2), 1);
	cr_expect_eq(st[0].queries + st[0].answered_us + st[0].failed_us, 0);
	ask(fd, "www.example.com.", 1232);
	len = upstream_get(&f, &u, msg, &from);
	expect_traced(&f, fd, "www.example.com", DNS_SOURCE_NONE, "", 0, ""); /* nothing is known before the answer */
	upstream_answer(&u, msg, make_answer(msg, len, 0, 0), &from);
	(void)run_until(&f, fd, out, sizeof(out));
	expect_traced(&f, fd, "www.example.com", DNS_SOURCE_UPSTREAM, "forwarded to 127.0.0.1:", u.at.port, "\n");
	ask(fd, "www.example.com.", 1232);
	(void)run_until(&f, fd, out, sizeof(out));
	expect_traced(&f, fd, "www.example.com", DNS_SOURCE_CACHE, "from the cache of answers of the upstreams\n", 0, "");
	expect_asked(&f, "www.example.com", true);
	expect_asked(&f, "www.example.org", false);
	ask(fd, "web.prod.svc.cluster.local.", 1232);
	(void)run_until(&f, fd, out, sizeof(out));
	expect_traced(&f, fd, "web.prod.svc.cluster.local", DNS_SOURCE_ZONE,
		      "zone cluster.local. of the cluster: the cluster address of Service prod/web\n", 0, "");
	cr_expect_eq(dns_forward_status(dns_server_forward(f.server), st, 2), 1);
	cr_expect_eq(st[0].queries, 1);
	cr_expect_eq(st[0].failures, 0);
	cr_expect(st[0].latency_us > 0 && st[0].answered_us > 0);
	ask(fd, "silence.example.com.", 1232);
	(void)run_until(&f, fd, out, sizeof(out));
	expect_traced(&f, fd, "silence.example.com", DNS_SOURCE_UPSTREAM,
		      "forwarded, without a usable answer, to 127.0.0.1:", u.at.port, " (no answer in time)\n");
	(void)dns_forward_status(dns_server_forward(f.server), st, 2);
	cr_expect_eq(st[0].queries, 4); /* three attempts more */
	cr_expect_eq(st[0].failures, 3);
	cr_expect_str_eq(st[0].error, "no answer in time");
	/* a new list keeps what is known of who stays in it */
	cr_assert_eq(dns_server_set_upstreams(f.server, (struct dns_upstream[]){{loopback(), 1}, u.at}, 2, NULL), 0);
	cr_expect_eq(dns_forward_status(dns_server_forward(f.server), st, 2), 2);
	cr_expect_eq(st[0].queries, 0);
	cr_expect_eq(st[1].failures, 3);
	close(fd);
	fixture_done(&f);
	upstream_close(&u);
}

/* All that dns.listen takes, one for the host's resolver, and two for queries that are redirected. */
Test(server, listens_on_eleven_addresses)
{
	struct fixture f;
	struct err err;

	fixture_init(&f, NULL, 0);
	for (uint8_t i = 1; i <= 12; i++) {
		const struct ip ip = {.family = AF_INET, .b = {127, 0, 0, i}};

		cr_expect_eq(dns_server_listen(f.server, &ip, 0, NULL, &err), i <= 11 ? 0 : -ENOSPC, "%u: %s", i, err.text);
	}
	fixture_done(&f);
}

Test(server, upstreams_are_never_the_server_itself)
{
	struct dns_upstream u = {.ip = loopback()};
	struct err err = {0};
	struct fixture f;
	uint16_t other;

	fixture_init(&f, NULL, 0);
	u.port = listen_on(&f);
	cr_expect_eq(dns_server_set_upstreams(f.server, &u, 1, &err), -ELOOP);
	cr_expect(err.text[0]);
	cr_expect_eq(dns_forward_n_upstreams(dns_server_forward(f.server)), 0);
	other = u.port = (uint16_t)(u.port + 1);
	cr_expect_eq(dns_server_set_upstreams(f.server, &u, 1, &err), 0);
	cr_expect_eq(dns_server_listen(f.server, &u.ip, other, NULL, &err), -ELOOP);
	fixture_done(&f);
}
