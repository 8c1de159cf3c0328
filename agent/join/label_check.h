/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of an external host: Kubernetes syntax, and nothing that Cilium or Kubernetes keeps for itself. */
#pragma once

#include <jansson.h>

#include "base/err.h"

/*
 * Checks one label (key without source). -EINVAL with a text that names the label and the rule:
 * Kubernetes' label syntax; no source prefix ("k8s:"); not "reserved:"; no key below cilium.io,
 * kubernetes.io or k8s.io, except app.kubernetes.io, since selectors could mistake the host for a
 * pod, node or namespace that it is not.
 */
int label_check(const char *key, const char *value, struct err *reterr);

/* Parses "k=v,k=v" into a JSON object, each label checked. -EINVAL, also for a key given twice. */
int label_parse_list(const char *text, json_t **ret, struct err *reterr);

/*
 * Compares a wanted with an enrolled set. 0 if equal; else -EEXIST with a text that names every
 * label that is missing, added or different.
 */
int label_compare(const json_t *wanted, const json_t *enrolled, struct err *reterr);

/* "k=v,k=v" in the order of the keys, owned by the caller; NULL when out of memory. */
char *label_list_str(const json_t *labels);
