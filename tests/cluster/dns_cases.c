/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_cases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "dns/dns_msg.h"
#include "dns_ask.h"
#include "json/json.h"

struct asking {
	const struct sockaddr_storage *server;
	socklen_t len;
	unsigned n_equal, n_wrong;
};

static const char *text_of(const json_t *c, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(c, key));

	return text ? text : otherwise;
}

/* The lines in the form of the answers; NULL if one is no record. */
static char *wanted(const json_t *lines)
{
	ldns_rr_list *l = ldns_rr_list_new();
	char *text = NULL;
	json_t *line;
	size_t i;

	json_array_foreach (lines, i, line) {
		ldns_rr *rr;

		if (ldns_rr_new_frm_str(&rr, json_string_value(line), 0, NULL, NULL) != LDNS_STATUS_OK || !ldns_rr_list_push_rr(l, rr))
			goto out;
	}
	text = dns_set_text(l);
out:
	ldns_rr_list_deep_free(l);
	return text;
}

static void expect(struct asking *a, const json_t *c, bool by_tcp, const char *what, const char *got, const char *want)
{
	if (want && str_eq(got, want)) {
		a->n_equal++;
		return;
	}
	a->n_wrong++;
	printf("case %s, %s: %s is %s, not %s\n", text_of(c, "id", "?"), by_tcp ? "TCP" : "UDP", what, got, want ? want : "a record");
}

static void ask(struct asking *a, const json_t *c, const struct dns_question *q, bool by_tcp)
{
	CLEANUP(free) char *answer = wanted(json_object_get(c, "answer")), *additional = wanted(json_object_get(c, "additional"));
	/* the lab's server for names from outside knows few */
	const char *rcode = text_of(c, "forwarded", text_of(c, "rcode", "NOERROR"));
	struct dns_said said;

	dns_ask(a->server, a->len, q, by_tcp, &said);
	expect(a, c, by_tcp, "rcode", said.field[FIELD_RCODE], rcode);
	expect(a, c, by_tcp, "answer", said.field[FIELD_ANSWER], answer);
	expect(a, c, by_tcp, "additional", said.field[FIELD_ADDITIONAL], additional);
	expect(a, c, by_tcp, "question", said.field[FIELD_QUESTION], "same");
	dns_said_done(&said);
}

int dns_cases_run(const char *path, const struct sockaddr_storage *server, socklen_t len)
{
	CLEANUP(json_decref) json_t *cases = json_load_file(path, 0, NULL);
	struct asking a = {.server = server, .len = len};
	json_t *c;
	size_t i;

	json_array_foreach (cases, i, c) {
		const json_t *q = json_object_get(c, "q");
		const char *name = json_string_value(json_array_get(q, 0)), *type_text = json_string_value(json_array_get(q, 1));
		struct dns_question question;
		uint16_t type;

		if (!name || !type_text || dns_type_parse(type_text, &type) < 0 || dns_question_of(name, type, &question) < 0)
			return -EINVAL;
		ask(&a, c, &question, false);
		ask(&a, c, &question, true);
	}
	printf("%zu cases of names, by UDP and TCP: %u as they should be, %u not\n", json_array_size(cases), a.n_equal, a.n_wrong);
	return a.n_equal == 0 ? -EINVAL : a.n_wrong > 0;
}
