/* SPDX-License-Identifier: Apache-2.0 */
/* One question to one server, by UDP or TCP, and the answer in a form that can be compared. */
#pragma once

#include <ldns/ldns.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dns_questions.h"

/*
 * What an answer says. RA is not in it: CoreDNS sets it in what it forwards, and this project's server in every answer, as
 * RFC 1035 has it. Sets are sorted texts of records, blanks as commas, with semicolons between.
 */
enum dns_field {
	FIELD_RCODE, /* "silent" if nothing came, "malformed" if it was no message */
	FIELD_ANSWER,
	FIELD_AUTHORITY,
	FIELD_ADDITIONAL,
	FIELD_FLAGS, /* those of AA TC RD AD CD that are set; TC+ if the asker takes more than 1232 bytes */
	FIELD_QUESTION,
	FIELD_OPT, /* "none", or version and flags */
	DNS_FIELDS,
};

struct dns_said {
	char *field[DNS_FIELDS];
	bool is_truncated;
};

/* `address` is that of the server. Ends the program without memory or sockets. The content of *ret is the caller's. */
void dns_ask(const struct sockaddr_storage *address, socklen_t len, const struct dns_question *q, bool by_tcp, struct dns_said *ret);
void dns_said_done(struct dns_said *s);

/* Records as the fields have them; owned by the caller. They become canonical. */
char *dns_set_text(const ldns_rr_list *l);

const char *dns_field_name(enum dns_field f);
