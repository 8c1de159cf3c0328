/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command says: 0 is well. It runs with the user of the daemon, or as nobody if that is root, without
 * capabilities, in a session of its own, with an empty environment but for PATH, and / as its directory.
 */
#pragma once

#include "base/str.h"
#include "event/loop.h"
#include "probe/check.h"

struct check_exec;

/*
 * Starts the command, whose first word is an absolute path; `fn` is told how it ended, with the first line of what
 * it printed. What it started and left running is killed. No time limit of its own: the caller cancels. 0, or the
 * errno of fork(), pipe2(), pidfd_open() (Linux 5.3).
 */
int check_exec_start(struct loop *loop, const struct strv *command, check_fn fn, void *arg, struct check_exec **ret);
/* Kills it and what it started, without calling `fn`. May be called from any callback; NULL is accepted. */
void check_exec_cancel(struct check_exec *c);
