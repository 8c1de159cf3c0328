/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for targets that read files, removed when the process ends well. */
#pragma once

#include "fuzz.h"

/* Its path; made at the first call. */
const char *scratch_dir(void);

/* The path of `name` in it; static storage, overwritten by the next call. */
const char *scratch_path(const char *name);

/* Replaces dir/name. */
void scratch_write(const char *name, const void *data, size_t len);
