/* SPDX-License-Identifier: Apache-2.0 */
/* What a host is enrolled with, read from its objects in the cluster. */
#pragma once

#include <stdint.h>

#include "join/address_check.h"

/* NULL or empty for what is not known: the host is not enrolled, or an enrolment was interrupted. */
struct enrol_current {
	char *namespace;
	json_t *node, *endpoint; /* the objects */
	json_t *labels;
	struct address_list addresses;
	bool has_services; /* its Role says it */
	struct strv services;
	bool may_weigh; /* give them weights */
	char *zone;
	char *service_account;
};

void enrol_current_done(struct enrol_current *c);
DEFINE_CLEANUP_DONE(struct enrol_current, enrol_current_done)

/*
 * Reads it. `namespace` may be NULL: then that of the endpoint. -EEXIST: the host is in another namespace,
 * or an object of its name belongs to somebody else; -EINVAL: an object does not say what it should; errors
 * as kube_call().
 */
int enrol_current_read(const struct kube_session *s, const char *host, const char *namespace, struct enrol_current *ret,
		       struct err *reterr);
