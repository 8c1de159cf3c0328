/* SPDX-License-Identifier: Apache-2.0 */
/* The name servers of /etc/resolv.conf (resolv.conf(5)). */
#pragma once

#include "base/ip.h"

/* Stops at the first non-zero answer and returns it. Without a readable file there are none: 0. -ENOMEM. */
typedef int (*resolv_conf_fn)(const struct ip *ip, void *arg);
int resolv_conf_each(resolv_conf_fn fn, void *arg);
