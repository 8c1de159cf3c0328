/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letter case as a password (draft-vixie-dnsext-dns0x20): names are equal whatever their letters' case, and a server repeats the
 * question as it came. So who forges an answer has to guess that case, too, a bit for each letter.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Each letter of the name, wire form without compression, gets the one case or the other by chance. */
void dns_case_mix(uint8_t *name);

/* Lower case. */
void dns_case_lower(uint8_t *name);

/*
 * Writes `question` over that of a response to it, and its name over the owners of records that are the same name and are written
 * out: what refers to the question follows by itself. A malformed message is rewritten up to where it is.
 */
void dns_case_restore(uint8_t *msg, size_t len, const uint8_t *question, size_t question_len);
