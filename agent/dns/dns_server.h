/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's DNS server: UDP in batches and TCP on given addresses. Names of the providers are
 * answered at once; others go to the upstreams, or are refused if there are none. Only clients on
 * this host are served.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "dns/dns_forward.h"
#include "dns/dns_gate.h"
#include "dns/dns_provider.h"
#include "event/loop.h"

struct dns_server;

struct dns_server_options {
	size_t max_tcp;		 /* connections; 0 = 64 */
	uint64_t tcp_idle_us;	 /* 0 = 10 s */
	size_t max_pending;	 /* queries that wait for an upstream; 0 = 512 */
	size_t cache_entries;	 /* 0 = no cache */
	size_t cache_bytes;	 /* 0 = 4 MiB */
	struct dns_forward_options forward; /* no upstreams = names outside the providers are refused */
};

int dns_server_new(struct loop *l, const struct dns_server_options *opt, struct dns_server **ret);
void dns_server_free(struct dns_server *s);
DEFINE_CLEANUP(struct dns_server *, dns_server_free)

/* Adds a provider, copied; its ctx must outlive the server. At most 16: -ENOSPC. */
int dns_server_add_provider(struct dns_server *s, const struct dns_provider *p);

/*
 * Listens on UDP and TCP. Port 0 picks one, the same for both, and *ret_port tells it; may be NULL.
 * -EADDRINUSE, -EACCES and other errno with text; -ELOOP if it is an upstream. At most 8
 * addresses: -ENOSPC.
 */
int dns_server_listen(struct dns_server *s, const struct ip *ip, uint16_t port, uint16_t *ret_port,
		      struct err *reterr);

/*
 * The host's own addresses. A query to an address that is not loopback is dropped unless it comes
 * from loopback, from the address it was sent to, or from one of these. Copies. 0 or -ENOMEM.
 */
int dns_server_set_local(struct dns_server *s, const struct ip *ips, size_t n);

/*
 * Replaces the upstreams and empties the cache. -ELOOP with text if one is this server itself, as
 * it is when resolv.conf was read after we were written into it; -EINVAL for more than 8.
 */
int dns_server_set_upstreams(struct dns_server *s, const struct dns_upstream *u, size_t n,
			     struct err *reterr);

/* From now on the gate is asked; copied, its ctx must outlive the server. */
void dns_server_set_gate(struct dns_server *s, const struct dns_gate *gate);
/* Sends all answers that were held back. Not from within the gate. */
void dns_server_release(struct dns_server *s);

const struct dns_forward *dns_server_forward(const struct dns_server *s);
void dns_server_flush_cache(struct dns_server *s);

struct dns_server_counts {
	uint64_t queries, tcp_queries, local, forwarded, cached, refused, failed, dropped, foreign;
	uint64_t denied; /* refused by the gate */
	uint64_t held;	 /* answers held back */
	uint64_t late;	 /* times that the delay ended before they were released */
	size_t tcp_clients, pending, cache_entries;
};
void dns_server_counts(const struct dns_server *s, struct dns_server_counts *ret);

/*
 * Who answers `name` and `type` and with what, for `meshctl dns query`; the caller's: {"source": "cluster" | "cache" |
 * "upstream" | "refused", "rcode"? (missing where only an upstream can tell), "explanation", "answers": [{"name", "type",
 * "ttl_s", "data"}]}. Asks no upstream. -EINVAL with text for a bad name or type; -ENOMEM.
 */
int dns_server_explain(struct dns_server *s, const char *name, const char *type, json_t **ret, struct err *reterr);
