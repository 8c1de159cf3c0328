/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One at a time changes the host's resolver. The lock is a file beside the daemon's runtime directory, not in it: that one
 * belongs to the daemon's user, and what anybody else may open, anybody may hold.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* What is added to the runtime directory's name. */
#define RESOLVER_LOCK ".lock"

/*
 * Takes the lock, and waits at most `wait_us` for whoever has it; blocks meanwhile. The descriptor holds it, and is the
 * caller's to close. -errno with text: -EBUSY if somebody still has it, -EPERM if the file is not ours alone.
 */
int resolver_lock(const char *runtime_dir, uint64_t wait_us, struct err *reterr);
