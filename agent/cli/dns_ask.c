/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dns_ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rng.h"
#include "dns/dns_sock.h"
#include "dns/dns_text.h"

enum {
	OPT_LEN = 11,
	FRAME = 2, /* length before each message by TCP */
	QUERY_MAX = FRAME + DNS_HEADER_LEN + DNS_NAME_MAX + 4 + OPT_LEN,
	RESEND_US = 1000000,
	FLAG_RD = 0x01,
	FLAG_TC = 0x02,
	EXTENDED_RCODE = 24, /* bits of OPT's TTL above it (RFC 6891) */
};

struct question {
	uint8_t b[QUERY_MAX]; /* two bytes of length, then the message */
	size_t len;	      /* of the message */
	const struct dns_name *name;
	uint16_t type;
	uint64_t deadline_us;
};

static void question_build(struct question *q, const struct dns_name *name, uint16_t type, uint64_t timeout_us)
{
	uint8_t *m = q->b + FRAME;

	*q = (struct question){.name = name, .type = type, .deadline_us = clock_boot_us() + timeout_us};
	rng_bytes(m, 2);
	m[2] = FLAG_RD;
	m[5] = 1;  /* one question */
	m[11] = 1; /* and OPT */
	m += DNS_HEADER_LEN;
	memcpy(m, name->b, name->len);
	m += name->len;
	m[0] = (uint8_t)(type >> 8);
	m[1] = (uint8_t)type;
	m[3] = DNS_CLASS_IN;
	m += 4;
	m[2] = DNS_OPT;
	m[3] = DNS_UDP_MAX >> 8;
	m[4] = DNS_UDP_MAX & 0xff;
	m += OPT_LEN;
	q->len = (size_t)(m - q->b - FRAME);
	q->b[0] = (uint8_t)(q->len >> 8);
	q->b[1] = (uint8_t)q->len;
}

/* Id and question agree. */
static bool is_answer(const struct question *q, const uint8_t *msg, size_t len)
{
	struct dns_reader r;

	return dns_reader_begin(&r, msg, len) == 0 && memcmp(msg, q->b + FRAME, 2) == 0 && r.qtype == q->type &&
	       r.qclass == DNS_CLASS_IN && dns_name_eq(&r.qname, q->name);
}

/* Until `events` or `until_us`, which is no later than the deadline. 0, -EAGAIN in time, -ETIMEDOUT, -errno. */
static int wait_for(const struct question *q, int fd, short events, uint64_t until_us)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t end_us = MIN(until_us, q->deadline_us), now_us;
	int r;

	do {
		now_us = clock_boot_us();
		if (now_us >= end_us)
			return end_us == q->deadline_us ? -ETIMEDOUT : -EAGAIN;
		r = poll(&p, 1, (int)((end_us - now_us) / USEC_PER_MSEC + 1));
	} while (r == 0 || (r < 0 && errno == EINTR));
	return r < 0 ? -errno : 0;
}

static int open_socket(const struct dns_upstream *server, int type, int *ret)
{
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &server->ip, server->port);

	fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS))
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int send_datagram(const struct question *q, int fd)
{
	return send(fd, q->b + FRAME, q->len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends, and again every second: datagrams get lost. */
static int ask_udp(const struct question *q, const struct dns_upstream *server, struct dns_reply *ret)
{
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	int r = open_socket(server, SOCK_DGRAM, &fd);

	if (r == 0 && getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		r = -errno;
	if (r < 0)
		return r;
	(void)dns_sockaddr_ip(&own, &ret->port); /* only the port is wanted */
	ret->id = (uint16_t)(q->b[FRAME] << 8 | q->b[FRAME + 1]);
	for (r = -EAGAIN; r == -EAGAIN;) {
		uint64_t again_us = clock_boot_us() + RESEND_US;

		r = send_datagram(q, fd);
		while (r == 0) {
			ssize_t n;

			r = wait_for(q, fd, POLLIN, again_us);
			if (r < 0)
				break;
			n = recv(fd, ret->msg, DNS_MSG_MAX, 0);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				r = -errno;
			if (n < 0 || !is_answer(q, ret->msg, (size_t)n))
				continue;
			ret->len = (size_t)n;
			return 0;
		}
	}
	return r;
}

/* Moves exactly `len` bytes, in one direction. */
static int move_all(const struct question *q, int fd, uint8_t *data, size_t len, bool is_send)
{
	while (len > 0) {
		int r = wait_for(q, fd, is_send ? POLLOUT : POLLIN, UINT64_MAX);
		ssize_t n;

		if (r < 0)
			return r;
		n = is_send ? send(fd, data, len, MSG_NOSIGNAL) : recv(fd, data, len, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int ask_tcp(struct question *q, const struct dns_upstream *server, struct dns_reply *ret)
{
	CLEANUP(close_fd) int fd = -1;
	uint8_t frame[FRAME];
	int r = open_socket(server, SOCK_STREAM, &fd);

	if (r == 0)
		r = move_all(q, fd, q->b, FRAME + q->len, true);
	if (r == 0)
		r = move_all(q, fd, frame, FRAME, false);
	if (r < 0)
		return r;
	ret->is_tcp = true;
	ret->len = (size_t)frame[0] << 8 | frame[1];
	r = move_all(q, fd, ret->msg, ret->len, false);
	return r < 0 || is_answer(q, ret->msg, ret->len) ? r : -EBADMSG;
}

int dns_ask(const struct dns_upstream *server, const struct dns_name *name, uint16_t type, uint64_t timeout_us,
	    struct dns_reply *ret, struct err *reterr)
{
	CLEANUP(free) uint8_t *msg = malloc(DNS_MSG_MAX);
	uint64_t begun_us = clock_boot_us();
	char text[DNS_ADDR_STRLEN];
	struct question q;
	int r;

	*ret = (struct dns_reply){.msg = msg};
	if (!msg)
		return err_set(reterr, ENOMEM, "out of memory");
	question_build(&q, name, type, timeout_us);
	r = ask_udp(&q, server, ret);
	if (r == 0 && msg[2] & FLAG_TC)
		r = ask_tcp(&q, server, ret);
	ret->took_us = clock_boot_us() - begun_us;
	ret->msg = NULL;
	if (r < 0)
		return err_set(reterr, -r, "%s does not answer: %s", dns_addr_str(&server->ip, server->port, text),
			       r == -EBADMSG ? "it sent something else" : err_name(r));
	ret->msg = TAKE_PTR(msg);
	return 0;
}

static json_t *record_view(const uint8_t *msg, const struct dns_rr *rr)
{
	CLEANUP(buf_done) struct buf data = {0};
	char name[DNS_TEXT_MAX], type[16];
	int r = dns_text_rdata(msg, rr, &data);

	return json_pack("{s:s, s:s, s:I, s:s}", "name", dns_name_str(&rr->owner, name), "type",
			 dns_type_str(rr->type, type), "ttl_s", (json_int_t)rr->ttl, "data",
			 r == 0 ? data.data : "(more than can be shown)");
}

json_t *dns_reply_view(const uint8_t *msg, size_t len)
{
	static const char *const sections[] = {"answers", "authority", "additional"};
	char flags[DNS_FLAGS_TEXT];
	struct dns_reader r;
	struct dns_rr rr;
	json_t *o;
	int rcode, more;

	if (dns_reader_begin(&r, msg, len) < 0)
		return json_pack("{s:s, s:s, s:[], s:[], s:[], s:b}", "rcode", "-", "flags", "", "answers", "authority",
				 "additional", "malformed", 1);
	o = json_pack("{s:s, s:[], s:[], s:[]}", "flags", dns_text_flags(r.flags, flags), "answers", "authority",
		      "additional");
	rcode = r.flags & 0xf;
	while ((more = dns_reader_next(&r, &rr)) > 0) {
		if (rr.type == DNS_OPT)
			rcode |= (int)(rr.ttl >> EXTENDED_RCODE) << 4;
		else if (json_array_append_new(json_object_get(o, sections[r.section]), record_view(msg, &rr)) < 0)
			break;
	}
	if (more < 0 && json_object_set_new(o, "malformed", json_true()) < 0)
		more = 1;
	if (more > 0 || !o || json_object_set_new(o, "rcode", json_string(dns_rcode_str(rcode))) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}
