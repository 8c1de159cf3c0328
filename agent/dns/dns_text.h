/* SPDX-License-Identifier: Apache-2.0 */
/* Records as people read them. What comes in is hostile: nothing of it is believed, and nothing unprintable comes out. */
#pragma once

#include "base/buf.h"
#include "dns/dns_msg.h"

enum { DNS_FLAGS_TEXT = 32 };

/*
 * Appends the data of a record as in a zone file. Data that is not of its type's form, and types without
 * one here, are written as RFC 3597 says: "\# 4 0a000001". 0, -ENOMEM, -E2BIG past the buffer's maximum.
 */
int dns_text_rdata(const uint8_t *msg, const struct dns_rr *rr, struct buf *b);

/* The flags of a header that are set, as in "qr aa rd ra"; returns `buf`. */
const char *dns_text_flags(uint16_t flags, char buf[DNS_FLAGS_TEXT]);
