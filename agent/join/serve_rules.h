/* SPDX-License-Identifier: Apache-2.0 */
/* Which Services the cluster lets this host stand behind, and in which zones, from a SelfSubjectRulesReview. */
#pragma once

#include <jansson.h>

#include "base/str.h"

#define SERVE_RULES_PATH "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

/* The review to POST, owned by the caller; NULL when out of memory. */
json_t *serve_rules_request(const char *ns);

/* Each name once, sorted. */
struct serve_rules {
	struct strv services, zones;
};

void serve_rules_done(struct serve_rules *r);
DEFINE_CLEANUP_DONE(struct serve_rules, serve_rules_done)

bool serve_rules_same(const struct serve_rules *a, const struct serve_rules *b);

/*
 * The names that the answer's rules give the verb `serve` on `services` for, and `use` on our `zones`. A rule without
 * resourceNames names nothing and is left out: enrolment always names them, so that a Service made later is not open
 * to every host. -EBADMSG if it is no such answer, or more names than LIMIT_SERVICES; -ENOMEM.
 */
int serve_rules_parse(const json_t *review, struct serve_rules *ret);
