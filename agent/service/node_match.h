/* SPDX-License-Identifier: Apache-2.0 */
/* Cilium's annotations service.cilium.io/node and node-selector: on which nodes a Service is there at all. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "kube/decode_service.h"

/*
 * True if a Service with these annotations is there on a node with these labels, "key=value" each. As in Cilium
 * the selector wins where both are given, and one that is malformed matches no node.
 */
bool node_match(const struct kube_pairs *annotations, const struct strv *labels);
