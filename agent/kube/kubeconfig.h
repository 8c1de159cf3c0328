/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin's kubeconfig: what kubectl reads, as far as it concerns one context. Files come from
 * the argument, else from $KUBECONFIG (a list, the first definition of a name wins), else
 * ~/.kube/config. The rest of the program sees only the result.
 */
#pragma once

#include "base/err.h"
#include "kube/kube_client.h"

struct kubeconfig {
	char *context; /* its name */
	char *server;
	char *ca_pem;
	char *token;	       /* NULL = none */
	char *client_cert_pem; /* NULL = none */
	char *client_key_pem;
	char *namespace;       /* of the context; "default" if it has none */
};

/*
 * `path` and `context` may be NULL. Runs the user's exec plugin, if there is one, without a shell and
 * for at most 60 s. `ret` is written only on success.
 * -ENOENT: no file, context, cluster or user of that name; -EINVAL: unusable; -ETIMEDOUT: the plugin.
 */
int kubeconfig_load(const char *path, const char *context, struct kubeconfig *ret, struct err *reterr);

/* Wipes the credentials. */
void kubeconfig_done(struct kubeconfig *k);
DEFINE_CLEANUP_DONE(struct kubeconfig, kubeconfig_done)

/* A client for it. Errors as kube_client_new(). */
int kubeconfig_client(const struct kubeconfig *k, struct loop *loop, struct kube_client **ret, struct err *reterr);
