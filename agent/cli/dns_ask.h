/* SPDX-License-Identifier: Apache-2.0 */
/* One question to a DNS server, as any program of the host asks it: by UDP, then by TCP if it does not fit. */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "dns/dns_forward.h"

struct dns_reply {
	uint8_t *msg; /* heap */
	size_t len;
	bool is_tcp;
	uint64_t took_us;
	uint16_t port, id; /* that the question by UDP came from, for dns_server_traced() */
};

/*
 * Asks and waits. A message that answers something else is passed over. 0 and *ret, whose msg the caller
 * frees; -ETIMEDOUT, -ECONNREFUSED and other errno of sockets with text; -ENOMEM. On failure port and id are
 * set nevertheless if the question was sent.
 */
int dns_ask(const struct dns_upstream *server, const struct dns_name *name, uint16_t type, uint64_t timeout_us,
	    struct dns_reply *ret, struct err *reterr);

/*
 * The message as {"rcode", "flags", "answers": [{"name", "type", "ttl_s", "data"}], "authority": the same,
 * "additional": the same}. What is malformed ends the list: "malformed" is true then. NULL when out of memory.
 */
json_t *dns_reply_view(const uint8_t *msg, size_t len);
