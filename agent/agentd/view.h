/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket answers, in the shapes of ctl/ctl_verbs.h. */
#pragma once

#include "agentd/agent.h"
#include "agentd/dns_wiring.h"
#include "policy/policy_verdict.h"

/* The data of each verb; `arg` is the agent. */
int view_status(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_service_list(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_ipcache_list(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_ipcache_get(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_forward_list(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_migrate_plan(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_migrate_status(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_migrate_start(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_migrate_set(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_identity_list(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_identity_get(void *arg, const json_t *args, json_t **ret, struct err *reterr);

int view_dns_status(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_dns_query(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_dns_asked(void *arg, const json_t *args, json_t **ret, struct err *reterr);
int view_dns_learned(void *arg, const json_t *args, json_t **ret, struct err *reterr);

/* -ENOTCONN or -EBUSY with a text while the world is not known. */
int view_need_world(const struct agent *a, struct err *reterr);

/* What is known of an identity's number, for policy_why(). */
void view_peer_by_number(const struct world *w, uint32_t number, struct policy_peer *ret);

/* Once the world is known. */
int view_policy_why(struct agent *a, const json_t *args, json_t **ret, struct err *reterr);

/* Sorted texts of an identity's labels; an empty list for an unknown one. NULL when out of memory. */
json_t *view_labels(const struct agent *a, uint32_t identity);

/* "tcp", "icmp" ... or the number. */
json_t *view_protocol(uint8_t protocol);

/* {"ingress": "enforced", "egress": ...} */
json_t *view_enforcement(const struct agent *a);

/* ["127.18.53.53:53"]: where the DNS server of the agent listens, and whom it asks. */
json_t *view_dns_listen(const struct agent *a);
json_t *view_dns_upstreams(const struct agent *a);
/* Whether the host's resolver asks it. */
void view_dns_wiring(const struct agent *a, struct dns_wiring *ret);

/* Takes `element`; without memory, for it or for its place, it is missing, and the answer fails as ctl_server.h has it. */
void view_add(json_t *list, json_t *element);

/* The text of an address, and an array of such. */
json_t *view_ip(const struct ip *ip);
json_t *view_ips(const struct ip *v, size_t n);
