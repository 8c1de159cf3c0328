/* SPDX-License-Identifier: Apache-2.0 */
/* What enrolment must know of a cluster, from cilium-config, and whether external hosts can work in it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

struct cluster_info {
	char *name;
	uint32_t id;
	uint32_t identity_min, identity_max; /* the range to choose from, both inclusive */
	bool is_native_routing, has_masquerade, has_wireguard, has_ipv4, has_ipv6;
	ARRAY(struct cidr) pod_ranges;	  /* cluster-pool */
	ARRAY(struct cidr) native_ranges; /* ipv4/ipv6-native-routing-cidr */
	struct strv warnings;		  /* sentences */
};

void cluster_info_done(struct cluster_info *c);
DEFINE_CLEANUP_DONE(struct cluster_info, cluster_info_done)

/*
 * Reads the ConfigMap cilium-config. -EOPNOTSUPP with the reason for clusters in which an external
 * host could not work; -EINVAL for values that do not parse.
 */
int cluster_info_read(const json_t *config_map, struct cluster_info *ret, struct err *reterr);

/* Adds a warning if the cluster will masquerade pods towards one of these addresses. 0 or -ENOMEM. */
int cluster_info_warn_masquerade(struct cluster_info *c, const struct cidr *addresses, size_t n);
