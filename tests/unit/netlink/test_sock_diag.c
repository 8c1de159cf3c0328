/* SPDX-License-Identifier: Apache-2.0 */
/* Which socket sent something to us. Needs no rights. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/sock_diag.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

static int bound(int type, const char *address, uint16_t *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	cr_assert_eq(inet_pton(AF_INET, address, &sa.sin_addr), 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static struct sock_pair pair_of(uint8_t proto, const char *local, uint16_t local_port, const char *remote, uint16_t remote_port)
{
	struct sock_pair p = {.proto = proto, .local_port = local_port, .remote_port = remote_port};

	cr_assert_eq(ip_parse(local, &p.local), 0);
	cr_assert_eq(ip_parse(remote, &p.remote), 0);
	return p;
}

static void expect(struct sock_diag *d, struct sock_pair pair, int fd)
{
	uint64_t cookie = 0;
	int r = sock_diag_cookie(d, &pair, &cookie);

	cr_expect_eq(r, fd < 0 ? -ENOENT : 0, "%d", r);
	if (fd >= 0)
		cr_expect_eq(cookie, cookie_of(fd));
}

static void connect_to(int fd, int family, const char *address, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	cr_assert_eq(inet_pton(family, address, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr), 1);
	cr_assert_eq(connect(fd, family == AF_INET ? (void *)&v4 : (void *)&v6, family == AF_INET ? sizeof(v4) : sizeof(v6)), 0);
}

static uint16_t own_port(int fd)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin6_port); /* in IPv4 addresses it is at the same place */
}

static struct sock_diag *open_diag(void)
{
	struct sock_diag *d = NULL;
	struct sock_pair p = pair_of(IPPROTO_UDP, "127.0.0.1", 1, "127.0.0.1", 1);
	uint64_t cookie;
	int r = sock_diag_new(&d);

	if (r == 0)
		r = sock_diag_cookie(d, &p, &cookie);
	if (r != -ENOENT)
		cr_skip_test("the kernel does not tell of sockets: %d", r);
	return d;
}

Test(sock_diag, datagrams)
{
	struct sock_diag *d = open_diag();
	uint16_t server_port, port, other_port;
	int server = bound(SOCK_DGRAM, "127.0.0.1", &server_port), fd = bound(SOCK_DGRAM, "0.0.0.0", &port),
	    other = bound(SOCK_DGRAM, "127.0.0.1", &other_port), v6;

	expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", port, "127.0.0.1", server_port), fd);
	expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", other_port, "127.0.0.1", server_port), other);
	connect_to(fd, AF_INET, "127.0.0.1", server_port);
	expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", port, "127.0.0.1", server_port), fd);
	connect_to(other, AF_INET, "127.0.0.1", port); /* connected to another: not from that one */
	expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", other_port, "127.0.0.1", server_port), -1);
	close(fd);
	expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", port, "127.0.0.1", server_port), -1);
	v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (v6 >= 0) { /* an IPv6 socket that talks IPv4 */
		connect_to(v6, AF_INET6, "::ffff:127.0.0.1", server_port);
		expect(d, pair_of(IPPROTO_UDP, "127.0.0.1", own_port(v6), "127.0.0.1", server_port), v6);
		close(v6);
	}
	close(other);
	close(server);
	sock_diag_free(d);
}

Test(sock_diag, probes)
{
	struct sock_diag *d = open_diag();

	cr_expect_eq(sock_diag_probe(d, IPPROTO_UDP), 0);
	cr_expect_eq(sock_diag_probe(d, IPPROTO_TCP), 0);
	cr_expect_eq(sock_diag_probe(d, 250), -EOPNOTSUPP);
	sock_diag_free(d);
}

Test(sock_diag, connections)
{
	struct sock_diag *d = open_diag();
	uint16_t server_port;
	int server = bound(SOCK_STREAM, "127.0.0.1", &server_port), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(listen(server, 1), 0);
	connect_to(fd, AF_INET, "127.0.0.1", server_port);
	expect(d, pair_of(IPPROTO_TCP, "127.0.0.1", own_port(fd), "127.0.0.1", server_port), fd);
	expect(d, pair_of(IPPROTO_TCP, "127.0.0.1", own_port(fd), "127.0.0.2", server_port), -1);
	close(fd);
	close(server);
	sock_diag_free(d);
}

static void count_is(struct sock_diag *d, uint16_t port, uint64_t want)
{
	uint64_t n = 77;

	cr_assert_eq(sock_diag_count(d, port, &n), 0);
	cr_expect_eq(n, want, "%llu, not %llu", (unsigned long long)n, (unsigned long long)want);
}

Test(sock_diag, counts)
{
	enum { MANY = 300 }; /* more than one part of the list */
	struct sock_diag *d = open_diag();
	uint16_t server_port, other_port;
	int server = bound(SOCK_STREAM, "127.0.0.1", &server_port), other = bound(SOCK_STREAM, "127.0.0.1", &other_port), fds[MANY],
	    accepted[MANY];

	cr_assert_eq(listen(server, MANY), 0);
	count_is(d, server_port, 0); /* to listen is no connection */
	for (int i = 0; i < MANY; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		connect_to(fds[i], AF_INET, "127.0.0.1", server_port);
		accepted[i] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
		cr_assert_geq(accepted[i], 0);
	}
	count_is(d, server_port, MANY);
	count_is(d, other_port, 0);
	for (int i = 0; i < MANY; i++) {
		close(fds[i]);
		close(accepted[i]);
	}
	count_is(d, server_port, 0);
	close(other);
	close(server);
	sock_diag_free(d);
}
