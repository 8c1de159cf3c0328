/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of joining, for mesh-join: from a join token to a stored credential of its own. Each
 * step can be repeated; a run that was interrupted is completed by the next one with the same token.
 */
#pragma once

#include "join/join_state.h"
#include "join/join_token.h"
#include "kube/kube_client.h"
#include "policy/guard.h"

/* Exit codes of mesh-join; the man page lists them. */
enum join_exit {
	JOIN_OK = 0,
	JOIN_PREFLIGHT = 1,   /* this machine is not ready */
	JOIN_USAGE = 2,
	JOIN_UNREACHABLE = 3, /* no API server answers */
	JOIN_EXPIRED = 4,     /* the join token is too old */
	JOIN_USED = 5,	      /* the join token was used already, replaced or revoked */
	JOIN_DAMAGED = 6,     /* the join token was cut off or altered, or is of another version */
	JOIN_WRONG_CA = 7,    /* the server is not the one that the token names */
	JOIN_LABELS = 8,      /* --labels or --name differ from what was enrolled */
	JOIN_CLOCK = 9,	      /* this machine's clock is too far off */
	JOIN_OTHER = 10,      /* this host is joined already, as another host or to another cluster */
	JOIN_DENIED = 11,     /* the API server refused a step */
	JOIN_LOCAL = 12,      /* the state cannot be written */
	JOIN_SERVICE = 13,    /* joined, but the service does not start */
};

enum { JOIN_SKEW_WARN_S = 60, JOIN_SKEW_MAX_S = 300 };

/* What is known once the server has been asked. */
struct join_session {
	struct loop *loop;
	struct kube_client *client;
	char *ca_pem;
	json_t *cilium_config; /* ConfigMap; NULL if it could not be read */
	int64_t skew_s;
};

void join_session_done(struct join_session *s);
DEFINE_CLEANUP_DONE(struct join_session, join_session_done)

/* Checks what the person said against the token. Either may be NULL. JOIN_OK or JOIN_LABELS. */
enum join_exit join_check_wanted(const struct join_token *t, const json_t *labels, const char *name, struct err *reterr);

/*
 * Finds the CA, connects, checks that the token is accepted, the cluster the right one and the clocks
 * agree. Changes nothing.
 */
enum join_exit join_connect(const struct join_token *t, struct join_session *ret, struct err *reterr);

enum join_progress {
	JOIN_NONE,	  /* nothing is stored */
	JOIN_INTERRUPTED, /* a credential may be stored; the join token may be dead or not */
	JOIN_COMPLETE,
};

/*
 * How far an earlier run with the state in `dir` came. JOIN_OK: nothing is there, or it is of the same host
 * and cluster; JOIN_OTHER; JOIN_LOCAL: it cannot be read.
 */
enum join_exit join_check_state(const char *dir, const struct join_token *t, enum join_progress *ret, struct err *reterr);

/*
 * Mints the host's own token, stores it, then the guard, then the state, then kills the join token. A guard that is off
 * leaves that of a member alone, and removes what an earlier run, of a host that was none, has left. A run may stop after
 * each of these: the next one with the same token goes on, with join_resume() if the token is dead. Of several machines
 * with one token, however close, one joins: the one that kills it. JOIN_USED, and nothing stays, on the others.
 */
enum join_exit join_finish(struct join_session *s, const struct join_token *t, const char *dir, const struct guard *guard,
			   struct err *reterr);

/*
 * For a token that is dead: asks with the stored credential, and marks the state as complete if the server
 * accepts it. `is_dry_run` changes nothing. JOIN_OK; JOIN_USED: it is not accepted, or there is none;
 * JOIN_LOCAL; JOIN_UNREACHABLE. Writes `reterr` for the last two only: the other's reason is the caller's.
 */
enum join_exit join_resume(const char *dir, bool is_dry_run, struct err *reterr);
