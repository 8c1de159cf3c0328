/* SPDX-License-Identifier: Apache-2.0 */
/* One question on its way to the upstreams: its attempts and their sockets. */
#include "dns/dns_forward_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rng.h"
#include "dns/dns_case.h"
#include "dns/dns_sock.h"
#include "priv/priv_sock.h"

enum {
	MISMATCH_MAX = 16, /* forged or stray datagrams until TCP is tried instead */
	TIMER_SLACK_US = 10000,
};

/* How long a server that does not keep letter case is asked in lower case: by then it may be another one. */
static const uint64_t LOWER_US = 3600 * USEC_PER_SEC;

/* Ends the current attempt's socket. */
static void attempt_end(struct dns_flight *fl)
{
	source_free(TAKE_PTR(fl->io));
	close_fd(TAKE_FD(fl->fd));
	free(TAKE_PTR(fl->tcp_buf));
	fl->tcp_got = fl->sent = 0;
	fl->is_tcp = false;
}

void dns_flight_cancel(struct dns_flight *fl)
{
	if (!fl)
		return;
	attempt_end(fl);
	source_free(fl->timer);
	*fl->prevp = fl->next;
	if (fl->next)
		fl->next->prevp = fl->prevp;
	fl->f->counts.in_flight--;
	free(fl);
}

/* Every attempt ends in one of these. An error here is a server that cannot be used, whatever it says. */
static void note_failure(struct dns_flight *fl, const char *error)
{
	struct dns_upstream_status *u = fl->attempts ? dns_forward_status_of(fl->f, &fl->to) : NULL;

	if (!u)
		return;
	u->failures++;
	u->failed_us = clock_boot_us();
	u->error = error;
}

static void note_answer(struct dns_flight *fl)
{
	struct dns_upstream_status *u = dns_forward_status_of(fl->f, &fl->to);
	uint64_t now = clock_boot_us();
	uint32_t took_us = (uint32_t)MIN(now - fl->asked_us, (uint64_t)UINT32_MAX);

	fl->f->counts.answers++;
	if (!u)
		return;
	fl->f->preferred = (size_t)(u - fl->f->upstreams);
	u->answered_us = now;
	u->latency_us = u->latency_us ? u->latency_us - u->latency_us / 8 + took_us / 8 : took_us; /* as RFC 6298 */
}

/* The words of the failures that a socket tells; others are rare, and the number does not help anyone. */
static const char *error_text(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "nobody listens there";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "no route to it";
	case EPERM:
	case EACCES:
		return "not allowed to send to it";
	case ECONNRESET:
		return "closed the connection";
	default:
		return "the socket failed";
	}
}

/* Hands the result out and ends the flight. The callback may start others. */
static void flight_finish(struct dns_flight *fl, const uint8_t *msg, size_t len)
{
	struct dns_upstream from = fl->to;
	dns_forward_fn fn = fl->fn;
	void *arg = fl->arg;
	uint8_t *own = NULL;

	if (msg) {
		note_answer(fl);
		own = malloc(len); /* the message may lie in a buffer that a new flight overwrites */
		if (own) {
			memcpy(own, msg, len);
			dns_case_restore(own, len, fl->question, fl->question_len);
		}
	} else {
		fl->f->counts.failures++;
	}
	dns_flight_cancel(fl);
	fn(own, own ? len : 0, own ? &from : NULL, arg);
	free(own);
}

static void on_udp(uint32_t events, void *arg);
static void on_tcp(uint32_t events, void *arg);

/* A socket to the current upstream, connected: others' datagrams never reach it. */
static int open_socket(struct dns_flight *fl, int type)
{
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &fl->to.ip, fl->to.port);
	int r;

	fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = fl->mark ? priv_set_mark(fd, fl->mark) : 0;
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return -errno;
	fl->fd = TAKE_FD(fd);
	return 0;
}

static void fresh_id(struct dns_flight *fl)
{
	rng_bytes(fl->query + 2, 2);
}

static bool is_asked_in_lower_case(const struct dns_flight *fl)
{
	const struct dns_upstream_status *u = dns_forward_status_of(fl->f, &fl->to);

	return fl->is_lower || (u && u->lower_until_us > clock_boot_us());
}

static int start_udp(struct dns_flight *fl)
{
	int r = open_socket(fl, SOCK_DGRAM);

	if (r < 0)
		return r;
	fresh_id(fl);
	if (is_asked_in_lower_case(fl))
		dns_case_lower(fl->query + 2 + DNS_HEADER_LEN);
	else
		dns_case_mix(fl->query + 2 + DNS_HEADER_LEN);
	if (send(fl->fd, fl->query + 2, fl->query_len, MSG_NOSIGNAL) < 0)
		return -errno;
	return loop_add_io(fl->f->loop, fl->fd, EPOLLIN, on_udp, fl, &fl->io);
}

static int start_tcp(struct dns_flight *fl)
{
	int r;

	attempt_end(fl);
	fl->is_tcp = true;
	fl->f->counts.tcp++;
	fl->tcp_buf = malloc(2 + DNS_MSG_MAX);
	if (!fl->tcp_buf)
		return -ENOMEM;
	r = open_socket(fl, SOCK_STREAM);
	if (r < 0)
		return r;
	fresh_id(fl);
	fl->query[0] = (uint8_t)(fl->query_len >> 8);
	fl->query[1] = (uint8_t)fl->query_len;
	r = loop_add_io(fl->f->loop, fl->fd, EPOLLOUT, on_tcp, fl, &fl->io);
	return r < 0 ? r : source_arm(fl->timer, fl->f->timeout_us, TIMER_SLACK_US);
}

/* Asks the current upstream by UDP. */
static int ask(struct dns_flight *fl)
{
	struct dns_upstream_status *u = dns_forward_status_of(fl->f, &fl->to);
	int r;

	attempt_end(fl);
	fl->mismatches = 0;
	if (u)
		u->queries++;
	fl->asked_us = clock_boot_us();
	r = start_udp(fl);
	return r < 0 ? r : source_arm(fl->timer, fl->f->timeout_us, TIMER_SLACK_US);
}

/* Begins the next attempt that can be begun. -EIO when all are used up. */
static int next_attempt(struct dns_flight *fl)
{
	struct dns_forward *f = fl->f;

	fl->is_doubted = fl->is_lower = false;
	while (fl->attempts < f->max_attempts && (f->n_upstreams > 0 || fl->has_only)) {
		int r;

		if (!fl->has_only)
			fl->to = f->upstreams[(f->preferred + fl->attempts) % f->n_upstreams].at;
		if (fl->attempts++ > 0)
			f->counts.retries++;
		r = ask(fl);
		if (r >= 0)
			return 0;
		note_failure(fl, error_text(-r));
	}
	attempt_end(fl);
	return -EIO;
}

/* The attempt failed for the reason `error`, which is static text; NULL = it is no failure of the server. */
static void retry(struct dns_flight *fl, const char *error)
{
	if (error)
		note_failure(fl, error);
	if (next_attempt(fl) < 0)
		flight_finish(fl, NULL, 0);
}

/* No answer came by the transport that is tried. Without TCP nothing but lower case is left of one whose letters were not ours. */
static void no_answer(struct dns_flight *fl, const char *error)
{
	if (!fl->is_tcp || !fl->is_doubted || fl->is_lower) {
		retry(fl, error);
		return;
	}
	note_failure(fl, error);
	fl->is_lower = true;
	fl->f->counts.retries++;
	if (ask(fl) < 0)
		retry(fl, NULL);
}

static void on_timeout(void *arg)
{
	struct dns_flight *fl = arg;

	if (fl->is_given_up)
		flight_finish(fl, NULL, 0);
	else
		no_answer(fl, "no answer in time");
}

void dns_flight_give_up(struct dns_flight *fl)
{
	fl->is_given_up = true;
	attempt_end(fl);
	(void)source_arm(fl->timer, 0, 0); /* a live timer */
}

static void go_on_by_tcp(struct dns_flight *fl)
{
	int r = start_tcp(fl);

	if (r < 0)
		no_answer(fl, error_text(-r));
}

/* True if the message answers our question: id, and the question without regard to letter case. */
static bool is_answer(const struct dns_flight *fl, const uint8_t *msg, size_t len)
{
	const uint8_t *sent = fl->query + 2;
	struct dns_reader r;
	struct dns_name name;
	size_t at = DNS_HEADER_LEN;

	return dns_reader_begin(&r, msg, len) >= 0 && memcmp(msg, sent, 2) == 0 &&
	       dns_name_read(sent, fl->query_len, &at, &name) >= 0 && dns_name_eq(&name,
										  &r.qname) &&
	       memcmp(msg + r.question_end - 4, sent + at, 4) == 0;
}

static bool has_our_letters(const struct dns_flight *fl, const uint8_t *answer)
{
	return memcmp(answer + DNS_HEADER_LEN, fl->query + 2 + DNS_HEADER_LEN, fl->question_len) == 0;
}

/*
 * What an answer says of the server's letters. By TCP it is the server's own. In lower case it is, as far as can be known
 * where there is no TCP.
 */
static void learn_case(struct dns_flight *fl, const uint8_t *answer)
{
	struct dns_upstream_status *u = dns_forward_status_of(fl->f, &fl->to);

	if (u && (fl->is_tcp ? !has_our_letters(fl, answer) : fl->is_lower))
		u->lower_until_us = clock_boot_us() + LOWER_US;
}

static void drop_edns(struct dns_flight *fl)
{
	fl->has_edns = false;
	fl->query_len = DNS_HEADER_LEN + fl->question_len;
	fl->query[2 + 11] = 0;
}

/* Decides on a matching response: another upstream, TCP, without EDNS, or done. */
static void take_answer(struct dns_flight *fl, const uint8_t *msg, size_t len)
{
	int rcode = msg[3] & 0xf;
	bool is_last = fl->attempts >= fl->f->max_attempts || fl->f->n_upstreams == 1 || fl->has_only;

	learn_case(fl, msg);
	fl->is_doubted = false;
	if ((msg[2] & 0x02) && !fl->is_tcp) { /* TC */
		go_on_by_tcp(fl);
	} else if (fl->has_edns && (rcode == DNS_FORMERR || rcode == DNS_NOTIMP)) {
		drop_edns(fl); /* a server from before RFC 2671; the same one is asked again */
		fl->attempts--;
		retry(fl, NULL);
	} else if ((rcode == DNS_SERVFAIL || rcode == DNS_REFUSED) && !is_last) {
		retry(fl, rcode == DNS_SERVFAIL ? "answered SERVFAIL" : "answered REFUSED");
	} else {
		flight_finish(fl, msg, len);
	}
}

static void on_udp(uint32_t events, void *arg)
{
	struct dns_flight *fl = arg;
	struct dns_forward *f = fl->f;
	bool is_ours;

	(void)events;
	for (;;) {
		ssize_t n = recv(fl->fd, f->buf, sizeof(f->buf), 0);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				retry(fl, error_text(errno)); /* ECONNREFUSED: nobody listens there */
			return;
		}
		is_ours = is_answer(fl, f->buf, (size_t)n);
		if (is_ours && has_our_letters(fl, f->buf)) {
			take_answer(fl, f->buf, (size_t)n);
			return;
		}
		f->counts.mismatched++;
		if (is_ours && fl->is_lower) { /* nothing is left to try */
			retry(fl, "answered another question");
			return;
		}
		if (is_ours || ++fl->mismatches >= MISMATCH_MAX) {
			fl->is_doubted = is_ours;
			go_on_by_tcp(fl);
			return;
		}
	}
}

static void tcp_write(struct dns_flight *fl)
{
	size_t len = fl->query_len + 2;
	ssize_t n = send(fl->fd, fl->query + fl->sent, len - fl->sent, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			no_answer(fl, error_text(errno));
		return;
	}
	fl->sent += (size_t)n;
	if (fl->sent == len && source_set_events(fl->io, EPOLLIN) < 0)
		no_answer(fl, "the socket failed");
}

static void tcp_read(struct dns_flight *fl)
{
	size_t want = 2;
	ssize_t n;

	if (fl->tcp_got >= 2)
		want = 2 + ((size_t)fl->tcp_buf[0] << 8 | fl->tcp_buf[1]);
	n = recv(fl->fd, fl->tcp_buf + fl->tcp_got, want - fl->tcp_got, 0);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			no_answer(fl, error_text(n == 0 ? ECONNRESET : errno));
		return;
	}
	fl->tcp_got += (size_t)n;
	if (fl->tcp_got < 2)
		return;
	want = 2 + ((size_t)fl->tcp_buf[0] << 8 | fl->tcp_buf[1]);
	if (want < 2 + DNS_HEADER_LEN)
		no_answer(fl, "answered something that is no DNS message");
	else if (fl->tcp_got == want) {
		if (is_answer(fl, fl->tcp_buf + 2, want - 2))
			take_answer(fl, fl->tcp_buf + 2, want - 2);
		else
			no_answer(fl, "answered another question");
	}
}

static void on_tcp(uint32_t events, void *arg)
{
	struct dns_flight *fl = arg;

	(void)events;
	if (fl->sent < fl->query_len + 2)
		tcp_write(fl);
	else
		tcp_read(fl);
}

static void build_query(struct dns_flight *fl, const struct dns_query *q)
{
	uint8_t *m = fl->query + 2;

	m[2] = q->rd ? 0x01 : 0;
	m[3] = (uint8_t)((q->cd ? 0x10 : 0) | (q->ad ? 0x20 : 0));
	m[5] = 1; /* one question */
	memcpy(m + DNS_HEADER_LEN, q->question, q->question_len);
	memcpy(fl->question, q->question, q->question_len);
	fl->question_len = q->question_len;
	fl->query_len = DNS_HEADER_LEN + q->question_len;
	m[11] = 1; /* and OPT */
	m += fl->query_len;
	m[2] = DNS_OPT;
	m[3] = DNS_UDP_MAX >> 8;
	m[4] = DNS_UDP_MAX & 0xff;
	m[7] = q->dnssec_ok ? 0x80 : 0;
	fl->query_len += OPT_LEN;
	fl->has_edns = true;
}

int dns_flight_start(struct dns_flight *fl, const struct dns_query *q)
{
	int r = loop_add_timer(fl->f->loop, on_timeout, fl, &fl->timer);

	if (r < 0)
		return r;
	build_query(fl, q);
	return next_attempt(fl);
}
