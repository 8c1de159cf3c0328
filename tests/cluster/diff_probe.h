/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real packets between network namespaces, many at once: does the first packet of a flow arrive? TCP by a
 * connection that is set up or refused by the other end; everything else by the datagram itself, seen at
 * the other end. One process is at all places: a socket stays in the namespace that it was made in.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_PLACES_MAX = 16 };

struct probe_place {
	char name[32];
	int netns_fd;
	int raw_fd[3]; /* UDP, ICMP, SCTP: what arrives */
};

/* One first packet. */
struct probe {
	const struct probe_place *from, *to;
	struct in_addr source, destination;
	uint8_t proto;
	uint16_t port; /* or the ICMP type */
	bool has_arrived;
	int fd; /* TCP, while it is under way */
};

/* Opens the namespace at `path`. Ends the program on failure, as all of this file does. */
void probe_place_init(struct probe_place *p, const char *name, const char *path);

/* Sends all, waits until all have arrived or `timeout_ms` has passed. */
void probe_run(struct probe_place *places, size_t n_places, struct probe *probes, size_t n, unsigned timeout_ms);
