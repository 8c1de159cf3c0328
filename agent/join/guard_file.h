/* SPDX-License-Identifier: Apache-2.0 */
/* The guard in the state directory: it outlives the daemon, and mesh-join arms it before there is one. */
#pragma once

#include "policy/guard.h"

/* A guard that is off has no file. -errno with a text. */
int guard_file_save(const char *dir, const struct guard *g, struct err *reterr);

/*
 * `ret` is off if there is no file. -EBADMSG with a text if it is damaged; errno of reading. `now_us` is
 * CLOCK_BOOTTIME.
 */
int guard_file_load(const char *dir, uint64_t now_us, struct guard *ret, struct err *reterr);

/* Tells this boot from others. `buf` must be empty. -errno. */
int guard_boot_id(char buf[GUARD_BOOT_ID_LEN + 1]);
