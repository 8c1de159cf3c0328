/* SPDX-License-Identifier: Apache-2.0 */
#include "join/enrol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/jwt.h"
#include "crypto/secret.h"
#include "join/enrol_current.h"
#include "join/enrol_identity.h"
#include "join/enrol_objects.h"
#include "join/label_check.h"
#include "join/manifests.h"
#include "join/names.h"
#include "json/json.h"
#include "service/serve.h"

enum { TTL_MIN_S = 600, TTL_MAX_S = 86400, SECRET_ATTEMPTS = 3 };

/* One run. */
struct enrol {
	const struct kube_session *s;
	struct enrol_options o; /* what it left out is as it was enrolled */
	struct enrol_current current;
	struct enrol_result *res;
	struct err *err;
	struct cluster_info info;
	struct enrol_spec spec;
	char *addresses, *labels, *anchor_uid, *node_uid, *cluster_uid;
	char *cilium_namespace; /* NULL = the usual one */
	json_t *security_labels;
};

static void enrol_done(struct enrol *e)
{
	cluster_info_done(&e->info);
	free(e->addresses);
	free(e->labels);
	free(e->anchor_uid);
	free(e->node_uid);
	free(e->cluster_uid);
	free(e->cilium_namespace);
	json_decref(e->security_labels);
	enrol_current_done(&e->current);
}
DEFINE_CLEANUP_DONE(struct enrol, enrol_done)

void enrol_result_done(struct enrol_result *r)
{
	join_token_done(&r->token);
	strv_done(&r->warnings);
	strv_done(&r->changes);
	free(r->namespace);
	json_decref(r->labels);
	*r = (struct enrol_result){0};
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

int enrol_check_name(const char *host, struct err *reterr)
{
	if (str_is_dns_subdomain(host) && strlen(host) <= MESH_HOST_NAME_MAX)
		return 0;
	return err_set(reterr, EINVAL, "host name \"%.80s\": give a DNS name in lower case of at most %d characters", host, MESH_HOST_NAME_MAX);
}

/* What the token could not carry to the host is refused before anything is stored. */
static int check_lists(struct enrol *e)
{
	const struct enrol_options *o = &e->o;

	if (!o->servers->n || o->servers->n > JOIN_TOKEN_SERVERS)
		return err_set(e->err, EINVAL, "%zu API servers: a join token takes 1 to %d", o->servers->n, JOIN_TOKEN_SERVERS);
	for (size_t i = 0; i < o->servers->n; i++) {
		int r = join_token_check_server(o->servers->v[i], e->err);

		if (r < 0)
			return r;
	}
	if (!o->services)
		return 0;
	if (o->services->n > JOIN_TOKEN_SERVICES)
		return err_set(e->err, EINVAL, "%zu services: a host can stand behind %d at most", o->services->n, JOIN_TOKEN_SERVICES);
	for (size_t i = 0; i < o->services->n; i++)
		if (!str_is_dns_label(o->services->v[i]))
			return err_set(e->err, EINVAL, "service %.80s: give the name of a Service of the host's namespace", o->services->v[i]);
	return 0;
}

static int check_arguments(struct enrol *e)
{
	const struct enrol_options *o = &e->o;
	const char *key;
	json_t *v;
	int r = enrol_check_name(o->host, e->err);

	if (r < 0)
		return r;
	if (str_has_suffix(o->host, SERVE_V6_SUFFIX))
		return err_set(e->err, EINVAL, "host name \"%s\": one that ends in " SERVE_V6_SUFFIX " would have the EndpointSlices of another host",
			       o->host);
	if (o->labels && !json_object_size(o->labels))
		return err_set(e->err, EINVAL, "--labels is empty: give what policies select the host by, such as app=billing. Was a variable not set?");
	if (o->zone && *o->zone && label_check("zone", o->zone, e->err) < 0)
		return err_prefix(e->err, -EINVAL, "--zone");
	if (o->namespace && !str_is_dns_label(o->namespace))
		return err_set(e->err, EINVAL, "%.80s is no name of a namespace", o->namespace);
	if (o->namespace && str_eq(o->namespace, MESH_NAMESPACE))
		return err_set(e->err, EINVAL, "namespace %s is for the accounts of hosts: choose the one the workload belongs to", MESH_NAMESPACE);
	if (o->ttl_s < TTL_MIN_S || o->ttl_s > TTL_MAX_S)
		return err_set(e->err, EINVAL, "--ttl %llus: a join token can live for 10m to 24h", (unsigned long long)o->ttl_s);
	if (o->cilium_namespace && !str_is_dns_label(o->cilium_namespace))
		return err_set(e->err, EINVAL, "--cilium-namespace %.80s is no name of a namespace", o->cilium_namespace);
	if (o->service_account && !str_is_dns_subdomain(o->service_account))
		return err_set(e->err, EINVAL, "--service-account %.80s: give the name of a service account", o->service_account);
	json_object_foreach((json_t *)o->labels, key, v)
	{
		r = label_check(key, json_string_value(v) ? json_string_value(v) : "\n", e->err);
		if (r < 0)
			return r;
	}
	return check_lists(e);
}

static int note_change(struct enrol *e, const char *what, const char *now, const char *before)
{
	CLEANUP(free) char *text = NULL;

	if (str_eq(now, before))
		return 0;
	text = str_printf("%s: %s, before %s", what, *now ? now : "none", *before ? before : "none");
	return text && strv_add(&e->res->changes, text) == 0 ? 0 : no_memory(e);
}

/* "a,b", heap; NULL when out of memory. */
static char *list_str(const struct strv *l)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = buf_add(&text, "", 0);

	for (size_t i = 0; i < l->n; i++)
		r |= buf_addf(&text, "%s%s", i ? "," : "", l->v[i]);
	return r == 0 ? strdup(text.data ? text.data : "") : NULL;
}

/* One that has labels is enrolled whole, or was to be. */
static int missing(struct enrol *e, const char *what)
{
	return err_set(e->err, EINVAL, "%s is needed: host %s is not enrolled yet%s", what, e->o.host,
		       e->current.node ? ", or not completely" : "");
}

/* Options left out are as enrolled; what those that are given change is noted. */
static int fill_options(struct enrol *e)
{
	const struct enrol_current *c = &e->current;
	struct enrol_options *o = &e->o;
	CLEANUP(free) char *addresses = c->addresses.n ? address_list_str(&c->addresses) : strdup("");
	CLEANUP(free) char *services = list_str(&c->services), *wanted = NULL;
	int r = 0;

	if (!addresses || !services)
		return no_memory(e);
	o->namespace = o->namespace ? o->namespace : c->namespace;
	o->labels = o->labels ? o->labels : c->labels;
	o->addresses = o->addresses || !c->addresses.n ? o->addresses : &c->addresses;
	o->services = o->services ? o->services : &c->services;
	o->may_weigh = o->has_weigh ? o->may_weigh : c->may_weigh;
	if (!o->zone)
		o->zone = c->zone ? c->zone : "";
	if (!o->namespace)
		return missing(e, "--namespace, the one that the host's workload belongs to,");
	if (!o->labels)
		return missing(e, "--labels, what policies select the host by, such as app=billing,");
	if (!o->addresses)
		return missing(e, "--address, the host's own addresses or ranges they are in,");
	if (!o->service_account)
		o->service_account = c->service_account ? c->service_account : MESH_SERVICE_ACCOUNT;
	e->addresses = address_list_str(o->addresses);
	e->labels = label_list_str(o->labels);
	wanted = list_str(o->services);
	if (!e->addresses || !e->labels || !wanted)
		return no_memory(e);
	if (c->addresses.n)
		r = note_change(e, "addresses", e->addresses, addresses);
	if (r == 0 && c->has_services)
		r = note_change(e, "services", wanted, services);
	if (r == 0 && c->has_services)
		r = note_change(e, "weights", o->may_weigh ? "yes" : "no", c->may_weigh ? "yes" : "no");
	if (r == 0 && c->has_services)
		r = note_change(e, "zone", o->zone, c->zone ? c->zone : "");
	if (r == 0 && c->service_account)
		r = note_change(e, "service account", o->service_account, c->service_account);
	return r;
}

/* Its ConfigMap, from where the admin says, or where it is found. */
static int read_config(struct enrol *e)
{
	CLEANUP(json_decref) json_t *config = NULL;
	const char *given = e->o.cilium_namespace;
	int r = 0;

	if (!given)
		r = manifests_find_config(e->s, &e->cilium_namespace, e->err);
	else if (!str_eq(given, CILIUM_NAMESPACE)) {
		e->cilium_namespace = strdup(given);
		r = e->cilium_namespace ? 0 : no_memory(e);
	}
	if (r < 0)
		return r;
	given = e->cilium_namespace ? e->cilium_namespace : CILIUM_NAMESPACE;
	r = kube_get(e->s, "ConfigMap", given, CILIUM_CONFIG_NAME, &config, e->err);
	if (r == -ENOENT)
		return err_set(e->err, ENOENT,
			       "ConfigMap " CILIUM_CONFIG_NAME " is not in namespace %s: is this cluster's network Cilium? "
			       "--cilium-namespace says where it is",
			       given);
	return r < 0 ? r : cluster_info_read(config, &e->info, e->err);
}

static int read_cluster(struct enrol *e)
{
	int r = read_config(e);

	if (r == 0)
		r = get_uid(e, "Namespace", "kube-system", "", &e->cluster_uid, NULL);
	if (r == 0)
		r = get_uid(e, "Namespace", MESH_NAMESPACE, ": run `meshctl cluster setup` first", &e->anchor_uid, NULL);
	if (r == 0)
		r = manifests_check(e->s, e->err);
	return r == 0 ? manifests_check_config(e->s, e->cilium_namespace, e->err) : r;
}

static int read_namespace(struct enrol *e)
{
	CLEANUP(json_decref) json_t *namespace = NULL;
	int r = get_uid(e, "Namespace", e->o.namespace, ": create it first, or correct --namespace", NULL, &namespace);

	if (r < 0)
		return r;
	e->security_labels = enrol_security_labels(e->o.labels, namespace, e->info.cilium.cluster_name, e->o.service_account);
	return e->security_labels ? 0 : no_memory(e);
}

/* 0 if there is none, 1 if there is. */
static int exists(struct enrol *e, const char *kind, const char *namespace)
{
	int r = kube_get(e->s, kind, namespace, e->o.host, NULL, e->err);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

static int check_names(struct enrol *e)
{
	int r = exists(e, "Node", NULL);

	if (r > 0)
		return err_set(e->err, EEXIST, "%s is a node of this cluster: an external host needs another name", e->o.host);
	if (r == 0)
		r = exists(e, "Pod", e->o.namespace);
	if (r > 0)
		return err_set(e->err, EEXIST, "a Pod %s/%s exists: its CiliumEndpoint would have the same name", e->o.namespace, e->o.host);
	return r;
}

/* An enrolled host keeps its labels: others would be another identity, and that is a decision. */
static int check_labels(struct enrol *e)
{
	struct err diff = {0};

	if (!e->current.labels || label_compare(e->o.labels, e->current.labels, &diff) == 0)
		return 0;
	return err_set(e->err, EEXIST, "host %s is enrolled with other labels: %.200s. To change them: meshctl host remove %s, then add it again",
		       e->o.host, diff.text, e->o.host);
}

static int check_services(struct enrol *e)
{
	for (size_t i = 0; i < e->o.services->n; i++) {
		int r = kube_get(e->s, "Service", e->o.namespace, e->o.services->v[i], NULL, e->err);

		if (r == -ENOENT) {
			CLEANUP(free) char *text = str_printf("Service %s/%s does not exist yet; the host can stand behind it when it does",
							      e->o.namespace, e->o.services->v[i]);

			if (!text || strv_add(&e->info.warnings, text) < 0)
				return no_memory(e);
		} else if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* For a new host; one that is there is changed last, by change_node(). */
static int make_node(struct enrol *e)
{
	CLEANUP(json_decref) json_t *object = enrol_node_object(&e->spec);
	CLEANUP(json_decref) json_t *stored = NULL;
	int r = object ? kube_create(e->s, object, &stored, e->err) : no_memory(e);

	e->res->is_new = r == 0;
	if (r == -EEXIST)
		r = kube_get(e->s, "CiliumNode", NULL, e->o.host, &stored, e->err);
	if (r < 0)
		return r;
	e->node_uid = strdup(json_str(stored, "metadata.uid", ""));
	e->spec.node_uid = e->node_uid;
	return e->node_uid ? 0 : no_memory(e);
}

/* The daemon of a host that runs follows its CiliumNode, so what this promises has to be in force before. */
static int change_node(struct enrol *e)
{
	CLEANUP(json_decref) json_t *object = enrol_node_object(&e->spec);
	CLEANUP(json_decref) json_t *patch = json_pack("{s:{s:O, s:O, s:O}}", "metadata", "labels", json_at(object, "metadata.labels"),
						       "annotations", json_at(object, "metadata.annotations"), "ownerReferences",
						       json_at(object, "metadata.ownerReferences"));

	return patch ? kube_merge(e->s, "CiliumNode", NULL, e->o.host, patch, NULL, e->err) : no_memory(e);
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
	return patch ? kube_merge(e->s, "CiliumEndpoint", e->o.namespace, e->o.host, patch, NULL, e->err) : no_memory(e);
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
	CLEANUP(free) char *path = str_printf("/api/v1/namespaces/%s/serviceaccounts/%s/token", MESH_NAMESPACE, e->o.host);
	CLEANUP(json_decref) json_t *body = json_pack(
		"{s:s, s:s, s:{s:I, s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
		"expirationSeconds", (json_int_t)e->o.ttl_s, "boundObjectRef", "apiVersion", "v1", "kind", "Secret", "name",
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

	for (size_t i = 0; i < e->o.servers->n; i++)
		r |= strv_add(&t->servers, e->o.servers->v[i]);
	for (size_t i = 0; i < e->o.services->n; i++)
		r |= strv_add(&t->services, e->o.services->v[i]);
	r |= strv_split(&t->addresses, e->addresses, ',');
	t->jwt = strdup(jwt);
	t->host = strdup(e->o.host);
	t->namespace = strdup(e->o.namespace);
	t->cluster = strdup(e->info.cilium.cluster_name);
	t->cluster_uid = strdup(e->cluster_uid);
	t->cilium_namespace = e->cilium_namespace ? strdup(e->cilium_namespace) : NULL;
	t->labels = json_clone(e->o.labels);
	t->identity = e->spec.identity;
	if (!e->o.has_pin_only)
		t->ca_pem = strdup(e->o.ca_pem);
	if (r < 0 || !t->jwt || !t->host || !t->namespace || !t->cluster || !t->cluster_uid || !t->labels ||
	    (e->cilium_namespace && !t->cilium_namespace) || (!e->o.has_pin_only && !t->ca_pem))
		return no_memory(e);
	if (e->o.has_pin_only) {
		if (x509_pin_of_pem(e->o.ca_pem, &t->pin) < 0)
			return err_set(e->err, EINVAL, "the CA of the kubeconfig is no certificate");
		t->has_pin = true;
	}
	if (jwt_read(jwt, &claims) == 0)
		t->expires_s = claims.expires_s;
	return 0;
}

/* Another identity without other labels: the account or the namespace's labels changed. */
static int note_identity(struct enrol *e)
{
	json_int_t before = json_int(e->current.endpoint, "status.identity.id", 0);
	char now_text[12], before_text[24];

	if (!before)
		return 0;
	(void)snprintf(now_text, sizeof(now_text), "%u", e->spec.identity); /* fits */
	(void)snprintf(before_text, sizeof(before_text), "%lld", (long long)before); /* fits */
	return note_change(e, "identity", now_text, before_text);
}

/* The number that its endpoint has with these labels: somebody may have deleted the identity under it. 0 = none. */
static uint32_t number_before(const struct enrol *e)
{
	CLEANUP(json_decref) json_t *labels = enrol_identity_labels(e->security_labels);
	json_int_t before = json_int(e->current.endpoint, "status.identity.id", 0);

	if (!labels || before <= 0 || before > UINT32_MAX || !json_equal(labels, json_at(e->current.endpoint, "status.identity.labels")))
		return 0;
	return (uint32_t)before;
}

static int put_all(struct enrol *e)
{
	CLEANUP(json_decref) json_t *secret = NULL;
	CLEANUP(secret_free) char *jwt = NULL;
	int r = enrol_identity(e->s, &e->info, e->o.namespace, e->security_labels, number_before(e), &e->spec.identity, e->err);

	if (r == 0)
		r = note_identity(e);
	if (r == 0)
		r = make_node(e);
	if (r == 0)
		r = put_access(e);
	if (r == 0)
		r = put_endpoint(e);
	if (r == 0 && !e->res->is_new)
		r = change_node(e);
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
	CLEANUP(enrol_done) struct enrol e = {.s = s, .o = *o, .res = &res, .err = reterr};
	int r = check_arguments(&e);

	if (r == 0)
		r = read_cluster(&e);
	if (r == 0)
		r = enrol_current_read(s, o->host, o->namespace, &e.current, reterr);
	if (r == 0)
		r = fill_options(&e);
	if (r == 0)
		r = read_namespace(&e);
	if (r == 0)
		r = check_names(&e);
	if (r == 0)
		r = check_labels(&e);
	if (r == 0)
		r = address_check(s, o->host, e.o.addresses, &e.info, reterr);
	if (r == 0)
		r = check_services(&e);
	if (r < 0)
		return r;
	e.spec = (struct enrol_spec){
		.host = o->host,
		.namespace = e.o.namespace,
		.addresses = e.addresses,
		.labels = e.labels,
		.services = e.o.services,
		.may_weigh = e.o.may_weigh,
		.zone = e.o.zone,
		.security_labels = e.security_labels,
		.anchor_uid = e.anchor_uid,
	};
	res.namespace = strdup(e.o.namespace);
	res.labels = json_clone(e.o.labels);
	if (!res.namespace || !res.labels)
		return no_memory(&e);
	r = put_all(&e);
	if (r < 0)
		return r;
	res.warnings = e.info.warnings;
	e.info.warnings = (struct strv){0};
	*ret = res;
	res = (struct enrol_result){0};
	return 0;
}
