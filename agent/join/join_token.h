/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `meshctl host add` prints and `mesh-join` takes: "mesh1." and base64url (no padding) of a JSON
 * object. It holds all that a host needs to find, trust and enter its cluster, once: the credential
 * in it is bound to a Secret that joining deletes.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "crypto/x509.h"

/* What a token may hold; builder and reader keep to it. Texts in lists end at JOIN_TOKEN_TEXT bytes. */
enum { JOIN_TOKEN_SERVERS = 16, JOIN_TOKEN_SERVICES = 256, JOIN_TOKEN_TEXT = LIMIT_NAME + 16 };

struct join_token {
	struct strv servers;   /* "https://host:port" */
	char *ca_pem;	       /* NULL = only the pin is known */
	bool has_pin;
	struct x509_pin pin;
	char *jwt;
	char *host, *namespace;
	struct strv addresses; /* CIDRs that the host may claim */
	struct strv services;  /* that it may stand behind, of its namespace */
	json_t *labels;	       /* object: key without source -> value */
	char *cluster;	       /* name, for messages; may be empty */
	char *cluster_uid;     /* of the namespace kube-system; may be empty */
	char *cilium_namespace; /* where cilium-config is; NULL = CILIUM_NAMESPACE */
	uint64_t identity;
	int64_t expires_s;     /* of the JWT, Unix time; 0 = not given */
};

/* Wipes the JWT. */
void join_token_done(struct join_token *t);
DEFINE_CLEANUP_DONE(struct join_token, join_token_done)

/* "https://HOST[:PORT][/PATH]" of at most JOIN_TOKEN_TEXT bytes. 0, or -EINVAL with a text. */
int join_token_check_server(const char *server, struct err *reterr);

/*
 * The text form, owned by the caller, to be freed with secret_free(). -EINVAL if a part is missing, or
 * one that join_token_parse() would not take; -ENOMEM.
 */
int join_token_build(const struct join_token *t, char **ret, struct err *reterr);

/*
 * Reads the text form; surrounding white space is ignored. `ret` is written only on success.
 * -EPROTONOSUPPORT: of a version that this program does not know;
 * -EBADMSG: cut off, altered or not a join token. The text never repeats the token.
 */
int join_token_parse(const char *text, struct join_token *ret, struct err *reterr);

/* Whether the credential in it has expired by the clock `now_s`. */
bool join_token_is_expired(const struct join_token *t, int64_t now_s);
