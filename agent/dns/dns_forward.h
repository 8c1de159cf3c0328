/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries to the host's own resolvers. Each attempt has its own connected socket, so a random
 * source port, a random id, and the question in random letter case (dns_case.h); a response counts only if id and question
 * are the same. Truncated answers are asked again by TCP. Bounded number in flight.
 *
 * One in other letters is a forged one, or the server does not keep them: TCP, where nobody else can answer, is to tell. If it
 * does not keep them, or has no TCP, it is asked in lower case, which such servers answer in, and has to answer in that.
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
	uint32_t mark;			      /* SO_MARK of the sockets; 0 = none */
	uint32_t allowed_mark;		      /* of those for queries with is_allowed */
};

int dns_forward_new(struct loop *l, const struct dns_forward_options *opt,
		    struct dns_forward **ret);
void dns_forward_free(struct dns_forward *f);
DEFINE_CLEANUP(struct dns_forward *, dns_forward_free)

/* Replaces the list; what is in flight goes on with the new one. -EINVAL for more than 8. */
int dns_forward_set_upstreams(struct dns_forward *f, const struct dns_upstream *u, size_t n);
size_t dns_forward_n_upstreams(const struct dns_forward *f);
bool dns_forward_has_upstream(const struct dns_forward *f, const struct ip *ip, uint16_t port);

/* Response as it came, but with the question's letters; its id is not that of the client; and who sent it; NULLs if no upstream answered in time. */
typedef void (*dns_forward_fn)(const uint8_t *msg, size_t len, const struct dns_upstream *from, void *arg);

/*
 * Asks for the question of `q` with its RD, CD and DO bits. The callback runs once, later, from the
 * loop. With `only` that server is asked and no other. Past the maximum in flight the oldest is given up; -EBUSY past twice the
 * maximum, before the loop could end those; -ENOTCONN without upstreams; -ENOMEM, -EMFILE.
 */
int dns_forward_query(struct dns_forward *f, const struct dns_query *q, const struct dns_upstream *only,
		      dns_forward_fn fn, void *arg, struct dns_flight **ret);

/* The callback will not run. NULL is fine. */
void dns_flight_cancel(struct dns_flight *fl);

/* How one upstream does. Kept while it stays in the list. */
struct dns_upstream_status {
	struct dns_upstream at;
	uint64_t queries, failures; /* attempts, and those that brought no usable answer */
	uint64_t answered_us, failed_us; /* CLOCK_BOOTTIME of the last of each; 0 = never */
	uint64_t lower_until_us;	 /* does not keep letter case: until then it is asked in lower case; 0 = no */
	uint32_t latency_us;	    /* smoothed; 0 = not known */
	const char *error;	    /* of the last failure; NULL = none */
};
/* Fills up to `max`, in the order of the list; returns how many. */
size_t dns_forward_status(const struct dns_forward *f, struct dns_upstream_status *ret, size_t max);

struct dns_forward_counts {
	uint64_t queries, answers, failures, retries, tcp, mismatched, refused_busy;
	size_t in_flight;
};
void dns_forward_counts(const struct dns_forward *f, struct dns_forward_counts *ret);
