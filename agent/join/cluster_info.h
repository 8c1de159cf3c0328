/* SPDX-License-Identifier: Apache-2.0 */
/* What enrolment must know of a cluster beyond what decides for every host: its pod ranges, and warnings. */
#pragma once

#include <jansson.h>

#include "base/array.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "kube/cilium_config.h"

struct cluster_info {
	struct cilium_config cilium;
	ARRAY(struct cidr) pod_ranges; /* cluster-pool */
	struct strv warnings;	       /* sentences */
};

void cluster_info_done(struct cluster_info *c);
DEFINE_CLEANUP_DONE(struct cluster_info, cluster_info_done)

/*
 * Reads the ConfigMap cilium-config. -EOPNOTSUPP with the reason for clusters in which an external
 * host could not work; -EINVAL for values that do not parse.
 */
int cluster_info_read(const json_t *config_map, struct cluster_info *ret, struct err *reterr);

/*
 * Adds warnings if the cluster will masquerade pods towards one of these addresses, or if none is of the family of the
 * tunnel's outer packets. 0 or -ENOMEM.
 */
int cluster_info_warn_addresses(struct cluster_info *c, const struct cidr *addresses, size_t n);
