/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd and the poll loop: requests come in here and answers leave. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "apiserver_gzip.h"
#include "apiserver_keys.h"
#include "apiserver_status.h"
#include "apiserver_util.h"
#include "base/clock.h"
#include "base/ip.h"

enum {
	BODY_MAX = 3 * 1024 * 1024, /* as the real server */
	GC_DELAY_US = 50000,
	CONNECTION_MEMORY = 128 * 1024, /* also bounds what one write of a stream takes */
	CONNECTIONS_MAX = 2048,
	IDLE_S = 90, /* as kube-apiserver; libmicrohttpd frees what is closed in the order of the last activity */
};

const char *req_query(const struct req *q, const char *name)
{
	const char *v = MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, name);

	return v ? v : "";
}

bool req_query_bool(const struct req *q, const char *name)
{
	const char *v = req_query(q, name);

	return str_eq(v, "1") || str_eq(v, "true") || str_eq(v, "True") || str_eq(v, "t");
}

const char *req_header(const struct req *q, const char *name)
{
	const char *v = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, name);

	return v ? v : "";
}

void req_reply_text(struct req *q, int code, const char *body)
{
	q->code = code;
	buf_clear(&q->out);
	must_add_str(&q->out, body);
}

void req_reply(struct req *q, int code, json_t *body)
{
	CLEANUP(json) json_t *j = must(body);
	CLEANUP(free) char *text = json_text(j);

	req_reply_text(q, code, text);
	must_add(&q->out, "\n", 1);
}

void req_reply_object(struct req *q, int code, const struct object *o)
{
	q->code = code;
	buf_clear(&q->out);
	must_add(&q->out, o->text, o->text_len);
	must_add(&q->out, "\n", 1);
}

static void req_suspend(struct req *q)
{
	if (q->is_suspended)
		return;
	q->is_suspended = true;
	MHD_suspend_connection(q->conn);
}

static void req_resume(struct req *q)
{
	if (!q->is_suspended)
		return;
	q->is_suspended = false;
	q->wake_us = 0;
	q->srv->has_resumed = true;
	MHD_resume_connection(q->conn);
}

static struct req *req_new(struct server *s, struct MHD_Connection *conn, const char *url,
			   const char *method)
{
	struct req *q = must(calloc(1, sizeof(*q)));

	q->srv = s;
	q->conn = conn;
	q->url = must_strdup(url);
	q->method = must_strdup(method);
	q->start_us = clock_boot_us();
	q->next = s->reqs;
	if (s->reqs)
		s->reqs->prev = q;
	s->reqs = q;
	return q;
}

static void req_free(struct req *q)
{
	if (q->prev)
		q->prev->next = q->next;
	else
		q->srv->reqs = q->next;
	if (q->next)
		q->next->prev = q->prev;
	if (q->watch)
		q->srv->stats.watches_open--;
	watch_free(q->watch);
	fault_free(q->fault);
	selector_done(&q->selector);
	strv_done(&q->parts);
	user_done(&q->user);
	buf_done(&q->in);
	buf_done(&q->out);
	free(q->url);
	free(q->method);
	free(q);
}

static void stats_note(struct req *q)
{
	struct stats *st = &q->srv->stats;
	CLEANUP(free) char *key = must_printf("%s %s%s%s", *q->attr.verb ? q->attr.verb : q->method,
				*q->attr.resource ? q->attr.resource : q->url,
				*q->attr.sub ? "/" : "", q->attr.sub);
	json_t *n = json_object_get(st->requests, key);

	if (n || json_object_size(st->requests) < 1000)
		json_put(st->requests, key, json_integer(json_integer_value(n) + 1));
	if (q->watch) {
		st->watches_open++;
		st->watches_total++;
	}
}

/* How many bytes the fault lets pass now; -1 when the stream ends here, -2 when it breaks here. */
static ssize_t fault_allows(struct req *q, size_t n, uint64_t now)
{
	const struct fault *f = q->fault;
	size_t left;

	if (!f)
		return (ssize_t)n;
	left = f->after_bytes > q->sent ? f->after_bytes - q->sent : 0;
	switch (f->action) {
	case FAULT_CUT:
		return left == 0 ? -2 : (ssize_t)MIN(n, left);
	case FAULT_HANG:
		if (left == 0)
			q->wake_us = 0;
		return (ssize_t)MIN(n, left);
	case FAULT_SLOW:
		if (now < q->slow_us) {
			q->wake_us = q->slow_us;
			return 0;
		}
		q->slow_us = now + f->delay_ms * USEC_PER_MSEC;
		return (ssize_t)MIN(n, MAX(f->after_bytes, 1U));
	default:
		return (ssize_t)n;
	}
}

/* The rest of the body is replaced by something that is no JSON. */
static void fault_garble(struct req *q)
{
	static const char noise[] = "}]\x01\xff<html>not json";
	size_t keep = q->fault->after_bytes > q->sent ? q->fault->after_bytes - q->sent : 0;

	if (q->fault->action != FAULT_GARBAGE || keep >= q->out.len)
		return;
	for (size_t i = keep; i < q->out.len; i++)
		q->out.data[i] = noise[(i - keep) % (sizeof(noise) - 1)];
}

static ssize_t stream_wait(struct req *q)
{
	req_suspend(q);
	return 0;
}

/* libmicrohttpd asks for up to `max` bytes of the body. */
static ssize_t stream_read(void *cls, uint64_t pos, char *data, size_t max)
{
	struct req *q = cls;
	uint64_t now = clock_boot_us();
	ssize_t n;

	(void)pos; /* q->out holds what comes next */
	if (q->is_gone || q->is_cut || q->srv->is_stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (q->out.len == 0) {
		if (!q->watch || !watch_fill(q))
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (q->is_gzip)
			gzip_each_line(&q->out);
	}
	if (q->out.len == 0)
		return stream_wait(q);
	if (q->fault)
		fault_garble(q);
	n = fault_allows(q, MIN(q->out.len, max), now);
	if (n == 0)
		return stream_wait(q);
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	memcpy(data, q->out.data, (size_t)n);
	buf_consume(&q->out, (size_t)n);
	q->sent += (size_t)n;
	q->srv->stats.bytes_out += (uint64_t)n;
	return n;
}

static enum MHD_Result req_send(struct req *q)
{
	bool is_stream = q->watch || q->fault;
	struct MHD_Response *r;
	enum MHD_Result ok;
	char number[16];

	if (is_stream) {
		r = must(MHD_create_response_from_callback(q->watch ? MHD_SIZE_UNKNOWN : q->out.len,
							   CONNECTION_MEMORY / 4, stream_read, q,
							   NULL));
	} else {
		q->srv->stats.bytes_out += q->out.len;
		r = must(MHD_create_response_from_buffer(q->out.len, q->out.data,
							 MHD_RESPMEM_MUST_FREE));
		q->out = (struct buf){0};
	}
	/* a header that cannot be added is missed by the client, which then says so */
	(void)MHD_add_response_header(
		r, "Content-Type", q->is_plain ? "text/plain; charset=utf-8" : "application/json");
	(void)MHD_add_response_header(r, "Cache-Control", "no-cache, private");
	if (q->is_gzip)
		(void)MHD_add_response_header(r, "Content-Encoding", "gzip");
	if (q->has_retry_after) {
		(void)snprintf(number, sizeof(number), "%u", q->retry_after_s);
		(void)MHD_add_response_header(r, "Retry-After", number);
	}
	ok = MHD_queue_response(q->conn, (unsigned)q->code, r);
	MHD_destroy_response(r);
	return ok;
}

/* True while the request must wait before it is answered. */
static bool fault_delays(struct req *q, uint64_t now)
{
	const struct fault *f = q->fault;

	if (!f || f->action == FAULT_SLOW)
		return false;
	if (f->action == FAULT_HANG && f->after_bytes == 0) {
		q->wake_us = 0;
		return true;
	}
	if (now >= q->start_us + f->delay_ms * USEC_PER_MSEC)
		return false;
	q->wake_us = q->start_us + f->delay_ms * USEC_PER_MSEC;
	return true;
}

/* The body is complete: answers, or waits until it can. */
static enum MHD_Result req_complete(struct req *q)
{
	if (q->is_gone)
		return MHD_NO;
	if (!q->is_routed) {
		q->is_routed = true;
		if (!str_has_prefix(q->url, "/test/"))
			q->fault = faults_take(&q->srv->faults, q->method, q->url,
					       req_query_bool(q, "watch"));
	}
	if (fault_delays(q, clock_boot_us())) {
		req_suspend(q);
		return MHD_YES;
	}
	q->wake_us = 0;
	q->wait_rv = 0;
	route_request(q);
	if (q->code == 0) {
		req_suspend(q); /* it waits for a resourceVersion */
		return MHD_YES;
	}
	stats_note(q);
	return req_send(q);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **con_cls)
{
	struct server *s = cls;
	struct req *q = *con_cls;

	(void)version; /* 1.1 and 1.0 are answered alike */
	if (!q) {
		*con_cls = req_new(s, conn, url, method);
		return MHD_YES;
	}
	if (*len > 0) {
		if (q->in.len + *len > BODY_MAX)
			q->is_too_long = true;
		else
			must_add(&q->in, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return req_complete(q);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	(void)cls;
	(void)conn;
	(void)why; /* all ends are alike */
	if (*con_cls)
		req_free(*con_cls);
	*con_cls = NULL;
}

void http_wake_all(struct server *s)
{
	for (struct req *q = s->reqs; q; q = q->next)
		req_resume(q);
}

/* "127.0.0.1:0", "[::1]:6443" to a listening socket. */
static int listen_on(const char *text, int *ret_fd, struct err *reterr)
{
	const char *colon = strrchr(text, ':');
	CLEANUP(free) char *host = NULL;
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage ss = {0};
	struct ip ip;
	uint64_t port;
	socklen_t len;
	int one = 1;

	if (!colon || str_to_u64(colon + 1, 65535, &port) < 0)
		return err_set(reterr, EINVAL, "%s: an address and port are expected", text);
	host = *text == '[' && colon > text + 2
		       ? must(strndup(text + 1, (size_t)(colon - text - 2)))
		       : must(strndup(text, (size_t)(colon - text)));
	if (ip_parse(host, &ip) < 0)
		return err_set(reterr, EINVAL, "%s is no address", host);
	if (ip.family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&ss;

		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		memcpy(&in->sin_addr, ip.b, 4);
		len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		memcpy(&in6->sin6_addr, ip.b, 16);
		len = sizeof(*in6);
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, SOMAXCONN) < 0)
		return err_set(reterr, errno, "cannot listen on %s: %s", text, err_name(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The URL of a listening socket. */
static char *url_of(int fd)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	char text[INET6_ADDRSTRLEN] = "";

	must_ok(getsockname(fd, (struct sockaddr *)&ss, &len));
	if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

		(void)inet_ntop(AF_INET, &in->sin_addr, text,
				sizeof(text)); /* the buffer is large enough */
		return must_printf("https://%s:%u", text, ntohs(in->sin_port));
	}
	(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&ss)->sin6_addr, text,
			sizeof(text));
	return must_printf("https://[%s]:%u", text,
			   ntohs(((const struct sockaddr_in6 *)&ss)->sin6_port));
}

/* Takes the socket. */
static int daemon_start(struct server *s, int fd)
{
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
		s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_MEM_KEY, keys_server_key(s->keys),
		MHD_OPTION_HTTPS_MEM_CERT, keys_server_cert(s->keys), MHD_OPTION_HTTPS_MEM_TRUST,
		keys_ca(s->keys), MHD_OPTION_HTTPS_PRIORITIES,
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_END);

	if (!d) {
		close_fd(fd);
		return -EIO;
	}
	s->daemons[s->daemons_n++] = d;
	return 0;
}

/* Names for the certificate: what was asked for, else the addresses of the sockets. */
static int sans_of(const struct server *s, const struct strv *urls, struct strv *ret)
{
	const struct strv *asked = &s->opt.sans;

	for (size_t i = 0; i < asked->n; i++)
		must_ok(strv_add(ret, asked->v[i]));
	for (size_t i = 0; i < urls->n && asked->n == 0; i++) {
		const char *host = urls->v[i] + strlen("https://"), *end = strrchr(host, ':');

		if (*host == '[')
			must_ok(strv_addn(ret, host + 1, (size_t)(end - host - 2)));
		else
			must_ok(strv_addn(ret, host, (size_t)(end - host)));
	}
	return asked->n == 0 ? strv_add(ret, "localhost") : 0;
}

int http_open(struct server *s, struct err *reterr)
{
	CLEANUP(strv_done) struct strv urls = {0};
	CLEANUP(strv_done) struct strv sans = {0};
	int fds[ARRAY_LEN(s->daemons)], r = 0;
	size_t n = 0;
	sigset_t set;

	if (s->opt.listen.n > ARRAY_LEN(fds))
		return err_set(reterr, E2BIG, "at most %zu addresses to listen on", ARRAY_LEN(fds));
	for (; n < s->opt.listen.n; n++) {
		CLEANUP(free) char *url = NULL;

		r = listen_on(s->opt.listen.v[n], &fds[n], reterr);
		if (r < 0)
			goto fail;
		url = url_of(fds[n]);
		must_ok(strv_add(&urls, url));
	}
	must_ok(sans_of(s, &urls, &sans));
	r = keys_open(s->opt.state_dir, &sans, s->opt.is_expired_cert, &s->keys, reterr);
	if (r >= 0)
		r = keys_write_kubeconfig(s->keys, s->opt.state_dir, urls.v[0], reterr);
	if (r < 0)
		goto fail;
	(void)sigemptyset(&set); /* these cannot fail with valid signals */
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		must_ok(-1);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	for (size_t i = 0; i < n; i++) {
		r = daemon_start(s, fds[i]);
		fds[i] = -1;
		if (r < 0) {
			(void)err_set(reterr, EIO, "cannot start the HTTP server on %s", urls.v[i]);
			goto fail;
		}
	}
	if (s->opt.print_ready)
		(void)printf("ready %s\n", urls.v[0]);
	(void)fflush(stdout);
	return 0;
fail:
	while (n-- > 0)
		close_fd(fds[n]);
	return r;
}

/* True if a suspended request can go on. */
static bool is_due(const struct req *q, uint64_t now)
{
	return (q->wake_us && now >= q->wake_us) ||
	       (q->wait_rv && q->srv->store.rv >= q->wait_rv) ||
	       (q->watch && watch_is_due(q, now));
}

/* Resumes whatever has something to do, and returns when the next one has. */
static uint64_t wake_due(struct server *s, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (struct req *q = s->reqs; q; q = q->next) {
		const struct fault *f = q->fault;
		bool is_hung = f && f->action == FAULT_HANG && q->sent >= f->after_bytes;
		bool is_paced = f && f->action == FAULT_SLOW && now < q->slow_us;

		if (!q->is_suspended)
			continue;
		if (q->is_gone || (!is_hung && !is_paced && is_due(q, now)))
			req_resume(q);
		else if (is_paced)
			next = MIN(next, q->slow_us);
		else if (q->wake_us && !is_hung)
			next = MIN(next, q->wake_us);
	}
	return next;
}

/* Suspended connections are not watched by libmicrohttpd: a client that left is seen here. */
static void note_hangups(struct server *s, const struct pollfd *fds, size_t first)
{
	size_t i = first;

	for (struct req *q = s->reqs; q; q = q->next)
		if (q->is_suspended && fds[i++].revents)
			q->is_gone = true;
}

static int poll_once(struct server *s, struct buf *space)
{
	uint64_t now = clock_boot_us(), next = wake_due(s, now);
	int timeout = next == UINT64_MAX ? -1 : (int)MIN((next - now) / USEC_PER_MSEC + 1, 60000U);
	struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};
	size_t n = 0, first;
	struct pollfd *fds;

	if (next <= now)
		timeout = 0;
	if (s->gc_due_us)
		timeout = timeout < 0 ? GC_DELAY_US / 1000 : MIN(timeout, GC_DELAY_US / 1000);
	buf_clear(space);
	must_add(space, &fd, sizeof(fd));
	for (size_t i = 0; i < s->daemons_n; i++) {
		MHD_UNSIGNED_LONG_LONG ms;

		fd.fd = MHD_get_daemon_info(s->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
		must_add(space, &fd, sizeof(fd));
		if (MHD_get_timeout(s->daemons[i], &ms) == MHD_YES)
			timeout = timeout < 0 || ms < (unsigned)timeout ? (int)MIN(ms, 60000U)
									: timeout;
	}
	if (s->has_resumed)
		timeout = 0; /* libmicrohttpd looks at resumed connections only when it runs */
	s->has_resumed = false;
	first = 1 + s->daemons_n;
	for (struct req *q = s->reqs; q; q = q->next) {
		if (!q->is_suspended)
			continue;
		fd.fd = MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		fd.events = POLLRDHUP;
		must_add(space, &fd, sizeof(fd));
	}
	fds = (struct pollfd *)(void *)space->data;
	n = space->len / sizeof(fd);
	if (poll(fds, n, timeout) < 0 && errno != EINTR)
		return -errno;
	if (fds[0].revents)
		s->is_stopping = true;
	note_hangups(s, fds, first);
	return 0;
}

int http_run(struct server *s)
{
	CLEANUP(buf_done) struct buf space = {0};
	int r = 0;

	while (!s->is_stopping && r >= 0) {
		r = poll_once(s, &space);
		for (size_t i = 0; i < s->daemons_n; i++)
			(void)MHD_run(s->daemons[i]); /* fails only for daemons with threads */
		if (s->gc_rv != s->store.rv && !s->gc_due_us)
			s->gc_due_us = clock_boot_us() + GC_DELAY_US;
		if (s->gc_due_us && clock_boot_us() >= s->gc_due_us) {
			uint64_t before = s->store.rv;

			s->gc_due_us = 0;
			gc_run(s);
			/* what it deleted may have been an owner, so it looks again until nothing
			 * changes */
			s->gc_rv = before == s->store.rv ? before : 0;
		}
	}
	return r;
}

void http_close(struct server *s)
{
	s->is_stopping = true;
	for (struct req *q = s->reqs; q; q = q->next)
		q->is_gone = true;
	http_wake_all(s); /* a daemon must not be stopped with suspended connections */
	for (size_t i = 0; i < s->daemons_n; i++) {
		(void)MHD_run(s->daemons[i]);
		MHD_stop_daemon(s->daemons[i]);
	}
	close_fd(s->signal_fd);
	keys_free(s->keys);
}
