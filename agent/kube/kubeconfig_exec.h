/* SPDX-License-Identifier: Apache-2.0 */
/* Credential plugins (client.authentication.k8s.io): a program that prints an ExecCredential. */
#pragma once

#include <jansson.h>

#include "base/err.h"

enum { KUBECONFIG_EXEC_TIMEOUT_S = 60 };

/*
 * Runs `exec` of a kubeconfig's user and returns the `status` that it printed. `dir` is where relative
 * commands with a slash are looked up. -EINVAL, -ENOENT, -ETIMEDOUT if it has not ended after `timeout_s`, and is killed;
 * or errno of fork(2), pipe(2) and pidfd_open(2).
 */
int kubeconfig_exec(const json_t *exec, const char *dir, unsigned timeout_s, json_t **ret_status, struct err *reterr);
