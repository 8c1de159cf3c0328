/* SPDX-License-Identifier: Apache-2.0 */
/* Which Services the cluster lets this host stand behind, from a SelfSubjectRulesReview. */
#pragma once

#include <jansson.h>

#include "base/str.h"

#define SERVE_RULES_PATH "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

/* The review to POST, owned by the caller; NULL when out of memory. */
json_t *serve_rules_request(const char *ns);

/*
 * Adds the names that the answer's rules give the verb `serve` on `services` for, each once, sorted.
 * A rule without resourceNames names no Service and is left out: enrolment always names them, so that
 * a Service made later is not open to every host. -EBADMSG if it is no such answer, or more names than
 * LIMIT_SERVICES; -ENOMEM. `ret` is as before on failure.
 */
int serve_rules_parse(const json_t *review, struct strv *ret);
