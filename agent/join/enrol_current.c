/* SPDX-License-Identifier: Apache-2.0 */
#include "join/enrol_current.h"

#include <errno.h>
#include <string.h>

#include "join/label_check.h"
#include "join/names.h"
#include "json/json.h"

static const char ACCOUNT_LABEL[] = "k8s:io.cilium.k8s.policy.serviceaccount=";

void enrol_current_done(struct enrol_current *c)
{
	free(c->namespace);
	json_decref(c->node);
	json_decref(c->endpoint);
	json_decref(c->labels);
	address_list_done(&c->addresses);
	strv_done(&c->services);
	free(c->zone);
	free(c->service_account);
	*c = (struct enrol_current){0};
}

/* One run. */
struct reading {
	const struct kube_session *s;
	const char *host, *wanted; /* namespace; NULL = any */
	struct enrol_current *c;
	struct err *err;
};

static int no_memory(struct reading *r)
{
	return err_set(r->err, ENOMEM, "out of memory");
}

static bool is_ours(const json_t *object, const char *host)
{
	const char *label = json_string_value(json_object_get(json_at(object, "metadata.labels"), MESH_HOST_LABEL));

	return label && str_eq(label, host);
}

static const char *annotation(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(json_at(object, "metadata.annotations"), name));
}

/* Takes the host's endpoint, wherever it is: a host is in one namespace only. */
static int take_endpoint(const json_t *endpoint, void *arg)
{
	struct reading *r = arg;
	const char *namespace = json_str(endpoint, "metadata.namespace", "");

	if (!str_eq(json_str(endpoint, "metadata.name", ""), r->host))
		return 0;
	if (r->wanted && !str_eq(namespace, r->wanted))
		return err_set(r->err, EEXIST, "host %s is enrolled in namespace %s: `meshctl host remove %s` first", r->host, namespace,
			       r->host);
	json_decref(r->c->endpoint);
	r->c->endpoint = json_incref((json_t *)endpoint);
	free(r->c->namespace);
	r->c->namespace = strdup(namespace);
	return r->c->namespace ? 0 : no_memory(r);
}

static int read_node(struct reading *r)
{
	int rc = kube_get(r->s, "CiliumNode", NULL, r->host, &r->c->node, r->err);

	if (rc == -ENOENT)
		return 0;
	if (rc == 0 && !is_ours(r->c->node, r->host))
		return err_set(r->err, EEXIST, "CiliumNode %s exists and belongs to somebody else", r->host);
	return rc;
}

static int read_endpoint(struct reading *r)
{
	CLEANUP(free) char *selector = str_printf("%s=%s", MESH_HOST_LABEL, r->host);
	CLEANUP(json_decref) json_t *foreign = NULL;
	int rc = selector ? kube_each(r->s, "CiliumEndpoint", NULL, selector, take_endpoint, r, r->err) : no_memory(r);

	if (rc < 0 || r->c->endpoint || !r->wanted)
		return rc;
	rc = kube_get(r->s, "CiliumEndpoint", r->wanted, r->host, &foreign, r->err);
	if (rc == 0)
		return err_set(r->err, EEXIST, "CiliumEndpoint %s/%s exists and belongs to somebody else", r->wanted, r->host);
	return rc == -ENOENT ? 0 : rc;
}

static int read_addresses(struct reading *r)
{
	const char *text = annotation(r->c->endpoint ? r->c->endpoint : r->c->node, MESH_ADDRESSES);
	int rc = text ? address_list_parse(text, &r->c->addresses, r->err) : 0;

	return rc < 0 ? err_prefix(r->err, rc, "the addresses that %s is enrolled with", r->host) : 0;
}

static int read_labels(struct reading *r)
{
	const char *text = annotation(r->c->endpoint, MESH_LABELS);

	if (!text || label_parse_list(text, &r->c->labels, NULL) < 0)
		return err_set(r->err, EEXIST, "CiliumEndpoint %s/%s does not say its labels: `meshctl host remove %s` first", r->c->namespace,
			       r->host, r->host);
	return 0;
}

static int read_account(struct reading *r)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_at(r->c->endpoint, "status.identity.labels"), i, v)
	{
		const char *label = json_string_value(v);

		if (!label || !str_has_prefix(label, ACCOUNT_LABEL))
			continue;
		free(r->c->service_account);
		r->c->service_account = strdup(label + strlen(ACCOUNT_LABEL));
		if (!r->c->service_account)
			return no_memory(r);
	}
	return 0;
}

/* The verb `serve` on Services, or `use` on a zone; what else a Role says is the same for all hosts. */
static int read_rule(struct reading *r, const json_t *rule)
{
	const json_t *verbs = json_object_get(rule, "verbs"), *names = json_object_get(rule, "resourceNames"), *v;
	const char *verb = json_string_value(json_array_get(verbs, 0)), *second = json_string_value(json_array_get(verbs, 1));
	const char *resource = json_string_value(json_array_get(json_object_get(rule, "resources"), 0));
	const char *zone = json_string_value(json_array_get(names, 0));
	size_t i;

	if (!verb || !resource)
		return 0;
	if (str_eq(verb, "use") && str_eq(resource, MESH_ZONES) && zone)
		return str_replace(&r->c->zone, zone) < 0 ? no_memory(r) : 0;
	if (!str_eq(verb, "serve"))
		return 0;
	r->c->may_weigh = second && str_eq(second, "weigh");
	json_array_foreach(names, i, v)
		if (json_string_value(v) && strv_add(&r->c->services, json_string_value(v)) < 0)
			return no_memory(r);
	return 0;
}

/* The rights are in the host's Role of its namespace, and only there. */
static int read_rights(struct reading *r)
{
	CLEANUP(free) char *name = str_printf("mesh-host-%s", r->host);
	CLEANUP(json_decref) json_t *role = NULL;
	json_t *rule;
	size_t i;
	int rc = name ? kube_get(r->s, "Role", r->c->namespace, name, &role, r->err) : no_memory(r);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	r->c->has_services = true;
	json_array_foreach(json_object_get(role, "rules"), i, rule)
	{
		rc = read_rule(r, rule);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int enrol_current_read(const struct kube_session *s, const char *host, const char *namespace, struct enrol_current *ret,
		       struct err *reterr)
{
	CLEANUP(enrol_current_done) struct enrol_current c = {0};
	struct reading r = {.s = s, .host = host, .wanted = namespace, .c = &c, .err = reterr};
	int rc = read_node(&r);

	if (rc == 0)
		rc = read_endpoint(&r);
	if (rc == 0 && (c.node || c.endpoint))
		rc = read_addresses(&r);
	if (rc == 0 && c.endpoint) {
		rc = read_labels(&r);
		if (rc == 0)
			rc = read_account(&r);
		if (rc == 0)
			rc = read_rights(&r);
	}
	if (rc < 0)
		return rc;
	*ret = c;
	c = (struct enrol_current){0};
	return 0;
}
