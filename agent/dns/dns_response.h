/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be done to an upstream's response before it may be kept or given on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/dns_msg.h"

struct dns_response_info {
	int rcode;	      /* with the upper bits from OPT */
	bool is_truncated;
	bool is_negative;     /* NXDOMAIN, or NOERROR without an answer */
	uint32_t ttl;	      /* the least of all; if negative also of what the SOA says (RFC 2308), 0 without one */
	size_t question_end;
};

/*
 * Checks every record's bounds, takes OPT out, and tells what the response is. A message whose OPT
 * is not the last record loses its additional section. -EBADMSG.
 */
int dns_response_strip(uint8_t *msg, size_t *len, struct dns_response_info *ret);

/* Lowers every TTL by `age_s`, not below 0. The message was stripped before. */
void dns_response_age(uint8_t *msg, size_t len, uint32_t age_s);

/*
 * Makes a stripped response the answer to `q`: id, question, RD, CD, RA and OPT as the client asked,
 * cut to the question with TC if it is longer than `limit`. `msg` has room for 11 more bytes.
 * Returns the new length.
 */
size_t dns_response_finish(uint8_t *msg, size_t len, const struct dns_query *q, int rcode,
			   size_t limit);

/*
 * Adds the answer's addresses for `target`, with the CNAMEs that lead to them, to `w`. Records that
 * are not on that path are left out. -EBADMSG for a malformed message; the records before it stay.
 */
int dns_response_append(struct dns_writer *w, const uint8_t *msg, size_t len,
			const struct dns_name *target, uint16_t qtype);
