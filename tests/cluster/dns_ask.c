/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_ask.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_msg.h"

enum { MESSAGE_MAX = 65535, WAIT_MS = 1500, TRIES = 2, SERIAL = 2 /* of the fields of an SOA */ };

static void fail(const char *what)
{
	(void)fprintf(stderr, "dns_diff: %s: %s\n", what, strerror(errno));
	exit(2);
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? read(fd, data, len) : -1;

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static size_t by_stream(int fd, const struct dns_question *q, uint8_t *answer)
{
	uint8_t frame[2 + QUESTION_MAX] = {(uint8_t)(q->len >> 8), (uint8_t)q->len}, head[2];
	size_t len;

	memcpy(frame + 2, q->wire, q->len);
	if (write(fd, frame, q->len + 2) != (ssize_t)q->len + 2 || !read_all(fd, head, 2))
		return 0;
	len = (size_t)head[0] << 8 | head[1];
	return read_all(fd, answer, len) ? len : 0;
}

static size_t by_datagram(int fd, const struct dns_question *q, uint8_t *answer)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (unsigned i = 0; i < TRIES; i++) {
		ssize_t n;

		if (write(fd, q->wire, q->len) != (ssize_t)q->len)
			return 0;
		n = poll(&p, 1, WAIT_MS) == 1 ? read(fd, answer, MESSAGE_MAX) : 0;
		if (n > 2 && memcmp(answer, q->wire, 2) == 0)
			return (size_t)n;
	}
	return 0;
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A name of the cluster, or a reverse name that leads to one. */
static bool is_ours(const ldns_rr *rr)
{
	bool is_ptr = ldns_rr_get_type(rr) == LDNS_RR_TYPE_PTR;
	CLEANUP(free) char *name = ldns_rdf2str(is_ptr ? ldns_rr_rdf(rr, 0) : ldns_rr_owner(rr));

	return str_has_suffix(name, "cluster.local.") || str_has_suffix(name, "clusterset.local.");
}

/* Without what must differ: serials, and what is left of the life of others' records. */
static char *rr_text(ldns_rr *rr)
{
	char *text;

	ldns_rr2canonical(rr);
	if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA)
		ldns_rdf_deep_free(ldns_rr_set_rdf(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, 0), SERIAL));
	if (!is_ours(rr))
		ldns_rr_set_ttl(rr, 0);
	text = ldns_rr2str(rr);
	text[strcspn(text, "\n")] = '\0';
	for (char *p = text; *p; p++)
		if (*p == ' ' || *p == '\t')
			*p = ',';
	return text;
}

char *dns_set_text(const ldns_rr_list *l)
{
	size_t n = l ? ldns_rr_list_rr_count(l) : 0;
	CLEANUP(free) char **lines = calloc(n + 1, sizeof(*lines));
	struct buf b = {.max = 1 << 24};

	if (!lines)
		fail("answer");
	for (size_t i = 0; i < n; i++)
		lines[i] = rr_text(ldns_rr_list_rr(l, i));
	qsort(lines, n, sizeof(*lines), line_cmp);
	for (size_t i = 0; i < n; i++) {
		if (buf_addf(&b, "%s%s", i ? ";" : "", lines[i]) < 0)
			fail("answer");
		free(lines[i]);
	}
	if (n == 0 && buf_addf(&b, "none") < 0)
		fail("answer");
	return b.data;
}

static char *flags_text(const ldns_pkt *p, bool is_large)
{
	return str_printf("%s%s%s%s%s.", ldns_pkt_aa(p) ? "AA" : "", !ldns_pkt_tc(p) ? "" : is_large ? "TC+" : "TC", ldns_pkt_rd(p) ? "RD" : "",
			  ldns_pkt_ad(p) ? "AD" : "", ldns_pkt_cd(p) ? "CD" : "");
}

static void read_answer(const struct dns_question *q, const uint8_t *data, size_t len, struct dns_said *ret)
{
	size_t question_len = q->len - LDNS_HEADER_SIZE;
	ldns_pkt *p = NULL;
	CLEANUP(free) char *rcode = NULL;

	if (len == 0 || ldns_wire2pkt(&p, data, len) != LDNS_STATUS_OK) {
		for (unsigned f = 0; f < DNS_FIELDS; f++)
			ret->field[f] = strdup(f ? "none" : len ? "malformed" : "silent");
		return;
	}
	if (q->wire[11]) /* the OPT at the end of the question */
		question_len -= 11;
	rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(p));
	ret->is_truncated = ldns_pkt_tc(p);
	ret->field[FIELD_RCODE] = str_printf("%s%s", ldns_pkt_edns_extended_rcode(p) ? "extended-" : "", rcode);
	ret->field[FIELD_ANSWER] = dns_set_text(ldns_pkt_answer(p));
	ret->field[FIELD_AUTHORITY] = dns_set_text(ldns_pkt_authority(p));
	ret->field[FIELD_ADDITIONAL] = dns_set_text(ldns_pkt_additional(p));
	ret->field[FIELD_FLAGS] = flags_text(p, q->udp_size > DNS_UDP_MAX);
	ret->field[FIELD_QUESTION] = strdup(ldns_pkt_qdcount(p) == 0 ? "none" :
					    len >= LDNS_HEADER_SIZE + question_len &&
						    memcmp(data + LDNS_HEADER_SIZE, q->wire + LDNS_HEADER_SIZE, question_len) == 0 ?
									       "same" :
									       "other");
	/* ldns takes it out of the additional section; its size tells that it was there */
	ret->field[FIELD_OPT] = ldns_pkt_edns(p) ? str_printf("%u,%s", ldns_pkt_edns_version(p), ldns_pkt_edns_do(p) ? "DO" : "") :
						   strdup("none");
	ldns_pkt_free(p);
}

void dns_ask(const struct sockaddr_storage *address, socklen_t len, const struct dns_question *q, bool by_tcp, struct dns_said *ret)
{
	static uint8_t answer[MESSAGE_MAX];
	CLEANUP(close_fd) int fd = socket(address->ss_family, (by_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	size_t n = 0;

	if (fd < 0)
		fail("socket");
	*ret = (struct dns_said){.is_truncated = false};
	if (connect(fd, (const struct sockaddr *)address, len) == 0)
		n = by_tcp ? by_stream(fd, q, answer) : by_datagram(fd, q, answer);
	read_answer(q, answer, n, ret);
	for (unsigned f = 0; f < DNS_FIELDS; f++)
		if (!ret->field[f])
			fail("answer");
}

void dns_said_done(struct dns_said *s)
{
	for (unsigned f = 0; f < DNS_FIELDS; f++)
		free(s->field[f]);
}

const char *dns_field_name(enum dns_field f)
{
	static const char *const names[DNS_FIELDS] = {"rcode", "answer", "authority", "additional", "flags", "question", "opt"};

	return names[f];
}
