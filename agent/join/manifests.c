/* SPDX-License-Identifier: Apache-2.0 */
#include "join/manifests.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/str.h"
#include "join/names.h"
#include "json/json.h"
#include "kube/cilium_config.h"
#include "kube/yaml_json.h"

extern const char manifests_data[]; /* generated from packaging/kubernetes */

static const char CONFIG_ROLE[] = "mesh-hosts-cilium-config";
static const char TOKEN_POLICY[] = "mesh-hosts-token";
static const char POLICY[] = "ValidatingAdmissionPolicy", BINDING[] = "ValidatingAdmissionPolicyBinding";
static const char AUDIENCES[] = "['https://kubernetes.default.svc', 'https://kubernetes.default.svc.cluster.local']";

const char *manifests_text(void)
{
	return manifests_data;
}

/* An audience goes into a CEL string: nothing that could end it. */
static bool is_plain(const char *s)
{
	return s && *s && !strpbrk(s, "'\\\n\r");
}

static int set_audiences(json_t *policy, const json_t *audiences, struct err *reterr)
{
	CLEANUP(buf_done) struct buf list = {0};
	json_t *v;
	size_t i;
	int r = buf_addf(&list, "[");

	json_array_foreach((json_t *)audiences, i, v)
	{
		if (!is_plain(json_string_value(v)))
			return err_set(reterr, EINVAL, "the API server has an audience that cannot be put into a policy");
		r |= buf_addf(&list, "%s'%s'", i ? ", " : "", json_string_value(v));
	}
	r |= buf_addf(&list, "]");
	if (r < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	json_array_foreach(json_at(policy, "spec.validations"), i, v)
	{
		const char *text = json_str(v, "expression", ""), *at = strstr(text, AUDIENCES);
		CLEANUP(free) char *changed = NULL;

		if (!at)
			continue;
		changed = str_printf("%.*s%s%s", (int)(at - text), text, list.data, at + strlen(AUDIENCES));
		if (!changed || json_object_set_new(v, "expression", json_string(changed)) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
		return 0;
	}
	return err_set(reterr, EINVAL, "the policy %s has no list of audiences", TOKEN_POLICY);
}

/* Adds those of this kind, or with NULL those that are neither policies nor bindings. */
static int add_kind(const json_t *docs, const char *kind, json_t *to)
{
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)docs, i, v)
	{
		const char *is = json_str(v, "kind", "");
		bool wanted = kind ? str_eq(is, kind) : !str_eq(is, POLICY) && !str_eq(is, BINDING);

		if (wanted && json_array_append(to, v) < 0)
			return -ENOMEM;
	}
	return 0;
}

int manifests_read(const struct manifests_options *o, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *docs = NULL;
	CLEANUP(json_decref) json_t *sorted = json_array();
	json_t *v;
	size_t i;
	int r = yaml_to_json(manifests_data, strlen(manifests_data), &docs, reterr);

	if (r < 0)
		return r;
	json_array_foreach(docs, i, v)
	{
		const char *kind = json_str(v, "kind", ""), *name = json_str(v, "metadata.name", "");

		if (o->cilium_namespace && str_eq(name, CONFIG_ROLE) &&
		    json_object_set_new(json_object_get(v, "metadata"), "namespace", json_string(o->cilium_namespace)) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
		if (!o->audiences || !str_eq(kind, POLICY) || !str_eq(name, TOKEN_POLICY))
			continue;
		r = set_audiences(v, o->audiences, reterr);
		if (r < 0)
			return r;
	}
	if (!sorted || add_kind(docs, POLICY, sorted) < 0 || add_kind(docs, BINDING, sorted) < 0 || add_kind(docs, NULL, sorted) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	*ret = TAKE_PTR(sorted);
	return 0;
}

static int too_old(struct err *reterr)
{
	return err_set(reterr, EOPNOTSUPP,
		       "this API server has no ValidatingAdmissionPolicy: Kubernetes 1.30 or newer is needed, since without it the "
		       "credential of a host could do too much");
}

/* The server writes its own audiences into a token request that names none. Nothing is stored. */
static int ask_audiences(const struct kube_session *s, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *body = json_pack("{s:s, s:s, s:{s:i}}", "apiVersion", "authentication.k8s.io/v1", "kind",
						      "TokenRequest", "spec", "expirationSeconds", 600);
	CLEANUP(json_decref) json_t *answer = NULL;
	int r;

	if (!body)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_call(s->loop, s->client, "POST", "/api/v1/namespaces/default/serviceaccounts/default/token?dryRun=All", body, &answer,
		      reterr);
	if (r < 0)
		return r;
	if (json_array_size(json_at(answer, "spec.audiences")) == 0)
		return err_set(reterr, EINVAL, "the API server names no audience of its tokens");
	*ret = json_incref(json_at(answer, "spec.audiences"));
	return 0;
}

static int ignore(const json_t *object, void *arg)
{
	(void)object;
	(void)arg;
	return 0;
}

int manifests_apply(const struct kube_session *s, const struct manifests_options *o, struct err *reterr)
{
	CLEANUP(json_decref) json_t *audiences = NULL;
	CLEANUP(json_decref) json_t *docs = NULL;
	struct manifests_options own = *o;
	json_t *v;
	size_t i;
	int r = 0;

	for (i = 0; i < 2 && r == 0; i++)
		r = kube_each(s, i ? BINDING : POLICY, NULL, "none=none", ignore, NULL, reterr);
	if (r == -ENOENT)
		return too_old(reterr);
	if (r < 0)
		return r;
	if (!own.audiences) {
		r = ask_audiences(s, &audiences, reterr);
		if (r < 0)
			return err_prefix(reterr, r, "asking for the API server's audiences");
		own.audiences = audiences;
	}
	r = manifests_read(&own, &docs, reterr);
	if (r < 0)
		return r;
	json_array_foreach(docs, i, v)
	{
		r = kube_apply(s, v, NULL, reterr);
		if (r == -ENOENT && str_has_prefix(json_str(v, "kind", ""), POLICY))
			return too_old(reterr);
		if (r == 0 && o->on_object)
			r = o->on_object(v, o->arg);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Of all those that let hosts read a configuration, the one that is beside it. */
struct place {
	const struct kube_session *s;
	char *namespace; /* NULL = not found yet */
	struct err *err;
};

static int try_place(const json_t *role, void *arg)
{
	struct place *p = arg;
	const char *namespace = json_str(role, "metadata.namespace", "");
	int r;

	if (p->namespace || !str_eq(json_str(role, "metadata.name", ""), CONFIG_ROLE) || str_eq(namespace, CILIUM_NAMESPACE))
		return 0;
	r = kube_get(p->s, "ConfigMap", namespace, CILIUM_CONFIG_NAME, NULL, p->err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	p->namespace = strdup(namespace);
	return p->namespace ? 0 : err_set(p->err, ENOMEM, "out of memory");
}

int manifests_find_config(const struct kube_session *s, char **ret, struct err *reterr)
{
	struct place place = {.s = s, .err = reterr};
	int r = kube_get(s, "ConfigMap", CILIUM_NAMESPACE, CILIUM_CONFIG_NAME, NULL, reterr);

	if (r == 0)
		*ret = NULL;
	if (r != -ENOENT)
		return r;
	r = kube_each(s, "Role", NULL, MESH_PARTOF_LABEL "=" MESH_PARTOF, try_place, &place, reterr);
	if (r < 0) {
		free(place.namespace);
		return r;
	}
	if (!place.namespace)
		return err_set(reterr, ENOENT,
			       "ConfigMap " CILIUM_CONFIG_NAME " is not in namespace " CILIUM_NAMESPACE ": is this cluster's network Cilium? "
			       "--cilium-namespace says where it is");
	*ret = place.namespace;
	return 0;
}

int manifests_check_config(const struct kube_session *s, const char *namespace, struct err *reterr)
{
	const char *where = namespace ? namespace : CILIUM_NAMESPACE;
	int r = kube_get(s, "RoleBinding", where, CONFIG_ROLE, NULL, reterr);

	if (r == 0)
		r = kube_get(s, "Role", where, CONFIG_ROLE, NULL, reterr);
	if (r != -ENOENT)
		return r;
	return err_set(reterr, EOPNOTSUPP,
		       "hosts may not read " CILIUM_CONFIG_NAME " in namespace %s: run `meshctl cluster setup%s%s` first", where,
		       namespace ? " --cilium-namespace " : "", namespace ? namespace : "");
}

struct found {
	json_t *by_name;
	struct err *err;
};

static int collect(const json_t *object, void *arg)
{
	struct found *f = arg;

	return json_object_set(f->by_name, json_str(object, "metadata.name", ""), (json_t *)object) < 0 ?
		       err_set(f->err, ENOMEM, "out of memory") :
		       0;
}

static int set_default(json_t *to, const char *key, json_t *value)
{
	if (json_is_object(to) && !json_object_get(to, key))
		return json_object_set_new(to, key, value);
	json_decref(value);
	return 0;
}

/* The spec of a policy with all that the API server fills in. NULL when out of memory. */
static json_t *whole_spec(const json_t *policy)
{
	CLEANUP(json_decref) json_t *spec = json_clone(json_object_get(policy, "spec"));
	json_t *match = json_object_get(spec, "matchConstraints"), *rule;
	size_t i;
	int r = set_default(spec, "failurePolicy", json_string("Fail"));

	r |= set_default(match, "matchPolicy", json_string("Equivalent"));
	r |= set_default(match, "namespaceSelector", json_object());
	r |= set_default(match, "objectSelector", json_object());
	json_array_foreach(json_object_get(match, "resourceRules"), i, rule)
		r |= set_default(rule, "scope", json_string("*"));
	return r == 0 ? TAKE_PTR(spec) : NULL;
}

/* What decides is to be word for word ours: how weak something else is no program can tell. */
static const char *policy_weakness(const json_t *have, const json_t *ours)
{
#define OTHER(what) "has other " what " than this meshctl gives it, by somebody's hand or from another version"
	static const char *const parts[][2] = {
		{"failurePolicy", "does not fail closed"},
		{"matchConstraints", OTHER("matchConstraints")},
		{"matchConditions", OTHER("matchConditions")},
		{"variables", OTHER("variables")},
		{"validations", OTHER("validations")},
		{"paramKind", OTHER("parameters")},
	};
#undef OTHER
	CLEANUP(json_decref) json_t *is = whole_spec(have);
	CLEANUP(json_decref) json_t *should = whole_spec(ours);

	if (!is || !should)
		return "cannot be compared for lack of memory";
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const json_t *a = json_object_get(is, parts[i][0]), *b = json_object_get(should, parts[i][0]);

		if ((a || b) && !json_equal(a, b))
			return parts[i][1];
	}
	return NULL;
}

/* What weakens an object of the cluster against ours of the same name; NULL = nothing. */
static const char *weakness(const json_t *have, const json_t *ours)
{
	bool has_deny = false;
	json_t *v;
	size_t i;

	if (!have)
		return "does not exist";
	if (str_eq(json_str(ours, "kind", ""), POLICY))
		return policy_weakness(have, ours);
	json_array_foreach(json_at(have, "spec.validationActions"), i, v)
		has_deny |= json_string_value(v) && str_eq(json_string_value(v), "Deny");
	if (!has_deny)
		return "does not deny";
	if (!str_eq(json_str(have, "spec.policyName", ""), json_str(ours, "spec.policyName", "")))
		return "is for another policy";
	return json_object_size(json_at(have, "spec.matchResources")) ? "does not hold everywhere" : NULL;
}

/* Adapted to the API server, and as in the text, which `kubectl apply` takes as it is. */
static int read_both(const struct kube_session *s, json_t **ret_adapted, json_t **ret_plain, struct err *reterr)
{
	CLEANUP(json_decref) json_t *audiences = NULL;
	CLEANUP(json_decref) json_t *plain = NULL;
	struct manifests_options o = {0};
	int r = manifests_read(&o, &plain, reterr);

	if (r == 0)
		r = ask_audiences(s, &audiences, reterr);
	if (r < 0)
		return r;
	o.audiences = audiences;
	r = manifests_read(&o, ret_adapted, reterr);
	if (r == 0)
		*ret_plain = TAKE_PTR(plain);
	return r;
}

static int check_kind(const struct kube_session *s, const char *kind, const json_t *adapted, const json_t *plain, struct err *reterr)
{
	CLEANUP(json_decref) json_t *have = json_object();
	struct found f = {.by_name = have, .err = reterr};
	json_t *v;
	size_t i;
	int r = have ? kube_each(s, kind, NULL, NULL, collect, &f, reterr) : err_set(reterr, ENOMEM, "out of memory");

	if (r == -ENOENT)
		return too_old(reterr);
	if (r < 0)
		return err_prefix(reterr, r, "checking the admission policies");
	json_array_foreach((json_t *)adapted, i, v)
	{
		const char *name = json_str(v, "metadata.name", "");
		const json_t *there = json_object_get(have, name);
		const char *why = str_eq(json_str(v, "kind", ""), kind) ? weakness(there, v) : NULL;

		if (why && weakness(there, json_array_get(plain, i)))
			return err_set(reterr, EOPNOTSUPP,
				       "%s %s %s: the credential of a host could do too much. Run `meshctl cluster setup`, which mends that; if a "
				       "newer meshctl has set the cluster up, take that one",
				       kind, name, why);
	}
	return 0;
}

int manifests_check(const struct kube_session *s, struct err *reterr)
{
	CLEANUP(json_decref) json_t *adapted = NULL;
	CLEANUP(json_decref) json_t *plain = NULL;
	int r = read_both(s, &adapted, &plain, reterr);

	if (r < 0)
		return err_prefix(reterr, r, "checking the admission policies");
	r = check_kind(s, POLICY, adapted, plain, reterr);
	return r == 0 ? check_kind(s, BINDING, adapted, plain, reterr) : r;
}
