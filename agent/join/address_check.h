/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a host may be given: none that pods, services, nodes or other hosts have. */
#pragma once

#include "base/array.h"
#include "base/ip.h"
#include "join/cluster_info.h"
#include "kube/kube_object.h"

struct address_list {
	struct cidr *v;
	size_t n, cap;
};

static inline void address_list_done(struct address_list *l)
{
	ARRAY_DONE(l);
}
DEFINE_CLEANUP_DONE(struct address_list, address_list_done)

/*
 * Parses "address or CIDR, ...", sorted, without repetition. -EINVAL for what is none, for more than
 * LIMIT_ADDRESSES, and for loopback, link-local, multicast or all addresses.
 */
int address_list_parse(const char *text, struct address_list *ret, struct err *reterr);

/* "a/b,c/d", heap; the exact text that the admission policies compare. NULL when out of memory. */
char *address_list_str(const struct address_list *l);

/*
 * Asks the cluster whether `host` may have these. -EADDRINUSE with a text that names what else has
 * them; errors as kube_call(). Warnings go to `info`.
 */
int address_check(const struct kube_session *s, const char *host, const struct address_list *l, struct cluster_info *info,
		  struct err *reterr);
