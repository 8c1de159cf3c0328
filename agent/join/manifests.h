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

/* All objects, adapted to the cluster, as an array. -ENOMEM; -EINVAL if the text is broken. */
int manifests_read(const struct manifests_options *o, json_t **ret, struct err *reterr);

/*
 * Applies them all. Asks the API server for its audiences if the options have none. -EOPNOTSUPP for
 * a server without ValidatingAdmissionPolicy; errors as kube_call().
 */
int manifests_apply(const struct kube_session *s, const struct manifests_options *o, struct err *reterr);
