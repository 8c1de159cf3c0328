/* SPDX-License-Identifier: Apache-2.0 */
/* The name servers of the host, as resolv.conf(5) files name them. */
#pragma once

#include "base/ip.h"

/* Stops at the first non-zero answer and returns it. */
typedef int (*resolv_conf_fn)(const struct ip *ip, void *arg);

/* The servers of /etc/resolv.conf. Without a readable file there are none: 0. -ENOMEM. */
int resolv_conf_each(resolv_conf_fn fn, void *arg);
/* Those of one file. */
int resolv_conf_each_in(const char *path, resolv_conf_fn fn, void *arg);

/*
 * Those of /etc/resolv.conf, and where one of them is on this host (the stub of systemd-resolved, NetworkManager's dnsmasq) also those
 * that it asks.
 */
int resolv_conf_each_behind(resolv_conf_fn fn, void *arg);

/* Another number when one of the files changed since. */
uint64_t resolv_conf_stamp(void);
