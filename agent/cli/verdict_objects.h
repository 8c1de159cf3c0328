/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshctl policy verdict` reads from files: policies, Services, Namespaces. */
#pragma once

#include <jansson.h>

#include "identity/identity.h"
#include "policy/policy.h"
#include "service/service.h"

struct verdict_objects {
	struct identity_table *ids;
	struct service_table *services;
	struct policy_repo *policies;
	json_t *namespaces; /* name -> metadata.labels */
	json_t *rejected;   /* [{"kind", "namespace", "name", "error"}] in the order of the files */
};

/* `options` and what it borrows must outlive it. 0; -ENOMEM; -EINVAL for options that make no sense. */
int verdict_objects_init(struct verdict_objects *v, const struct policy_options *options);
void verdict_objects_done(struct verdict_objects *v);
DEFINE_CLEANUP_DONE(struct verdict_objects, verdict_objects_done)

/*
 * Takes in every YAML or JSON document of a file, "-" = the standard input. An object that is not valid
 * or of a kind without meaning for policies is noted in `rejected`. What an API server fills in and
 * matters here is filled in: namespace "default". -errno with a text if the file cannot be read or a
 * document is no object.
 */
int verdict_objects_read(struct verdict_objects *v, const char *path, struct err *reterr);
