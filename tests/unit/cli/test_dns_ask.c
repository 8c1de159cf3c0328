/* SPDX-License-Identifier: Apache-2.0 */
/* meshctl's own question to the DNS server of the agent, and servers that do not answer as they should. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"
#include "cli/dns_ask.h"
#include "dns/dns_sock.h"
#include "json/json.h"

enum trick {
	PLAIN,	   /* an answer */
	LIES,	   /* other ids, questions and rubbish first, then the answer */
	TRUNCATED, /* and the answer by TCP */
	CUT,	   /* truncated, and by TCP less than it said */
	OTHER,	   /* truncated, and by TCP the answer to something else */
	SILENT,
};

struct server {
	enum trick trick;
	struct dns_upstream at;
	int udp, tcp;
	pthread_t thread;
};

/* Makes the query an answer "A 203.0.113.5". */
static size_t make_answer(uint8_t *msg, size_t len)
{
	static const uint8_t rr[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 5};
	size_t at = len - 11; /* OPT is last */

	memmove(msg + at + sizeof(rr), msg + at, 11);
	memcpy(msg + at, rr, sizeof(rr));
	msg[2] |= 0x80;
	msg[3] = 0x80;
	msg[7] = 1;
	return len + sizeof(rr);
}

static void lie(const struct server *s, const uint8_t *msg, size_t len, const struct sockaddr_in *to)
{
	uint8_t other[1024];

	memcpy(other, msg, len);
	other[0] ^= 1;
	(void)sendto(s->udp, other, len, 0, (const struct sockaddr *)to, sizeof(*to));
	memcpy(other, msg, len);
	other[13] ^= 1; /* the name */
	(void)sendto(s->udp, other, len, 0, (const struct sockaddr *)to, sizeof(*to));
	(void)sendto(s->udp, "rubbish", 7, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void serve_tcp(struct server *s)
{
	uint8_t msg[1024];
	int fd = accept(s->tcp, NULL, NULL);
	ssize_t n = recv(fd, msg, sizeof(msg) - 64, 0);
	size_t len;

	if (n > 13) {
		len = make_answer(msg + 2, (size_t)n - 2);
		if (s->trick == OTHER)
			msg[2] ^= 1;
		msg[0] = (uint8_t)(len >> 8);
		msg[1] = (uint8_t)len;
		(void)send(fd, msg, s->trick == CUT ? len / 2 : len + 2, MSG_NOSIGNAL);
	}
	close(fd);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t msg[1024];
	ssize_t n = recvfrom(s->udp, msg, sizeof(msg) - 64, 0, (struct sockaddr *)&from, &from_len);
	size_t len;

	if (n < 13 || s->trick == SILENT)
		return NULL;
	len = make_answer(msg, (size_t)n);
	if (s->trick == LIES)
		lie(s, msg, len, &from);
	if (s->trick >= TRUNCATED)
		msg[2] |= 0x02;
	(void)sendto(s->udp, msg, len, 0, (struct sockaddr *)&from, from_len);
	if (s->trick >= TRUNCATED)
		serve_tcp(s);
	return NULL;
}

static void server_open(struct server *s, enum trick trick)
{
	*s = (struct server){.trick = trick, .tcp = -1};
	cr_assert_eq(ip_parse("127.0.0.1", &s->at.ip), 0);
	/* a port that is free for UDP may be taken for TCP */
	for (int i = 0; i < 100 && s->tcp < 0; i++) {
		struct sockaddr_storage sa;
		socklen_t len = dns_sockaddr_set(&sa, &s->at.ip, 0);

		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		cr_assert(bind(s->udp, (struct sockaddr *)&sa, len) == 0);
		cr_assert(getsockname(s->udp, (struct sockaddr *)&sa, &len) == 0);
		(void)dns_sockaddr_ip(&sa, &s->at.port);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(s->tcp, (struct sockaddr *)&sa, len) < 0 || listen(s->tcp, 4) < 0) {
			close(s->udp);
			close(s->tcp);
			s->tcp = -1;
		}
	}
	cr_assert(s->tcp >= 0);
	cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_close(struct server *s)
{
	cr_assert_eq(pthread_join(s->thread, NULL), 0);
	close(s->udp);
	close(s->tcp);
}

Test(dns_ask, servers)
{
	static const struct {
		enum trick trick;
		int want;
		bool is_tcp;
		uint64_t timeout_us;
	} cases[] = {
		{PLAIN, 0, false, 20000000},	 {LIES, 0, false, 20000000},	   {TRUNCATED, 0, true, 20000000},
		{CUT, -ECONNRESET, true, 20000000}, {OTHER, -EBADMSG, true, 20000000}, {SILENT, -ETIMEDOUT, false, 100000},
	};
	struct dns_name name;

	cr_assert_eq(dns_name_parse("www.example.com", &name), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dns_reply reply;
		struct err err = {0};
		struct server s;

		server_open(&s, cases[i].trick);
		cr_expect_eq(dns_ask(&s.at, &name, DNS_A, cases[i].timeout_us, &reply, &err), cases[i].want, "%zu: %s", i, err.text);
		cr_expect_eq(reply.is_tcp, cases[i].is_tcp, "%zu", i);
		cr_expect_neq(reply.port, 0);
		if (cases[i].want == 0) {
			CLEANUP(json_decref) json_t *o = dns_reply_view(reply.msg, reply.len);

			cr_expect_str_eq(json_str(o, "rcode", ""), "NOERROR");
			cr_expect_str_eq(json_str(json_array_get(json_at(o, "answers"), 0), "data", ""), "203.0.113.5");
			cr_expect_eq(json_array_size(json_at(o, "additional")), 0); /* OPT is not for people */
		} else {
			cr_expect_null(reply.msg);
			cr_expect(strstr(err.text, "does not answer"), "%s", err.text);
		}
		free(reply.msg);
		server_close(&s);
	}
}

Test(dns_ask, nobody)
{
	struct dns_upstream at = {.port = 1};
	struct dns_reply reply;
	struct dns_name name;
	struct err err;

	cr_assert_eq(ip_parse("127.0.0.1", &at.ip), 0);
	cr_assert_eq(dns_name_parse("x", &name), 0);
	cr_expect_eq(dns_ask(&at, &name, DNS_A, 5000000, &reply, &err), -ECONNREFUSED);
}

/* Every cut of a good answer, and every byte of it changed: never a crash, always a view. */
Test(dns_ask, hostile_messages)
{
	uint8_t good[512] = {0, 1, 0x81, 0x83, 0, 1, 0, 1, 0, 1, 0, 1, 1, 'a', 0, 0, 16, 0, 1, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9,
			     0, 3, 2, 27, '[', 1, 'm', 0, 0, 2, 0, 1, 0, 0, 0, 9, 0, 4, 1, 'n', 0xc0, 34, 0, 0, 41, 4, 0,
			     1, 0, 0, 0, 0, 0};
	const size_t len = 62;
	CLEANUP(json_decref) json_t *o = dns_reply_view(good, len);

	cr_expect_str_eq(json_str(o, "rcode", ""), "RCODE", "OPT holds the upper bits of it: %s", json_str(o, "rcode", ""));
	cr_expect_not(json_at(o, "malformed"));
	cr_expect_str_eq(json_str(json_array_get(json_at(o, "answers"), 0), "data", ""), "\"\\027[\"");
	cr_expect_str_eq(json_str(json_array_get(json_at(o, "authority"), 0), "data", ""), "n.m.");
	for (size_t n = 0; n < len; n++) {
		CLEANUP(json_decref) json_t *cut = dns_reply_view(good, n);

		cr_assert(json_is_true(json_at(cut, "malformed")), "%zu", n);
		cr_assert(json_at(cut, "rcode") && json_is_array(json_at(cut, "answers")));
	}
	for (size_t n = 0; n < len; n++)
		for (unsigned v = 0; v < 256; v++) {
			uint8_t old = good[n];
			json_t *view;

			good[n] = (uint8_t)v;
			view = dns_reply_view(good, len);
			cr_assert(view && json_at(view, "rcode") && json_is_array(json_at(view, "additional")), "%zu %u", n, v);
			json_decref(view);
			good[n] = old;
		}
}
