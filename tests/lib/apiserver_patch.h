/* SPDX-License-Identifier: Apache-2.0 */
/* Patches of JSON documents. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/*
 * RFC 7386. With `is_strategic`, members whose name starts with '$' are directives and left out:
 * lists are replaced whole, which is less than the real strategic merge does.
 */
json_t *patch_merge(const json_t *target, const json_t *patch, bool is_strategic);

/* RFC 6902. NULL with the reason if an operation is malformed or cannot be done. */
json_t *patch_json(const json_t *target, const json_t *ops, struct err *reterr);
