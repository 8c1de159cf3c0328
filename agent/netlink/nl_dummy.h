/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that only holds an address, for those who want a link to talk about. The kernel answers each request
 * within the call, so nothing waits; for starting and stopping only. A process without the rights (priv.h) has the one
 * device made that the other one knows.
 */
#pragma once

#include "base/ip.h"

/*
 * Makes the device `name` with the address alone on it, up, marked with `alias`; one that is there and has that
 * alias is taken up. -EEXIST for a device of somebody else; -EINVAL for a bad name; errno of the kernel
 * (-EOPNOTSUPP without the drivers dummy and ifb, -EPERM).
 */
int nl_dummy_make(const char *name, const char *alias, const struct ip *ip, int *ret_ifindex);

/* Removes it, if it is there and has that alias. 0, also if it is not; -errno. */
int nl_dummy_remove(const char *name, const char *alias);
