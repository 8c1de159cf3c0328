/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load for comparing packet filters:
 *   netload serve PORT CPU
 *   netload measure [-r ROUNDS] [-t MILLISECONDS] [-c CPU] NAME=ADDRESS:PORT:PID...
 * The server answers on TCP and UDP until it is ended. The client measures each target, whose server is
 * process PID, in turn, for so long each, forwards in one round and backwards in the next, and prints for
 * each test and target one line of JSON: the median rate, and its ratio to the first target with a 95 %
 * interval, of pairs that were measured in the same round. "by_clock" counts by the time that passed,
 * "by_cpu" by the processor time that client and server used, in which is all work of the kernel for their
 * packets if both are on one processor; other work on the machine then disturbs little.
 *   rr      one byte there and back on one connection: transactions a second
 *   crr     the same with a connection for each: transactions a second
 *   stream  bytes a second over one connection
 *   udp     datagrams of 64 bytes a second that arrived, 32 in a window
 *   denied  datagrams a second that could be sent to port PORT+1, where nobody reads them
 * A pair is left out if more than a hundredth of the processors' time was stolen meanwhile. Both
 * sides ask for a real-time priority, since the machine may have other work.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"
#include "bench/stats.h"

enum { TARGETS_MAX = 16, ROUNDS_MAX = 1000, WINDOW = 32, DATAGRAM = 64, CHUNK = 1 << 17, BACKLOG = 64 };
enum { LOST_AFTER_MS = 50, IO_TIMEOUT_S = 2 };
static const double STOLEN_LIMIT = 0.01;

static __attribute__((noreturn)) void die_of(const char *what)
{
	perror(what);
	exit(1);
}

static void settle_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die_of("processor");
	if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) < 0) {
		perror("no real-time priority"); /* the numbers are noisier */
		(void)setpriority(PRIO_PROCESS, 0, -20);
	}
}

static int tcp_socket(void)
{
	struct timeval limit = {.tv_sec = IO_TIMEOUT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		die_of("socket");
	return fd;
}

/* Server. The first byte of a connection says what it is for. */

static char chunk[CHUNK];

static void serve_connection(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		return;
	if (c == 's') {
		while (read(fd, chunk, sizeof(chunk)) > 0)
			;
		return;
	}
	/* who closes first keeps the port for a minute: it is the server, whose ports are not used up */
	while (write(fd, &c, 1) == 1 && c != 'c' && read(fd, &c, 1) == 1)
		;
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = type == SOCK_STREAM ? tcp_socket() : socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		die_of("bind");
	return fd;
}

static void serve_tcp(uint16_t port)
{
	int fd = bound(SOCK_STREAM, port), on = 1;
	struct timeval none = {0};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)) < 0 || listen(fd, BACKLOG) < 0)
		die_of("listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		if (setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
			serve_connection(c);
		(void)close(c); /* the client sees what came */
	}
}

struct window {
	struct mmsghdr m[WINDOW];
	struct iovec v[WINDOW];
	char data[WINDOW][DATAGRAM];
	struct sockaddr_in from[WINDOW];
};

static void window_init(struct window *w, bool has_names)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		w->v[i] = (struct iovec){.iov_base = w->data[i], .iov_len = DATAGRAM};
		w->m[i].msg_hdr = (struct msghdr){.msg_iov = &w->v[i], .msg_iovlen = 1};
		if (has_names) {
			w->m[i].msg_hdr.msg_name = &w->from[i];
			w->m[i].msg_hdr.msg_namelen = sizeof(w->from[i]);
		}
	}
}

/* Tells who sent a whole window, which the datagrams number, that it is here. */
static void *serve_udp(void *arg)
{
	static struct window w;
	const int fd = *(const int *)arg;
	uint32_t current = 0, have = 0;

	window_init(&w, true);
	for (;;) {
		int n = recvmmsg(fd, w.m, WINDOW, MSG_WAITFORONE, NULL);

		for (int i = 0; i < n; i++) {
			uint32_t number;

			memcpy(&number, w.data[i], sizeof(number));
			have = number == current ? have + 1 : 1;
			current = number;
			if (have == WINDOW)
				(void)sendto(fd, &number, sizeof(number), 0, (struct sockaddr *)&w.from[i],
					     sizeof(w.from[i])); /* if it is lost the client goes on */
		}
	}
	return NULL;
}

static int serve(uint16_t port, unsigned cpu)
{
	int fd = bound(SOCK_DGRAM, port);
	pthread_t thread;

	settle_on(cpu);
	(void)bound(SOCK_DGRAM, (uint16_t)(port + 1)); /* that nobody reads */
	if (pthread_create(&thread, NULL, serve_udp, &fd) != 0)
		die_of("thread");
	serve_tcp(port);
	return 0;
}

/* Client */

struct target {
	char name[32];
	struct sockaddr_in to;
	clockid_t server; /* its processor time */
	double rate[ROUNDS_MAX], per_cpu[ROUNDS_MAX];
	bool is_stolen[ROUNDS_MAX];
};

static int dial(const struct target *t, char purpose)
{
	int fd = tcp_socket();

	if (connect(fd, (const struct sockaddr *)&t->to, sizeof(t->to)) < 0 || write(fd, &purpose, 1) != 1)
		die_of(t->name);
	return fd;
}

static void expect_byte(int fd, const struct target *t)
{
	char c;

	if (read(fd, &c, 1) != 1)
		die_of(t->name);
}

/* Each: how many of them until `end`; may take a little longer, which the caller counts. */

static double do_rr(const struct target *t, double end)
{
	int fd = dial(t, 'r');
	double n = 0;

	expect_byte(fd, t);
	while (stats_now_ns() < end) {
		if (write(fd, "r", 1) != 1)
			die_of(t->name);
		expect_byte(fd, t);
		n++;
	}
	(void)close(fd); /* nothing is under way */
	return n;
}

static double do_crr(const struct target *t, double end)
{
	double n = 0;

	while (stats_now_ns() < end) {
		int fd = dial(t, 'c');
		char c;

		expect_byte(fd, t);
		if (read(fd, &c, 1) != 0) /* the server closes */
			die_of(t->name);
		(void)close(fd); /* both sides have */
		n++;
	}
	return n;
}

static double do_stream(const struct target *t, double end)
{
	int fd = dial(t, 's');
	double n = 0;
	char c;

	while (stats_now_ns() < end) {
		ssize_t r = write(fd, chunk, sizeof(chunk));

		if (r < 0)
			die_of(t->name);
		n += (double)r;
	}
	if (shutdown(fd, SHUT_WR) < 0 || read(fd, &c, 1) != 0) /* until the last byte is there */
		die_of(t->name);
	(void)close(fd);
	return n;
}

static int udp_to(const struct target *t, uint16_t port_step)
{
	struct sockaddr_in to = t->to;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + port_step));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die_of(t->name);
	return fd;
}

static double do_udp(const struct target *t, double end)
{
	static struct window w;
	static uint32_t number;
	int fd = udp_to(t, 0);
	double n = 0;

	window_init(&w, false);
	while (stats_now_ns() < end) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint32_t got;

		number++;
		for (unsigned i = 0; i < WINDOW; i++)
			memcpy(w.data[i], &number, sizeof(number));
		if (sendmmsg(fd, w.m, WINDOW, 0) != WINDOW)
			die_of(t->name);
		do {
			if (poll(&p, 1, LOST_AFTER_MS) <= 0)
				break; /* lost: counts for nothing */
			if (recv(fd, &got, sizeof(got), 0) != sizeof(got))
				die_of(t->name);
			n += got == number ? WINDOW : 0;
		} while (got != number);
	}
	(void)close(fd);
	return n;
}

static double do_denied(const struct target *t, double end)
{
	static struct window w;
	int fd = udp_to(t, 1);
	double n = 0;

	window_init(&w, false);
	while (stats_now_ns() < end) {
		int r = sendmmsg(fd, w.m, WINDOW, 0);

		if (r < 0 && errno != ECONNREFUSED)
			die_of(t->name);
		n += r < 0 ? 0 : r;
	}
	(void)close(fd);
	return n;
}

static const struct {
	const char *name, *unit;
	double (*run)(const struct target *t, double end);
} tests[] = {{"rr", "transactions/s", do_rr},
	     {"crr", "transactions/s", do_crr},
	     {"stream", "bytes/s", do_stream},
	     {"udp", "datagrams/s", do_udp},
	     {"denied", "datagrams/s", do_denied}};

static double clock_s(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		die_of("the server's clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(const struct target *t)
{
	return clock_s(CLOCK_PROCESS_CPUTIME_ID) + clock_s(t->server);
}

static void measure_one(size_t test, struct target *t, unsigned round, double block_ns)
{
	struct stats_cpu before = stats_cpu_now(), after;
	double cpu = cpu_s(t), start = stats_now_ns(), n = tests[test].run(t, start + block_ns);

	t->rate[round] = n / (stats_now_ns() - start) * 1e9;
	t->per_cpu[round] = n / (cpu_s(t) - cpu);
	after = stats_cpu_now();
	t->is_stolen[round] = (double)(after.stolen - before.stolen) > STOLEN_LIMIT * (double)(after.all - before.all);
}

/* Of the pairs that count; `ret_n` how many these are. */
static json_t *compare(const double *rates, const double *base_rates, const struct target *t, const struct target *base,
		       unsigned rounds, unsigned *ret_n)
{
	static double a[ROUNDS_MAX], b[ROUNDS_MAX];
	struct stats_interval r;
	unsigned n = 0;

	for (unsigned i = 0; i < rounds; i++) {
		if (t->is_stolen[i] || base->is_stolen[i] || rates[i] <= 0 || base_rates[i] <= 0)
			continue;
		a[n] = rates[i];
		b[n++] = base_rates[i];
	}
	*ret_n = n;
	if (!n)
		return json_null();
	r = stats_ratio(a, b, n);
	return json_pack("{s:f, s:f, s:f, s:f}", "median", stats_median(a, n), "ratio", r.mid, "low", r.lo, "high", r.hi);
}

static void print(size_t test, const struct target *base, const struct target *t, unsigned rounds)
{
	unsigned n;
	json_t *by_clock = compare(t->rate, base->rate, t, base, rounds, &n);
	json_t *by_cpu = compare(t->per_cpu, base->per_cpu, t, base, rounds, &n);
	json_t *line = json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:i}", "test", tests[test].name, "target", t->name, "unit",
				 tests[test].unit, "by_clock", by_clock, "by_cpu", by_cpu, "pairs", (int)n, "left_out",
				 (int)(rounds - n));

	if (!line)
		exit(1);
	(void)json_dumpf(line, stdout, JSON_REAL_PRECISION(6)); /* what stdout cannot take is lost anyway */
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(line);
}

/* NAME=ADDRESS:PORT:PID */
static int add_target(struct target *t, char *text)
{
	char *address = strchr(text, '='), *port = address ? strchr(address, ':') : NULL;
	char *pid = port ? strchr(port + 1, ':') : NULL;
	uint64_t port_number, pid_number;

	if (!pid || (size_t)(address - text) >= sizeof(t->name))
		return -EINVAL;
	*address++ = *port++ = *pid++ = '\0';
	if (str_to_u64(port, 65534, &port_number) < 0 || str_to_u64(pid, INT32_MAX, &pid_number) < 0)
		return -EINVAL;
	memcpy(t->name, text, strlen(text) + 1);
	t->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port_number)};
	if (inet_pton(AF_INET, address, &t->to.sin_addr) != 1)
		return -EINVAL;
	return -clock_getcpuclockid((pid_t)pid_number, &t->server);
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: netload serve PORT CPU\n"
			      "       netload measure [-r ROUNDS] [-t MILLISECONDS] [-c CPU] NAME=ADDRESS:PORT:PID...\n");
	return 2;
}

static int measure(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	uint64_t rounds = 40, ms = 300, cpu = 0;
	size_t n = 0;
	int c;

	while ((c = getopt(argc, argv, "r:t:c:")) != -1)
		if ((c == 'r' && (str_to_u64(optarg, ROUNDS_MAX, &rounds) < 0 || !rounds)) ||
		    (c == 't' && (str_to_u64(optarg, 60000, &ms) < 0 || !ms)) ||
		    (c == 'c' && str_to_u64(optarg, CPU_SETSIZE - 1, &cpu) < 0) || c == '?')
			return usage();
	for (; optind < argc && n < TARGETS_MAX; optind++)
		if (add_target(&targets[n++], argv[optind]) < 0)
			return usage();
	if (!n || optind < argc)
		return usage();
	settle_on((unsigned)cpu);
	for (size_t test = 0; test < ARRAY_LEN(tests); test++) {
		for (size_t i = 0; i < n; i++)
			measure_one(test, &targets[i], 0, (double)ms * 1e6); /* warms up */
		for (unsigned r = 0; r < rounds; r++)
			for (size_t i = 0; i < n; i++)
				measure_one(test, &targets[r % 2 ? n - 1 - i : i], r, (double)ms * 1e6);
		for (size_t i = 0; i < n; i++)
			print(test, &targets[0], &targets[i], (unsigned)rounds);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t port, cpu;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "serve") == 0 && str_to_u64(argv[2], 65534, &port) == 0 &&
	    str_to_u64(argv[3], CPU_SETSIZE - 1, &cpu) == 0)
		return serve((uint16_t)port, (unsigned)cpu);
	if (argc > 2 && strcmp(argv[1], "measure") == 0)
		return measure(argc - 1, argv + 1);
	return usage();
}
