/* SPDX-License-Identifier: Apache-2.0 */
/* The client against the in-tree API server: fail-over, hung servers, and what it says of its credential. */
#include "../lib/helpers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "event/loop.h"
#include "kube/kube_client.h"
#include "kube/refusal.h"

#define DEAD	   "https://127.0.0.1:1" /* nothing listens on port 1 */
#define NAMESPACES "/api/v1/namespaces"
#define MAPS	   NAMESPACES "/%s/configmaps"

static struct world w;
static struct loop *loop;
static struct kube_client *client;

struct answer {
	bool is_open, is_done;
	unsigned n_data;
	int r;
	int64_t retry_after_s;
	char server[64];
};

static void make_client(const char *first, const char *second)
{
	CLEANUP(buf_done) struct buf ca = {0};
	const char *servers[] = {first, second};
	struct kube_conf conf = {.servers = servers, .n_servers = second ? 2 : 1, .token = w.api->token};
	struct err err = {0};

	cr_assert_eq(file_read(w.api->ca_path, 1 << 20, &ca), 0);
	conf.ca_pem = ca.data;
	cr_assert_eq(kube_client_new(loop, &conf, &client, &err), 0, "%s", err.text);
}

static void setup(void)
{
	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

static void fault(const char *text)
{
	want_code(&w, 200, "POST", json_loads(text, 0, NULL), "/test/faults");
}

static void on_open(void *arg)
{
	((struct answer *)arg)->is_open = true;
}

static int on_data(const char *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	((struct answer *)arg)->n_data++;
	return 0;
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct answer *a = arg;

	a->is_done = true;
	a->r = res->r;
	a->retry_after_s = res->retry_after_s;
	(void)snprintf(a->server, sizeof(a->server), "%s", res->server);
}

#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 10 * USEC_PER_SEC;                               \
		while (!(condition) && clock_boot_us() < end_)                                     \
			(void)loop_once(loop, 5000);                                               \
		cr_assert(condition);                                                              \
	} while (0)

static void ask(struct answer *a, const char *path, int64_t timeout_us)
{
	struct kube_request req = {.path = path, .timeout_us = timeout_us, .on_open = on_open, .on_done = on_done, .arg = a};

	*a = (struct answer){0};
	cr_assert_eq(kube_start(client, &req, NULL), 0);
}

static int asked(const char *path)
{
	struct answer a;

	ask(&a, path, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.is_open, a.r == 0);
	return a.r;
}

/* Where connections are about to go. */
struct going {
	int listener; /* nothing has arrived there yet when the client says that it will */
	uint16_t port;
	struct ip ip;
	unsigned n, n_early;
};

static void on_connect(const struct ip *ip, uint16_t port, void *arg)
{
	struct going *g = arg;
	int fd = accept4(g->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (ip->family != AF_INET) /* a name may have more addresses */
		return;
	g->n++;
	g->n_early += fd < 0 && errno == EAGAIN;
	g->ip = *ip;
	g->port = port;
	if (fd >= 0)
		(void)close(fd);
}

/* Whoever lets connections through policy must know before the first packet leaves. */
Test(kube_client, tells_where_it_will_connect, .init = setup, .fini = teardown)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	struct going g = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	CLEANUP(buf_done) struct buf ca = {0};
	CLEANUP(free) char *url = NULL;
	const char *servers[1];
	struct kube_conf conf = {.servers = servers, .n_servers = 1, .on_connect = on_connect, .arg = &g};
	struct answer a;
	struct err err = {0};
	char text[IP_STRLEN];
	int fd = -1;

	cr_assert_eq(bind(g.listener, (const struct sockaddr *)&sin, sizeof(sin)), 0);
	cr_assert_eq(listen(g.listener, 4), 0);
	cr_assert_eq(getsockname(g.listener, (struct sockaddr *)&sin, &len), 0);
	url = must_printf("https://localhost:%u", ntohs(sin.sin_port));
	servers[0] = url;
	cr_assert_eq(file_read(w.api->ca_path, 1 << 20, &ca), 0);
	conf.ca_pem = ca.data;
	cr_assert_eq(kube_client_new(loop, &conf, &client, &err), 0, "%s", err.text);
	ask(&a, NAMESPACES, 0);
	AWAIT(fd >= 0 || (fd = accept4(g.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	cr_expect_eq(g.n, 1);
	cr_expect_eq(g.n_early, 1, "before it connects");
	cr_expect_eq(g.port, ntohs(sin.sin_port));
	cr_expect_str_eq(ip_str(&g.ip, text), "127.0.0.1");
	(void)close(fd);
	AWAIT(a.is_done);
	(void)close(g.listener);
}

Test(kube_client, passes_over_dead_servers, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *body = NULL;
	struct err err = {0};

	make_client(DEAD, w.api->url);
	cr_expect_eq(kube_call(loop, client, "GET", NAMESPACES, NULL, &body, &err), 0, "%s", err.text);
	cr_expect_str_eq(kube_client_server(client), w.api->url);
	fault("[{\"action\":\"status\",\"status\":403,\"count\":1}]");
	cr_expect_eq(kube_call(loop, client, "GET", NAMESPACES, NULL, NULL, &err), -EPERM, "an answer is an answer");
	kube_client_free(client);
	make_client(w.api->url, DEAD);
	fault("[{\"action\":\"cut\",\"after_bytes\":20,\"count\":1}]");
	cr_expect_eq(kube_call(loop, client, "GET", NAMESPACES, NULL, NULL, &err), -ECONNRESET,
		     "what may have been done is not done twice");
	cr_expect(strstr(err.text, w.api->url), "names who was asked: %s", err.text);
	kube_client_free(client);
	make_client(DEAD, DEAD);
	cr_expect_eq(kube_call(loop, client, "GET", NAMESPACES, NULL, NULL, &err), -ECONNREFUSED);
}

/* Whoever fails is named, not who comes next. */
Test(kube_client, names_who_was_asked, .init = setup, .fini = teardown)
{
	struct answer a;

	make_client(DEAD, w.api->url);
	ask(&a, NAMESPACES, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.r, -ECONNREFUSED);
	cr_expect_str_eq(a.server, DEAD);
	cr_expect_str_eq(kube_client_server(client), w.api->url);
}

Test(kube_client, retry_after_has_a_limit, .init = setup, .fini = teardown)
{
	struct answer a;

	make_client(w.api->url, NULL);
	fault("[{\"action\":\"retry-after\",\"retry_after\":3,\"count\":1},"
	      "{\"action\":\"retry-after\",\"retry_after\":3600,\"count\":1}]");
	ask(&a, NAMESPACES, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.retry_after_s, 3);
	ask(&a, NAMESPACES, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.retry_after_s, 60);
}

/* Streams that a hung server holds look quiet; a question without answer breaks them. */
Test(kube_client, a_hung_server_is_noticed, .init = setup, .fini = teardown)
{
	static const char watch_path[] = NAMESPACES "?watch=1&resourceVersion=";
	CLEANUP(free) char *rv = NULL, *path = NULL;
	struct answer watch = {0}, a;
	struct kube_request req = {.timeout_us = -1, .on_open = on_open, .on_data = on_data, .on_done = on_done, .arg = &watch};
	uint64_t end;

	make_client(w.api->url, NULL);
	rv = current_rv(&w);
	path = str_printf("%s%s", watch_path, rv);
	req.path = path;
	cr_assert_eq(kube_start(client, &req, NULL), 0);
	AWAIT(watch.is_open);
	/* The watch speaks meanwhile: then only that one request is slow. */
	fault("[{\"action\":\"hang\",\"match\":{\"watch\":false,\"method\":\"GET\"},\"count\":2}]");
	ask(&a, NAMESPACES, USEC_PER_SEC);
	end = clock_boot_us() + 200 * USEC_PER_MSEC;
	while (clock_boot_us() < end)
		(void)loop_once(loop, 5000);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "told-meanwhile"), NAMESPACES);
	AWAIT(a.is_done);
	cr_expect_eq(a.r, -ETIMEDOUT);
	cr_expect_gt(watch.n_data, 0);
	cr_expect_not(watch.is_done);
	/* Nothing at all came. */
	ask(&a, NAMESPACES, 500 * USEC_PER_MSEC);
	AWAIT(a.is_done);
	cr_expect_eq(a.r, -ETIMEDOUT);
	AWAIT(watch.is_done);
	cr_expect_eq(watch.r, -ECONNRESET);
}

static struct kube_op *watch_in_vain(struct answer *a)
{
	struct kube_request req = {.path = NAMESPACES "?watch=1", .timeout_us = -1, .on_open = on_open, .on_data = on_data, .on_done = on_done, .arg = a};
	struct kube_op *op;

	fault("[{\"action\":\"hang\",\"match\":{\"watch\":true},\"count\":1}]");
	*a = (struct answer){0};
	cr_assert_eq(kube_start(client, &req, &op), 0);
	return op;
}

/* Whether the server hangs, or one answer only, is seen by what others got meanwhile. */
Test(kube_client, an_answer_is_given_up, .init = setup, .fini = teardown)
{
	uint64_t since_us = clock_boot_us(), end;
	struct kube_op *op;
	struct answer a;

	make_client(w.api->url, DEAD);
	op = watch_in_vain(&a);
	cr_expect_eq(asked(NAMESPACES), 0);
	kube_give_up(op, since_us);
	cr_expect_eq(asked(NAMESPACES), 0);
	cr_expect_str_eq(kube_client_server(client), w.api->url);
	op = watch_in_vain(&a);
	since_us = clock_boot_us();
	for (end = since_us + 200 * USEC_PER_MSEC; clock_boot_us() < end;)
		(void)loop_once(loop, 5000);
	kube_give_up(op, since_us);
	cr_expect_str_eq(kube_client_server(client), DEAD);
	cr_expect_eq(asked(NAMESPACES), -ECONNREFUSED);
	cr_expect_not(a.is_open || a.is_done, "who gave up is told nothing more");
}

/* A peer that is gone is noticed by the kernel's probes. */
Test(kube_client, sockets_probe_their_peers, .init = setup, .fini = teardown)
{
	unsigned n = 0;

	make_client(w.api->url, NULL);
	cr_assert_eq(asked(NAMESPACES), 0);
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in peer = {0};
		socklen_t len = sizeof(peer), size = sizeof(int);
		int keepalive = 0, idle = 0, user_timeout = 0;

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 || peer.sin_family != AF_INET ||
		    getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, &size) < 0 || !user_timeout)
			continue; /* not the client's: the tests' own connection to the server has no timeout */
		n++;
		cr_expect_eq(user_timeout, 30000);
		cr_expect_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &size), 0);
		cr_expect_neq(keepalive, 0);
		cr_expect_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
		cr_expect_eq(idle, 30);
	}
	cr_expect_eq(n, 1);
}

/* One 401 is not the end of a credential. */
Test(kube_client, refusals_of_the_own_token, .init = setup, .fini = teardown)
{
	static const char refuse[] = "[{\"action\":\"status\",\"status\":401,\"count\":1}]";
	struct err err = {0};
	const struct kube_request other = {.path = NAMESPACES, .bearer = "no-such-token"};

	make_client(w.api->url, NULL);
	cr_expect_eq(kube_call_request(loop, client, &other, NULL, &err), -EACCES);
	cr_expect_not(kube_client_is_refused(client), "that was another token");
	for (unsigned i = 0; i < 3; i++) {
		fault(refuse);
		cr_expect_eq(asked(NAMESPACES), -EACCES);
		cr_expect(kube_client_is_refused(client));
		(void)loop_once(loop, 2000);
		cr_expect_gt(kube_client_refused_us(client), 0);
		switch (i) {
		case 0:
			fault("[{\"action\":\"status\",\"status\":503,\"count\":1}]");
			cr_expect_eq(asked(NAMESPACES), -EIO);
			cr_expect(kube_client_is_refused(client), "such an answer says nothing of the token");
			cr_expect_eq(asked(NAMESPACES), 0);
			break;
		case 1:
			fault("[{\"action\":\"status\",\"status\":403,\"count\":1}]");
			cr_expect_eq(asked(NAMESPACES), -EPERM);
			break;
		default:
			cr_expect_eq(kube_client_set_token(client, w.api->token), 0);
		}
		cr_expect_not(kube_client_is_refused(client), "%u", i);
		cr_expect_eq(kube_client_refused_us(client), 0);
	}
}

Test(refusal, counts_runs_only)
{
	struct refusal f = {0};

	cr_expect_eq(refusal_lasts_us(&f, 5), 0);
	for (uint64_t s = 100; s <= 250; s += 50)
		refusal_note(&f, true, s * USEC_PER_SEC);
	cr_expect_eq(refusal_lasts_us(&f, 260 * USEC_PER_SEC), 160 * USEC_PER_SEC);
	cr_expect_eq(refusal_lasts_us(&f, 311 * USEC_PER_SEC), 0, "nobody says so any more");
	refusal_note(&f, true, 400 * USEC_PER_SEC);
	cr_expect_eq(refusal_lasts_us(&f, 401 * USEC_PER_SEC), USEC_PER_SEC, "a new run");
	refusal_note(&f, false, 402 * USEC_PER_SEC);
	cr_expect_eq(refusal_lasts_us(&f, 402 * USEC_PER_SEC), 0);
	cr_expect_eq(f.since_us, 0);
}

/* Requests that end, are cancelled in each other's callbacks, or by the end of their client. */

static void run_for(uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		(void)loop_once(loop, 5000);
}

static struct kube_op *op_a, *op_b;
static unsigned n_done;

static void on_first_done(const struct kube_result *res, void *arg)
{
	struct kube_op **other = arg;

	(void)res;
	n_done++;
	kube_cancel(*other);
	*other = NULL;
}

Test(kube_client, cancelled_in_callbacks, .init = setup, .fini = teardown)
{
	make_client(w.api->url, NULL);
	for (unsigned i = 0; i < 50; i++) {
		struct kube_request a = {.path = "/api/v1/namespaces", .on_done = on_first_done, .arg = &op_b};
		struct kube_request b = {.path = "/api/v1/services", .on_done = on_first_done, .arg = &op_a};
		uint64_t end = clock_boot_us() + 5 * USEC_PER_SEC;

		n_done = 0;
		cr_assert_eq(kube_start(client, &a, &op_a), 0);
		cr_assert_eq(kube_start(client, &b, &op_b), 0);
		if (i % 5 == 0) {
			kube_cancel(op_a);
			op_a = NULL;
		}
		while (!n_done && clock_boot_us() < end)
			(void)loop_once(loop, 5000);
		run_for(2000);
		cr_assert_eq(n_done, 1, "the other was cancelled");
	}
	kube_client_free(client);
	make_client(w.api->url, NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct kube_request a = {.path = "/api/v1/namespaces", .on_done = on_first_done, .arg = &op_b};

		op_b = NULL;
		cr_assert_eq(kube_start(client, &a, NULL), 0);
		run_for(i * 700);
		kube_client_free(client);
		make_client(w.api->url, NULL);
	}
}

Test(kube_client, results, .init = setup, .fini = teardown)
{
	static const struct {
		int status, r;
	} cases[] = {{401, -EACCES}, {403, -EPERM}, {404, -ENOENT}, {410, -ESTALE}, {400, -EINVAL},
		     {415, -EINVAL}, {422, -EINVAL}, {429, -EBUSY}, {500, -EIO}, {503, -EIO}};
	CLEANUP(json) json_t *body = NULL;
	CLEANUP(free) char *path = str_printf(MAPS, w.ns);
	struct err err = {0};

	make_client(w.api->url, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *text = str_printf("[{\"action\":\"status\",\"status\":%d,\"count\":1}]", cases[i].status);

		fault(text);
		cr_expect_eq(kube_call(loop, client, "GET", "/api/v1/namespaces", NULL, NULL, &err), cases[i].r, "%d",
			     cases[i].status);
		cr_expect(strstr(err.text, "/api/v1/namespaces"), "%s", err.text);
	}
	want_code(&w, 201, "POST", config_map("m1", "x", "1"), MAPS, w.ns);
	body = config_map("m1", "x", "1");
	cr_expect_eq(kube_call(loop, client, "POST", path, body, NULL, &err), -EEXIST);
	fault("[{\"action\":\"cut\",\"after_bytes\":20,\"count\":1}]");
	cr_expect_eq(kube_call(loop, client, "GET", path, NULL, NULL, &err), -ECONNRESET);
	fault("[{\"action\":\"garbage\",\"after_bytes\":20,\"count\":1}]");
	cr_expect_lt(kube_call(loop, client, "GET", path, NULL, NULL, &err), 0);
	cr_expect_eq(kube_call(loop, client, "GET", path, NULL, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(kube_client_set_token(client, "no-such-token"), 0);
	cr_expect_eq(kube_call(loop, client, "GET", path, NULL, NULL, &err), -EACCES);
}

/* What a request for an object may bring is less than a list that an admin reads: a hostile server gets no memory by it. */
Test(kube_client, answers_have_a_limit, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *many = str_printf(MAPS "/many", w.ns), *large = str_printf(MAPS "/large", w.ns);
	CLEANUP(free) char *padding = calloc(1, LIMIT_ANSWER_BYTES + 1);
	json_t *map = config_map("many", "k", "");
	struct err err = {0};
	struct answer a;

	for (unsigned i = 0; i < LIMIT_ANSWER_VALUES / 2; i++) {
		CLEANUP(free) char *key = str_printf("k%u", i);

		json_object_set_new(json_object_get(map, "data"), key, json_string(""));
	}
	want_code(&w, 201, "POST", map, MAPS, w.ns);
	memset(padding, 'x', LIMIT_ANSWER_BYTES);
	want_code(&w, 201, "POST", config_map("large", "k", padding), MAPS, w.ns);
	make_client(w.api->url, NULL);
	ask(&a, many, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.r, -E2BIG);
	ask(&a, large, 0);
	AWAIT(a.is_done);
	cr_expect_eq(a.r, -E2BIG);
	cr_expect_eq(asked(NAMESPACES), 0);
	cr_expect_eq(kube_call(loop, client, "GET", many, NULL, NULL, &err), 0, "%s", err.text);
	cr_expect_eq(kube_call(loop, client, "GET", large, NULL, NULL, &err), 0, "%s", err.text);
}
