/* SPDX-License-Identifier: Apache-2.0 */
/* Guard, confirmation and shadow policies at the control socket, as ctl/ctl_verbs.h has them; `arg` is the agent. */
#pragma once

#include <jansson.h>

#include "base/err.h"

int view_policy_shadow(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_policy_shadow_set(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_policy_guard(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_policy_guard_set(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_policy_confirm(void *arg, const json_t *args, json_t **ret, struct err *reterr);
