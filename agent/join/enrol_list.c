/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "join/enrol.h"
#include "join/names.h"
#include "json/json.h"

struct listing {
	json_t *rows;	/* by host name while it is made */
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
	json_t *row = json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:s, s:s?, s:[]}", "name", name, "namespace", NULL, "labels", "", "identity", NULL,
				"addresses", annotation(node, MESH_ADDRESSES), "state", "incomplete", "heartbeat", NULL, "claimed");

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

int enrol_list(const struct kube_session *s, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *by_name = json_object();
	CLEANUP(json_decref) json_t *rows = json_array();
	struct listing l = {.rows = by_name, .err = reterr};
	const char *key;
	json_t *v;
	int r = by_name && rows ? 0 : err_set(reterr, ENOMEM, "out of memory");

	if (r == 0)
		r = kube_each(s, "CiliumNode", NULL, MESH_HOST_LABEL, add_node, &l, reterr);
	if (r == 0)
		r = kube_each(s, "CiliumEndpoint", NULL, MESH_HOST_LABEL, add_endpoint, &l, reterr);
	if (r == 0)
		r = kube_each(s, "Lease", MESH_NAMESPACE, MESH_HOST_LABEL, add_lease, &l, reterr);
	if (r < 0)
		return r;
	json_object_foreach(by_name, key, v)
		if (json_array_append(rows, v) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	*ret = TAKE_PTR(rows);
	return 0;
}
