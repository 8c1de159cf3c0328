/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries to the host's own resolvers. Each attempt has its own connected socket, so a random
 * source port, and a random id; a response counts only if id and question agree. Truncated
 * answers are asked again by TCP. Bounded number in flight.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "dns/dns_msg.h"
#include "event/loop.h"

struct dns_forward;
struct dns_flight;

struct dns_upstream {
	struct ip ip;
	uint16_t port;
};

struct dns_forward_options {
	const struct dns_upstream *upstreams; /* asked in this order, from the last that answered on */
	size_t n_upstreams;		      /* at most 8 */
	size_t max_in_flight;		      /* 0 = 256 */
	uint64_t timeout_us;		      /* of one attempt; 0 = 1.5 s */
	unsigned attempts;		      /* 0 = 4, over all upstreams */
	int mark;			      /* SO_MARK of the sockets; 0 = none */
};

int dns_forward_new(struct loop *l, const struct dns_forward_options *opt,
		    struct dns_forward **ret);
void dns_forward_free(struct dns_forward *f);
DEFINE_CLEANUP(struct dns_forward *, dns_forward_free)

/* Replaces the list; what is in flight goes on with the new one. -EINVAL for more than 8. */
int dns_forward_set_upstreams(struct dns_forward *f, const struct dns_upstream *u, size_t n);
size_t dns_forward_n_upstreams(const struct dns_forward *f);

struct dns_upstream_counts {
	uint64_t queries;  /* attempts, those after another one failed included */
	uint64_t failures; /* of them: no answer in time, nobody there, or an answer that another one may better */
	bool is_failing;   /* the last one did */
};
/* The one in place `i`, below dns_forward_n_upstreams(). Counts begin anew with a new list. */
void dns_forward_upstream(const struct dns_forward *f, size_t i, struct dns_upstream *ret,
			  struct dns_upstream_counts *ret_counts);
bool dns_forward_has_upstream(const struct dns_forward *f, const struct ip *ip, uint16_t port);

/* Response as it came, its id not that of the client; NULL if no upstream answered in time. */
typedef void (*dns_forward_fn)(const uint8_t *msg, size_t len, void *arg);

/*
 * Asks for the question of `q` with its RD, CD and DO bits. The callback runs once, later, from the
 * loop. -EBUSY past the maximum in flight; -ENOTCONN without upstreams; -ENOMEM, -EMFILE.
 */
int dns_forward_query(struct dns_forward *f, const struct dns_query *q, dns_forward_fn fn,
		      void *arg,
		      struct dns_flight **ret);

/* The callback will not run. NULL is fine. */
void dns_flight_cancel(struct dns_flight *fl);

struct dns_forward_counts {
	uint64_t queries, answers, failures, retries, tcp, mismatched, refused_busy;
	size_t in_flight;
};
void dns_forward_counts(const struct dns_forward *f, struct dns_forward_counts *ret);
