/* SPDX-License-Identifier: Apache-2.0 */
#include "service/serve_private.h"

#include "base/macro.h"
#include "base/str.h"

/* Labels of ours that consumers read; others may be added by anybody without meaning to us. */
static const char *const own_labels[] = {LABEL_SERVICE, LABEL_MANAGED_BY, LABEL_HEADLESS,
					 LABEL_PROXY_NAME};

static const char *text_at(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v ? v : "";
}

static bool has_port(const json_t *list, const json_t *want)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		const char *proto = text_at(p, "protocol");

		if (str_eq(text_at(p, "name"), text_at(want, "name")) &&
		    str_eq(*proto ? proto : "TCP", text_at(want, "protocol")) &&
		    json_equal(json_object_get(p, "port"), json_object_get(want, "port")))
			return true;
	}
	return false;
}

static bool ports_same(const json_t *a, const json_t *b)
{
	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!has_port(b, json_array_get(a, i)))
			return false;
	return true;
}

static bool same_or_absent(const json_t *a, const json_t *b)
{
	return (!a && !b) || json_equal(a, b);
}

/* Our endpoint is one object whose members the API server does not change; defaults it does not add. */
static bool endpoints_same(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"addresses", "conditions", "nodeName", "zone", "hints",
					   "hostname"};
	const json_t *x = json_array_get(a, 0), *y = json_array_get(b, 0);

	if (json_array_size(a) != 1 || json_array_size(b) != 1)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!same_or_absent(json_object_get(x, keys[i]), json_object_get(y, keys[i])))
			return false;
	return true;
}

static bool owner_same(const json_t *a, const json_t *b)
{
	const json_t *want = json_array_get(json_object_get(a, "ownerReferences"), 0);
	const json_t *list = json_object_get(b, "ownerReferences");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(text_at(json_array_get(list, i), "uid"), text_at(want, "uid")))
			return true;
	return false;
}

static bool weight_same(const json_t *a, const json_t *b)
{
	const json_t *u = json_object_get(json_object_get(a, "annotations"), SERVE_WEIGHT_ANNOTATION);
	const json_t *v = json_object_get(json_object_get(b, "annotations"), SERVE_WEIGHT_ANNOTATION);

	return same_or_absent(u, v);
}

bool serve_slice_same(const json_t *desired, const json_t *existing)
{
	const json_t *a = json_object_get(desired, "metadata"), *b = json_object_get(existing,
										     "metadata");
	const json_t *la = json_object_get(a, "labels"), *lb = json_object_get(b, "labels");

	for (size_t i = 0; i < ARRAY_LEN(own_labels); i++)
		if (!same_or_absent(json_object_get(la, own_labels[i]), json_object_get(lb, own_labels[i])))
			return false;
	return owner_same(a, b) && weight_same(a, b) &&
	       str_eq(text_at(desired, "addressType"), text_at(existing, "addressType")) &&
	       ports_same(json_object_get(desired, "ports"), json_object_get(existing, "ports")) &&
	       endpoints_same(json_object_get(desired, "endpoints"),
			      json_object_get(existing, "endpoints"));
}

bool serve_slice_is_ours(const json_t *slice, const struct serve_host *h)
{
	const json_t *meta = json_object_get(slice, "metadata"), *labels = json_object_get(meta,
											   "labels");
	const char *name = text_at(meta, "name"), *service = text_at(labels, LABEL_SERVICE);
	bool is_ours = false;

	if (!str_eq(text_at(labels, LABEL_MANAGED_BY), SERVE_MANAGED_BY) ||
	    !str_eq(text_at(meta, "namespace"), h->ns))
		return false;
	for (int i = 0; i < 2 && !is_ours; i++) {
		CLEANUP(free) char *want = serve_slice_name(service, h->name,
							    i ? AF_INET6 : AF_INET);

		is_ours = want && str_eq(want, name);
	}
	return is_ours;
}
