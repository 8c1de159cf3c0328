/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API servers are: those that we were given at joining, and those that we were about to connect to, as a name may have
 * another address by now. Not those that the cluster tells of in default/kubernetes: nothing is asked of them, and what objects
 * say does not get past policy.
 */
#pragma once

#include "base/array.h"
#include "base/ip.h"
#include "base/str.h"

/* Names are answered by somebody else: so many addresses at most can be got past policy that way. */
enum { SERVERS_LEARNED_MAX = 16 };

struct server_list {
	ARRAY(struct ip) ips;
	ARRAY(uint16_t) ports;
};

struct servers {
	struct server_list given;
	struct server_list learned; /* the latest last */
	struct server_list all;	    /* of them, each once; the user's to read */
	bool is_stale;		    /* it changed since the user last looked; theirs to clear */
};

void servers_done(struct servers *s);

/*
 * Keeps the addresses in URLs as the given ones. A name is left out: whoever knows its addresses may be slow to tell, and each
 * is learned before the first packet goes there. 0 or -ENOMEM.
 */
int servers_give(struct servers *s, const struct strv *urls);

/*
 * A connection to an API server is about to go there. Keeps the latest SERVERS_LEARNED_MAX beside those that are known.
 * 1 if that is new, 0 if it was known, -ENOMEM.
 */
int servers_learn(struct servers *s, const struct ip *ip, uint16_t port);
