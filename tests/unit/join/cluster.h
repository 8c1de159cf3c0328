/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster that hosts can be enrolled in, on the in-tree API server: for tests of enrolling and joining. */
#pragma once

#include "../lib/helpers.h"
#include "join/enrol.h"

extern struct world cluster;
extern struct kube_session admin;
extern char *cluster_ca; /* PEM */

/* With cilium-config and the namespace "legacy"; the manifests are not applied yet. */
void cluster_start(void);
/* The same with them. */
void cluster_start_ready(void);
void cluster_stop(void);

/* "METHOD PATH" is answered with `status`, or cut off after it was done if that is 0; once. */
void cluster_fault(const char *method, const char *path, int status);

/* Moves cilium-config to another namespace, which is made. */
void cluster_move_config(const char *namespace);

/* What a `host add` gives; NULL = the option is left out. */
struct enrolment {
	const char *namespace, *labels, *addresses, *services, *zone, *service_account, *cilium_namespace;
};
/* The same as enrol_host(); a server and a CA that work are filled in. */
int cluster_enrol(const char *host, const struct enrolment *e, struct enrol_result *ret, struct err *reterr);
