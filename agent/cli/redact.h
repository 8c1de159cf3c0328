/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Overwrites with '*' what looks like a credential: join tokens ("mesh1."), JSON web tokens
 * ("eyJ..."), "Bearer" values and PEM private keys. Nothing we log should have one; this is the
 * second fence, for text that leaves the host. Returns how many were found.
 */
size_t redact(char *text, size_t len);
