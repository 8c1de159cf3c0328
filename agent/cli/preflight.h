/* SPDX-License-Identifier: Apache-2.0 */
/* What mesh-join looks at before it changes anything; everything at once, so that one run names every obstacle. */
#pragma once

#include <jansson.h>

#include "base/ip.h"
#include "join/join.h"

enum preflight_state { PREFLIGHT_OK, PREFLIGHT_WARN, PREFLIGHT_FAIL };

/*
 * Runs all checks: array of {check, state: "ok"|"warning"|"failed", detail}. `session` is NULL if no server
 * could be reached; `address` is what the person chose, NULL = any. `ret_worst` gets the worst state.
 * NULL when out of memory.
 */
json_t *preflight_run(const struct join_token *t, const struct join_session *session, const struct ip *address,
		      enum preflight_state *ret_worst);

/* Adds one line. 0 or -ENOMEM. */
int preflight_add(json_t *rows, const char *check, enum preflight_state state, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The lines about the kernel and its file systems. 0 or -ENOMEM. */
int preflight_kernel(json_t *rows);
