/* SPDX-License-Identifier: Apache-2.0 */
/* What in a cluster's cilium-config keeps external hosts out of it, or makes them less than others. */
#pragma once

#include "kube/cilium_config.h"

enum cilium_fit { CILIUM_FITS, CILIUM_DEGRADED, CILIUM_REFUSED };

/* One key that decides. All static or borrowed from the ConfigMap. */
struct cilium_finding {
	enum cilium_fit fit; /* never CILIUM_FITS */
	const char *key, *value, *why;
	bool is_lasting; /* a host goes on telling of it while it is a member */
};

/*
 * The key of cilium-config by which nodes would leave a pod's address as it is on the way to all of `range`, where
 * they put their own in its place (bpf/lib/nat.h, __snat_v4_needs_masquerade()); NULL where they do not.
 */
const char *cilium_masquerades(const struct cilium_config *c, const struct cidr *range);

/*
 * Calls `fn` for each, refusals first. `c` is what cilium_config_parse() made of `configmap`. A value of `fn` other than 0
 * ends it and is returned, else 0.
 */
int cilium_fit_each(const json_t *configmap, const struct cilium_config *c,
		    int (*fn)(const struct cilium_finding *finding, void *arg), void *arg);
