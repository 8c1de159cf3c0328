/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a DNS delegate of systemd-resolved: a file that names server and domains, without any device. Since systemd 258
 * (systemd.dns-delegate(5)); whether it knows them is asked of systemd-resolved, not of a version.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

#define RESOLVER_DELEGATE "/run/systemd/dns-delegate.d/mesh-external-agent.dns-delegate"

/* Writes the file, and has it read, unless it is there. 1 if something was changed, 0; -EOPNOTSUPP for an older one; -errno with text. */
int resolver_delegate_take(const struct ip *server, const struct strv *domains, struct err *reterr);
/* Deletes it, if it is there, and has that noticed. 1 if something was changed, 0; -errno with text. */
int resolver_delegate_give_back(struct err *reterr);
bool resolver_delegate_has(void);
