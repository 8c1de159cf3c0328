/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connect() costs here: connect_cost ROUNDS ADDRESS:PORT... A UDP socket is connected to each address again and again,
 * the addresses in turns, round after round. Prints JSON: of each the nanoseconds of CPU time, median and least of the rounds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_sock.h"

enum { REPEAT = 20000, ROUNDS_MAX = 1000, ADDRESSES_MAX = 16 };

static double connect_ns(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	struct timespec a, b;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a); /* cannot fail for this clock */
	for (int i = 0; i < REPEAT; i++)
		if (connect(fd, (const struct sockaddr *)to, len) < 0) {
			perror("connect");
			exit(1);
		}
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / REPEAT;
}

static int number_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double ns[ADDRESSES_MAX][ROUNDS_MAX];
	struct sockaddr_storage to[ADDRESSES_MAX];
	socklen_t len[ADDRESSES_MAX];
	size_t n = (size_t)argc - 2;
	uint64_t rounds;

	if (argc < 3 || n > ADDRESSES_MAX || str_to_u64(argv[1], ROUNDS_MAX, &rounds) < 0 || rounds == 0) {
		(void)fprintf(stderr, "usage: connect_cost ROUNDS ADDRESS:PORT...\n");
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		uint16_t port;
		struct ip ip;

		if (dns_addr_parse(argv[i + 2], &ip, &port) < 0) {
			(void)fprintf(stderr, "connect_cost: %s is no ADDRESS:PORT\n", argv[i + 2]);
			return 2;
		}
		len[i] = dns_sockaddr_set(&to[i], &ip, port);
	}
	for (uint64_t r = 0; r < rounds; r++)
		for (size_t i = 0; i < n; i++) {
			int fd = socket(to[i].ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

			if (fd < 0) {
				perror("socket");
				return 1;
			}
			ns[i][r] = connect_ns(fd, &to[i], len[i]);
			close(fd);
		}
	printf("{");
	for (size_t i = 0; i < n; i++) {
		qsort(ns[i], rounds, sizeof(double), number_cmp);
		printf("%s\"%s\": {\"median\": %.1f, \"least\": %.1f}", i ? ", " : "", argv[i + 2], ns[i][rounds / 2], ns[i][0]);
	}
	printf("}\n");
	return 0;
}
