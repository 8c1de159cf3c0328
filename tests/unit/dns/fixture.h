/* SPDX-License-Identifier: Apache-2.0 */
/* A server with the zones of tests/data/dns/objects.json, and queries to it. */
#pragma once

#include <ldns/ldns.h>

#include "dns/dns_server_private.h"
#include "dns/dns_zone.h"
#include "service/service.h"

struct fixture {
	struct loop *loop;
	struct service_table *table, *imports;
	struct dns_zone *zone, *mcs;
	struct dns_server *server;
};

/* A test asserts that it works. `upstreams` may be NULL. The zones are synced. */
void fixture_init(struct fixture *f, const struct dns_upstream *upstreams, size_t n);
void fixture_done(struct fixture *f);

/* Text of a file below tests/data, parsed. */
json_t *fixture_json(const char *path);

/* Builds a query message; `edns_size` 0 = without OPT. Returns its length. */
size_t query_build(const char *name, uint16_t type, uint16_t edns_size, uint8_t buf[DNS_UDP_MIN]);

/* Hands a query to the server as if it came by UDP or TCP; the parsed answer, or NULL if there is none. */
ldns_pkt *fixture_ask(struct fixture *f, const uint8_t *msg, size_t len);

/* Records as sorted lines "owner ttl TYPE data", joined by newlines; the caller frees it. */
char *records_text(const ldns_rr_list *l);
