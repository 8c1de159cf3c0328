/* SPDX-License-Identifier: Apache-2.0 */
/* CiliumIdentities: the labels of an external host, and the number that stands for them. */
#pragma once

#include "join/cluster_info.h"
#include "kube/kube_object.h"

/*
 * The security labels of a host, as Cilium would make them for a pod: the user's labels, the
 * namespace and its labels, the cluster and the service account. Heap; NULL when out of memory.
 */
json_t *enrol_security_labels(const json_t *labels, const json_t *namespace_object, const char *cluster,
			      const char *service_account);

/*
 * Finds the oldest identity with exactly these labels, or creates one: with the number `before` (0 = none), under which
 * the host and its peers know these labels, if that is free; else with a random free one of the cluster's range.
 * -ENOSPC if none is free; errors as kube_call().
 */
int enrol_identity(const struct kube_session *s, const struct cluster_info *info, const char *namespace, const json_t *security_labels,
		   uint32_t before, uint32_t *ret_id, struct err *reterr);
