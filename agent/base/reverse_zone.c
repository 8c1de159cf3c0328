/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reverse_zone.h"

#include <stdio.h>

static unsigned bits_of_label(const struct cidr *c)
{
	return c->ip.family == AF_INET ? 8 : 4;
}

static unsigned labels(const struct cidr *c)
{
	unsigned bits = bits_of_label(c);

	return (c->len + bits - 1) / bits;
}

size_t reverse_zones(const struct cidr *c)
{
	if (c->len < (c->ip.family == AF_INET ? REVERSE_ZONE_MIN_V4 : REVERSE_ZONE_MIN_V6))
		return 0;
	return (size_t)1 << (labels(c) * bits_of_label(c) - c->len);
}

const char *reverse_zone_str(const struct cidr *c, size_t i, char buf[REVERSE_ZONE_STRLEN])
{
	bool is_v4 = c->ip.family == AF_INET;
	struct cidr at = *c;
	size_t len = 0;

	cidr_mask(&at);
	for (unsigned n = labels(c), k = n; k > 0; k--) {
		unsigned v = is_v4 ? at.ip.b[k - 1] : k % 2 ? at.ip.b[(k - 1) / 2] >> 4 : at.ip.b[(k - 1) / 2] & 0xf;

		if (k == n)
			v |= (unsigned)i; /* which are the bits that the range leaves open */
		len += (size_t)snprintf(buf + len, REVERSE_ZONE_STRLEN - len, is_v4 ? "%u." : "%x.", v); /* fits */
	}
	(void)snprintf(buf + len, REVERSE_ZONE_STRLEN - len, "%s", is_v4 ? "in-addr.arpa" : "ip6.arpa"); /* fits */
	return buf;
}
