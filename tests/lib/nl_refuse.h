/* SPDX-License-Identifier: Apache-2.0 */
/* Linked in: netlink refuses requests of this process, as for want of buffers. */
#pragma once

#include <stdint.h>

/* The next `n` requests of that type, "RTM_GETROUTE", fail. */
void nl_refuse(uint16_t type, unsigned n);
/* How many of them are still to come. */
unsigned nl_refuse_left(void);
