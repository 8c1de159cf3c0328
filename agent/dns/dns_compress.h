/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a message the ends of names are, so that later names point there (RFC 1035, 4.1.4). Bounded: what does not fit
 * into the table is written out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/dns_msg.h"

/* Forgets everything; the table itself is cleared with the first name. */
void dns_compress_reset(struct dns_compress *c);

/*
 * The place of the longest end of `n` that the message has, 0 if it has none. *ret_head gets the length of what comes
 * before it, all but the root byte if there is none.
 */
size_t dns_compress_find(const struct dns_compress *c, const uint8_t *msg, const struct dns_name *n, size_t *ret_head);

/* Notes the ends of `n` that begin in its first `head` bytes, which were written at `at`. */
void dns_compress_note(struct dns_compress *c, const uint8_t *msg, const struct dns_name *n, size_t head, size_t at);
