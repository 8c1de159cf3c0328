/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as the DNS server of a connection of NetworkManager, which is in memory only and goes with it. What it does
 * with that depends on its `dns` setting: its dnsmasq asks the agent for the names of the cluster; without, the agent comes first in
 * /etc/resolv.conf and the others behind it. Calls wait for the answer.
 */
#pragma once

#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

/*
 * Activates the connection on the device, which must be there with `server` on it, unless it is active. 1 if something was
 * changed, 0; -errno with text.
 */
int resolver_nm_take(const char *device, const struct ip *server, const struct strv *domains, struct err *reterr);
/* Deletes it, if it is there and NetworkManager runs. Likewise. */
int resolver_nm_give_back(struct err *reterr);
