/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks this host's DNS server and another one the same questions and compares the answers.
 *   dns_diff make SEED SERVICES                              prints objects for kubectl
 *   dns_diff knows SERVER NAME                               ends with 0 if the server has an address for the name
 *   dns_diff cases CASES SERVER                              asks those of tests/data/dns/cases.json
 *   dns_diff ask OBJECTS SEED FROM COUNT OURS THEIRS ALLOWED   addresses with port; objects as kubectl lists them
 * Ends with 0 if the answers are equal but for what the file ALLOWED has, and all that it has was met.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/err.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_msg.h"
#include "dns/dns_sock.h"
#include "dns_ask.h"
#include "dns_cases.h"
#include "dns_objects.h"
#include "dns_questions.h"

enum { LINE_MAX_LEN = 1024, SHOWN_MAX = 60, SHOWN_OF_A_SORT = 3, COLUMNS = 6, TYPES = 300 };

/* A line of the file: type name field ours theirs reason, all but the last as patterns. */
struct allowed {
	char *column[COLUMNS];
	unsigned n_met;
};

struct server {
	struct sockaddr_storage address;
	socklen_t len;
};

struct diff {
	ARRAY(struct allowed) allowed;
	struct server ours, theirs;
	unsigned n_asked, n_equal, n_allowed, n_wrong, n_truncated, n_shown;
	unsigned n_of_sort[TYPES][DNS_FIELDS];
};

static void fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "dns_diff: %s: %s\n", what, why);
	exit(2);
}

static void read_allowed(struct diff *d, const char *path)
{
	char line[LINE_MAX_LEN];
	FILE *f = fopen(path, "re");

	if (!f)
		fail(path, "cannot be read");
	while (fgets(line, sizeof(line), f)) {
		struct allowed a = {.n_met = 0};
		char *rest = line;

		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		for (unsigned i = 0; i < COLUMNS; i++) {
			rest += strspn(rest, " ");
			a.column[i] = strdup(i < COLUMNS - 1 ? strsep(&rest, " ") : rest);
			if (!a.column[i][0] || !rest)
				fail(path, "a line is not: type name field ours theirs reason");
		}
		if (ARRAY_ADD(&d->allowed, a) < 0)
			fail(path, "out of memory");
	}
	(void)fclose(f); /* it was read only */
}

static bool is_allowed(struct diff *d, const char *type, const char *name, enum dns_field f, const char *ours, const char *theirs)
{
	const char *value[] = {type, name, dns_field_name(f), ours, theirs};

	for (size_t i = 0; i < d->allowed.n; i++) {
		unsigned k = 0;

		while (k < ARRAY_LEN(value) && fnmatch(d->allowed.v[i].column[k], value[k], FNM_EXTMATCH) == 0)
			k++;
		if (k == ARRAY_LEN(value)) {
			d->allowed.v[i].n_met++;
			return true;
		}
	}
	return false;
}

static void question_text(const struct dns_question *q, char name[DNS_TEXT_MAX])
{
	struct dns_name n;
	size_t at = DNS_HEADER_LEN;

	if (dns_name_read(q->wire, q->len, &at, &n) < 0)
		fail("question", "is malformed");
	(void)dns_name_str(&n, name);
}

static void tell(const struct dns_question *q, unsigned number, bool by_tcp, const char *type, const char *name, enum dns_field f,
		 const char *ours, const char *theirs)
{
	printf("DIFFERS %u %s %s (%s%s) %s\n   ours   %.600s\n   theirs %.600s\n", number, type, name, by_tcp ? "tcp" : "udp",
	       q->wire[11] ? ", edns" : "", dns_field_name(f), ours, theirs);
}

/* What was cut off cannot be compared; who cut is in the flags. */
static bool is_comparable(enum dns_field f, const struct dns_said *a, const struct dns_said *b)
{
	return !(a->is_truncated || b->is_truncated) || f == FIELD_RCODE || f == FIELD_FLAGS || f == FIELD_QUESTION || f == FIELD_OPT;
}

static void compare(struct diff *d, const struct dns_question *q, unsigned number, bool by_tcp)
{
	struct dns_said ours, theirs;
	char name[DNS_TEXT_MAX], type_text[16], type[24];
	bool is_wrong = false, is_other = false, is_truncated;

	question_text(q, name);
	(void)snprintf(type, sizeof(type), "%s%s", q->is_chaos ? "CH/" : "", dns_type_str(q->type, type_text)); /* fits */
	dns_ask(&d->ours.address, d->ours.len, q, by_tcp, &ours);
	dns_ask(&d->theirs.address, d->theirs.len, q, by_tcp, &theirs);
	for (unsigned f = 0; f < DNS_FIELDS; f++) {
		if (!is_comparable(f, &ours, &theirs) || str_eq(ours.field[f], theirs.field[f]))
			continue;
		is_other = true;
		if (is_allowed(d, type, name, f, ours.field[f], theirs.field[f]))
			continue;
		if (d->n_shown < SHOWN_MAX && d->n_of_sort[q->type % TYPES][f]++ < SHOWN_OF_A_SORT && ++d->n_shown)
			tell(q, number, by_tcp, type, name, f, ours.field[f], theirs.field[f]);
		is_wrong = true;
	}
	d->n_wrong += is_wrong;
	d->n_allowed += is_other && !is_wrong;
	d->n_equal += !is_other;
	d->n_asked++;
	is_truncated = !by_tcp && (ours.is_truncated || theirs.is_truncated);
	d->n_truncated += is_truncated;
	dns_said_done(&ours);
	dns_said_done(&theirs);
	if (is_truncated) /* as a client would */
		compare(d, q, number, true);
}

static struct server server_of(const char *text)
{
	struct server s;
	uint16_t port;
	struct ip ip;

	if (dns_addr_parse(text, &ip, &port) < 0)
		fail(text, "is no ADDRESS:PORT");
	s.len = dns_sockaddr_set(&s.address, &ip, port);
	return s;
}

static uint64_t number_of(const char *text)
{
	uint64_t v;

	if (str_to_u64(text, UINT32_MAX, &v) < 0)
		fail(text, "is no number");
	return v;
}

static int ask(char **arg)
{
	struct diff d = {.ours = server_of(arg[4]), .theirs = server_of(arg[5])};
	uint64_t seed = number_of(arg[1]), from = number_of(arg[2]), count = number_of(arg[3]);
	json_error_t e;
	json_t *list = json_load_file(arg[0], 0, &e);
	struct dns_questions *questions = dns_questions_new(list);
	struct dns_question q;
	unsigned n_unused = 0;

	if (!questions)
		fail(arg[0], list ? "holds no objects to ask for" : e.text);
	read_allowed(&d, arg[6]);
	for (uint64_t i = from; i < from + count; i++) {
		dns_questions_make(questions, seed, (unsigned)i, &q);
		compare(&d, &q, (unsigned)i, q.is_tcp);
	}
	for (size_t i = 0; i < d.allowed.n; i++) {
		struct allowed *a = &d.allowed.v[i];

		printf("allowed %5u x %s %s %s: %s\n", a->n_met, a->column[0], a->column[1], a->column[2], a->column[5]);
		n_unused += a->n_met == 0;
		for (unsigned k = 0; k < COLUMNS; k++)
			free(a->column[k]);
	}
	ARRAY_DONE(&d.allowed);
	dns_questions_free(questions);
	json_decref(list);
	printf("%u questions (%u again by TCP): %u equal, %u different as allowed, %u different; %u allowances unused\n", d.n_asked,
	       d.n_truncated, d.n_equal, d.n_allowed, d.n_wrong, n_unused);
	return d.n_wrong || n_unused || d.n_equal == 0;
}

static int make(char **arg)
{
	json_t *list = dns_objects_make(number_of(arg[0]), (unsigned)number_of(arg[1]));

	if (!list || json_dumpf(list, stdout, JSON_INDENT(1)) < 0)
		fail("objects", "out of memory");
	json_decref(list);
	return 0;
}

static int knows(char **arg)
{
	struct server server = server_of(arg[0]);
	struct dns_question q;
	struct dns_said said;
	int r;

	if (dns_question_of(arg[1], DNS_A, &q) < 0)
		fail(arg[1], "is no name");
	dns_ask(&server.address, server.len, &q, false, &said);
	r = str_eq(said.field[FIELD_ANSWER], "none");
	dns_said_done(&said);
	return r;
}

static int cases(char **arg)
{
	struct server server = server_of(arg[1]);
	int r = dns_cases_run(arg[0], &server.address, server.len);

	if (r < 0)
		fail(arg[0], "holds no cases");
	return r;
}

int main(int argc, char **argv)
{
	if (argc == 4 && str_eq(argv[1], "make"))
		return make(argv + 2);
	if (argc == 4 && str_eq(argv[1], "knows"))
		return knows(argv + 2);
	if (argc == 4 && str_eq(argv[1], "cases"))
		return cases(argv + 2);
	if (argc == 9 && str_eq(argv[1], "ask"))
		return ask(argv + 2);
	(void)fprintf(stderr, "usage: dns_diff make SEED SERVICES | knows SERVER NAME | cases CASES SERVER | ask OBJECTS SEED FROM COUNT OURS THEIRS ALLOWED\n");
	return 2;
}
