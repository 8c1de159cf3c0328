/* SPDX-License-Identifier: Apache-2.0 */
/* Whether programs of this host that look names up ask the agent, as far as the files of its resolver tell. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"

enum dns_wiring_state {
	DNS_WIRING_OK,	    /* names of the cluster reach the agent */
	DNS_WIRING_OFF,	    /* they do not */
	DNS_WIRING_UNKNOWN, /* a resolver on this host stands in between, and does not tell */
};

struct dns_wiring {
	enum dns_wiring_state state;
	const char *method; /* "resolv.conf", "systemd-resolved" or "none"; static */
	char text[256];	    /* for a person */
};

/*
 * Reads /etc/resolv.conf and what systemd-resolved leaves below /run/systemd/resolve and takes from the
 * dns-delegate.d directories. `listen` are the addresses of the agent; `root` comes before the paths, "" for
 * this host.
 */
void dns_wiring_read(const char *root, const struct ip *listen, size_t n, struct dns_wiring *ret);
