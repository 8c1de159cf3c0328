/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "join/enrol.h"
#include "join/names.h"
#include "json/json.h"

struct listing {
	json_t *rows;	/* by host name while it is made */
	json_t *endpoints; /* labels of the identities, by host name */
	json_t *namespaces; /* labels, by name; null = it is gone */
	struct err *err;
};

static const char *annotation(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(json_at(object, "metadata.annotations"), name));

	return s ? s : "";
}

static int add_node(const json_t *node, void *arg)
{
	struct listing *l = arg;
	const char *name = json_str(node, "metadata.name", "");
	json_t *row = json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:s, s:s?, s:[], s:s?}", "name", name, "namespace", NULL, "labels", "", "identity",
				NULL, "addresses", annotation(node, MESH_ADDRESSES), "state", "incomplete", "heartbeat", NULL, "claimed", "note",
				NULL);

	return json_object_set_new(l->rows, name, row) < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

static int add_endpoint(const json_t *endpoint, void *arg)
{
	struct listing *l = arg;
	json_t *row = json_object_get(l->rows, json_str(endpoint, "metadata.name", ""));
	json_t *claimed = json_object_get(row, "claimed"), *v;
	size_t i;
	int r = 0;

	if (!row)
		return 0;
	r |= json_object_set_new(row, "namespace", json_string(json_str(endpoint, "metadata.namespace", "")));
	r |= json_object_set_new(row, "labels", json_string(annotation(endpoint, MESH_LABELS)));
	r |= json_object_set_new(row, "identity", json_integer(json_int(endpoint, "status.identity.id", 0)));
	r |= json_object_set_new(row, "state", json_string(json_str(endpoint, "status.state", "disconnected")));
	if (json_is_array(json_at(endpoint, "status.identity.labels")))
		r |= json_object_set(l->endpoints, json_str(endpoint, "metadata.name", ""), json_at(endpoint, "status.identity.labels"));
	json_array_foreach(json_at(endpoint, "status.networking.addressing"), i, v)
	{
		if (json_str(v, "ipv4", NULL))
			r |= json_array_append_new(claimed, json_string(json_str(v, "ipv4", "")));
		if (json_str(v, "ipv6", NULL))
			r |= json_array_append_new(claimed, json_string(json_str(v, "ipv6", "")));
	}
	return r < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

static int add_lease(const json_t *lease, void *arg)
{
	struct listing *l = arg;
	json_t *row = json_object_get(l->rows, json_str(lease, "metadata.name", ""));
	const char *time = json_str(lease, "spec.renewTime", NULL);

	if (!row || !time)
		return 0;
	return json_object_set_new(row, "heartbeat", json_string(time)) < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

/* Each is asked for once. */
static int namespace_labels(const struct kube_session *s, struct listing *l, const char *name, const json_t **ret)
{
	CLEANUP(json_decref) json_t *object = NULL;
	json_t *labels = json_object_get(l->namespaces, name);
	int r = labels ? 0 : kube_get(s, "Namespace", NULL, name, &object, l->err);

	if (r < 0 && r != -ENOENT)
		return r;
	if (!labels) {
		labels = json_at(object, "metadata.labels");
		labels = r < 0 ? json_null() : labels ? json_incref(labels) : json_object();
		if (json_object_set_new(l->namespaces, name, labels) < 0)
			return err_set(l->err, ENOMEM, "out of memory");
	}
	*ret = labels;
	return 0;
}

/* 1 if the identity says other labels of the namespace than it has; 0, or -ENOMEM. */
static int is_outdated(const json_t *identity, const json_t *labels)
{
	static const char prefix[] = "k8s:io.cilium.k8s.namespace.labels.";
	size_t i, n = 0;
	json_t *v;

	json_array_foreach((json_t *)identity, i, v)
	{
		const char *text = json_string_value(v), *value = text ? strchr(text, '=') : NULL, *now;
		CLEANUP(free) char *key = NULL;

		if (!value || !str_has_prefix(text, prefix))
			continue;
		key = strndup(text + strlen(prefix), (size_t)(value - text) - strlen(prefix));
		if (!key)
			return -ENOMEM;
		now = json_string_value(json_object_get(labels, key));
		if (!now || !str_eq(now, value + 1))
			return 1;
		n++;
	}
	return n != json_object_size(labels);
}

static int add_note(const struct kube_session *s, struct listing *l, json_t *row)
{
	const json_t *identity = json_object_get(l->endpoints, json_str(row, "name", "")), *labels = NULL;
	const char *namespace = json_str(row, "namespace", NULL);
	int r = namespace && identity ? namespace_labels(s, l, namespace, &labels) : 0;

	if (r < 0 || !json_is_object(labels))
		return r;
	r = is_outdated(identity, labels);
	if (r > 0)
		r = json_object_set_new(row, "note", json_string("labels of the namespace changed: enrol it again")) < 0 ? -ENOMEM : 0;
	return r < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

int enrol_list(const struct kube_session *s, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *by_name = json_object();
	CLEANUP(json_decref) json_t *endpoints = json_object();
	CLEANUP(json_decref) json_t *namespaces = json_object();
	CLEANUP(json_decref) json_t *rows = json_array();
	struct listing l = {.rows = by_name, .endpoints = endpoints, .namespaces = namespaces, .err = reterr};
	const char *key;
	json_t *v;
	int r = by_name && endpoints && namespaces && rows ? 0 : err_set(reterr, ENOMEM, "out of memory");

	if (r == 0)
		r = kube_each(s, "CiliumNode", NULL, MESH_HOST_LABEL, add_node, &l, reterr);
	if (r == 0)
		r = kube_each(s, "CiliumEndpoint", NULL, MESH_HOST_LABEL, add_endpoint, &l, reterr);
	if (r == 0)
		r = kube_each(s, "Lease", MESH_NAMESPACE, MESH_HOST_LABEL, add_lease, &l, reterr);
	json_object_foreach(by_name, key, v)
		if (r == 0)
			r = add_note(s, &l, v);
	if (r < 0)
		return r;
	json_object_foreach(by_name, key, v)
		if (json_array_append(rows, v) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	*ret = TAKE_PTR(rows);
	return 0;
}
