/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_kind.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"

#define NS    KIND_NAMESPACED
#define CR    (KIND_CUSTOM | KIND_GENERATION)
#define ST    KIND_STATUS
#define GEN   KIND_GENERATION
#define PUT   KIND_PUT_CREATES
#define REV   KIND_REVIEW
#define RBAC  "rbac.authorization.k8s.io", "v1"
#define ADM   "admissionregistration.k8s.io", "v1"
#define FLOW  "flowcontrol.apiserver.k8s.io", "v1"
#define AUTHZ "authorization.k8s.io", "v1"
#define CIL   "cilium.io", "v2"

const struct kind kinds[] = {
	{"", "v1", "namespaces", "namespace", "Namespace", ST, "ns"},
	{"", "v1", "services", "service", "Service", NS | ST | PUT, "svc"},
	{"", "v1", "nodes", "node", "Node", ST, "no"},
	{"", "v1", "pods", "pod", "Pod", NS | ST, "po"},
	{"", "v1", "secrets", "secret", "Secret", NS},
	{"", "v1", "configmaps", "configmap", "ConfigMap", NS, "cm"},
	{"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", NS, "sa"},
	{"", "v1", "events", "event", "Event", NS | PUT, "ev"},
	{"events.k8s.io", "v1", "events", "event", "Event", NS | PUT},
	{"", "v1", "endpoints", "endpoints", "Endpoints", NS | PUT, "ep"},
	{"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", NS | GEN},
	{"coordination.k8s.io", "v1", "leases", "lease", "Lease", NS | PUT},
	{"networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", NS | GEN,
	 "netpol"},
	{RBAC, "roles", "role", "Role", NS | PUT},
	{RBAC, "rolebindings", "rolebinding", "RoleBinding", NS | PUT},
	{RBAC, "clusterroles", "clusterrole", "ClusterRole", PUT},
	{RBAC, "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", PUT},
	{ADM, "validatingadmissionpolicies", "validatingadmissionpolicy",
	 "ValidatingAdmissionPolicy", GEN | ST},
	{ADM, "validatingadmissionpolicybindings", "validatingadmissionpolicybinding",
	 "ValidatingAdmissionPolicyBinding", GEN},
	{FLOW, "flowschemas", "flowschema", "FlowSchema", GEN | ST},
	{FLOW, "prioritylevelconfigurations", "prioritylevelconfiguration",
	 "PriorityLevelConfiguration", GEN | ST},
	{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition",
	 "CustomResourceDefinition", GEN | ST, "crd"},
	{CIL, "ciliumidentities", "ciliumidentity", "CiliumIdentity", CR, "ciliumid"},
	{CIL, "ciliumendpoints", "ciliumendpoint", "CiliumEndpoint", NS | CR, "cep"},
	{CIL, "ciliumnodes", "ciliumnode", "CiliumNode", CR | ST, "cn"},
	{CIL, "ciliumnetworkpolicies", "ciliumnetworkpolicy", "CiliumNetworkPolicy", NS | CR | ST,
	 "cnp"},
	{CIL, "ciliumclusterwidenetworkpolicies", "ciliumclusterwidenetworkpolicy",
	 "CiliumClusterwideNetworkPolicy", CR | ST, "ccnp"},
	{CIL, "ciliumcidrgroups", "ciliumcidrgroup", "CiliumCIDRGroup", CR, "ccg"},
	{"cilium.io", "v2alpha1", "ciliumendpointslices", "ciliumendpointslice",
	 "CiliumEndpointSlice", CR, "ces"},
	{"cilium.io", "v2alpha1", "ciliumnodeconfigs", "ciliumnodeconfig", "CiliumNodeConfig", NS | CR}, /* as before Cilium 1.16 */
	{"multicluster.x-k8s.io", "v1alpha1", "serviceimports", "serviceimport", "ServiceImport",
	 NS | CR | ST, "svcim"},
	{AUTHZ, "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview",
	 REV},
	{AUTHZ, "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", REV},
};
const size_t kinds_n = ARRAY_LEN(kinds);
_Static_assert(ARRAY_LEN(kinds) <= KIND_MAX, "tables are sized by KIND_MAX");

const struct kind *kind_find(const char *group, const char *version, const char *plural)
{
	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].plural, plural) && str_eq(kinds[i].group, group) &&
		    str_eq(kinds[i].version, version))
			return &kinds[i];
	return NULL;
}

const struct kind *kind_find_plural(const char *group, const char *plural)
{
	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].plural, plural) && str_eq(kinds[i].group, group))
			return &kinds[i];
	return NULL;
}

const struct kind *kind_find_typed(const char *api_version, const char *name)
{
	const char *slash = strchr(api_version, '/'), *version = slash ? slash + 1 : api_version;
	size_t len = slash ? (size_t)(slash - api_version) : 0;

	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].name, name) && str_eq(kinds[i].version, version) &&
		    strlen(kinds[i].group) == len && memcmp(kinds[i].group, api_version, len) == 0)
			return &kinds[i];
	return NULL;
}

bool kind_is_built_in_group(const char *group)
{
	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].group, group) && !kind_is(&kinds[i], KIND_CUSTOM))
			return true;
	return false;
}

const char *kind_api_version(const struct kind *k, char buf[96])
{
	(void)snprintf(buf, 96, "%s%s%s", k->group, *k->group ? "/" : "", k->version);
	return buf;
}

const char *kind_resource(const struct kind *k, char buf[96])
{
	(void)snprintf(buf, 96, "%s%s%s", k->plural, *k->group ? "." : "", k->group);
	return buf;
}
