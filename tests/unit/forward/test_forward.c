/* SPDX-License-Identifier: Apache-2.0 */
/* Old ports on loopback, with callers and backends in this process. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/macro.h"
#include "conf/conf.h"
#include "event/loop.h"
#include "forward/forward.h"

static struct loop *loop;
static struct conf *conf;
static struct forwards *forwards;
static int backend = -1; /* listens */
static uint16_t backend_port, port;
static bool has_backend;

static bool pick(const struct conf_forward *f, struct ip *ret_ip, uint16_t *ret_port, void *arg)
{
	(void)arg;
	cr_assert_str_eq(f->service, "shop");
	*ret_ip = (struct ip){.family = AF_INET, .b = {127, 0, 0, 1}};
	*ret_port = backend_port;
	return has_backend;
}

static struct sockaddr_in at(uint32_t host, uint16_t p)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(p), .sin_addr.s_addr = htonl(host)};
}

static int listen_at(uint16_t *p)
{
	struct sockaddr_in sa = at(INADDR_LOOPBACK, *p);
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(fd, 2048), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*p = ntohs(sa.sin_port);
	return fd;
}

static void configure(const char *more)
{
	struct err err = {0};
	char text[256];

	conf_free(conf);
	conf = NULL;
	(void)snprintf(text, sizeof(text), "forwards = ( { port = %u; address = \"127.0.0.1\"; service = \"shop\"; service-port = 80; }%s );",
		       port, more);
	cr_assert_eq(conf_parse(text, strlen(text), "t.conf", &conf, &err), 0, "%s", err.text);
}

static void start(void)
{
	configure("");
	cr_assert_eq(forwards_new(loop, conf, &(struct forwards_conf){.pick = pick}, &forwards), 0);
}

static void setup(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	cr_assert_eq(sigaction(SIGPIPE, &ignore, NULL), 0); /* as the daemon does */
	cr_assert_eq(loop_new(&loop), 0);
	backend_port = port = 0;
	backend = listen_at(&backend_port);
	close_fd(listen_at(&port)); /* a free one */
	has_backend = true;
}

static void teardown(void)
{
	forwards_free(forwards);
	conf_free(conf);
	loop_free(loop);
	close_fd(backend);
}

/* The condition may have effects: it is looked at until it is true, and not again. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 10 * USEC_PER_SEC;                               \
		bool is_true_;                                                                     \
		while (!(is_true_ = (condition)) && clock_boot_us() < end_)                        \
			(void)loop_once(loop, 2000);                                               \
		cr_assert(is_true_, #condition);                                                   \
	} while (0)

static void take_info(const struct forwards_info *info, void *arg)
{
	*(struct forwards_info *)arg = *info;
}

static struct forwards_info info(void)
{
	struct forwards_info i = {0};

	forwards_each(forwards, take_info, NULL, &i);
	return i;
}

static int call_from(uint32_t host)
{
	struct sockaddr_in from = at(host, 0), to = at(INADDR_LOOPBACK, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	cr_assert(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	return fd;
}

static int accepted(void)
{
	int fd = -1;

	AWAIT((fd = accept4(backend, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void hear(int fd, const char *text)
{
	char got[64] = "";
	size_t n = 0;

	AWAIT(({
		ssize_t r = recv(fd, got + n, sizeof(got) - 1 - n, 0);

		n += r > 0 ? (size_t)r : 0;
		n >= strlen(text);
	}));
	cr_assert_str_eq(got, text);
}

/* What recv() says when it does not say "later": 0 = an end, -errno = broken. */
static int end_of(int fd)
{
	char c;
	ssize_t r = -1;

	AWAIT((r = recv(fd, &c, 1, 0)) >= 0 || errno != EAGAIN);
	cr_assert_leq(r, 0);
	return r == 0 ? 0 : -errno;
}

/* True if the loop waits instead of going round. */
static bool is_calm(void)
{
	int n = 0;

	for (int i = 0; i < 20; i++)
		n += loop_once(loop, 5000) > 0;
	return n < 5;
}

Test(forward, both_ways_and_each_end_by_itself, .init = setup, .fini = teardown)
{
	int caller, served;

	start();
	AWAIT(info().is_listening);
	caller = call_from(INADDR_LOOPBACK);
	served = accepted();
	say(caller, "question");
	hear(served, "question");
	say(served, "answer");
	hear(caller, "answer");
	cr_assert(is_calm());
	say(caller, "last");
	cr_assert_eq(shutdown(caller, SHUT_WR), 0);
	hear(served, "last");
	cr_assert_eq(end_of(served), 0);
	cr_assert(is_calm());
	cr_assert_eq(info().active, 1);
	say(served, "still there");
	hear(caller, "still there");
	close_fd(served);
	cr_assert_eq(end_of(caller), 0);
	AWAIT(info().active == 0);
	cr_assert_eq(info().connections, 1);
	cr_assert_eq(info().failed, 0);
	cr_assert_str_eq(info().text, "");
	close_fd(caller);
}

/* Either side may end first, with bytes on the way, and a slow reader gets all of them. */
static void big(bool is_from_caller)
{
	enum { SIZE = 24 << 20 };
	static char chunk[65536];
	int caller, served, from, to;
	size_t sent = 0, got = 0;
	bool is_ended = false;

	start();
	AWAIT(info().is_listening);
	caller = call_from(INADDR_LOOPBACK);
	served = accepted();
	from = is_from_caller ? caller : served;
	to = is_from_caller ? served : caller;
	cr_assert_eq(shutdown(to, SHUT_WR), 0); /* it has nothing to say */
	while (got < SIZE) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (char)((sent + i) % 251);
		n = sent < SIZE ? send(from, chunk, MIN(sizeof(chunk), SIZE - sent), MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		if (sent == SIZE && !is_ended) {
			cr_assert_eq(shutdown(from, SHUT_WR), 0);
			is_ended = true;
		}
		(void)loop_once(loop, 100);
		n = recv(to, chunk, 30011, 0);
		for (ssize_t i = 0; i < n; i++)
			cr_assert_eq(chunk[i], (char)((got + (size_t)i) % 251));
		cr_assert(n != 0, "an end after %zu bytes", got);
		cr_assert(n > 0 || errno == EAGAIN, "%s after %zu bytes", strerror(errno), got);
		got += n > 0 ? (size_t)n : 0;
	}
	cr_assert_eq(end_of(to), 0);
	AWAIT(info().active == 0);
	close_fd(caller);
	close_fd(served);
}

Test(forward, much_from_the_caller, .init = setup, .fini = teardown, .timeout = 60)
{
	big(true);
}

Test(forward, much_from_the_backend, .init = setup, .fini = teardown, .timeout = 60)
{
	big(false);
}

Test(forward, a_reset_is_passed_on, .init = setup, .fini = teardown)
{
	const struct linger now = {.l_onoff = 1};
	int caller, served;

	start();
	AWAIT(info().is_listening);
	caller = call_from(INADDR_LOOPBACK);
	served = accepted();
	say(caller, "x");
	hear(served, "x");
	cr_assert_eq(setsockopt(caller, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close_fd(caller);
	cr_assert_leq(end_of(served), 0);
	AWAIT(info().active == 0);
	close_fd(served);
}

Test(forward, without_backend_callers_are_refused, .init = setup, .fini = teardown)
{
	int caller;

	start();
	AWAIT(info().is_listening);
	has_backend = false;
	caller = call_from(INADDR_LOOPBACK);
	cr_assert_eq(end_of(caller), -ECONNRESET);
	cr_assert_str_eq(info().text, "the Service has no backend");
	cr_assert_eq(info().failed, 1);
	cr_assert_eq(info().active, 0);
	close_fd(caller);
	has_backend = true;
	close_fd(TAKE_FD(backend)); /* nobody listens there */
	caller = call_from(INADDR_LOOPBACK);
	cr_assert_leq(end_of(caller), 0);
	AWAIT(info().failed == 2);
	cr_assert_not_null(strstr(info().text, "Connection refused"), "%s", info().text);
	close_fd(caller);
}

Test(forward, it_takes_the_port_over, .init = setup, .fini = teardown)
{
	int workload = listen_at(&port), caller;

	start();
	AWAIT(*info().text);
	cr_assert_not(info().is_listening);
	cr_assert_not_null(strstr(info().text, "Address already in use"), "%s", info().text);
	close_fd(workload);
	AWAIT(info().is_listening);
	cr_assert_str_eq(info().text, "");
	caller = call_from(INADDR_LOOPBACK);
	close_fd(accepted());
	close_fd(caller);
}

static void take_caller(const struct forwards_info *i, const struct forwards_caller *c, void *arg)
{
	(void)i;
	if (c->ip.b[1] == 0 && c->ip.b[3] == 2) /* 127.0.0.2 */
		*(struct forwards_caller *)arg = *c;
}

Test(forward, callers_are_counted, .init = setup, .fini = teardown)
{
	struct forwards_caller c = {0};
	int calls[3], served[3];

	start();
	AWAIT(info().is_listening);
	for (uint32_t i = 0; i < 3; i++) {
		calls[i] = call_from(0x7f000002u + i / 2); /* two of .2, one of .3 */
		served[i] = accepted();
	}
	cr_assert_eq(info().n_callers, 2);
	forwards_each(forwards, NULL, take_caller, &c);
	cr_assert_eq(c.connections, 2);
	cr_assert_eq(c.active, 2);
	close_fd(calls[0]);
	close_fd(served[0]);
	AWAIT(info().active == 2);
	forwards_each(forwards, NULL, take_caller, &c);
	cr_assert_eq(c.connections, 2);
	cr_assert_eq(c.active, 1);
	cr_assert_leq(c.first_us, c.last_us);
	for (size_t i = 1; i < 3; i++) {
		close_fd(calls[i]);
		close_fd(served[i]);
	}
}

/* More than fit: those without a connection are forgotten first. */
Test(forward, callers_are_bounded, .init = setup, .fini = teardown, .timeout = 60)
{
	struct forwards_caller c = {0};
	int first, served;

	start();
	AWAIT(info().is_listening);
	first = call_from(0x7f000002u);
	served = accepted();
	has_backend = false;
	for (uint32_t i = 0; i < LIMIT_FORWARD_CALLERS + 50; i++) {
		int fd = call_from(0x7f010000u + i);

		AWAIT(info().connections == i + 2);
		close_fd(fd);
	}
	cr_assert_eq(info().n_callers, LIMIT_FORWARD_CALLERS);
	cr_assert_eq(info().callers_left_out, 51);
	forwards_each(forwards, NULL, take_caller, &c);
	cr_assert_eq(c.active, 1); /* the one that is connected is still there */
	close_fd(first);
	close_fd(served);
}

Test(forward, a_reload_keeps_what_is_the_same, .init = setup, .fini = teardown)
{
	int caller, served;
	char more[128];
	uint16_t other = 0;

	start();
	AWAIT(info().is_listening);
	caller = call_from(INADDR_LOOPBACK);
	served = accepted();
	close_fd(listen_at(&other));
	(void)snprintf(more, sizeof(more), ", { port = %u; address = \"127.0.0.1\"; service = \"shop\"; }", other);
	{
		struct conf *old = conf;

		conf = NULL;
		configure(more);
		conf_swap_live(old, conf); /* the object looks at the old address, as in the daemon */
		cr_assert_eq(forwards_reload(forwards), 0);
		say(caller, "on");
		hear(served, "on");
		AWAIT(info().conf->port == other && info().is_listening);
		old->forwards.n = 0; /* none any more */
		cr_assert_eq(forwards_reload(forwards), 0);
		cr_assert_leq(end_of(caller), 0);
		cr_assert_leq(end_of(served), 0);
		cr_assert_null(info().conf);
		old->forwards.n = 2; /* all of it is freed */
		conf_free(old);
	}
	close_fd(caller);
	close_fd(served);
}
