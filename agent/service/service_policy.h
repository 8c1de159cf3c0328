/* SPDX-License-Identifier: Apache-2.0 */
/* The Services of a table as policies see them: toServices. */
#pragma once

#include "policy/policy.h"
#include "service/service.h"

/* `t` must outlive the view. */
struct policy_service_view service_policy_view(struct service_table *t);
