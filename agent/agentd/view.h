/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket answers, in the shapes of ctl/ctl_verbs.h. */
#pragma once

#include "agentd/agent.h"

/* The data of each verb; `arg` is the agent. */
int view_status(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_dns_learned(void *arg, const json_t *args, json_t **ret, struct err *reterr);

/* Once the world is known. */
int view_policy_why(struct agent *a, const json_t *args, json_t **ret, struct err *reterr);

/* Sorted texts of an identity's labels; an empty list for an unknown one. NULL when out of memory. */
json_t *view_labels(const struct agent *a, uint32_t identity);

/* "tcp", "icmp" ... or the number. */
json_t *view_protocol(uint8_t protocol);

/* {"ingress": "enforced", "egress": ...} */
json_t *view_enforcement(const struct agent *a);

/* Array of the texts of addresses. */
json_t *view_ips(const struct ip *v, size_t n);
