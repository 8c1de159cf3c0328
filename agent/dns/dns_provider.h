/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers for a part of the name space: the server asks the one with the longest apex. */
#pragma once

#include "base/buf.h"
#include "dns/dns_msg.h"

enum dns_verdict {
	DNS_VERDICT_ANSWER, /* the writer holds the records; rcode is set */
	DNS_VERDICT_PASS,   /* not ours after all: forward it */
	DNS_VERDICT_CHASE,  /* the writer holds CNAMEs; addresses of `target` are to be added */
};

struct dns_result {
	int rcode;
	struct dns_name target;	     /* DNS_VERDICT_CHASE: lower case */
	uint32_t negative_ttl;	     /* DNS_VERDICT_CHASE: for the SOA if the chase fails */
	uint32_t serial;
	const struct dns_name *apex; /* of the zone that answered */
};

struct dns_provider {
	struct dns_name apex; /* lower case */
	/* Answers `q`, which is of class IN and at or below the apex, into `w`. */
	enum dns_verdict (*answer)(void *ctx, const struct dns_query *q, struct dns_writer *w,
				   struct dns_result *ret);
	/* Appends of which object of the cluster the answer is, in a line; may be NULL. 0 or as buf_add(). */
	int (*explain)(void *ctx, const struct dns_query *q, struct buf *b);
	void *ctx;
};
