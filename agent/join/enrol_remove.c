/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "join/enrol.h"
#include "join/names.h"
#include "json/json.h"

/* `arg` is where the namespace goes. */
static int find_endpoint(const json_t *endpoint, void *arg)
{
	char **ret_namespace = arg;

	free(*ret_namespace);
	*ret_namespace = strdup(json_str(endpoint, "metadata.namespace", ""));
	return *ret_namespace ? 0 : -ENOMEM;
}

/* 1 if it is there and the host's, 0 if there is none, -EEXIST if it is something else's. */
static int find_own(const struct kube_session *s, const char *kind, const char *namespace, const char *name, const char *host,
		    struct err *reterr)
{
	CLEANUP(json_decref) json_t *object = NULL;
	const char *label;
	int r = kube_get(s, kind, namespace, name, &object, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	label = json_string_value(json_object_get(json_at(object, "metadata.labels"), MESH_HOST_LABEL));
	if (!label || !str_eq(label, host))
		return err_set(reterr, EEXIST, "%s %s is not of an external host, and is not touched", kind, name);
	return 1;
}

/* The EndpointSlices that the host published, which its Services own, so that they do not go with its CiliumNode. */
struct slices {
	struct strv namespaces, names;
};

static void slices_done(struct slices *l)
{
	strv_done(&l->namespaces);
	strv_done(&l->names);
}
DEFINE_CLEANUP_DONE(struct slices, slices_done)

static int note_slice(const json_t *slice, void *arg)
{
	struct slices *l = arg;
	int r = strv_add(&l->namespaces, json_str(slice, "metadata.namespace", ""));

	return r < 0 ? r : strv_add(&l->names, json_str(slice, "metadata.name", ""));
}

/* How many there were. */
static int remove_slices(const struct kube_session *s, const char *host, struct err *reterr)
{
	CLEANUP(free) char *selector = str_printf("%s=%s,%s=%s", MESH_HOST_LABEL, host, MESH_SLICE_MANAGED_BY, MESH_SLICE_MANAGER);
	CLEANUP(slices_done) struct slices l = {0};
	int r, n = 0;

	if (!selector)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_each(s, "EndpointSlice", NULL, selector, note_slice, &l, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "the EndpointSlices of the host");
	for (size_t i = 0; i < l.names.n; i++) {
		r = kube_delete(s, "EndpointSlice", l.namespaces.v[i], l.names.v[i], reterr);
		if (r < 0)
			return err_prefix(reterr, r, "EndpointSlice %s/%s", l.namespaces.v[i], l.names.v[i]);
		n += r;
	}
	return n;
}

/* One object of the host. */
struct object {
	const char *kind, *namespace, *name;
	bool is_workload; /* lives where the endpoint is; not looked for where nobody knows that */
};

struct removal {
	const struct kube_session *s;
	const char *host;
	int n;
	struct err foreign; /* the last object that is something else's */
};

/* Those of something else are passed over: the rest goes all the same, credentials above all. */
static int remove_objects(struct removal *m, const struct object *all, size_t n, struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r;

		if (all[i].is_workload && !all[i].namespace)
			continue;
		r = find_own(m->s, all[i].kind, all[i].namespace, all[i].name, m->host, &err);
		if (r == -EEXIST) {
			m->foreign = err;
			continue;
		}
		if (r > 0)
			r = kube_delete(m->s, all[i].kind, all[i].namespace, all[i].name, &err);
		if (r < 0)
			return err_set(reterr, -r, "%s %s: %s", all[i].kind, all[i].name, err.text);
		m->n += r;
	}
	return 0;
}

int enrol_remove(const struct kube_session *s, const char *host, struct err *reterr)
{
	CLEANUP(free) char *selector = str_printf("%s=%s", MESH_HOST_LABEL, host);
	CLEANUP(free) char *role = str_printf("mesh-host-%s", host);
	CLEANUP(free) char *secret = str_printf("%s-join", host);
	CLEANUP(free) char *namespace = NULL;
	struct removal m = {.s = s, .host = host};
	struct err late = {0};
	int r = enrol_check_name(host, reterr), n;

	if (r < 0)
		return r;
	if (!selector || !role || !secret)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_each(s, "CiliumEndpoint", NULL, selector, find_endpoint, &namespace, reterr);
	if (r < 0)
		return r;

	/*
	 * A server believes a credential for some seconds after it is gone: what the host could publish itself with again
	 * goes with it.
	 */
	const struct object rights[] = {
		{"ServiceAccount", MESH_NAMESPACE, host},
		{"Secret", MESH_NAMESPACE, secret},
		{"RoleBinding", namespace, role, true},
		{"Role", namespace, role, true},
	};
	/* What the others see; the rest would go with its owner, the CiliumNode. */
	const struct object rest[] = {
		{"CiliumEndpoint", namespace, host, true}, {"CiliumNode", NULL, host},
		{"ClusterRoleBinding", NULL, role},	   {"ClusterRole", NULL, role},
		{"RoleBinding", MESH_NAMESPACE, role},	   {"Role", MESH_NAMESPACE, role},
		{"Lease", MESH_NAMESPACE, host},
	};
	r = remove_objects(&m, rights, ARRAY_LEN(rights), reterr);
	if (r < 0)
		return r;
	n = remove_slices(s, host, &late);
	m.n += MAX(n, 0);
	r = remove_objects(&m, rest, ARRAY_LEN(rest), reterr);
	if (r < 0)
		return r;
	/* Again, for one that the host published while its rights were going. */
	if (n >= 0 && !s->is_dry_run)
		n = remove_slices(s, host, &late);
	if (n < 0)
		return err_set(reterr, -n, "%s", late.text);
	if (m.foreign.text[0])
		return err_set(reterr, EPERM, "%s", m.foreign.text);
	return m.n ? 0 : err_set(reterr, ENOENT, "no host %s is enrolled", host);
}
