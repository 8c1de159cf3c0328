/* SPDX-License-Identifier: Apache-2.0 */
/* Letter case of what upstreams are asked and answer, over real loopback sockets; and what is left of it in what is given on. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "dns/dns_case.h"
#include "dns/dns_forward_private.h"
#include "upstream.h"

/* Sixty letters: none in upper case, all of them, or twice the same is not seen in the life of this test. */
#define LETTERS "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdef.xy.example."
#define MIXED	"Abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdef.XY.example."
#define ANSWER	"NOERROR " MIXED " 60 A 203.0.113.5\n"

struct stage {
	struct fixture f;
	struct upstream u;
	struct sockaddr_in from;
	uint8_t msg[2048];
	size_t len;
	int client;
};

static void begin(struct stage *s)
{
	s->u = upstream_open();
	fixture_init(&s->f, &s->u.at, 1);
	s->client = connect_to(SOCK_DGRAM, listen_on(&s->f));
}

static void end(struct stage *s)
{
	struct dns_forward_counts c;

	dns_forward_counts(dns_server_forward(s->f.server), &c);
	cr_expect_eq(c.in_flight, 0);
	(void)close(s->client);
	fixture_done(&s->f);
	upstream_close(&s->u);
}

static char *name_of(uint8_t *msg)
{
	return (char *)msg + DNS_HEADER_LEN;
}

static void each_letter(uint8_t *msg, int (*to)(int))
{
	size_t len = strlen(name_of(msg));

	for (size_t i = 0; i < len; i++)
		msg[DNS_HEADER_LEN + i] = (uint8_t)to(msg[DNS_HEADER_LEN + i]);
}

static bool is_all(uint8_t *msg, int (*to)(int))
{
	uint8_t other[512];

	memcpy(other, msg, sizeof(other));
	each_letter(other, to);
	return strcmp(name_of(msg), name_of(other)) == 0;
}

static bool is_mixed(uint8_t *msg)
{
	return !is_all(msg, tolower) && !is_all(msg, toupper);
}

/* The client asks, and the upstream gets the question. */
static void ask_upstream(struct stage *s)
{
	dns_server_flush_cache(s->f.server);
	ask(s->client, MIXED, 0);
	s->len = upstream_get(&s->f, &s->u, s->msg, &s->from);
}

static void answer_udp(struct stage *s, int (*to)(int))
{
	uint8_t msg[2048];
	size_t len;

	memcpy(msg, s->msg, s->len);
	len = make_answer(msg, s->len, 0, 0);
	if (to)
		each_letter(msg, to);
	upstream_answer(&s->u, msg, len, &s->from);
}

/* Answers the question that comes by TCP, which then is in s->msg. */
static void answer_tcp(struct stage *s, int (*to)(int))
{
	struct pollfd p = {.fd = s->u.tcp, .events = POLLIN};
	uint8_t frame[2048];
	size_t len;
	int conn;

	for (unsigned i = 0; i < 1000 && poll(&p, 1, 0) == 0; i++)
		cr_assert(loop_once(s->f.loop, 10000) >= 0);
	cr_assert(p.revents, "it did not ask by TCP");
	conn = accept(s->u.tcp, NULL, NULL);
	len = read_frame(&s->f, conn, frame);
	cr_assert(len > 0);
	memcpy(s->msg, frame + 2, len);
	len = make_answer(frame + 2, len, 0, 0);
	if (to)
		each_letter(frame + 2, to);
	frame[0] = (uint8_t)(len >> 8);
	frame[1] = (uint8_t)len;
	cr_assert(send(conn, frame, len + 2, 0) == (ssize_t)(len + 2));
	(void)close(conn);
}

static void expect(struct stage *s, const char *want)
{
	uint8_t out[2048];
	size_t n = run_until(&s->f, s->client, out, sizeof(out));

	expect_answer(out, n, want);
}

static uint64_t asked_by_tcp(const struct stage *s)
{
	struct dns_forward_counts c;

	dns_forward_counts(dns_server_forward(s->f.server), &c);
	return c.tcp;
}

Test(forward_case, each_question_is_mixed_anew_and_the_client_gets_its_own)
{
	struct stage s;
	uint8_t first[512];

	begin(&s);
	ask_upstream(&s);
	memcpy(first, s.msg, sizeof(first));
	cr_expect(is_mixed(first));
	answer_udp(&s, NULL);
	expect(&s, ANSWER);
	ask_upstream(&s);
	cr_expect(is_mixed(s.msg));
	cr_expect_neq(strcmp(name_of(s.msg), name_of(first)), 0);
	cr_expect_eq(strcasecmp(name_of(s.msg), name_of(first)), 0);
	answer_udp(&s, NULL);
	expect(&s, ANSWER);
	cr_expect_eq(asked_by_tcp(&s), 0);
	end(&s);
}

/* Right but for the letters: what an attacker knows, who has guessed number and port. TCP tells that the server keeps them. */
Test(forward_case, other_letters_are_no_answer)
{
	struct stage s;

	begin(&s);
	for (unsigned i = 0; i < 2; i++) { /* nothing was learned from the first */
		ask_upstream(&s);
		cr_expect(is_mixed(s.msg));
		answer_udp(&s, i == 0 ? tolower : toupper);
		answer_tcp(&s, NULL);
		cr_expect(is_mixed(s.msg));
		expect(&s, ANSWER);
		cr_expect_eq(asked_by_tcp(&s), i + 1);
	}
	end(&s);
}

Test(forward_case, a_server_that_does_not_keep_letters_is_asked_in_lower_case)
{
	struct stage s;

	begin(&s);
	ask_upstream(&s);
	answer_udp(&s, tolower);
	answer_tcp(&s, tolower);
	expect(&s, ANSWER);
	ask_upstream(&s);
	cr_expect(is_all(s.msg, tolower));
	answer_udp(&s, toupper); /* is no answer to that, either */
	answer_tcp(&s, tolower);
	expect(&s, ANSWER);
	ask_upstream(&s);
	answer_udp(&s, tolower);
	expect(&s, ANSWER);
	cr_expect_eq(asked_by_tcp(&s), 2);
	s.f.server->forward->upstreams[0].lower_until_us = 1; /* an hour later */
	ask_upstream(&s);
	cr_expect(is_mixed(s.msg));
	answer_udp(&s, NULL);
	expect(&s, ANSWER);
	end(&s);
}

Test(forward_case, without_tcp_lower_case_is_left)
{
	struct stage s;

	begin(&s);
	(void)close(s.u.tcp);
	ask_upstream(&s);
	answer_udp(&s, tolower);
	s.len = upstream_get(&s.f, &s.u, s.msg, &s.from); /* of the same question */
	cr_expect(is_all(s.msg, tolower));
	answer_udp(&s, NULL);
	expect(&s, ANSWER);
	ask_upstream(&s);
	cr_expect(is_all(s.msg, tolower));
	answer_udp(&s, NULL);
	expect(&s, ANSWER);
	cr_expect_eq(asked_by_tcp(&s), 1);
	s.u.tcp = -1;
	end(&s);
}

/* Letters that never fit are no answer in the end. */
Test(forward_case, nothing_is_accepted_in_other_letters)
{
	struct dns_forward_counts c;
	struct dns_forward *f;
	struct stage s;

	begin(&s);
	(void)close(s.u.tcp);
	f = s.f.server->forward;
	ask_upstream(&s);
	for (unsigned i = 0; i < 2 * f->max_attempts; i++) {
		cr_expect(i % 2 ? is_all(s.msg, tolower) : i == 0 ? is_mixed(s.msg) : true);
		answer_udp(&s, toupper);
		if (i + 1 < 2 * f->max_attempts)
			s.len = upstream_get(&s.f, &s.u, s.msg, &s.from);
	}
	expect(&s, "SERVFAIL ");
	dns_forward_counts(f, &c);
	cr_expect_eq(c.answers, 0);
	cr_expect_eq(c.mismatched, 2 * f->max_attempts);
	s.u.tcp = -1;
	end(&s);
}

Test(letters, lower_and_mixed)
{
	uint8_t name[] = "\1A\3b-9\5Z[`{@", want[] = "\1a\3b-9\5z[`{@"; /* what is next to letters stays */
	unsigned upper = 0;

	dns_case_lower(name);
	cr_expect_arr_eq(name, want, sizeof(want));
	for (unsigned i = 0; i < 4000; i++) {
		dns_case_mix(name);
		upper += name[1] == 'A';
		dns_case_lower(name);
		cr_assert_arr_eq(name, want, sizeof(want));
	}
	cr_expect(upper > 1500 && upper < 2500, "%u of 4000", upper);
}

/* Owners that are written out get the letters of the question; those of other names, and what refers to another place, stay. */
Test(letters, are_put_back_into_a_response)
{
	static const uint8_t tail[] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 5};
	uint8_t msg[] = "\0\1\x80\0\0\1\0\3\0\0\0\0\1A\2bC\0\0\1\0\1"
			"\1a\2Bc\0\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\5"
			"\2Bc\0\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\5"
			"\1a\xc0\x0e\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\5";
	const uint8_t question[] = "\1a\2BC\0\0\1\0\1";
	uint8_t want[sizeof(msg)];
	size_t at = DNS_HEADER_LEN + 10, len = sizeof(msg) - 1;

	memcpy(want, msg, sizeof(msg));
	memcpy(want + DNS_HEADER_LEN, "\1a\2BC", 5);
	memcpy(want + at, "\1a\2BC", 5);
	cr_assert_arr_eq(want + at + 6, tail, sizeof(tail));
	dns_case_restore(msg, len, question, 10);
	cr_expect_arr_eq(msg, want, sizeof(msg));
	msg[at] = 'x'; /* a label that leads out of the message: the question is put back, and there it ends */
	memcpy(msg + DNS_HEADER_LEN, "\1A\2bC", 5);
	want[at] = 'x';
	dns_case_restore(msg, len, question, 10);
	cr_expect_arr_eq(msg, want, sizeof(msg));
	dns_case_restore(msg, DNS_HEADER_LEN + 3, (const uint8_t *)"\1X\2YZ\0\0\1\0\1", 10);
	cr_expect_arr_eq(msg, want, sizeof(msg));
}
