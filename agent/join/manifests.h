/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's side: the manifests of packaging/kubernetes, which the program carries with it. */
#pragma once

#include "kube/kube_object.h"

/* The text of all of them, YAML. Static. */
const char *manifests_text(void);

struct manifests_options {
	const char *cilium_namespace; /* where cilium-config is; NULL = kube-system */
	const json_t *audiences;      /* array: those of the API server; NULL = as in the text */
	int (*on_object)(const json_t *object, void *arg); /* called after each; may be NULL */
	void *arg;
};

/*
 * All objects, adapted to the cluster, as an array: admission policies and their bindings first, so that
 * no run that stops half-way leaves rights without limits. -ENOMEM; -EINVAL if the text is broken.
 */
int manifests_read(const struct manifests_options *o, json_t **ret, struct err *reterr);

/*
 * Applies them all. Asks the API server for its audiences if the options have none. -EOPNOTSUPP for
 * a server without ValidatingAdmissionPolicy, which then stays as it was; errors as kube_call().
 */
int manifests_apply(const struct kube_session *s, const struct manifests_options *o, struct err *reterr);

/*
 * Where cilium-config is: in the usual namespace, else in one that an earlier manifests_apply() was told of. `ret` (heap)
 * is NULL for the usual one. -ENOENT with a text if it is in none of them; errors as kube_call().
 */
int manifests_find_config(const struct kube_session *s, char **ret, struct err *reterr);

/*
 * Whether hosts may read cilium-config in `namespace`, NULL for the usual one. -EOPNOTSUPP with the way out if not; errors
 * as kube_call().
 */
int manifests_check_config(const struct kube_session *s, const char *namespace, struct err *reterr);

/*
 * Whether the limits of hosts are in force: each admission policy is what manifests_apply() would make it, or what the text says,
 * and has a binding that denies everywhere. -EOPNOTSUPP with a text that names the first that is missing or another, and the way
 * out; errors as kube_call().
 */
int manifests_check(const struct kube_session *s, struct err *reterr);
