/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of somebody who forges them: from elsewhere, with all else right, which never arrive; and, as if he could send
 * from the server's own address and port, with anything wrong of what has to match. Whoever asked gets what the server
 * said. MESH_TEST_FORGED asks for more of them.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "lib/result.h"
#include "upstream.h"

enum {
	FORGED = 2000,
	FROM_ELSEWHERE = 85, /* for each question, */
	FROM_THERE = 15,     /* one below what makes the agent ask by TCP */
	BY_TCP_EVERY = 16,   /* questions: there it is more than that */
	TOO_MANY = 20,
	BY_CASE_AT = 8,      /* of as many: another letter case, after which it asks by TCP at once */
	CASE_BIT = 0x20,
	TYPE_AT = 4, CLASS_AT = 2, /* before the end of the question */
};

static const char WANT[] = "NOERROR %s 60 A 203.0.113.5\n";

struct stage {
	struct fixture f;
	struct upstream server;
	int client, elsewhere;
	uint64_t forged;
};

static size_t question_end(const uint8_t *msg)
{
	size_t at = DNS_HEADER_LEN;

	while (msg[at])
		at += msg[at] + 1U;
	return at + 5;
}

/* The answer with another address in it. */
static size_t forge(const uint8_t *right, size_t len, uint8_t *ret)
{
	size_t end = question_end(right);

	memcpy(ret, right, len);
	memcpy(ret + end + 12, (const uint8_t[]){198, 51, 100, 66}, 4);
	return len;
}

/* One thing is wrong with it. */
static size_t spoil(uint8_t *msg, size_t len, unsigned what)
{
	size_t end = question_end(msg);
	uint8_t bit = (uint8_t)(1u << rng_below(8));

	switch (what) {
	case 0:
		msg[rng_below(2)] ^= bit; /* the number */
		return len;
	case 1:
		msg[DNS_HEADER_LEN + 1] ^= 1; /* a letter of the name */
		return len;
	case 2:
		msg[end - TYPE_AT + rng_below(2)] ^= bit;
		return len;
	case 3:
		msg[end - CLASS_AT + rng_below(2)] ^= bit;
		return len;
	case 4:
		msg[2] &= 0x7f; /* it is no answer */
		return len;
	case 5:
		msg[5] = (uint8_t)(2 * rng_below(2)); /* no question, or two */
		return len;
	case 6:
		return rng_below((uint32_t)end); /* cut in the question */
	default:
		msg[0] = (uint8_t)(msg[0] + 1 + rng_below(255)); /* any other number */
		return len;
	}
}

static void send_forged(struct stage *s, const uint8_t *right, size_t len, const struct sockaddr_in *to, unsigned from_there)
{
	uint8_t msg[2048];

	for (unsigned i = 0; i < FROM_ELSEWHERE; i++) {
		size_t n = forge(right, len, msg);

		cr_assert(sendto(s->elsewhere, msg, n, 0, (const struct sockaddr *)to, sizeof(*to)) == (ssize_t)n);
	}
	for (unsigned i = 0; i < from_there; i++) {
		size_t n = forge(right, len, msg);

		upstream_answer(&s->server, msg, spoil(msg, n, rng_below(8)), to);
	}
	s->forged += FROM_ELSEWHERE + from_there;
}

/* All that an attacker can guess but for the case of one letter. */
static void send_in_other_letters(struct stage *s, const uint8_t *right, size_t len, const struct sockaddr_in *to)
{
	uint8_t msg[2048];
	size_t n = forge(right, len, msg);

	msg[DNS_HEADER_LEN + 1] ^= CASE_BIT;
	upstream_answer(&s->server, msg, n, to);
	s->forged++;
}

/* The number of its query by UDP is worth nothing by TCP, where nobody else can answer. */
static void answer_by_tcp(struct stage *s)
{
	struct pollfd p = {.fd = s->server.tcp, .events = POLLIN};
	uint8_t msg[2048];
	size_t len;
	int conn;

	for (unsigned i = 0; i < 1000 && poll(&p, 1, 0) == 0; i++)
		cr_assert(loop_once(s->f.loop, 10000) >= 0);
	cr_assert(p.revents, "it did not ask by TCP");
	conn = accept(s->server.tcp, NULL, NULL);
	len = read_frame(&s->f, conn, msg);
	cr_assert(len > 0);
	len = make_answer(msg + 2, len, 0, 0);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	cr_assert(send(conn, msg, len + 2, 0) == (ssize_t)(len + 2));
	(void)close(conn);
}

/* Waits for the answer; a question that is asked again, as on a machine that is slow, is answered again. */
static size_t await_answer(struct stage *s, uint8_t *ret, size_t size)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t msg[2048];

	while (clock_boot_us() < end) {
		ssize_t n = recv(s->client, ret, size, MSG_DONTWAIT);

		if (n >= 0)
			return (size_t)n;
		n = recvfrom(s->server.udp, msg, DNS_UDP_MIN, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
		if (n > 0)
			upstream_answer(&s->server, msg, make_answer(msg, (size_t)n, 0, 0), &from);
		cr_assert(loop_once(s->f.loop, 10000) >= 0);
	}
	return 0;
}

static void one_question(struct stage *s, uint64_t number)
{
	bool is_by_case = number % BY_TCP_EVERY == BY_CASE_AT, is_by_tcp = is_by_case || number % BY_TCP_EVERY == 0;
	uint8_t right[2048], out[2048];
	char name[64], want[128];
	struct sockaddr_in from;
	size_t len;

	(void)snprintf(name, sizeof(name), "n%llu.example.com.", (unsigned long long)number);
	(void)snprintf(want, sizeof(want), WANT, name);
	ask(s->client, name, 0);
	len = upstream_get(&s->f, &s->server, right, &from);
	len = make_answer(right, len, 0, 0);
	if (is_by_case)
		send_in_other_letters(s, right, len, &from);
	else
		send_forged(s, right, len, &from, is_by_tcp ? TOO_MANY : FROM_THERE);
	if (is_by_tcp)
		answer_by_tcp(s);
	else
		upstream_answer(&s->server, right, len, &from);
	len = await_answer(s, out, sizeof(out));
	expect_answer(out, len, want);
}

Test(forward, forged_answers, .timeout = 36000)
{
	uint64_t most = result_amount("MESH_TEST_FORGED", FORGED), questions = 0, by_case;
	struct stage s = {.server = upstream_open(), .elsewhere = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
	struct dns_forward_counts c;

	cr_assert_geq(s.elsewhere, 0);
	fixture_init(&s.f, &s.server.at, 1);
	s.client = connect_to(SOCK_DGRAM, listen_on(&s.f));
	while (s.forged < most)
		one_question(&s, questions++);
	dns_forward_counts(dns_server_forward(s.f.server), &c);
	cr_expect_eq(c.in_flight, 0);
	cr_expect_eq(c.answers, questions);
	by_case = (questions + BY_TCP_EVERY - 1 - BY_CASE_AT) / BY_TCP_EVERY;
	cr_expect_gt(by_case, 0);
	cr_expect_geq(c.mismatched, (questions - by_case) * FROM_THERE + by_case);
	cr_expect_eq(c.tcp, (questions + BY_TCP_EVERY - 1) / BY_TCP_EVERY + by_case);
	result_add("forged", json_pack("{s:I, s:I, s:I}", "answers", (json_int_t)s.forged, "questions", (json_int_t)questions,
					"accepted", (json_int_t)0));
	(void)close(s.client);
	(void)close(s.elsewhere);
	fixture_done(&s.f);
	upstream_close(&s.server);
}
