/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of policies in the form of tests/data/policy-cases.yaml as objects of a cluster: made, removed,
 * and waited for at both ends.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct diff_object {
	char *path, *name;
	bool is_policy;	    /* not a group, service, slice */
	bool is_refused;    /* by the API server */
	bool is_rejected;   /* by this agent */
	bool is_in_cilium;
};

struct diff_objects {
	struct diff_object *v;
	size_t n;
};

/* Makes all that `set` names. `number` becomes part of the names of policies. */
void diff_objects_make(const json_t *set, unsigned number, struct diff_objects *ret);

/* Removes them from the cluster, and frees the list. */
void diff_objects_remove(struct diff_objects *o);

/*
 * Waits until this host (control socket) and the Cilium endpoint have applied exactly these. False if that
 * does not come to pass; what each has taken is noted in the list.
 */
bool diff_objects_wait(struct diff_objects *o, const char *agent_socket, const char *endpoint);
