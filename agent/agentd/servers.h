/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API servers are: those that we were given at joining, and those that the cluster tells of. */
#pragma once

#include "base/array.h"
#include "base/ip.h"
#include "base/str.h"
#include "service/service.h"

struct servers {
	ARRAY(struct ip) ips; /* given ones first */
	ARRAY(uint16_t) ports;
	size_t n_given;
	bool is_stale; /* changed since the user of the list last looked; theirs to clear */
};

void servers_done(struct servers *s);

/*
 * Looks the hosts of URLs up and keeps their addresses as the given ones. Blocks: for the start only. A name
 * that is not known is left out. 0, -EINVAL, -ENOMEM.
 */
int servers_resolve(struct servers *s, const struct strv *urls);

/* Takes over what the Service default/kubernetes says; nothing said changes nothing. 0 or -ENOMEM. */
int servers_update(struct servers *s, const struct service_table *t);
