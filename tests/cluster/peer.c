/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pods and machines of the cluster tests run.
 *   peer serve PORT NAME    answers HTTP with "NAME from ADDRESS", and returns other bytes as they came
 *   peer hold ADDRESS PORT  keeps one connection: a byte there and back each 50 ms, a line for each
 *   peer sink PORT          counts datagrams that arrive, and rewrites the count to standard output
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, HOLD_INTERVAL_US = 50000 };

static int bound(int type, uint16_t port)
{
	struct sockaddr_in6 me = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
		perror("peer: listen");
		exit(2);
	}
	return fd;
}

static void answer(int fd, const char *name, const struct sockaddr_in6 *from)
{
	char in[2048], out[512], address[INET6_ADDRSTRLEN];
	const char *text;
	ssize_t n;

	text = inet_ntop(AF_INET6, &from->sin6_addr, address, sizeof(address));
	if (text && strncmp(text, "::ffff:", 7) == 0)
		text += 7;
	while ((n = read(fd, in, sizeof(in))) > 0) {
		if (n < 4 || strncmp(in, "GET ", 4) != 0) {
			if (write(fd, in, (size_t)n) != n)
				return;
			continue;
		}
		n = snprintf(out, sizeof(out), "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n%s from %s\n", name,
			     text ? text : "?");
		if (write(fd, out, (size_t)n) != n)
			return;
		(void)shutdown(fd, SHUT_WR); /* the client may be gone, which ends it as well */
	}
}

static int serve(uint16_t port, const char *name)
{
	int fd = bound(SOCK_STREAM, port);

	(void)signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
	for (;;) {
		struct sockaddr_in6 from = {0};
		socklen_t len = sizeof(from);
		int c = accept(fd, (struct sockaddr *)&from, &len);

		if (c < 0)
			continue;
		if (fork() == 0) {
			(void)close(fd);
			answer(c, name, &from);
			_exit(0);
		}
		(void)close(c);
	}
}

static int hold(const char *address, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool is_six = inet_pton(AF_INET6, address, &to6.sin6_addr) == 1;
	int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c = 'x';

	if (fd < 0 || (!is_six && inet_pton(AF_INET, address, &to.sin_addr) != 1) ||
	    (is_six ? connect(fd, (struct sockaddr *)&to6, sizeof(to6)) : connect(fd, (struct sockaddr *)&to, sizeof(to))) < 0) {
		perror("peer: connect");
		return 2;
	}
	while (write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1) {
		(void)puts("answered");
		(void)fflush(stdout);
		(void)usleep(HOLD_INTERVAL_US);
	}
	perror("peer: the connection ended");
	return 1;
}

static int sink(uint16_t port)
{
	int fd = bound(SOCK_DGRAM, port);
	unsigned long count = 0;
	char buf[2048];

	for (;;) {
		if (ftruncate(STDOUT_FILENO, 0) < 0 || lseek(STDOUT_FILENO, 0, SEEK_SET) < 0) {
			perror("peer: standard output must be a file");
			return 2;
		}
		(void)printf("%lu\n", count);
		(void)fflush(stdout);
		if (recv(fd, buf, sizeof(buf), 0) >= 0)
			count++;
	}
}

int main(int argc, char **argv)
{
	unsigned long port = argc > 2 ? strtoul(argv[argc == 4 && strcmp(argv[1], "hold") == 0 ? 3 : 2], NULL, 10) : 0;

	if (port && port <= UINT16_MAX) {
		if (argc == 4 && strcmp(argv[1], "serve") == 0)
			return serve((uint16_t)port, argv[3]);
		if (argc == 4 && strcmp(argv[1], "hold") == 0)
			return hold(argv[2], (uint16_t)port);
		if (argc == 3 && strcmp(argv[1], "sink") == 0)
			return sink((uint16_t)port);
	}
	(void)fprintf(stderr, "usage: peer serve PORT NAME | peer hold ADDRESS PORT | peer sink PORT\n");
	return 2;
}
