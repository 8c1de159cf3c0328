/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as an upstream's answers to a query of ours: a datagram, and what comes by TCP if it says that it is
 * cut. The id is made right, or nothing would ever be looked at, and the letter case of the question, unless the first byte, which
 * is part of the id, is odd. What is given on answers the question.
 *
 * The first two bytes are the length of the datagram; the rest is the stream.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/dns_forward.h"
#include "dns/dns_response.h"
#include "fuzz.h"

const unsigned replay_runs = 2000;

enum { TURNS = 6, CASE_BIT = 0x20 };

static const uint8_t question[] = "\3web\4prod\0\0\1\0\1"; /* and a byte that is not sent */

static struct loop *loop;
static struct dns_forward *forward;
static int udp, tcp;
static bool is_done;

static int listen_on(int type, struct sockaddr_in *a)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	socklen_t len = sizeof(*a);

	CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 && getsockname(fd, (struct sockaddr *)a, &len) == 0);
	return fd;
}

static void start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct dns_upstream up = {.ip = {.family = AF_INET, .b = {127, 0, 0, 1}}};
	struct dns_forward_options opt = {.upstreams = &up, .n_upstreams = 1, .timeout_us = UINT32_MAX};

	tcp = listen_on(SOCK_STREAM, &a);
	udp = listen_on(SOCK_DGRAM, &a);
	CHECK(listen(tcp, 16) == 0 && loop_new(&loop) == 0);
	up.port = ntohs(a.sin_port);
	CHECK(dns_forward_new(loop, &opt, &forward) == 0);
}

static void on_answer(const uint8_t *msg, size_t len, const struct dns_upstream *from, void *arg)
{
	struct dns_response_info info;
	struct dns_reader r;
	uint8_t *copy;

	(void)arg;
	is_done = true;
	CHECK(!msg == !from);
	if (!msg)
		return;
	CHECK(dns_reader_begin(&r, msg, len) == 0 && r.qtype == DNS_A && r.qclass == DNS_CLASS_IN && r.qname.len == 10);
	CHECK(memcmp(msg + DNS_HEADER_LEN, question, sizeof(question) - 1) == 0);
	copy = malloc(len);
	CHECK(copy);
	memcpy(copy, msg, len);
	(void)dns_response_strip(copy, &len, &info); /* any result is fine */
	free(copy);
}

static void take_letters(uint8_t *msg, size_t len, const uint8_t *query)
{
	for (size_t i = DNS_HEADER_LEN; i < len && i < DNS_HEADER_LEN + sizeof(question) - 5; i++)
		if (isalpha(query[i]) && (msg[i] | CASE_BIT) == (query[i] | CASE_BIT))
			msg[i] = query[i];
}

/* Answers the query that waits, if there is one, with the id that it has. */
static void answer_udp(const uint8_t *data, size_t len)
{
	uint8_t query[512], *msg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

	if (n < 2)
		return;
	msg = malloc(len + 2);
	CHECK(msg);
	memcpy(msg, query, 2);
	if (len > 2)
		memcpy(msg + 2, data + 2, len - 2);
	if (len > 2 && !(data[0] & 1))
		take_letters(msg, len, query);
	(void)sendto(udp, msg, len, 0, (const struct sockaddr *)&from, from_len); /* too long is fine */
	free(msg);
}

/* The same by TCP: length and id, then the rest as it is. */
static void answer_tcp(int *fd, const uint8_t *data, size_t len)
{
	uint8_t query[512], head[4] = {(uint8_t)(len >> 8), (uint8_t)len};

	if (*fd < 0)
		*fd = accept4(tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (*fd < 0 || recv(*fd, query, sizeof(query), 0) < 4 || len > UINT16_MAX)
		return;
	memcpy(head + 2, query + 2, 2);
	(void)send(*fd, head, sizeof(head), MSG_NOSIGNAL);			     /* whatever the other end did, */
	if (len > 2)
		(void)send(*fd, data + 2, len - 2, MSG_NOSIGNAL); /* here too */
	(void)shutdown(*fd, SHUT_WR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q = {.rd = true, .question = question, .question_len = sizeof(question) - 1, .qtype = DNS_A, .qclass = DNS_CLASS_IN};
	struct dns_flight *flight;
	struct dns_forward_counts counts;
	size_t len;
	int fd = -1;

	if (!forward)
		start();
	if (size < 2 || size > 65000)
		return 0;
	len = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (len > size)
		len = size;
	is_done = false;
	CHECK(dns_forward_query(forward, &q, NULL, on_answer, NULL, &flight) == 0);
	for (unsigned turn = 0; !is_done && turn < TURNS; turn++) {
		answer_udp(data, len);
		answer_tcp(&fd, data + len, size - len);
		CHECK(loop_once(loop, 0) >= 0);
	}
	if (!is_done)
		dns_flight_cancel(flight);
	dns_forward_counts(forward, &counts);
	CHECK(counts.in_flight == 0);
	while (recv(udp, (char[1]){0}, 1, 0) >= 0)
		; /* a query that was not answered any more */
	if (fd < 0)
		fd = accept4(tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		CHECK(close(fd) == 0);
	return 0;
}
