/* SPDX-License-Identifier: Apache-2.0 */
/* What dns_forward.c (the upstreams and how they do) and dns_flight.c (one question) share. */
#pragma once

#include "dns/dns_forward.h"

enum {
	MAX_UPSTREAMS = 8,
	OPT_LEN = 11,
	QUERY_MAX = 2 + DNS_HEADER_LEN + DNS_NAME_MAX + 4 + OPT_LEN,
};

struct dns_forward {
	struct loop *loop;
	struct dns_upstream_status upstreams[MAX_UPSTREAMS];
	size_t n_upstreams, preferred, max_in_flight;
	uint64_t timeout_us;
	unsigned max_attempts;
	uint32_t mark, allowed_mark;
	struct dns_flight *flights;
	struct dns_forward_counts counts;
	uint8_t buf[DNS_MSG_MAX]; /* datagrams are handled one at a time */
};

struct dns_flight {
	struct dns_flight *next, **prevp;
	struct dns_forward *f;
	dns_forward_fn fn;
	void *arg;
	int fd;
	struct source *io, *timer;
	struct dns_upstream to; /* of the current attempt */
	uint64_t asked_us;
	unsigned attempts, mismatches;
	uint32_t mark;
	bool is_given_up; /* for others: its timer ends it */
	bool has_only; /* `to` is the only one that may be asked */
	bool is_tcp, has_edns;
	bool is_doubted; /* this attempt's answer had other letters; it is asked once more */
	bool is_lower;	 /* in lower case, as it could not be asked by TCP */
	uint8_t question[DNS_NAME_MAX + 4]; /* as it was given to us; in `query` it is as it was sent */
	uint8_t query[QUERY_MAX]; /* two bytes of length for TCP, then the message */
	size_t query_len;	  /* of the message */
	size_t question_len;
	size_t sent;	  /* TCP: of query with its length */
	uint8_t *tcp_buf; /* TCP: the response with its length */
	size_t tcp_got;
};

/* NULL for a server that is not in the list, or not any more. */
struct dns_upstream_status *dns_forward_status_of(struct dns_forward *f, const struct dns_upstream *u);

/* No answer is waited for any more: the callback runs from the loop, soon. */
void dns_flight_give_up(struct dns_flight *fl);

/* Begins the first attempt that can be begun. -EIO if there is none; errno of a timer. The caller ends the flight then. */
int dns_flight_start(struct dns_flight *fl, const struct dns_query *q);
