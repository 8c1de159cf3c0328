/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real loopback sockets, and an upstream played by the test. Each call asserts that it works. */
#pragma once

#include <netinet/in.h>

#include "fixture.h"

struct ip loopback(void);
/* The server's port, and a socket that is connected to it, SOCK_DGRAM or SOCK_STREAM. */
uint16_t listen_on(struct fixture *f);
int connect_to(int type, uint16_t port);
/* Runs the loop until something can be read from `fd`, for ten seconds at most; the bytes read. */
size_t run_until(struct fixture *f, int fd, uint8_t *buf, size_t size);
/* Reads one framed message; its length without those two bytes. */
size_t read_frame(struct fixture *f, int fd, uint8_t *buf);
/* What was answered: the response code and the records of the answer. */
void expect_answer(const uint8_t *msg, size_t len, const char *want);
/* Asks for an address; `edns` as for query_build(). */
void ask(int fd, const char *name, uint16_t edns);

/* Two sockets on one port. */
struct upstream {
	int udp, tcp;
	struct dns_upstream at;
};

struct upstream upstream_open(void);
void upstream_close(struct upstream *u);
/* Receives a query; its length and sender. */
size_t upstream_get(struct fixture *f, const struct upstream *u, uint8_t *buf, struct sockaddr_in *from);
/* Turns a query into an answer "A 203.0.113.5 ttl 60"; OPT stays behind. */
size_t make_answer(uint8_t *msg, size_t len, uint8_t flags, uint8_t rcode);
void upstream_answer(const struct upstream *u, const uint8_t *msg, size_t len, const struct sockaddr_in *to);
