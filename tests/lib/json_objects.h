/* SPDX-License-Identifier: Apache-2.0 */
/* What takes documents, for tests that have their objects as trees. */
#pragma once

#include "json/doc.h"
#include "kube/decode_node.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"
#include "policy/policy_gate.h"

static inline int json_policy_set(struct policy_repo *r, enum policy_kind kind, const json_t *obj, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return policy_set(r, kind, d, err);
}

static inline int json_policy_gate_set(struct policy_gate *g, enum policy_kind kind, const json_t *obj, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return policy_gate_set(g, kind, d, err);
}

static inline int json_service_decode(const json_t *obj, struct kube_service **ret, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return kube_service_decode(d, ret, err);
}

static inline int json_service_import_decode(const json_t *obj, struct kube_service **ret, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return kube_service_import_decode(d, ret, err);
}

static inline int json_slice_decode(const json_t *obj, struct kube_slice **ret, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return kube_slice_decode(d, ret, err);
}

static inline int json_node_decode(const json_t *obj, struct kube_node **ret, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(obj);

	return kube_node_decode(d, ret, err);
}
