/* SPDX-License-Identifier: Apache-2.0 */
/* Files as disks and memory leave them: bits turned, other bytes, pieces that were never written or belong elsewhere. */
#pragma once

#include <stddef.h>

/*
 * Hands out damaged copies of a file, none of which equals it: $MESH_TEST_FLIPS of them, or a few thousand. Their number is
 * left in the results under the name `file`. `fn` insists on what must become of a copy.
 */
void damage_each(const char *file, const char *data, size_t len, void (*fn)(const char *copy, size_t len, void *arg), void *arg);
