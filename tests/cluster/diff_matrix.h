/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is probed with what: two subjects, a pod and a host, and everything between each of them and the
 * same peers. A file says where they are:
 *   place NAME NETNS | peer NAME PLACE ADDRESS | pod PLACE ADDRESS | host PLACE ADDRESS | l4 in|out PROTOCOL/PORT
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "diff_probe.h"

enum { MATRIX_PEERS_MAX = 32, MATRIX_L4_MAX = 64 };

struct matrix_end {
	char name[32];
	const struct probe_place *place;
	struct in_addr address;
};

struct matrix_l4 {
	bool is_in;
	uint8_t proto;
	uint16_t port;
};

/* What is asked of both subjects alike, and what came of it. */
struct matrix_cell {
	const struct matrix_end *peer;
	struct matrix_l4 l4;
	const char *want; /* a verdict of the case, or NULL */
	bool pod, host;	  /* has arrived */
};

struct matrix {
	struct probe_place places[PROBE_PLACES_MAX];
	struct matrix_end peers[MATRIX_PEERS_MAX];
	struct matrix_end pod_subject, host_subject;
	struct matrix_l4 l4[MATRIX_L4_MAX];
	size_t n_places, n_peers, n_l4;
	struct matrix_cell *cells;
	size_t n_cells;
};

/* Ends the program if the file makes no sense. */
void matrix_read(struct matrix *m, const char *path);

/* All peers with all protocols, and what `checks` (of a case, may be NULL) asks of peers that are here. */
void matrix_plan(struct matrix *m, const json_t *checks);

typedef bool (*matrix_fine_fn)(const struct matrix_cell *c, void *arg);

/* Probes until every cell is fine or `patience_ms` is over; only what is not is asked again. */
void matrix_run(struct matrix *m, unsigned patience_ms, matrix_fine_fn is_fine, void *arg);

/* "in A tcp/80", until the next call. */
const char *matrix_cell_text(const struct matrix_cell *c);
