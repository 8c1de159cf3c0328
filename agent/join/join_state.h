/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What joining leaves behind for the daemon, in the state directory: `joined.json` (who this host is,
 * and where its cluster) and `token` (the host's own credential, 0600). Both are replaced as a whole
 * and belong to whom the directory belongs to.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define JOIN_STATE_DIR "/var/lib/mesh-external-agent"

/* What was in force, for the next boot; the daemon writes it. */
#define JOIN_STATE_IN_FORCE "in-force"

/* Addresses of the names that programs have asked for; the daemon writes it. */
#define JOIN_STATE_LEARNED "learned-names"

/* This machine is a copy of another one that is the member: until it joins, whatever becomes of that one. */
#define JOIN_STATE_COPY "copy.json"

/* The configuration that the daemon last ran with, for a boot with one that cannot be used; the daemon writes it. */
#define JOIN_STATE_CONF "last.conf"

/* joined.json as the daemon last ran with it. */
#define JOIN_STATE_SPARE "joined.spare"

struct join_state {
	struct strv servers;   /* "https://host:port" */
	char *ca_pem;
	char *host, *namespace;
	json_t *labels;	       /* key without source -> value */
	struct strv addresses; /* CIDRs that the host may claim; joined by commas it is the enrolled text */
	struct strv services;  /* that it may stand behind */
	char *cluster, *cluster_uid;
	char *cilium_namespace; /* where cilium-config is; NULL = CILIUM_NAMESPACE */
	uint32_t identity;
	bool is_complete;      /* the join token is dead; false = mesh-join was interrupted */
};

void join_state_done(struct join_state *s);
DEFINE_CLEANUP_DONE(struct join_state, join_state_done)

/*
 * -ENOENT: this host has not joined; -EBADMSG: the file is damaged or of another version, with a text
 * that says what to do; errno of open(2). `ret` is written only on success.
 */
int join_state_load(const char *dir, struct join_state *ret, struct err *reterr);
int join_state_save(const char *dir, const struct join_state *s, struct err *reterr);

/* The same of JOIN_STATE_SPARE, and keeping it: for a boot with a file that is damaged, so that its policies hold all the same. */
int join_state_load_spare(const char *dir, struct join_state *ret, struct err *reterr);
int join_state_keep_spare(const char *dir, const struct join_state *s, struct err *reterr);

/* `ret` is to be freed with secret_free(). -ENOENT if there is none; -EBADMSG if it is no token. */
int join_state_load_token(const char *dir, char **ret, struct err *reterr);
int join_state_save_token(const char *dir, const char *token, struct err *reterr);

/*
 * Removes both and what else is kept for a member. What is gone already is fine. Whenever it is cut short, the host is a
 * member as before or none; join_state_finish_removal() does the rest then, and else nothing. -errno with a text.
 */
int join_state_remove(const char *dir, struct err *reterr);
int join_state_finish_removal(const char *dir, struct err *reterr);
