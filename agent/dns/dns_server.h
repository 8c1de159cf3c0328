/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's DNS server: UDP in batches and TCP on given addresses. Names of the providers are
 * answered at once; others go to the upstreams, or are refused if there are none. Only clients on
 * this host are served.
 */
#pragma once

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

/* Finds out whom a query was meant for that came to an address where those of others arrive. */
struct dns_finder {
	/*
	 * `proto` is IPPROTO_UDP or IPPROTO_TCP. Port 0 in *ret: it was meant for this server. False: that is not
	 * known, and the query is dropped, for to ask just anyone could lead round in a circle.
	 */
	bool (*find)(void *ctx, uint8_t proto, const struct dns_upstream *client, const struct dns_upstream *server,
		     struct dns_asked *ret);
	void *ctx;
};

/*
 * Listens for queries that were meant for other servers. They are asked by the gate for with whom they were
 * meant for; then only that server is asked, and what it says is not kept. Once for all such addresses sets the
 * finder, copied; its ctx must outlive the server. As dns_server_listen().
 */
int dns_server_listen_for_others(struct dns_server *s, const struct ip *ip, uint16_t port, const struct dns_finder *finder,
				 uint16_t *ret_port, struct err *reterr);

/* Where it listens for queries of its own: fills up to `max`, returns how many. */
size_t dns_server_listeners(const struct dns_server *s, struct dns_upstream *ret, size_t max);

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

/* Where an answer came from. */
enum dns_source {
	DNS_SOURCE_NONE, /* nobody is asked such questions: malformed, ANY, zone transfers */
	DNS_SOURCE_ZONE,
	DNS_SOURCE_CACHE,
	DNS_SOURCE_UPSTREAM,
	DNS_SOURCE_DENIED,  /* refused by the gate */
	DNS_SOURCE_REFUSED, /* in none of our zones, and there is no upstream */
};

/* What became of one query. */
struct dns_traced {
	enum dns_source source;
	struct dns_upstream upstream; /* that answered; port 0 = none did, or none was asked */
	bool is_watched;	      /* its addresses count for the gate */
	bool is_held;		      /* it was held back for it */
};

/*
 * Looks up a query that came by UDP from `port` of this host with `id`. The last few hundred are
 * remembered; false if it is none of them, or has no answer yet.
 */
bool dns_server_traced(const struct dns_server *s, uint16_t port, uint16_t id, struct dns_traced *ret);

/* Whether one of those was for the name, in lower case, and the address that it came from. */
bool dns_server_asked(const struct dns_server *s, const struct dns_name *name, struct ip *ret);

/* From now on the gate is asked; copied, its ctx must outlive the server. */
void dns_server_set_gate(struct dns_server *s, const struct dns_gate *gate);
/* Sends all answers that were held back. Not from within the gate. */
void dns_server_release(struct dns_server *s);

const struct dns_forward *dns_server_forward(const struct dns_server *s);
void dns_server_flush_cache(struct dns_server *s);

struct dns_server_counts {
	uint64_t queries, tcp_queries, local, forwarded, cached, refused, failed, dropped, foreign;
	uint64_t denied; /* refused by the gate */
	uint64_t others; /* that were meant for other servers */
	uint64_t held;	 /* answers held back */
	uint64_t late;	 /* times that the delay ended before they were released */
	uint64_t cache_hits, cache_misses, cache_evictions;
	size_t tcp_clients, pending, cache_entries, cache_bytes;
};
void dns_server_counts(const struct dns_server *s, struct dns_server_counts *ret);

/*
 * Text of who answers `name` and `type` and why so, for `meshctl dns query`, a sentence a line; the
 * caller frees it. With `traced` it is about that query, else about what would become of one now. Asks
 * no upstream. -EINVAL with text for a bad name or type; -ENOMEM.
 */
struct dns_explanation {
	enum dns_source source;
	char *text;
};
int dns_server_explain(struct dns_server *s, const char *name, const char *type,
		       const struct dns_traced *traced, struct dns_explanation *ret, struct err *reterr);
