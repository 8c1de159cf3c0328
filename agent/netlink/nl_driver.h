/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds of interfaces this kernel can make. */
#pragma once

/*
 * Asks for an interface of `kind` ("geneve") with an address that no Ethernet device can have: a kernel that has the driver
 * loads it and refuses with -EINVAL (the validate() of each driver comes before anything is made), one that has not
 * answers -EOPNOTSUPP. Makes none. 1, 0; -EPERM without CAP_NET_ADMIN; -EINVAL for a bad name; -ENOMEM; other errno of the
 * kernel. The answer comes within the call.
 */
int nl_driver_is_there(const char *kind);
