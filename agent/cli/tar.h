/* SPDX-License-Identifier: Apache-2.0 */
/* Writes an uncompressed archive (POSIX ustar) of small regular files. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Adds one file, mode 0600. 0; -EINVAL if the name is longer than 99 bytes; errno of write(2). */
int tar_add(FILE *out, const char *name, const void *data, size_t len);

/* Writes the end of the archive and flushes. 0 or errno of write(2). */
int tar_end(FILE *out);
