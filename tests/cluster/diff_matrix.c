/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_matrix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"
#include "base/str.h"

enum { FIRST_MS = 150, AGAIN_MS = 250 };

static const struct {
	const char *name;
	uint8_t number;
} protos[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}, {"sctp", IPPROTO_SCTP}};

static void refuse(const char *line)
{
	(void)fprintf(stderr, "policy_diff: cannot use: %s\n", line);
	exit(2);
}

/* "TCP/80"; false for what is not probed. */
static bool l4_of(const char *text, struct matrix_l4 *ret)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	uint64_t port;

	if (!slash || str_to_u64(slash + 1, UINT16_MAX, &port) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (strlen(protos[i].name) == (size_t)(slash - text) &&
		    strncasecmp(text, protos[i].name, (size_t)(slash - text)) == 0) {
			ret->proto = protos[i].number;
			ret->port = (uint16_t)port;
			return true;
		}
	return false;
}

static void set_end(struct matrix *m, struct matrix_end *e, const char *name, const char *place, const char *address,
		    const char *line)
{
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	for (size_t i = 0; i < m->n_places; i++)
		if (str_eq(m->places[i].name, place))
			e->place = &m->places[i];
	if (!e->place || inet_pton(AF_INET, address, &e->address) != 1)
		refuse(line);
}

static void read_line(struct matrix *m, const char *line)
{
	char word[4][256] = {{0}};
	int n = sscanf(line, "%255s %255s %255s %255s", word[0], word[1], word[2], word[3]);

	if (n <= 0)
		return;
	if (str_eq(word[0], "place") && n == 3 && m->n_places < PROBE_PLACES_MAX) {
		probe_place_init(&m->places[m->n_places++], word[1], word[2]);
	} else if (str_eq(word[0], "peer") && n == 4 && m->n_peers < MATRIX_PEERS_MAX) {
		set_end(m, &m->peers[m->n_peers++], word[1], word[2], word[3], line);
	} else if (str_eq(word[0], "pod") && n == 3) {
		set_end(m, &m->pod_subject, "pod", word[1], word[2], line);
	} else if (str_eq(word[0], "host") && n == 3) {
		set_end(m, &m->host_subject, "host", word[1], word[2], line);
	} else if (str_eq(word[0], "l4") && n == 3 && m->n_l4 < MATRIX_L4_MAX && l4_of(word[2], &m->l4[m->n_l4])) {
		m->l4[m->n_l4++].is_in = str_eq(word[1], "in");
	} else {
		refuse(line);
	}
}

void matrix_read(struct matrix *m, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024];

	if (!f)
		refuse(path);
	while (fgets(line, sizeof(line), f))
		read_line(m, line);
	(void)fclose(f);
	if (!m->pod_subject.place || !m->host_subject.place || !m->n_peers || !m->n_l4)
		refuse(path);
}

static void add_cell(struct matrix *m, const struct matrix_end *peer, const struct matrix_l4 *l4, const char *want)
{
	for (size_t i = 0; i < m->n_cells; i++)
		if (m->cells[i].peer == peer && m->cells[i].l4.is_in == l4->is_in && m->cells[i].l4.proto == l4->proto &&
		    m->cells[i].l4.port == l4->port) {
			m->cells[i].want = want;
			return;
		}
	m->cells = realloc(m->cells, (m->n_cells + 1) * sizeof(*m->cells));
	if (!m->cells)
		refuse("so much memory");
	m->cells[m->n_cells++] = (struct matrix_cell){.peer = peer, .l4 = *l4, .want = want};
}

/* "ip 192.0.2.1" is a peer by its address. */
static const struct matrix_end *peer_of(const struct matrix *m, const char *name)
{
	struct in_addr a;

	for (size_t i = 0; name && i < m->n_peers; i++)
		if (str_eq(m->peers[i].name, name) ||
		    (str_has_prefix(name, "ip ") && inet_pton(AF_INET, name + 3, &a) == 1 &&
		     a.s_addr == m->peers[i].address.s_addr))
			return &m->peers[i];
	return NULL;
}

static bool is_probed(const struct matrix *m, uint8_t proto)
{
	for (size_t i = 0; i < m->n_l4; i++)
		if (m->l4[i].proto == proto)
			return true;
	return false;
}

void matrix_plan(struct matrix *m, const json_t *checks)
{
	m->n_cells = 0;
	for (size_t i = 0; i < m->n_peers; i++)
		for (size_t k = 0; k < m->n_l4; k++)
			add_cell(m, &m->peers[i], &m->l4[k], NULL);
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *c = json_array_get(checks, i);
		const struct matrix_end *peer = peer_of(m, json_string_value(json_array_get(c, 1)));
		const char *dir = json_string_value(json_array_get(c, 0));
		struct matrix_l4 l4 = {.is_in = dir && str_eq(dir, "in")};

		/* A type other than echo gets no answer that belongs to it: only one direction, or each
		 * would be the reply to the other. */
		if (peer && l4_of(json_string_value(json_array_get(c, 2)), &l4) && l4.port != 0 && is_probed(m, l4.proto) &&
		    (l4.proto != IPPROTO_ICMP || l4.port == 8))
			add_cell(m, peer, &l4, json_string_value(json_array_get(c, 3)));
	}
}

static struct probe probe_of(const struct matrix_cell *c, const struct matrix_end *subject)
{
	const struct matrix_end *from = c->l4.is_in ? c->peer : subject, *to = c->l4.is_in ? subject : c->peer;

	return (struct probe){.from = from->place, .to = to->place, .source = from->address, .destination = to->address,
			      .proto = c->l4.proto, .port = c->l4.port};
}

/* Those cells of which `chosen` is set. */
static void run_some(struct matrix *m, const bool *chosen, unsigned timeout_ms)
{
	struct probe *probes = calloc(m->n_cells * 2, sizeof(*probes));
	size_t n = 0;

	if (!probes)
		refuse("so much memory");
	for (size_t i = 0; i < m->n_cells; i++)
		if (chosen[i]) {
			probes[n++] = probe_of(&m->cells[i], &m->pod_subject);
			probes[n++] = probe_of(&m->cells[i], &m->host_subject);
		}
	probe_run(m->places, m->n_places, probes, n, timeout_ms);
	n = 0;
	for (size_t i = 0; i < m->n_cells; i++)
		if (chosen[i]) {
			m->cells[i].pod = probes[n++].has_arrived;
			m->cells[i].host = probes[n++].has_arrived;
		}
	free(probes);
}

void matrix_run(struct matrix *m, unsigned patience_ms, matrix_fine_fn is_fine, void *arg)
{
	bool *chosen = malloc(m->n_cells * sizeof(*chosen));
	size_t left = m->n_cells;

	if (!chosen)
		refuse("so much memory");
	for (size_t i = 0; i < m->n_cells; i++)
		chosen[i] = true;
	for (unsigned spent = 0, timeout = FIRST_MS; left > 0 && spent < patience_ms; spent += timeout, timeout = AGAIN_MS) {
		run_some(m, chosen, timeout);
		left = 0;
		for (size_t i = 0; i < m->n_cells; i++) {
			chosen[i] = !is_fine(&m->cells[i], arg);
			left += chosen[i];
		}
	}
	free(chosen);
}

const char *matrix_cell_text(const struct matrix_cell *c)
{
	static char text[96];

	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (protos[i].number == c->l4.proto)
			(void)snprintf(text, sizeof(text), "%s %s %s/%u", c->l4.is_in ? "in" : "out", c->peer->name, protos[i].name,
				       c->l4.port);
	return text;
}
