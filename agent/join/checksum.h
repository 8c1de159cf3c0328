/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

enum { CHECKSUM_STRLEN = 17 };

/*
 * A short hash over an object without its member "sum", whatever the order of its members: tells a
 * damaged copy from a whole one, and is no protection against forgery. 0 or -ENOMEM.
 */
int checksum_of(const json_t *object, char ret[CHECKSUM_STRLEN]);
