/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the manifests in packaging/kubernetes, enrolment and the daemon agree on. */
#pragma once

#include "kube/decode_node.h"

#define MESH_NAMESPACE	       "mesh-hosts"
#define MESH_HOST_LABEL	       KUBE_NODE_HOST_LABEL
#define MESH_ADDRESSES	       KUBE_NODE_ADDRESSES
#define MESH_LABELS	       "mesh-external-agent.io/labels"
#define MESH_RIGHTS	       "mesh-external-agent.io" /* API group of what has no objects, only rights to use it */
#define MESH_ZONES	       "zones"
#define MESH_SLICE_MANAGED_BY  "endpointslice.kubernetes.io/managed-by"
#define MESH_SLICE_MANAGER     "mesh-external-agent.io"
#define MESH_PARTOF_LABEL      "app.kubernetes.io/part-of"
#define MESH_PARTOF	       "mesh-external-agent"
#define MESH_FIELD_MANAGER     "mesh-external-agent"
#define MESH_SERVICE_ACCOUNT   "mesh-external-host" /* in the identity, unless the admin says otherwise */
#define CILIUM_HEARTBEAT       "io.cilium.heartbeat"
#define CILIUM_DO_NOT_GC       "cilium.io/do-not-gc"

enum { MESH_TOKEN_SECONDS = 86400, MESH_LEASE_SECONDS = 40, MESH_HOST_NAME_MAX = 63 };
