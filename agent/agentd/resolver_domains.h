/* SPDX-License-Identifier: Apache-2.0 */
/* The names that a host's resolver is to ask the agent for. */
#pragma once

#include "base/str.h"
#include "conf/conf.h"

#define DOMAIN_CLUSTER	  "cluster.local"
#define DOMAIN_CLUSTERSET "clusterset.local" /* without ServiceImports it is empty, and nobody else's either */

/* These two, then the reverse zones of dns.reverse. `ret` must be empty. 0 or -ENOMEM. */
int resolver_domains(const struct conf *conf, struct strv *ret);

/* Whether it is a reverse zone. */
bool resolver_domain_is_reverse(const char *domain);
