/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_kind.h"

#include <stdio.h>

#include "base/macro.h"
#include "base/str.h"

#define NS    KIND_NAMESPACED
#define CR    (KIND_CUSTOM | KIND_GENERATION)
#define ST    KIND_STATUS
#define GEN   KIND_GENERATION
#define REV   KIND_REVIEW
#define RBAC  "rbac.authorization.k8s.io", "v1"
#define ADM   "admissionregistration.k8s.io", "v1"
#define FLOW  "flowcontrol.apiserver.k8s.io", "v1"
#define AUTHZ "authorization.k8s.io", "v1"
#define CIL   "cilium.io", "v2"

const struct kind kinds[] = {
	{"", "v1", "namespaces", "namespace", "Namespace", ST},
	{"", "v1", "services", "service", "Service", NS | ST},
	{"", "v1", "nodes", "node", "Node", ST},
	{"", "v1", "pods", "pod", "Pod", NS | ST},
	{"", "v1", "secrets", "secret", "Secret", NS},
	{"", "v1", "configmaps", "configmap", "ConfigMap", NS},
	{"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", NS},
	{"", "v1", "events", "event", "Event", NS},
	{"", "v1", "endpoints", "endpoints", "Endpoints", NS},
	{"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", NS | GEN},
	{"coordination.k8s.io", "v1", "leases", "lease", "Lease", NS},
	{"networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", NS | GEN},
	{RBAC, "roles", "role", "Role", NS},
	{RBAC, "rolebindings", "rolebinding", "RoleBinding", NS},
	{RBAC, "clusterroles", "clusterrole", "ClusterRole", 0},
	{RBAC, "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", 0},
	{ADM, "validatingadmissionpolicies", "validatingadmissionpolicy",
	 "ValidatingAdmissionPolicy", GEN | ST},
	{ADM, "validatingadmissionpolicybindings", "validatingadmissionpolicybinding",
	 "ValidatingAdmissionPolicyBinding", GEN},
	{FLOW, "flowschemas", "flowschema", "FlowSchema", GEN | ST},
	{FLOW, "prioritylevelconfigurations", "prioritylevelconfiguration",
	 "PriorityLevelConfiguration", GEN | ST},
	{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition",
	 "CustomResourceDefinition", GEN | ST},
	{CIL, "ciliumidentities", "ciliumidentity", "CiliumIdentity", CR},
	{CIL, "ciliumendpoints", "ciliumendpoint", "CiliumEndpoint", NS | CR},
	{CIL, "ciliumnodes", "ciliumnode", "CiliumNode", CR | ST},
	{CIL, "ciliumnetworkpolicies", "ciliumnetworkpolicy", "CiliumNetworkPolicy", NS | CR | ST},
	{CIL, "ciliumclusterwidenetworkpolicies", "ciliumclusterwidenetworkpolicy",
	 "CiliumClusterwideNetworkPolicy", CR | ST},
	{CIL, "ciliumcidrgroups", "ciliumcidrgroup", "CiliumCIDRGroup", CR},
	{"cilium.io", "v2alpha1", "ciliumendpointslices", "ciliumendpointslice",
	 "CiliumEndpointSlice", CR},
	{AUTHZ, "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", REV},
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
	char own[96];

	for (size_t i = 0; i < kinds_n; i++)
		if (str_eq(kinds[i].name, name) &&
		    str_eq(kind_api_version(&kinds[i], own), api_version))
			return &kinds[i];
	return NULL;
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
