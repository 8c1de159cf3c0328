/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of API servers: "https://HOST[:PORT][/...]". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { URL_HOST_MAX = 253 };

struct url {
	char host[URL_HOST_MAX + 1]; /* a name or an address, without brackets */
	uint16_t port;		     /* 443 where none is given; never 0 */
	bool is_address6;	     /* the host stood in brackets */
};

/* Takes one apart. A host in brackets is an IPv6 address; another one is not looked at. -EINVAL for any other text. */
int url_split(const char *text, struct url *ret);
