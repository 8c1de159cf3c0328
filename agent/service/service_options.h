/* SPDX-License-Identifier: Apache-2.0 */
/* The table's own copy of its options. */
#pragma once

#include "base/str.h"
#include "service/service.h"

struct options_copy {
	struct service_options o; /* points into the rest */
	char *node, *zone, *proxy_name;
	struct strv node_labels;
	struct ip *host_ips;
};

/* `opt` NULL = none set. -ENOMEM. The copy has no node_labels yet: they are those of `ret` where it comes to lie. */
int service_options_copy(const struct service_options *opt, struct options_copy *ret);
void service_options_done(struct options_copy *c);

bool service_options_same(const struct service_options *a, const struct service_options *b);
