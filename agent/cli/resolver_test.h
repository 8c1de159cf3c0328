/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a program of this host that looks up a name of the cluster, as any does, gets its answer from the agent. */
#pragma once

#include "cli/cmd.h"

/*
 * Looks up a name below `zone` that nobody has, by way of the host's own resolver, and asks the daemon whether it was asked. Waits a
 * few seconds at most for each server of the host. *ret is {"name", "state": "ok" | "failed", "client"?: who asked the
 * daemon, "time_us", "text"}, the caller's. 0, -ENOMEM, or -EIO: the daemon could not be asked, and that was printed.
 */
int resolver_test(const struct cli *cli, const char *zone, json_t **ret);
