/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of one enrolled host, as JSON. All functions return NULL when out of memory. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct enrol_spec {
	const char *host, *namespace;
	const char *addresses;	/* as in the annotation */
	const char *labels;	/* as in the annotation */
	const struct strv *services;
	bool may_weigh;
	const char *zone; /* NULL or "": none */
	uint32_t identity;
	const json_t *security_labels;
	const char *anchor_uid; /* of the Namespace mesh-hosts, owner of the CiliumNode */
	const char *node_uid;	/* of the CiliumNode, owner of the rest */
};

json_t *enrol_node_object(const struct enrol_spec *e);
json_t *enrol_endpoint_object(const struct enrol_spec *e);
/* An array: accounts, roles, bindings and the Lease, all owned by the CiliumNode. */
json_t *enrol_access_objects(const struct enrol_spec *e);
json_t *enrol_secret_object(const struct enrol_spec *e);

/* {apiVersion, kind, name, uid} */
json_t *enrol_owner(const char *version, const char *kind, const char *name, const char *uid);

/* "k8s:a=b", ... sorted, as in status.identity.labels. */
json_t *enrol_identity_labels(const json_t *security_labels);
