/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a DNS server at a fixed rate, whether it keeps up or not, and tells how long answers took.
 *   dns_latency ADDRESS:PORT FILE QUERIES-PER-SECOND SECONDS
 * FILE has lines "NAME TYPE", as for dnsperf. Prints JSON: quantiles of all answers, and the median over the tenths of a
 * second of the 99th percentile in each, which a machine that stalls now and then does not decide.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_msg.h"
#include "dns/dns_sock.h"

enum { IDS = 65536, LATE_NS = 1000000000, WINDOW_NS = 100000000, WAIT_NS = 200000000 /* for the last answers */ };

struct question {
	uint8_t wire[DNS_HEADER_LEN + DNS_NAME_MAX + 4];
	size_t len;
};

struct answer {
	uint32_t ns, window;
};

struct load {
	ARRAY(struct question) questions;
	ARRAY(struct answer) taken;
	uint64_t start;
	uint64_t sent_at[IDS]; /* of what has no answer yet, else 0 */
	uint64_t n_sent, n_unsent;
	int fd;
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "dns_latency: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void read_questions(struct load *l, const char *path)
{
	FILE *f = fopen(path, "re");
	char name[300], type_text[16];

	if (!f)
		fail(path);
	while (fscanf(f, "%299s %15s", name, type_text) == 2) {
		struct question q = {.wire = {0, 0, 1, 0, 0, 1}};
		struct dns_name n;
		uint16_t type;

		if (dns_name_parse(name, &n) < 0 || dns_type_parse(type_text, &type) < 0)
			continue;
		memcpy(q.wire + DNS_HEADER_LEN, n.b, n.len);
		q.len = DNS_HEADER_LEN + (size_t)n.len;
		memcpy(q.wire + q.len, (const uint8_t[]){(uint8_t)(type >> 8), (uint8_t)type, 0, 1}, 4);
		q.len += 4;
		if (ARRAY_ADD(&l->questions, q) < 0)
			fail(path);
	}
	(void)fclose(f); /* it was read only */
	if (l->questions.n == 0)
		fail(path);
}

static void ask(struct load *l, uint64_t due)
{
	struct question *q = &l->questions.v[l->n_sent % l->questions.n];
	uint16_t id = (uint16_t)l->n_sent++;

	q->wire[0] = (uint8_t)(id >> 8);
	q->wire[1] = (uint8_t)id;
	l->sent_at[id] = due; /* not when it was possible: who is late because the server is late counts, too */
	if (send(l->fd, q->wire, q->len, MSG_DONTWAIT) != (ssize_t)q->len) {
		l->sent_at[id] = 0;
		l->n_unsent++;
	}
}

/* Takes what has come, and waits for more until `until`. */
static void listen_until(struct load *l, uint64_t until)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	uint8_t answer[DNS_UDP_MAX];
	uint64_t now;

	while ((now = now_ns()) < until) {
		struct timespec wait = {.tv_sec = (time_t)((until - now) / 1000000000U), .tv_nsec = (long)((until - now) % 1000000000U)};
		ssize_t n = recv(l->fd, answer, sizeof(answer), MSG_DONTWAIT);
		uint16_t id;

		if (n < DNS_HEADER_LEN) {
			(void)ppoll(&p, 1, &wait, NULL); /* a shorter wait is as good */
			continue;
		}
		now = now_ns();
		id = (uint16_t)(answer[0] << 8 | answer[1]);
		if (l->sent_at[id] && now - l->sent_at[id] < LATE_NS &&
		    ARRAY_ADD(&l->taken, ((struct answer){.ns = (uint32_t)(now - l->sent_at[id]),
							 .window = (uint32_t)((l->sent_at[id] - l->start) / WINDOW_NS)})) < 0)
			fail("answers");
		l->sent_at[id] = 0;
	}
}

static int time_cmp(const void *a, const void *b)
{
	uint32_t x = ((const struct answer *)a)->ns, y = ((const struct answer *)b)->ns;

	return (x > y) - (x < y);
}

static int window_cmp(const void *a, const void *b)
{
	uint32_t x = ((const struct answer *)a)->window, y = ((const struct answer *)b)->window;

	return x == y ? time_cmp(a, b) : (x > y) - (x < y);
}

/* Of `n` answers sorted by time, in microseconds. */
static double quantile(const struct answer *v, size_t n, double q)
{
	return n ? (double)v[(size_t)((double)(n - 1) * q)].ns / 1000 : 0;
}

static int number_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double typical_p99(struct load *l)
{
	ARRAY(double) each = {0};
	double median = 0;
	size_t end;

	ARRAY_SORT(&l->taken, window_cmp);
	for (size_t i = 0; i < l->taken.n; i = end) {
		for (end = i; end < l->taken.n && l->taken.v[end].window == l->taken.v[i].window;)
			end++;
		if (ARRAY_ADD(&each, quantile(l->taken.v + i, end - i, 0.99)) < 0)
			fail("answers");
	}
	ARRAY_SORT(&each, number_cmp);
	if (each.n)
		median = each.v[each.n / 2];
	ARRAY_DONE(&each);
	return median;
}

int main(int argc, char **argv)
{
	static struct load l;
	struct sockaddr_storage address;
	uint64_t rate, seconds, n, due;
	int size = 4 << 20;
	double typical;
	uint16_t port;
	struct ip ip;

	if (argc != 5 || dns_addr_parse(argv[1], &ip, &port) < 0 || str_to_u64(argv[3], 10000000, &rate) < 0 || rate == 0 ||
	    str_to_u64(argv[4], 3600, &seconds) < 0) {
		(void)fprintf(stderr, "usage: dns_latency ADDRESS:PORT FILE QUERIES-PER-SECOND SECONDS\n");
		return 2;
	}
	read_questions(&l, argv[2]);
	l.fd = socket(ip.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l.fd < 0 || connect(l.fd, (struct sockaddr *)&address, dns_sockaddr_set(&address, &ip, port)) < 0)
		fail(argv[1]);
	(void)setsockopt(l.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* the default works too */
	(void)prctl(PR_SET_TIMERSLACK, 1UL); /* the default is as long as an answer takes */
	l.start = now_ns();
	n = rate * seconds;
	for (uint64_t i = 0; i < n; i++) {
		due = l.start + i * 1000000000U / rate;
		listen_until(&l, due);
		ask(&l, due);
	}
	listen_until(&l, now_ns() + WAIT_NS);
	typical = typical_p99(&l);
	ARRAY_SORT(&l.taken, time_cmp);
	printf("{\"sent\": %llu, \"lost\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"typical_p99_us\": %.1f}\n",
	       (unsigned long long)l.n_sent, (unsigned long long)(l.n_sent - l.taken.n), quantile(l.taken.v, l.taken.n, 0.5),
	       quantile(l.taken.v, l.taken.n, 0.99), typical);
	ARRAY_DONE(&l.questions);
	ARRAY_DONE(&l.taken);
	close(l.fd);
	return 0;
}
