/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the claims of a ServiceAccount token (RFC 7519). Nothing is verified: only the API server
 * can do that. The claims are hints for messages and for when to renew, never a base for trust.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct jwt_claims {
	int64_t issued_s, expires_s; /* Unix time; 0 = not given */
	char namespace[LIMIT_NAME + 1];
	char service_account[LIMIT_NAME + 1];
	char secret[LIMIT_NAME + 1]; /* the Secret it is bound to; empty = none */
};

/* -EINVAL if it is not three base64url parts with a JSON object in the second; -ENOMEM. */
int jwt_read(const char *token, struct jwt_claims *ret);
