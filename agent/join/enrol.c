/* SPDX-License-Identifier: Apache-2.0 */
#include "join/enrol.h"

#include <errno.h>
#include <string.h>

#include "crypto/jwt.h"
#include "crypto/secret.h"
#include "join/enrol_identity.h"
#include "join/enrol_objects.h"
#include "join/label_check.h"
#include "join/manifests.h"
#include "join/names.h"
#include "json/json.h"

enum { TTL_MIN_S = 600, TTL_MAX_S = 86400, SECRET_ATTEMPTS = 3 };

/* One run. */
struct enrol {
	const struct kube_session *s;
	const struct enrol_options *o;
	struct enrol_result *res;
	struct err *err;
	struct cluster_info info;
	struct enrol_spec spec;
	char *addresses, *labels, *anchor_uid, *node_uid, *cluster_uid;
	json_t *security_labels;
	json_t *endpoint; /* as it is in the cluster; NULL = not yet */
};

static void enrol_done(struct enrol *e)
{
	cluster_info_done(&e->info);
	free(e->addresses);
	free(e->labels);
	free(e->anchor_uid);
	free(e->node_uid);
	free(e->cluster_uid);
	json_decref(e->security_labels);
	json_decref(e->endpoint);
}
DEFINE_CLEANUP_DONE(struct enrol, enrol_done)

void enrol_result_done(struct enrol_result *r)
{
	join_token_done(&r->token);
	strv_done(&r->warnings);
}

static int no_memory(struct enrol *e)
{
	return err_set(e->err, ENOMEM, "out of memory");
}

/* An object that must be there. */
static int get_uid(struct enrol *e, const char *kind, const char *name, const char *hint, char **ret_uid, json_t **ret)
{
	CLEANUP(json_decref) json_t *object = NULL;
	int r = kube_get(e->s, kind, NULL, name, &object, e->err);

	if (r == -ENOENT)
		return err_set(e->err, ENOENT, "%s %s does not exist%s", kind, name, hint);
	if (r < 0)
		return r;
	if (ret_uid) {
		*ret_uid = strdup(json_str(object, "metadata.uid", ""));
		if (!*ret_uid)
			return no_memory(e);
	}
	if (ret)
		*ret = TAKE_PTR(object);
	return 0;
}

static int check_arguments(struct enrol *e)
{
	const struct enrol_options *o = e->o;
	const char *key;
	json_t *v;

	if (!str_is_dns_subdomain(o->host) || strlen(o->host) > MESH_HOST_NAME_MAX)
		return err_set(e->err, EINVAL, "host name %.80s: give a DNS name in lower case of at most %d characters", o->host,
			       MESH_HOST_NAME_MAX);
	if (!str_is_dns_label(o->namespace))
		return err_set(e->err, EINVAL, "%.80s is no name of a namespace", o->namespace);
	if (str_eq(o->namespace, MESH_NAMESPACE))
		return err_set(e->err, EINVAL, "namespace %s is for the accounts of hosts: choose the one the workload belongs to", MESH_NAMESPACE);
	if (o->ttl_s < TTL_MIN_S || o->ttl_s > TTL_MAX_S)
		return err_set(e->err, EINVAL, "a join token can live for 10m to 24h");
	for (size_t i = 0; i < o->servers->n; i++)
		if (!str_has_prefix(o->servers->v[i], "https://"))
			return err_set(e->err, EINVAL, "server %.120s must begin with https://", o->servers->v[i]);
	json_object_foreach((json_t *)o->labels, key, v)
	{
		int r = label_check(key, json_string_value(v) ? json_string_value(v) : "\n", e->err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_cluster(struct enrol *e)
{
	const char *where = e->o->cilium_namespace ? e->o->cilium_namespace : "kube-system";
	CLEANUP(json_decref) json_t *config = NULL;
	CLEANUP(json_decref) json_t *namespace = NULL;
	int r = kube_get(e->s, "ConfigMap", where, "cilium-config", &config, e->err);

	if (r == -ENOENT)
		return err_set(e->err, ENOENT,
			       "ConfigMap cilium-config is not in namespace %s: is this cluster's network Cilium? --cilium-namespace says "
			       "where it is",
			       where);
	if (r == 0)
		r = cluster_info_read(config, &e->info, e->err);
	if (r == 0)
		r = get_uid(e, "Namespace", "kube-system", "", &e->cluster_uid, NULL);
	if (r == 0)
		r = get_uid(e, "Namespace", MESH_NAMESPACE, ": run `meshctl cluster setup` first", &e->anchor_uid, NULL);
	if (r == 0)
		r = manifests_check(e->s, e->err);
	if (r == 0)
		r = get_uid(e, "Namespace", e->o->namespace, "", NULL, &namespace);
	if (r < 0)
		return r;
	e->security_labels = enrol_security_labels(e->o->labels, namespace, e->info.cilium.cluster_name,
						   e->o->service_account ? e->o->service_account : MESH_SERVICE_ACCOUNT);
	return e->security_labels ? 0 : no_memory(e);
}

static bool is_ours(const json_t *object, const char *host)
{
	const char *label = json_string_value(json_object_get(json_at(object, "metadata.labels"), MESH_HOST_LABEL));

	return label && str_eq(label, host);
}

/* 0 if there is none, 1 if there is. */
static int exists(struct enrol *e, const char *kind, const char *namespace, json_t **ret)
{
	int r = kube_get(e->s, kind, namespace, e->o->host, ret, e->err);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* The host's endpoint elsewhere: a host is in one namespace only. */
static int find_elsewhere(const json_t *endpoint, void *arg)
{
	struct enrol *e = arg;
	const char *namespace = json_str(endpoint, "metadata.namespace", "");

	if (str_eq(namespace, e->o->namespace))
		return 0;
	return err_set(e->err, EEXIST, "host %s is enrolled in namespace %s: `meshctl host remove %s` first", e->o->host, namespace,
		       e->o->host);
}

static int check_names(struct enrol *e)
{
	CLEANUP(json_decref) json_t *node = NULL;
	CLEANUP(free) char *selector = str_printf("%s=%s", MESH_HOST_LABEL, e->o->host);
	const char *host = e->o->host;
	int r = exists(e, "Node", NULL, NULL);

	if (!selector)
		return no_memory(e);
	if (r > 0)
		return err_set(e->err, EEXIST, "%s is a node of this cluster: an external host needs another name", host);
	if (r == 0)
		r = exists(e, "CiliumNode", NULL, &node);
	if (r > 0 && !is_ours(node, host))
		return err_set(e->err, EEXIST, "CiliumNode %s exists and belongs to somebody else", host);
	if (r >= 0)
		r = exists(e, "Pod", e->o->namespace, NULL);
	if (r > 0)
		return err_set(e->err, EEXIST, "a Pod %s/%s exists: its CiliumEndpoint would have the same name", e->o->namespace, host);
	if (r == 0)
		r = exists(e, "CiliumEndpoint", e->o->namespace, &e->endpoint);
	if (r > 0 && !is_ours(e->endpoint, host))
		return err_set(e->err, EEXIST, "CiliumEndpoint %s/%s exists and belongs to somebody else", e->o->namespace, host);
	if (r < 0)
		return r;
	return kube_each(e->s, "CiliumEndpoint", NULL, selector, find_elsewhere, e, e->err);
}

/* An enrolled host keeps its labels: others would be another identity, and that is a decision. */
static int check_labels(struct enrol *e)
{
	CLEANUP(json_decref) json_t *enrolled = NULL;
	const char *text = json_string_value(json_object_get(json_at(e->endpoint, "metadata.annotations"), MESH_LABELS));
	struct err diff = {0};

	if (!e->endpoint)
		return 0;
	if (!text || label_parse_list(text, &enrolled, NULL) < 0)
		return err_set(e->err, EEXIST, "CiliumEndpoint %s/%s does not say its labels: `meshctl host remove %s` first", e->o->namespace,
			       e->o->host, e->o->host);
	if (label_compare(e->o->labels, enrolled, &diff) == 0)
		return 0;
	return err_set(e->err, EEXIST, "host %s is enrolled with other labels: %.200s. To change them: meshctl host remove %s, then add it again",
		       e->o->host, diff.text, e->o->host);
}

static int check_services(struct enrol *e)
{
	for (size_t i = 0; i < e->o->services->n; i++) {
		int r = kube_get(e->s, "Service", e->o->namespace, e->o->services->v[i], NULL, e->err);

		if (r == -ENOENT) {
			CLEANUP(free) char *text = str_printf("Service %s/%s does not exist yet; the host can stand behind it when it does",
							      e->o->namespace, e->o->services->v[i]);

			if (!text || strv_add(&e->info.warnings, text) < 0)
				return no_memory(e);
		} else if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int put_node(struct enrol *e)
{
	CLEANUP(json_decref) json_t *object = enrol_node_object(&e->spec);
	CLEANUP(json_decref) json_t *stored = NULL;
	int r = object ? kube_create(e->s, object, &stored, e->err) : no_memory(e);

	e->res->is_new = r == 0;
	if (r == -EEXIST) {
		CLEANUP(json_decref) json_t *patch = json_pack("{s:{s:O, s:O, s:O}}", "metadata", "labels", json_at(object, "metadata.labels"),
							       "annotations", json_at(object, "metadata.annotations"), "ownerReferences",
							       json_at(object, "metadata.ownerReferences"));

		r = patch ? kube_merge(e->s, "CiliumNode", NULL, e->o->host, patch, &stored, e->err) : no_memory(e);
	}
	if (r < 0)
		return r;
	e->node_uid = strdup(json_str(stored, "metadata.uid", ""));
	e->spec.node_uid = e->node_uid;
	return e->node_uid ? 0 : no_memory(e);
}

static int put_endpoint(struct enrol *e)
{
	CLEANUP(json_decref) json_t *object = enrol_endpoint_object(&e->spec);
	CLEANUP(json_decref) json_t *patch = NULL;
	int r = object ? kube_create(e->s, object, NULL, e->err) : no_memory(e);

	if (r != -EEXIST)
		return r;
	/* It keeps where it is and whether it is ready; the identity follows the namespace's labels. */
	patch = json_pack("{s:{s:O, s:O, s:O}, s:{s:O}}", "metadata", "labels", json_at(object, "metadata.labels"), "annotations",
			  json_at(object, "metadata.annotations"), "ownerReferences", json_at(object, "metadata.ownerReferences"), "status",
			  "identity", json_at(object, "status.identity"));
	return patch ? kube_merge(e->s, "CiliumEndpoint", e->o->namespace, e->o->host, patch, NULL, e->err) : no_memory(e);
}

static int put_access(struct enrol *e)
{
	CLEANUP(json_decref) json_t *all = enrol_access_objects(&e->spec);
	json_t *v;
	size_t i;

	if (!all)
		return no_memory(e);
	json_array_foreach(all, i, v)
	{
		int r = kube_apply(e->s, v, NULL, e->err);

		if (r < 0)
			return err_prefix(e->err, r, "%s %s", json_str(v, "kind", ""), json_str(v, "metadata.name", ""));
	}
	return 0;
}

/* A fresh Secret: the join tokens of earlier runs die with the old one. */
static int put_secret(struct enrol *e, json_t **ret)
{
	CLEANUP(json_decref) json_t *object = enrol_secret_object(&e->spec);
	int r = -EEXIST;

	if (!object)
		return no_memory(e);
	for (unsigned i = 0; i < SECRET_ATTEMPTS && r == -EEXIST; i++) {
		r = kube_delete(e->s, "Secret", MESH_NAMESPACE, json_str(object, "metadata.name", ""), e->err);
		if (r >= 0)
			r = kube_create(e->s, object, ret, e->err);
	}
	return r;
}

static int mint(struct enrol *e, const json_t *secret, char **ret)
{
	CLEANUP(free) char *path = str_printf("/api/v1/namespaces/%s/serviceaccounts/%s/token", MESH_NAMESPACE, e->o->host);
	CLEANUP(json_decref) json_t *body = json_pack(
		"{s:s, s:s, s:{s:I, s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
		"expirationSeconds", (json_int_t)e->o->ttl_s, "boundObjectRef", "apiVersion", "v1", "kind", "Secret", "name",
		json_str(secret, "metadata.name", ""), "uid", json_str(secret, "metadata.uid", ""));
	CLEANUP(json_decref) json_t *answer = NULL;
	int r;

	if (!path || !body)
		return no_memory(e);
	r = kube_call(e->s->loop, e->s->client, "POST", path, body, &answer, e->err);
	if (r < 0)
		return r;
	*ret = strdup(json_str(answer, "status.token", ""));
	return *ret ? 0 : no_memory(e);
}

static int fill_token(struct enrol *e, const char *jwt)
{
	struct join_token *t = &e->res->token;
	struct jwt_claims claims;
	int r = 0;

	for (size_t i = 0; i < e->o->servers->n; i++)
		r |= strv_add(&t->servers, e->o->servers->v[i]);
	for (size_t i = 0; i < e->o->services->n; i++)
		r |= strv_add(&t->services, e->o->services->v[i]);
	r |= strv_split(&t->addresses, e->addresses, ',');
	t->jwt = strdup(jwt);
	t->host = strdup(e->o->host);
	t->namespace = strdup(e->o->namespace);
	t->cluster = strdup(e->info.cilium.cluster_name);
	t->cluster_uid = strdup(e->cluster_uid);
	t->labels = json_deep_copy(e->o->labels);
	t->identity = e->spec.identity;
	if (!e->o->has_pin_only)
		t->ca_pem = strdup(e->o->ca_pem);
	if (r < 0 || !t->jwt || !t->host || !t->namespace || !t->cluster || !t->cluster_uid || !t->labels || (!e->o->has_pin_only && !t->ca_pem))
		return no_memory(e);
	if (e->o->has_pin_only) {
		if (x509_pin_of_pem(e->o->ca_pem, &t->pin) < 0)
			return err_set(e->err, EINVAL, "the CA of the kubeconfig is no certificate");
		t->has_pin = true;
	}
	if (jwt_read(jwt, &claims) == 0)
		t->expires_s = claims.expires_s;
	return 0;
}

static int put_all(struct enrol *e)
{
	CLEANUP(json_decref) json_t *secret = NULL;
	CLEANUP(secret_free) char *jwt = NULL;
	int r = enrol_identity(e->s, &e->info, e->o->namespace, e->security_labels, &e->spec.identity, e->err);

	if (r == 0)
		r = put_node(e);
	if (r == 0)
		r = put_endpoint(e);
	if (r == 0)
		r = put_access(e);
	e->res->identity = e->spec.identity;
	if (r < 0 || e->s->is_dry_run)
		return r;
	r = put_secret(e, &secret);
	if (r == 0)
		r = mint(e, secret, &jwt);
	return r == 0 ? fill_token(e, jwt) : r;
}

int enrol_host(const struct kube_session *s, const struct enrol_options *o, struct enrol_result *ret, struct err *reterr)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(enrol_done) struct enrol e = {.s = s, .o = o, .res = &res, .err = reterr};
	int r = check_arguments(&e);

	e.addresses = address_list_str(o->addresses);
	e.labels = label_list_str(o->labels);
	if (!e.addresses || !e.labels)
		return no_memory(&e);
	if (r == 0)
		r = read_cluster(&e);
	if (r == 0)
		r = check_names(&e);
	if (r == 0)
		r = check_labels(&e);
	if (r == 0)
		r = address_check(s, o->host, o->addresses, &e.info, reterr);
	if (r == 0)
		r = check_services(&e);
	if (r < 0)
		return r;
	e.spec = (struct enrol_spec){
		.host = o->host,
		.namespace = o->namespace,
		.addresses = e.addresses,
		.labels = e.labels,
		.services = o->services,
		.security_labels = e.security_labels,
		.anchor_uid = e.anchor_uid,
	};
	r = put_all(&e);
	if (r < 0)
		return r;
	res.warnings = e.info.warnings;
	e.info.warnings = (struct strv){0};
	*ret = res;
	res = (struct enrol_result){0};
	return 0;
}
