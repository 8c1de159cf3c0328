/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that this process will not make any more, whatever it is made to run (seccomp(2)). Those of the unit hold
 * for both processes; these tell them apart. No filter where the architecture is not known here.
 */
#pragma once

#include "base/err.h"

/*
 * The daemon: none that load programs into the kernel, trace, mount, make or enter namespaces, keep keys or set the machine up;
 * sockets of IP, UNIX, routes and socket lists only. What it starts (health probes) inherits that. 0 or -errno with text.
 */
int priv_filter_unprivileged(struct err *reterr);

/*
 * The process with the rights: nothing but what bpf/ and netlink/ need, no program to start, nobody to connect to. Anything
 * else is answered as by a kernel that does not know it, so that a newer C library takes the older call instead.
 */
int priv_filter_privileged(struct err *reterr);
