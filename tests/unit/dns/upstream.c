/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "dns/dns_sock.h"

struct ip loopback(void)
{
	struct ip ip;

	cr_assert(ip_parse("127.0.0.1", &ip) == 0);
	return ip;
}

uint16_t listen_on(struct fixture *f)
{
	struct ip ip = loopback();
	struct err err = {0};
	uint16_t port;

	cr_assert(dns_server_listen(f->server, &ip, 0, &port, &err) == 0, "%s", err.text);
	return port;
}

int connect_to(int type, uint16_t port)
{
	struct ip ip = loopback();
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &ip, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0);
	return fd;
}

size_t run_until(struct fixture *f, int fd, uint8_t *buf, size_t size)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;

	while (clock_boot_us() < end) {
		ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);

		if (n >= 0)
			return (size_t)n;
		cr_assert(loop_once(f->loop, 10000) >= 0);
	}
	return 0;
}

static char *answer_text(const uint8_t *msg, size_t len)
{
	ldns_pkt *p = NULL;
	char *text, *rcode, *out;

	cr_assert(len > 0, "no answer");
	cr_assert(ldns_wire2pkt(&p, msg, len) == LDNS_STATUS_OK);
	text = records_text(ldns_pkt_answer(p));
	rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(p));
	out = str_printf("%s %s", rcode, text);
	free(text);
	free(rcode);
	ldns_pkt_free(p);
	return out;
}

void expect_answer(const uint8_t *msg, size_t len, const char *want)
{
	CLEANUP(free) char *got = answer_text(msg, len);

	cr_expect_str_eq(got, want, "got '%s', not '%s'", got, want);
}

size_t read_frame(struct fixture *f, int fd, uint8_t *buf)
{
	size_t got = 0, want = 2;

	while (got < want) {
		size_t n = run_until(f, fd, buf + got, want - got);

		if (n == 0)
			return 0;
		got += n;
		if (got == 2)
			want = 2 + ((size_t)buf[0] << 8 | buf[1]);
	}
	return want - 2;
}

struct upstream upstream_open(void)
{
	struct upstream u = {.udp = -1, .tcp = -1};

	/* a port that is free for UDP may be taken for TCP */
	for (int i = 0; i < 100 && u.tcp < 0; i++) {
		struct sockaddr_storage sa;
		struct ip ip = loopback();
		socklen_t len = dns_sockaddr_set(&sa, &ip, 0);

		u.at.ip = ip;
		u.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		cr_assert(bind(u.udp, (struct sockaddr *)&sa, len) == 0);
		cr_assert(getsockname(u.udp, (struct sockaddr *)&sa, &len) == 0);
		(void)dns_sockaddr_ip(&sa, &u.at.port);
		u.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(u.tcp, (struct sockaddr *)&sa, len) < 0 || listen(u.tcp, 4) < 0) {
			close(u.udp);
			close(u.tcp);
			u.tcp = -1;
		}
	}
	cr_assert(u.tcp >= 0);
	return u;
}

void upstream_close(struct upstream *u)
{
	close(u->udp);
	close(u->tcp);
}

size_t upstream_get(struct fixture *f, const struct upstream *u, uint8_t *buf, struct sockaddr_in *from)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	socklen_t len = sizeof(*from);

	while (clock_boot_us() < end) {
		ssize_t n = recvfrom(u->udp, buf, DNS_UDP_MIN, MSG_DONTWAIT, (struct sockaddr *)from, &len);

		if (n > 0)
			return (size_t)n;
		cr_assert(loop_once(f->loop, 10000) >= 0);
	}
	cr_assert(false, "the upstream was not asked");
	return 0;
}

size_t make_answer(uint8_t *msg, size_t len, uint8_t flags, uint8_t rcode)
{
	static const uint8_t rr[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 5};
	size_t at = len - 11; /* OPT is last */

	memmove(msg + at + sizeof(rr), msg + at, 11);
	memcpy(msg + at, rr, sizeof(rr));
	msg[2] = (uint8_t)(msg[2] | 0x80 | flags);
	msg[3] = (uint8_t)(0x80 | rcode);
	msg[7] = 1;
	return len + sizeof(rr);
}

void upstream_answer(const struct upstream *u, const uint8_t *msg, size_t len, const struct sockaddr_in *to)
{
	cr_assert(sendto(u->udp, msg, len, 0, (const struct sockaddr *)to, sizeof(*to)) == (ssize_t)len);
}

void ask(int fd, const char *name, uint16_t edns)
{
	uint8_t msg[DNS_UDP_MIN];
	size_t len = query_build(name, DNS_A, edns, msg);

	cr_assert(send(fd, msg, len, 0) == (ssize_t)len);
}
