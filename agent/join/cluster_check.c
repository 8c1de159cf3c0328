/* SPDX-License-Identifier: Apache-2.0 */
#include "join/cluster_check.h"

#include <errno.h>
#include <string.h>

#include "join/manifests.h"
#include "json/json.h"

enum { KUBERNETES_MINOR = 30, SCHEMA_1_14 = 27, SCHEMA_1_15 = 28, SCHEMA_1_20 = 33, NAMES_MAX = 5 };

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
	return add(findings, CILIUM_FITS, VERSION_KEY, text, "1.30 or newer");
}

int cluster_check_admission(json_t *findings, const json_t *resources)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_at(resources, "resources"), i, v)
		if (str_eq(json_str(v, "name", ""), "validatingadmissionpolicies"))
			return add(findings, CILIUM_FITS, "ValidatingAdmissionPolicy", "v1", "it limits what a host may write");
	return add(findings, CILIUM_REFUSED, "ValidatingAdmissionPolicy", "",
		   "the API server does not serve its version v1, without which the credential of a host could do too much");
}

int cluster_check_node_configs(json_t *findings, const json_t *configs)
{
	CLEANUP(free) char *names = NULL;
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)configs, i, v)
	{
		char *more = str_printf("%s%s%s", names ? names : "", names ? ", " : "", json_str(v, "metadata.name", "?"));

		free(names);
		names = more;
		if (!names)
			return -ENOMEM;
		if (i == NAMES_MAX - 1)
			break;
	}
	return names ? add(findings, CILIUM_DEGRADED, "CiliumNodeConfig", names,
			   "it changes cilium-config for some nodes; hosts go by cilium-config itself") :
		       0;
}

static const char *value_of(const json_t *configmap, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(configmap, "data"), key));

	return s ? s : "";
}

/* What is as it should be, for the person who compares. */
static int add_fitting(json_t *findings, const json_t *configmap, const struct cilium_config *c)
{
	static const char *const routing[] = {[CILIUM_VXLAN] = "tunnel, vxlan", [CILIUM_GENEVE] = "tunnel, geneve", [CILIUM_NATIVE] = "native"};
	const char *ipam = value_of(configmap, "ipam"), *management = value_of(configmap, "identity-management-mode");
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
	if (r == 0 && c->routing != CILIUM_NATIVE)
		r = add(findings, CILIUM_FITS, "underlay-protocol", c->has_ipv6_underlay ? "ipv6" : "ipv4",
			"of the tunnel's outer packets: each host needs such an address");
	if (r == 0 && *management)
		r = add(findings, CILIUM_FITS, "identity-management-mode", management, "identities of hosts are made by host add, in each mode");
	if (r == 0 && (str_eq(ipam, "cluster-pool") || str_eq(ipam, "multi-pool")))
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

/* With the nodes of both, of 1.18 and of 1.19; of those between, with the resource definitions. */
#define TESTED "releases are tested with Cilium 1.15, the oldest, and 1.20, the newest"

static int check_schema(json_t *findings, const json_t *crds)
{
	const json_t *labels = json_at(find_crd(crds, "ciliumnodes.cilium.io"), "metadata.labels");
	const char *schema = json_string_value(json_object_get(labels, SCHEMA_LABEL)), *dot = schema ? strchr(schema, '.') : NULL;
	int minor = schema && leading_number(schema) == 1 && dot ? leading_number(dot + 1) : -1;
	CLEANUP(free) char *text = NULL;

	if (minor < SCHEMA_1_14)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, schema ? schema : "",
			   "the version of Cilium cannot be told, or is older than 1.14; " TESTED);
	text = str_printf("%s (Cilium 1.%d)", schema, minor - SCHEMA_1_14 + 14);
	if (!text)
		return -ENOMEM;
	if (minor > SCHEMA_1_20)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, text, "newer than what is known; " TESTED);
	if (minor < SCHEMA_1_15)
		return add(findings, CILIUM_DEGRADED, SCHEMA_LABEL, text, "older than what hosts are known to work with; " TESTED);
	return add(findings, CILIUM_FITS, SCHEMA_LABEL, text, TESTED);
}

int cluster_check_crds(json_t *findings, const json_t *crds, bool has_slices)
{
	static const struct {
		const char *name, *version;
		enum cilium_fit fit;
		const char *why;
		bool is_for_slices;
		const char *other; /* version that will do */
	} needed[] = {
		{"ciliumidentities.cilium.io", "v2", CILIUM_REFUSED, "without it a host can have no identity"},
		{"ciliumnodes.cilium.io", "v2", CILIUM_REFUSED, "without it a host cannot be registered"},
		{"ciliumendpoints.cilium.io", "v2", CILIUM_REFUSED, "without it nobody can learn of a host"},
		{"ciliumnetworkpolicies.cilium.io", "v2", CILIUM_REFUSED, "hosts wait for policies before they enforce any"},
		{"ciliumclusterwidenetworkpolicies.cilium.io", "v2", CILIUM_REFUSED, "hosts wait for policies before they enforce any"},
		{"ciliumendpointslices.cilium.io", "v2alpha1", CILIUM_REFUSED, "enable-cilium-endpoint-slice is true, and peers are in slices", true},
		{"ciliumcidrgroups.cilium.io", "v2", CILIUM_DEGRADED, "rules that name a CiliumCIDRGroup match nothing on hosts", false, "v2alpha1"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(needed); i++)
		if ((has_slices || !needed[i].is_for_slices) && !serves(find_crd(crds, needed[i].name), needed[i].version) &&
		    !(needed[i].other && serves(find_crd(crds, needed[i].name), needed[i].other))) {
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

/* The API server of a mesh of clusters; others of the mesh are in its store, not in the API. */
static int check_mesh(const struct kube_session *s, const char *namespace, json_t *findings, struct err *reterr)
{
	int r = kube_get(s, "Service", namespace ? namespace : CILIUM_NAMESPACE, "clustermesh-apiserver", NULL, reterr);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : add(findings, CILIUM_DEGRADED, "Service clustermesh-apiserver", "",
			       "hosts know pods of this cluster only, not those of other clusters of the mesh");
}

static int collect_all(const json_t *object, void *arg)
{
	return json_array_append(arg, (json_t *)object) < 0 ? -ENOMEM : 0;
}

/* What is there, as the parts above want it. */
struct cluster {
	json_t *version, *admission, *config, *crds, *node_configs;
};

static void cluster_done(struct cluster *c)
{
	json_decref(c->version);
	json_decref(c->admission);
	json_decref(c->config);
	json_decref(c->crds);
	json_decref(c->node_configs);
}
DEFINE_CLEANUP_DONE(struct cluster, cluster_done)

/* Before Cilium 1.16 in v2alpha1 only. */
static int read_node_configs(const struct kube_session *s, json_t *configs, struct err *reterr)
{
	CLEANUP(json_decref) json_t *list = NULL;
	int r = kube_each(s, "CiliumNodeConfig", NULL, NULL, collect_all, configs, reterr);

	if (r == -ENOENT)
		r = kube_call(s->loop, s->client, "GET", "/apis/cilium.io/v2alpha1/ciliumnodeconfigs", NULL, &list, reterr);
	if (r == 0 && list && json_array_extend(configs, json_object_get(list, "items")) < 0)
		return err_set(reterr, EBADMSG, "the list of CiliumNodeConfigs has no items");
	return r == -ENOENT ? 0 : r; /* nobody needs them */
}

static int read_cluster(const struct kube_session *s, const char *cilium_namespace, struct cluster *c, struct err *reterr)
{
	int r;

	c->crds = json_array();
	c->node_configs = json_array();
	if (!c->crds || !c->node_configs)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_call(s->loop, s->client, "GET", "/version", NULL, &c->version, reterr);
	if (r == 0)
		r = kube_call(s->loop, s->client, "GET", "/apis/admissionregistration.k8s.io/v1", NULL, &c->admission, reterr);
	r = r == -ENOENT ? 0 : r; /* the finding says it */
	if (r == 0)
		r = read_config(s, cilium_namespace, &c->config, reterr);
	if (r == 0)
		r = kube_each(s, "CustomResourceDefinition", NULL, NULL, collect, c->crds, reterr);
	if (r == 0)
		r = read_node_configs(s, c->node_configs, reterr);
	return r;
}

int cluster_check(const struct kube_session *s, const char *cilium_namespace, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *findings = json_array();
	CLEANUP(cluster_done) struct cluster c = {0};
	int r = findings ? read_cluster(s, cilium_namespace, &c, reterr) : err_set(reterr, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	r = cluster_check_version(findings, c.version);
	if (r == 0)
		r = cluster_check_admission(findings, c.admission);
	if (r == 0)
		r = cluster_check_config(findings, c.config);
	if (r == 0)
		r = cluster_check_crds(findings, c.crds, str_eq(value_of(c.config, "enable-cilium-endpoint-slice"), "true"));
	if (r == 0)
		r = cluster_check_node_configs(findings, c.node_configs);
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	r = check_mesh(s, c.config ? json_str(c.config, "metadata.namespace", NULL) : NULL, findings, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(findings);
	return 0;
}
