/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before the first host is added: what of a cluster fits, what would be less than elsewhere, and what keeps hosts out,
 * each with the key or version that decides. Changes nothing.
 *
 * The findings are an array of {"fit": "fits" | "degraded" | "refused", "key", "value", "reason"}.
 */
#pragma once

#include "kube/cilium_fit.h"
#include "kube/kube_object.h"

/* All of them. `cilium_namespace` NULL = it is looked for. -ENOMEM; errors as kube_call(). */
int cluster_check(const struct kube_session *s, const char *cilium_namespace, json_t **ret, struct err *reterr);

/* The worst of them. */
enum cilium_fit cluster_check_worst(const json_t *findings);

/* Parts of it, which add to `findings`. 0 or -ENOMEM. */

/* What the API server answers to /version. */
int cluster_check_version(json_t *findings, const json_t *version);

/* The ConfigMap; NULL = there is none. */
int cluster_check_config(json_t *findings, const json_t *configmap);

/* All CustomResourceDefinitions of cilium.io that there are, an array; `has_slices` as in struct cilium_config. */
int cluster_check_crds(json_t *findings, const json_t *crds, bool has_slices);

/* What the API server answers to /apis/admissionregistration.k8s.io/v1; NULL = it has no such group. */
int cluster_check_admission(json_t *findings, const json_t *resources);

/* CiliumNodeConfigs that there are, an array. */
int cluster_check_node_configs(json_t *findings, const json_t *configs);
