/* SPDX-License-Identifier: Apache-2.0 */
#include "join/enrol_identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"
#include "join/names.h"
#include "json/json.h"

enum { ATTEMPTS = 32, NAME_STRLEN = 12 };

static int set_label(json_t *o, const char *prefix, const char *key, const char *value)
{
	CLEANUP(free) char *full = str_printf("k8s:%s%s", prefix, key);

	return full ? json_object_set_new(o, full, json_string(value)) : -1;
}

json_t *enrol_security_labels(const json_t *labels, const json_t *namespace_object, const char *cluster,
			      const char *service_account)
{
	CLEANUP(json_decref) json_t *o = json_object();
	const char *key;
	json_t *v;
	int r = o ? 0 : -1;

	json_object_foreach((json_t *)labels, key, v)
		r |= set_label(o, "", key, json_string_value(v));
	json_object_foreach(json_at(namespace_object, "metadata.labels"), key, v)
		if (json_is_string(v))
			r |= set_label(o, "io.cilium.k8s.namespace.labels.", key, json_string_value(v));
	r |= set_label(o, "", "io.kubernetes.pod.namespace", json_str(namespace_object, "metadata.name", ""));
	r |= set_label(o, "", "io.cilium.k8s.policy.cluster", cluster);
	r |= set_label(o, "", "io.cilium.k8s.policy.serviceaccount", service_account);
	return r == 0 ? TAKE_PTR(o) : NULL;
}

struct scan {
	const json_t *wanted;
	uint32_t min, max;
	uint8_t *used; /* one bit each, from min */
	uint32_t n_used;
	uint32_t found; /* 0 = none */
	char created[64];
};

static int scan_one(const json_t *object, void *arg)
{
	struct scan *s = arg;
	const char *created = json_str(object, "metadata.creationTimestamp", "");
	uint64_t id;

	if (str_to_u64(json_str(object, "metadata.name", ""), UINT32_MAX, &id) < 0 || id < s->min || id > s->max)
		return 0;
	s->used[(id - s->min) / 8] |= (uint8_t)(1U << (id - s->min) % 8);
	s->n_used++;
	if (!json_equal(json_object_get(object, "security-labels"), (json_t *)s->wanted))
		return 0;
	/* Of duplicates all agents take the oldest; RFC 3339 in UTC sorts as text. */
	if (s->found && strcmp(created, s->created) >= 0)
		return 0;
	s->found = (uint32_t)id;
	(void)snprintf(s->created, sizeof(s->created), "%s", created);
	return 0;
}

static json_t *new_identity(uint32_t id, const char *namespace, const json_t *security_labels)
{
	char name[NAME_STRLEN];

	(void)snprintf(name, sizeof(name), "%u", id);
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:O}", "apiVersion", "cilium.io/v2", "kind", "CiliumIdentity", "metadata", "name",
			 name, "labels", "io.kubernetes.pod.namespace", namespace, "security-labels", (json_t *)security_labels);
}

static bool is_free(const struct scan *s, uint32_t id)
{
	return id >= s->min && id <= s->max && !(s->used[(id - s->min) / 8] & 1U << (id - s->min) % 8);
}

/* A free number, uniformly. The caller knows that there is one. */
static uint32_t pick_free(const struct scan *s)
{
	uint32_t range = s->max - s->min + 1, at = rng_below(range);

	while (s->used[at / 8] & 1U << at % 8)
		at = (at + 1) % range;
	return s->min + at;
}

static int create(const struct kube_session *s, struct scan *scan, const char *namespace, const json_t *security_labels,
		  uint32_t before, uint32_t *ret_id, struct err *reterr)
{
	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		CLEANUP(json_decref) json_t *object = NULL;
		uint32_t id;
		int r;

		if (scan->n_used > scan->max - scan->min)
			break;
		id = is_free(scan, before) ? before : pick_free(scan);
		object = new_identity(id, namespace, security_labels);
		if (!object)
			return err_set(reterr, ENOMEM, "out of memory");
		r = kube_create(s, object, NULL, reterr);
		if (r == 0)
			*ret_id = id;
		if (r != -EEXIST)
			return r;
		/* Somebody was faster with this number. */
		scan->used[(id - scan->min) / 8] |= (uint8_t)(1U << (id - scan->min) % 8);
		scan->n_used++;
	}
	return err_set(reterr, ENOSPC, "no identity is free between %u and %u", scan->min, scan->max);
}

int enrol_identity(const struct kube_session *s, const struct cluster_info *info, const char *namespace, const json_t *security_labels,
		   uint32_t before, uint32_t *ret_id, struct err *reterr)
{
	CLEANUP(free) uint8_t *used = calloc((info->cilium.identity_max - info->cilium.identity_min) / 8 + 1, 1);
	struct scan scan = {.wanted = security_labels, .min = info->cilium.identity_min, .max = info->cilium.identity_max, .used = used};
	int r;

	if (!used)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_each(s, "CiliumIdentity", NULL, NULL, scan_one, &scan, reterr);
	if (r < 0)
		return r;
	if (scan.found) {
		*ret_id = scan.found;
		return 0;
	}
	return create(s, &scan, namespace, security_labels, before, ret_id, reterr);
}
