/* SPDX-License-Identifier: Apache-2.0 */
/* Samples against listeners on loopback. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "probe/sample.h"

static struct loop *loop;
static struct http *http;
static int listener = -1, asker = -1;
static const char *answer; /* NULL: takes connections and says nothing */
static char said[128];
static unsigned told;
static uint64_t took_us;

static void setup(void)
{
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(http_new(loop, NULL, &http), 0);
}

static void teardown(void)
{
	http_free(http);
	loop_free(loop);
	close_fd(listener);
	close_fd(asker);
}

static uint16_t listen_now(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert(bind(listener, (struct sockaddr *)&sa, len) == 0 && listen(listener, 4) == 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

static void on_sample(uint64_t latency_us, const char *text, void *arg)
{
	cr_assert_eq(arg, &told);
	told++;
	took_us = latency_us;
	(void)snprintf(said, sizeof(said), "%s", text ? text : "well");
}

static void serve(void)
{
	char room[1024];

	if (asker < 0)
		asker = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (asker >= 0 && answer && recv(asker, room, sizeof(room), MSG_DONTWAIT) > 0)
		cr_assert_eq(send(asker, answer, strlen(answer), MSG_NOSIGNAL), (ssize_t)strlen(answer));
}

static const char *sample(uint16_t port, const char *path, uint64_t timeout_us)
{
	const struct sample_target t = {.ip = {.family = AF_INET, .b = {127, 0, 0, 1}}, .port = port, .path = path,
					.timeout_us = timeout_us};
	uint64_t end_us = clock_boot_us() + 8 * USEC_PER_SEC;
	struct sample *s = NULL;

	told = 0;
	cr_assert_eq(sample_start(loop, http, &t, on_sample, &told, &s), 0);
	cr_assert_eq(told, 0); /* never at once */
	while (!told && clock_boot_us() < end_us) {
		(void)loop_once(loop, 10000);
		if (listener >= 0)
			serve();
	}
	cr_assert_eq(told, 1);
	return said;
}

Test(sample, tcp, .init = setup, .fini = teardown)
{
	uint16_t port = listen_now();

	cr_expect_str_eq(sample(port, NULL, USEC_PER_SEC), "well");
	cr_expect_lt(took_us, USEC_PER_SEC);
	close_fd(listener);
	listener = -1;
	cr_expect_str_eq(sample(port, NULL, USEC_PER_SEC), "Connection refused");
}

Test(sample, http, .init = setup, .fini = teardown)
{
	static const struct {
		const char *answer, *want;
	} cases[] = {{"HTTP/1.0 200 OK\r\n\r\n", "well"}, {"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "well"},
		     {"HTTP/1.0 500 Oh no\r\n\r\n", "status 500"}, {"HTTP/1.0 404 Not Found\r\n\r\n", "status 404"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t port = listen_now();

		answer = cases[i].answer;
		cr_expect_str_eq(sample(port, "/health", 2 * USEC_PER_SEC), cases[i].want, "%s: %s", answer, said);
		close_fd(asker);
		close_fd(listener);
		asker = listener = -1;
	}
}

Test(sample, patience, .init = setup, .fini = teardown)
{
	uint16_t port = listen_now();

	answer = NULL;
	cr_expect_str_eq(sample(port, "/", USEC_PER_SEC), "no answer within 1 s");
	cr_expect_geq(took_us, USEC_PER_SEC);
}

/* One that is cancelled says nothing more. */
Test(sample, cancelled, .init = setup, .fini = teardown)
{
	const struct sample_target t = {.ip = {.family = AF_INET, .b = {127, 0, 0, 1}}, .port = listen_now(),
					.timeout_us = USEC_PER_SEC};
	struct sample *s = NULL;

	told = 0;
	cr_assert_eq(sample_start(loop, http, &t, on_sample, &told, &s), 0);
	sample_cancel(s);
	for (int i = 0; i < 5; i++)
		(void)loop_once(loop, 10000);
	cr_expect_eq(told, 0);
	sample_cancel(NULL);
}
