/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS zones with the names of a range of addresses (RFC 1035 section 3.5, RFC 3596 section 2.5): as few as whole labels allow. */
#pragma once

#include <stddef.h>

#include "base/ip.h"

enum { REVERSE_ZONE_STRLEN = 80, REVERSE_ZONES_MAX = 64 /* of one host: its resolver is told each */, REVERSE_ZONE_MIN_V4 = 8, REVERSE_ZONE_MIN_V6 = 16 };

/* How many: up to 128 for IPv4, up to 8 for IPv6. 0 for a range larger than REVERSE_ZONE_MIN_*, of which too much is of others. */
size_t reverse_zones(const struct cidr *c);

/* The name of number `i`, which there is, in lower case and without the last dot. Returns `buf`. */
const char *reverse_zone_str(const struct cidr *c, size_t i, char buf[REVERSE_ZONE_STRLEN]);
