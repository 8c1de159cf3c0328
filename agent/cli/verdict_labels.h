/* SPDX-License-Identifier: Apache-2.0 */
/* Labels, ports and names as they are written on the command line of `meshctl policy verdict`. */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "identity/identity.h"
#include "policy/policy.h"

/*
 * "source:key=value,...": without a source it is k8s, the source of what people label pods and hosts
 * with. Labels of the endpoint's Namespace that are not given are added from `namespaces` (name ->
 * labels), as Cilium does. "reserved:kube-apiserver" alone is the reserved identity of that name, which
 * is a remote node too; a reserved label that does not exist is refused. -EINVAL with a text; -ENOMEM.
 */
int verdict_labels(struct identity_table *ids, const char *text, const json_t *namespaces, struct label_set **ret,
		   struct err *reterr);

/* "name=protocol/number"; the number of the name is referenced for the caller. -EINVAL with a text; -ENOMEM. */
int verdict_named_port(struct identity_table *ids, const char *text, struct named_port *ret, struct err *reterr);

/* "name=address,...": what a DNS name stands for. -EINVAL with a text; -ENOMEM. */
int verdict_fqdn(struct policy_repo *r, const char *text, struct err *reterr);
