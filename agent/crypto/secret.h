/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that held a credential is wiped before it goes back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* Overwrites in a way that the compiler keeps. */
void secret_wipe(void *data, size_t len);

/* Wipes and frees a string; NULL is fine. */
void secret_free(char *s);
DEFINE_CLEANUP(char *, secret_free)

/* Compares in time that depends on `len` only. */
bool secret_eq(const void *a, const void *b, size_t len);
