/* SPDX-License-Identifier: Apache-2.0 */
#include "join/cluster_check.h"

#include <errno.h>
#include <string.h>

#include "join/manifests.h"
#include "json/json.h"

enum { KUBERNETES_MINOR = 30, SCHEMA_1_14 = 27, SCHEMA_1_18 = 31, SCHEMA_1_20 = 33 };

static const char VERSION_KEY[] = "Kubernetes version";
static const char SCHEMA_LABEL[] = "io.cilium.k8s.crd.schema.version"; /* its minor number rises with each minor of Cilium */
static const char *const fit_names[] = {[CILIUM_FITS] = "fits", [CILIUM_DEGRADED] = "degraded", [CILIUM_REFUSED] = "refused"};

static int add(json_t *findings, enum cilium_fit fit, const char *key, const char *value, const char *reason)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "fit", fit_names[fit], "key", key, "value", value, "reason", reason);

	return json_array_append_new(findings, row) < 0 ? -ENOMEM : 0;
}

enum cilium_fit cluster_check_worst(const json_t *findings)
{
	enum cilium_fit worst = CILIUM_FITS;
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)findings, i, v)
		for (enum cilium_fit fit = worst; fit <= CILIUM_REFUSED; fit++)
			if (str_eq(json_str(v, "fit", ""), fit_names[fit]))
				worst = fit;
	return worst;
}

/* The number at the beginning of a text such as "30+"; -1 if there is none. */
static int leading_number(const char *text)
{
	char digits[8];
	size_t n = strspn(text, "0123456789");
	uint64_t v;

	if (n == 0 || n >= sizeof(digits))
		return -1;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return str_to_u64(digits, 1000000, &v) < 0 ? -1 : (int)v;
}

int cluster_check_version(json_t *findings, const json_t *version)
{
	int major = leading_number(json_str(version, "major", "")), minor = leading_number(json_str(version, "minor", ""));
	const char *text = json_str(version, "gitVersion", "unknown");

	if (major < 0 || minor < 0)
		return add(findings, CILIUM_REFUSED, VERSION_KEY, text, "it cannot be told whether this is 1.30 or newer");
	if (major < 1 || (major == 1 && minor < KUBERNETES_MINOR))
		return add(findings, CILIUM_REFUSED, VERSION_KEY, text,
			   "1.30 or newer is needed: before it has no ValidatingAdmissionPolicy, and the credential of a host could do too much");
	return add(findings, CILIUM_FITS, VERSION_KEY, text, "it limits what a host may write");
}

/* What is as it should be, for the person who compares. */
static int add_fitting(json_t *findings, const json_t *configmap, const struct cilium_config *c)
{
	static const char *const routing[] = {[CILIUM_VXLAN] = "tunnel, vxlan", [CILIUM_GENEVE] = "tunnel, geneve", [CILIUM_NATIVE] = "native"};
	const char *ipam = json_string_value(json_object_get(json_object_get(configmap, "data"), "ipam"));
	const char *families = c->has_ipv4 && c->has_ipv6 ? "IPv4, IPv6" : c->has_ipv6 ? "IPv6" : "IPv4";
	int r = add(findings, CILIUM_FITS, "cluster-name", c->cluster_name, "it becomes part of the identity of each host");

	if (r == 0)
		r = add(findings, CILIUM_FITS, "routing-mode, tunnel-protocol", routing[c->routing], "hosts take part in it");
	if (r == 0)
		r = add(findings, CILIUM_FITS, "enable-ipv4, enable-ipv6", families, "the addresses that hosts may have");
	if (r == 0)
		r = add(findings, CILIUM_FITS, "enable-cilium-endpoint-slice", c->has_slices ? "true" : "false",
			c->has_slices ? "a new host is known to others once the operator has put it into a slice" :
					"a new host is known to others at once");
	if (r == 0 && ipam && (str_eq(ipam, "cluster-pool") || str_eq(ipam, "multi-pool")))
		r = add(findings, CILIUM_FITS, "ipam", ipam, "the operator may set a pod CIDR of the pool aside for each host, which uses none of it");
	return r;
}

static int add_finding(const struct cilium_finding *f, void *arg)
{
	return add(arg, f->fit, f->key, f->value, f->why);
}

int cluster_check_config(json_t *findings, const json_t *configmap)
{
	struct cilium_config c;
	struct err err = {0};
	int r;

	if (!configmap)
		return add(findings, CILIUM_REFUSED, CILIUM_CONFIG_NAME, "",
			   "there is no such ConfigMap: is this cluster's network Cilium? --cilium-namespace says where it is");
	r = cilium_config_parse(configmap, &c, &err);
	if (r == -EINVAL)
		return add(findings, CILIUM_REFUSED, CILIUM_CONFIG_NAME, "", err.text);
	if (r == 0)
		r = cilium_fit_each(configmap, &c, add_finding, findings);
	return r == 0 ? add_fitting(findings, configmap, &c) : r;
}

static const json_t *find_crd(const json_t *crds, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)crds, i, v)
		if (str_eq(json_str(v, "metadata.name", ""), name))
			return v;
	return NULL;
}

static bool serves(const json_t *crd, const char *version)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_at(crd, "spec.versions"), i, v)
		if (str_eq(json_str(v, "name", ""), version) && json_is_true(json_object_get(v, "served")))
			return true;
	return false;
}

static int check_schema(json_t *findings, const json_t *crds)
{
	const json_t *labels = json_at(find_crd(crds, "ciliumnodes.cilium.io"), "metadata.labels");
	const char *schema = json_string_value(json_object_get(labels, SCHEMA_LABEL)), *dot = schema ? strchr(schema, '.') : NULL;
	int minor = schema && leading_number(schema) == 1 && dot ? leading_number(dot + 1) : -1;
	CLEANUP(free) char *text = NULL;

	if (minor < SCHEMA_1_14)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, schema ? schema : "",
			   "the version of Cilium cannot be told, or is older than 1.14; known are 1.14 to 1.20");
	text = str_printf("%s (Cilium 1.%d)", schema, minor - SCHEMA_1_14 + 14);
	if (!text)
		return -ENOMEM;
	if (minor > SCHEMA_1_20)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, text, "newer than those that are known, 1.14 to 1.20");
	if (minor < SCHEMA_1_18)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, text, "1.18 or newer is what releases are tested with");
	return add(findings, CILIUM_FITS, SCHEMA_LABEL, text, "releases are tested with it");
}

int cluster_check_crds(json_t *findings, const json_t *crds, bool has_slices)
{
	static const struct {
		const char *name, *version;
		enum cilium_fit fit;
		const char *why;
		bool is_for_slices;
	} needed[] = {
		{"ciliumidentities.cilium.io", "v2", CILIUM_REFUSED, "without it a host can have no identity"},
		{"ciliumnodes.cilium.io", "v2", CILIUM_REFUSED, "without it a host cannot be registered"},
		{"ciliumendpoints.cilium.io", "v2", CILIUM_REFUSED, "without it nobody can learn of a host"},
		{"ciliumnetworkpolicies.cilium.io", "v2", CILIUM_REFUSED, "hosts wait for policies before they enforce any"},
		{"ciliumclusterwidenetworkpolicies.cilium.io", "v2", CILIUM_REFUSED, "hosts wait for policies before they enforce any"},
		{"ciliumendpointslices.cilium.io", "v2alpha1", CILIUM_REFUSED, "enable-cilium-endpoint-slice is true, and peers are in slices", true},
		{"ciliumcidrgroups.cilium.io", "v2", CILIUM_DEGRADED, "rules that name a CiliumCIDRGroup match nothing on hosts"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(needed); i++)
		if ((has_slices || !needed[i].is_for_slices) && !serves(find_crd(crds, needed[i].name), needed[i].version)) {
			CLEANUP(free) char *value = str_printf("no %s", needed[i].version);

			r = value ? add(findings, needed[i].fit, needed[i].name, value, needed[i].why) : -ENOMEM;
		}
	return r == 0 ? check_schema(findings, crds) : r;
}

static int collect(const json_t *object, void *arg)
{
	const char *group = json_str(object, "spec.group", "");

	return str_eq(group, "cilium.io") && json_array_append(arg, (json_t *)object) < 0 ? -ENOMEM : 0;
}

static int read_config(const struct kube_session *s, const char *given, json_t **ret, struct err *reterr)
{
	CLEANUP(free) char *found = NULL;
	int r = given ? 0 : manifests_find_config(s, &found, reterr);

	given = given ? given : found ? found : CILIUM_NAMESPACE;
	if (r == 0)
		r = kube_get(s, "ConfigMap", given, CILIUM_CONFIG_NAME, ret, reterr);
	return r == -ENOENT ? 0 : r; /* the finding says it */
}

int cluster_check(const struct kube_session *s, const char *cilium_namespace, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *findings = json_array();
	CLEANUP(json_decref) json_t *crds = json_array();
	CLEANUP(json_decref) json_t *version = NULL;
	CLEANUP(json_decref) json_t *config = NULL;
	const char *slices;
	int r = findings && crds ? 0 : err_set(reterr, ENOMEM, "out of memory");

	if (r == 0)
		r = kube_call(s->loop, s->client, "GET", "/version", NULL, &version, reterr);
	if (r == 0)
		r = read_config(s, cilium_namespace, &config, reterr);
	if (r == 0)
		r = kube_each(s, "CustomResourceDefinition", NULL, NULL, collect, crds, reterr);
	if (r < 0)
		return r;
	slices = json_string_value(json_object_get(json_object_get(config, "data"), "enable-cilium-endpoint-slice"));
	r = cluster_check_version(findings, version);
	if (r == 0)
		r = cluster_check_config(findings, config);
	if (r == 0)
		r = cluster_check_crds(findings, crds, slices && str_eq(slices, "true"));
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	*ret = TAKE_PTR(findings);
	return 0;
}
