/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/sample.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macro.h"
#include "probe/check_tcp.h"

struct sample {
	sample_fn fn;
	void *arg;
	uint64_t began_us, timeout_us;
	struct source *timer; /* patience, or what failed at once */
	struct check_tcp *tcp;
	struct http_op *http;
	int failed; /* -errno of the start */
};

void sample_cancel(struct sample *s)
{
	if (!s)
		return;
	check_tcp_cancel(s->tcp);
	http_cancel(s->http);
	source_free(s->timer);
	free(s);
}

static void finish(struct sample *s, const char *text)
{
	uint64_t latency_us = clock_boot_us() - s->began_us;
	sample_fn fn = s->fn;
	void *arg = s->arg;

	sample_cancel(s);
	fn(latency_us, text, arg);
}

static void on_tcp(enum check_outcome outcome, const char *text, void *arg)
{
	struct sample *s = arg;

	s->tcp = NULL;
	finish(s, outcome == CHECK_OK ? NULL : text);
}

/* The status is all that counts; what follows is not waited for. */
static void on_head(long status, void *arg)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "status %ld", status);
	finish(arg, status >= 200 && status < 400 ? NULL : text);
}

static void on_http(const struct http_result *result, void *arg)
{
	struct sample *s = arg;

	s->http = NULL;
	finish(s, result->r == 0 ? "no HTTP" : err_name(result->r));
}

static void on_timer(void *arg)
{
	struct sample *s = arg;
	char text[48];

	(void)snprintf(text, sizeof(text), "no answer within %llu s", (unsigned long long)(s->timeout_us / USEC_PER_SEC));
	finish(s, s->failed ? err_name(s->failed) : text);
}

static int start_http(struct sample *s, struct http *http, const struct sample_target *t)
{
	struct http_request req = {.method = "GET", .timeout_us = t->timeout_us + USEC_PER_SEC, .on_head = on_head,
				   .on_done = on_http, .arg = s};
	CLEANUP(buf_done) struct buf url = {0};
	bool is_v6 = t->ip.family == AF_INET6;
	char ip[IP_STRLEN];
	int r = buf_addf(&url, "%s://%s%s%s:%u%s", t->is_tls ? "https" : "http", is_v6 ? "[" : "", ip_str(&t->ip, ip),
			 is_v6 ? "]" : "", t->port, t->path);

	req.url = url.data;
	return r < 0 ? r : http_start(http, &req, &s->http);
}

int sample_start(struct loop *loop, struct http *http, const struct sample_target *target, sample_fn fn, void *arg,
		 struct sample **ret)
{
	struct sample *s = calloc(1, sizeof(*s));
	int r = s ? loop_add_timer(loop, on_timer, s, &s->timer) : -ENOMEM;

	if (r < 0) {
		sample_cancel(s);
		return r;
	}
	s->fn = fn;
	s->arg = arg;
	s->began_us = clock_boot_us();
	s->timeout_us = target->timeout_us;
	s->failed = target->path ? start_http(s, http, target)
				 : check_tcp_start(loop, &target->ip, target->port, on_tcp, s, &s->tcp);
	r = source_arm(s->timer, s->failed ? 0 : s->timeout_us, 0);
	if (r < 0) {
		sample_cancel(s);
		return r;
	}
	*ret = s;
	return 0;
}
