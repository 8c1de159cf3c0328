/* SPDX-License-Identifier: Apache-2.0 */
/* RBAC from the stored roles and bindings. Members of system:masters may do all. */
#pragma once

#include "apiserver_server.h"

bool rbac_allows(const struct server *s, const struct user *u, const struct attr *a);
/* Answers 403 as the real server words it. */
void rbac_deny(struct req *q, const struct attr *a);
/* Calls fn for every rule that applies to the user in `ns` ("" = only cluster-wide), until it
 * returns true. */
typedef bool (*rbac_rule_fn)(const json_t *rule, void *arg);
bool rbac_each_rule(const struct server *s, const struct user *u, const char *ns, rbac_rule_fn fn,
		    void *arg);
