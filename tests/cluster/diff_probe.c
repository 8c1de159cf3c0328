/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"

enum { MAGIC = 0x6d657368, SCTP_INIT = 1, SCTP_HEADER_BYTES = 12, PACKET_MAX = 256 };
static const uint8_t raw_protos[] = {IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP};

/* What a datagram carries, so that it is known at the other end. */
struct mark {
	uint32_t magic, round, index;
};
static uint32_t round_number;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void enter(const struct probe_place *p)
{
	if (setns(p->netns_fd, CLONE_NEWNET) < 0)
		die(p->name);
}

void probe_place_init(struct probe_place *p, const char *name, const char *path)
{
	int size = 4 << 20;

	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->netns_fd < 0)
		die(path);
	enter(p);
	for (size_t i = 0; i < ARRAY_LEN(raw_protos); i++) {
		p->raw_fd[i] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, raw_protos[i]);
		if (p->raw_fd[i] < 0 || setsockopt(p->raw_fd[i], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
			die("raw socket");
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int bound_socket(const struct probe *p, int type, int proto)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr = p->source};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		die("socket");
	return fd;
}

static struct sockaddr_in target_of(const struct probe *p, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = p->destination, .sin_port = htons(port)};
}

/* No answer is waited for: SO_LINGER makes the end of it a reset. */
static void start_tcp(struct probe *p)
{
	struct linger at_once = {.l_onoff = 1};
	struct sockaddr_in to = target_of(p, p->port);

	p->fd = bound_socket(p, SOCK_STREAM, 0);
	(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)); /* only saves time */
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == ECONNREFUSED)
		p->has_arrived = true;
	else if (errno == EINPROGRESS)
		return;
	(void)close(p->fd);
	p->fd = -1;
}

static uint16_t icmp_checksum(const void *data, size_t len)
{
	const uint16_t *w = data;
	uint32_t sum = 0;

	for (; len > 1; len -= 2)
		sum += *w++;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* CRC32c, as SCTP wants it. */
static uint32_t crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

/* Header of the protocol before the mark; returns how long it is. */
static size_t make_header(const struct probe *p, uint8_t *packet, size_t len_mark)
{
	static uint16_t next = 1024;
	struct icmphdr icmp = {.type = (uint8_t)p->port};
	uint16_t port = htons(p->port), own = htons(next);

	next = next < 30000 ? next + 1 : 1024;
	if (p->proto == IPPROTO_ICMP) {
		icmp.un.echo.id = own;
		memcpy(packet, &icmp, sizeof(icmp));
		icmp.checksum = icmp_checksum(packet, sizeof(icmp) + len_mark);
		memcpy(packet, &icmp, sizeof(icmp));
		return sizeof(icmp);
	}
	memset(packet, 0, SCTP_HEADER_BYTES);
	memcpy(packet, &own, sizeof(own));
	memcpy(packet + 2, &port, sizeof(port));
	return SCTP_HEADER_BYTES;
}

/* An INIT chunk with the mark where its tag and numbers are, which nothing on the way reads. */
static size_t make_sctp(const struct probe *p, uint8_t *packet, const struct mark *mark)
{
	static const uint8_t chunk[] = {SCTP_INIT, 0, 0, 20};
	size_t at = make_header(p, packet, 0), end = at + 20;
	uint32_t crc;

	memset(packet + at, 0, 20);
	memcpy(packet + at, chunk, sizeof(chunk));
	memcpy(packet + at + sizeof(chunk), mark, sizeof(*mark));
	crc = crc32c(packet, end);
	memcpy(packet + 8, &crc, sizeof(crc));
	return end;
}

static void send_datagram(const struct probe *p, uint32_t index)
{
	struct mark mark = {MAGIC, round_number, index};
	struct sockaddr_in to = target_of(p, p->proto == IPPROTO_UDP ? p->port : 0);
	int fd = bound_socket(p, p->proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_RAW, p->proto);
	uint8_t packet[PACKET_MAX] __attribute__((aligned(4)));
	size_t len = 0;

	if (p->proto == IPPROTO_SCTP) {
		len = make_sctp(p, packet, &mark);
	} else {
		if (p->proto == IPPROTO_ICMP) {
			memcpy(packet + sizeof(struct icmphdr), &mark, sizeof(mark));
			len = make_header(p, packet, sizeof(mark));
		}
		memcpy(packet + len, &mark, sizeof(mark));
		len += sizeof(mark);
	}
	/* a datapath may refuse it at once, which is an answer, too */
	(void)sendto(fd, packet, len, 0, (struct sockaddr *)&to, sizeof(to));
	(void)close(fd);
}

/* Where the mark is in what a raw socket gets, which begins with the IP header. */
static bool find_mark(const uint8_t *packet, size_t len, struct mark *ret)
{
	struct iphdr ip;
	size_t at;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, packet, sizeof(ip));
	at = ip.ihl * 4U;
	at += ip.protocol == IPPROTO_UDP ? sizeof(struct udphdr) : ip.protocol == IPPROTO_ICMP ? sizeof(struct icmphdr) :
									     SCTP_HEADER_BYTES + 4;
	if (len < at + sizeof(*ret))
		return false;
	memcpy(ret, packet + at, sizeof(*ret));
	return ret->magic == MAGIC && ret->round == round_number;
}

static void receive(const struct probe_place *place, int fd, struct probe *probes, size_t n)
{
	uint8_t packet[PACKET_MAX];
	struct mark mark;
	ssize_t len;

	while ((len = recv(fd, packet, sizeof(packet), 0)) > 0)
		/* not the answer to an echo, which carries the mark back */
		if (find_mark(packet, (size_t)len, &mark) && mark.index < n && probes[mark.index].to == place)
			probes[mark.index].has_arrived = true;
}

static void finish_tcp(struct probe *p)
{
	socklen_t len = sizeof(int);
	int error = 0;

	(void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len); /* an error means it did not arrive */
	p->has_arrived = error == 0 || error == ECONNREFUSED;
	(void)close(p->fd);
	p->fd = -1;
}

static size_t missing(const struct probe *probes, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += !probes[i].has_arrived;
	return count;
}

static void collect(struct probe_place *places, size_t n_places, struct probe *probes, size_t n, struct pollfd *fds,
		    int timeout_ms)
{
	const size_t raw = n_places * ARRAY_LEN(raw_protos);
	nfds_t count = raw;

	for (size_t i = 0; i < raw; i++)
		fds[i] = (struct pollfd){.fd = places[i / ARRAY_LEN(raw_protos)].raw_fd[i % ARRAY_LEN(raw_protos)],
					 .events = POLLIN};
	for (size_t i = 0; i < n; i++)
		if (probes[i].proto == IPPROTO_TCP && probes[i].fd >= 0)
			fds[count++] = (struct pollfd){.fd = probes[i].fd, .events = POLLOUT};
	if (poll(fds, count, timeout_ms) <= 0)
		return;
	count = raw;
	for (size_t i = 0; i < raw; i++)
		if (fds[i].revents)
			receive(&places[i / ARRAY_LEN(raw_protos)], fds[i].fd, probes, n);
	for (size_t i = 0; i < n; i++)
		if (probes[i].proto == IPPROTO_TCP && probes[i].fd >= 0 && fds[count++].revents)
			finish_tcp(&probes[i]);
}

void probe_run(struct probe_place *places, size_t n_places, struct probe *probes, size_t n, unsigned timeout_ms)
{
	struct pollfd *fds = calloc(n + n_places * ARRAY_LEN(raw_protos), sizeof(*fds));
	const struct probe_place *at = NULL;
	uint64_t now, end;

	if (!fds)
		die("memory");
	round_number++;
	for (size_t i = 0; i < n; i++) {
		probes[i].has_arrived = false;
		probes[i].fd = -1;
		if (probes[i].from != at)
			enter(probes[i].from);
		at = probes[i].from;
		if (probes[i].proto == IPPROTO_TCP)
			start_tcp(&probes[i]);
		else
			send_datagram(&probes[i], (uint32_t)i);
	}
	end = now_ms() + timeout_ms;
	while ((now = now_ms()) < end && missing(probes, n) > 0)
		collect(places, n_places, probes, n, fds, (int)(end - now));
	for (size_t i = 0; i < n; i++)
		if (probes[i].fd >= 0)
			(void)close(probes[i].fd);
	free(fds);
}
