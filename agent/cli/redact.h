/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Overwrites with '*' what looks like a credential: join tokens ("mesh1."), JSON web tokens
 * ("eyJ..."), "Bearer" values, PEM private keys and who logs in by a URL ("://user:password@"). Nothing we log should have one; this is the
 * second fence, for text that leaves the host. Returns how many were found.
 */
size_t redact(char *text, size_t len);

/*
 * Overwrites the arguments of the commands in a configuration, those that are commented out, too: passwords are given so, and
 * nothing tells them from others. The program's path stays. Returns how many were found.
 */
size_t redact_arguments(char *text, size_t len);
