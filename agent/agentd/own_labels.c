/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/own_labels.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"

enum { TEXT_MAX = 200 };

static const char OF_NAMESPACE[] = "io.cilium.k8s.namespace.labels.";

static const char *value_in(const struct label_table *t, const struct label_set *own, const char *prefix, const char *key)
{
	char full[LIMIT_LABEL_KEY + 1];
	int n = snprintf(full, sizeof(full), "%s%s", prefix, key);

	return n < 0 || (size_t)n >= sizeof(full) ? NULL : label_set_get(t, own, LABEL_K8S, full);
}

bool own_labels_are_enrolled(const struct label_table *t, const struct label_set *own, const json_t *enrolled, const char *namespace)
{
	const char *in = label_set_get(t, own, LABEL_K8S, "io.kubernetes.pod.namespace"), *key;
	json_t *v;

	if (!in || !str_eq(in, namespace))
		return false;
	json_object_foreach((json_t *)enrolled, key, v)
	{
		const char *value = value_in(t, own, "", key);

		if (!value || !str_eq(value, json_string_value(v) ? json_string_value(v) : ""))
			return false;
	}
	return true;
}

/* One difference; "" is no value at all. */
static int add(struct buf *out, const char *key, const char *now, const char *before)
{
	return buf_addf(out, "%s%s%s%s, before %s%s%s", out->len ? "; " : "", now ? key : "none", now ? "=" : "", now ? now : "",
			before ? key : "none", before ? "=" : "", before ? before : "");
}

int own_labels_outdated(const struct label_table *t, const struct label_set *own, const struct doc *labels, struct buf *out)
{
	int r = 0;

	for (struct doc_iter i = doc_members(labels); r == 0 && out->len <= TEXT_MAX && i.v; doc_next(&i)) {
		const char *now = doc_str(i.v), *before = value_in(t, own, OF_NAMESPACE, i.key);

		if (now && (!before || !str_eq(now, before)))
			r = add(out, i.key, now, before);
	}
	for (uint32_t i = 0; r == 0 && out->len <= TEXT_MAX && i < own->n; i++) {
		const struct intern *strings = label_table_strings((struct label_table *)t);
		const char *name = intern_str(strings, own->v[i].key);

		if (own->v[i].source != LABEL_K8S || !str_has_prefix(name, OF_NAMESPACE))
			continue;
		name += strlen(OF_NAMESPACE);
		if (!doc_get_any(labels, name))
			r = add(out, name, NULL, intern_str(strings, own->v[i].value));
	}
	return r;
}
