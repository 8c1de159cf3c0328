/* SPDX-License-Identifier: Apache-2.0 */
/* How the cluster's configuration becomes options of the policies; the daemon and the what-if command share it. */
#pragma once

#include "kube/cilium_config.h"
#include "policy/policy.h"

/* What `config` asks for. The name of the cluster in it is borrowed. */
struct policy_options policy_options_of(const struct cilium_config *config);
