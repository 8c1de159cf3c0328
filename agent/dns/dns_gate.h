/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who says what may be looked up, and sees what is answered. The server knows nothing of policies:
 * it asks this, and holds an answer back for a while where it is told to.
 */
#pragma once

#include "dns/dns_msg.h"

enum dns_gate_verdict {
	DNS_GATE_PASS,
	DNS_GATE_WATCH, /* passes, and answered() is called before its answer is sent */
	DNS_GATE_ALLOW, /* likewise; and it may be sent to whom it was meant for, whatever policy says of others */
	DNS_GATE_REFUSE,
};

/* Whom a query was meant for that was on its way to another server. */
struct dns_asked {
	struct ip ip;
	uint16_t port;	 /* 0 = it was meant for this server */
	bool is_cluster; /* that is one that knows the names of our zones as this one does */
};

struct dns_gate {
	/*
	 * Whether a program of this host may look up the question. `is_cluster`: one of our zones
	 * answers it, no upstream is asked. `asked` has a port if the query was meant for another server.
	 */
	enum dns_gate_verdict (*check)(void *ctx, const struct dns_query *q, const struct dns_asked *asked,
				       bool is_cluster, bool is_tcp);
	/*
	 * The message that answers a watched question. True: it is held back until
	 * dns_server_release(), or until the delay is over.
	 */
	bool (*answered)(void *ctx, const struct dns_query *q, const uint8_t *msg, size_t len);
	void *ctx;
	uint64_t max_delay_us; /* of an answer held back */
	int refuse_rcode;      /* DNS_REFUSED or DNS_NXDOMAIN */
};
