/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence-numbered stream there and back, to see what a change loses. `stream echo PORT` answers;
 * `stream send ADDRESS PORT COUNT INTERVAL_US` sends, and prints "sent N received N lost N longest_gap N";
 * SIGTERM ends it before COUNT, with what it has by then.
 * Exit status 1 if something was lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COUNT_MAX = 10000000, LINGER_MS = 1000, BUFFER_BYTES = 16 << 20 };

static volatile sig_atomic_t is_over;

static void on_term(int signo)
{
	(void)signo;
	is_over = 1;
}

/* Room for seconds of packets: a process that the machine leaves waiting loses nothing by itself. */
static void widen(int fd)
{
	int bytes = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* what there is must do */
}

static int echo_forever(uint16_t port)
{
	struct sockaddr_in6 me = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, peer;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buf[2048];

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0) {
		perror("stream: bind");
		return 2;
	}
	widen(fd);
	for (;;) {
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len);

		if (n >= 0)
			(void)sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, len); /* loss is what we count */
	}
}

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void receive(int fd, uint8_t *seen, uint32_t count, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint32_t seq;

	while (poll(&p, 1, wait_ms) > 0 && recv(fd, &seq, sizeof(seq), MSG_DONTWAIT) == sizeof(seq)) {
		if (ntohl(seq) < count)
			seen[ntohl(seq)] = 1;
	}
}

static int report(const uint8_t *seen, uint32_t count)
{
	uint32_t received = 0, gap = 0, longest = 0;

	for (uint32_t i = 0; i < count; i++) {
		received += seen[i];
		gap = seen[i] ? 0 : gap + 1;
		longest = gap > longest ? gap : longest;
	}
	printf("sent %u received %u lost %u longest_gap %u\n", count, received, count - received, longest);
	return received == count ? 0 : 1;
}

static int send_all(const char *address, uint16_t port, uint32_t count, uint32_t interval_us)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;
	uint8_t *seen = calloc(count, 1);
	struct sigaction term = {.sa_handler = on_term};
	uint64_t start;
	uint32_t i;

	if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return 2;
	r = fd < 0 || !seen ? -1 : is_v4 ? connect(fd, (struct sockaddr *)&v4, sizeof(v4)) : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (r < 0) {
		perror("stream: connect");
		return 2;
	}
	widen(fd);
	(void)sigaction(SIGTERM, &term, NULL);
	start = now_us();
	for (i = 0; i < count && !is_over; i++) {
		uint32_t seq = htonl(i);
		uint64_t due = start + (uint64_t)i * interval_us, now = now_us();

		(void)send(fd, &seq, sizeof(seq), 0); /* loss is what we count */
		receive(fd, seen, count, 0);
		now = now_us();
		if (due + interval_us > now)
			(void)usleep((useconds_t)(due + interval_us - now));
	}
	receive(fd, seen, count, LINGER_MS);
	r = report(seen, i);
	free(seen);
	(void)close(fd);
	return r;
}

int main(int argc, char **argv)
{
	unsigned long port, count, interval;

	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return echo_forever((uint16_t)strtoul(argv[2], NULL, 10));
	if (argc != 6 || strcmp(argv[1], "send") != 0) {
		fprintf(stderr, "usage: stream echo PORT | stream send ADDRESS PORT COUNT INTERVAL_US\n");
		return 2;
	}
	port = strtoul(argv[3], NULL, 10);
	count = strtoul(argv[4], NULL, 10);
	interval = strtoul(argv[5], NULL, 10);
	if (!port || port > UINT16_MAX || !count || count > COUNT_MAX || interval > 1000000) {
		fprintf(stderr, "stream: a number is out of range\n");
		return 2;
	}
	return send_all(argv[2], (uint16_t)port, (uint32_t)count, (uint32_t)interval);
}
