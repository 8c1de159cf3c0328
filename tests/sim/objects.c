/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdlib.h>

const struct sim_path sim_paths[SIM_KINDS] = {
	[SIM_CONFIG] = {"/api/v1/namespaces/kube-system/configmaps", "v1", "ConfigMap"},
	[SIM_NAMESPACE] = {"/api/v1/namespaces", "v1", "Namespace"},
	[SIM_IDENTITY] = {"/apis/cilium.io/v2/ciliumidentities", "cilium.io/v2", "CiliumIdentity"},
	[SIM_NODE] = {"/apis/cilium.io/v2/ciliumnodes", "cilium.io/v2", "CiliumNode"},
	[SIM_ENDPOINT] = {"/apis/cilium.io/v2/ciliumendpoints", "cilium.io/v2", "CiliumEndpoint"},
	[SIM_CNP] = {"/apis/cilium.io/v2/ciliumnetworkpolicies", "cilium.io/v2", "CiliumNetworkPolicy"},
	[SIM_CCNP] = {"/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies", "cilium.io/v2", "CiliumClusterwideNetworkPolicy"},
	[SIM_CIDR_GROUP] = {"/apis/cilium.io/v2/ciliumcidrgroups", "cilium.io/v2", "CiliumCIDRGroup"},
	[SIM_KNP] = {"/apis/networking.k8s.io/v1/networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"},
	[SIM_SERVICE] = {"/api/v1/services", "v1", "Service"},
	[SIM_SLICE] = {"/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"},
};
static const struct sim_path slices = {"/apis/cilium.io/v2alpha1/ciliumendpointslices", "cilium.io/v2alpha1",
				       "CiliumEndpointSlice"};

/* What the host asks for and this cluster does not have, as most do not. */
static const struct sim_path absent = {"/apis/multicluster.x-k8s.io/v1alpha1/serviceimports", "multicluster.x-k8s.io/v1alpha1",
				       "ServiceImport"};

const struct sim_path *sim_path_of(enum sim_kind kind)
{
	if (kind == SIM_KINDS)
		return &absent;
	return kind == SIM_ENDPOINT && sim->has_slices ? &slices : &sim_paths[kind];
}

uint32_t object_address(enum sim_kind kind, unsigned index, uint32_t payload, uint32_t offset)
{
	uint32_t third = index + offset, last = 1 + payload % 3;

	switch (kind) {
	case SIM_NODE:
		return 0xac140000 | third << 8 | last; /* 172.20 */
	case SIM_SERVICE:
		return 0x0a600000 | third << 8 | last; /* 10.96 */
	default:
		return 0x0a010000 | third << 8 | last; /* 10.1 */
	}
}

static void address_text(char text[16], enum sim_kind kind, unsigned index, uint32_t payload, uint32_t offset)
{
	uint32_t a = object_address(kind, index, payload, offset);

	(void)snprintf(text, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void write_spec(struct buf *b, enum sim_kind kind, unsigned index, uint32_t payload, uint32_t offset)
{
	unsigned i = index + offset;
	char address[16];
	int r = 0;

	address_text(address, kind, index, payload, offset);
	switch (kind) {
	case SIM_CONFIG:
		r = buf_addf(b, "\"data\":{\"v\":\"%u\"}", payload);
		break;
	case SIM_NAMESPACE:
		r = buf_addf(b, "\"spec\":{}");
		break;
	case SIM_IDENTITY:
		r = buf_addf(b, "\"security-labels\":{\"k8s:app\":\"a%u\",\"k8s:io.kubernetes.pod.namespace\":\"legacy\"}", payload);
		break;
	case SIM_NODE:
		r = buf_addf(b, "\"spec\":{\"addresses\":[{\"type\":\"InternalIP\",\"ip\":\"%s\"}],"
			     "\"ipam\":{\"podCIDRs\":[\"10.%u.0.0/16\"]}}", address, 100 + payload % 50);
		break;
	case SIM_ENDPOINT:
		if (sim->has_slices)
			r = buf_addf(b, "\"namespace\":\"legacy\",\"endpoints\":[{\"name\":\"e%u\",\"id\":%u,\"networking\":{\"addressing\":"
				     "[{\"ipv4\":\"%s\"}],\"node\":\"172.19.0.9\"}}]", i, 1000 + payload, address);
		else
			r = buf_addf(b, "\"status\":{\"id\":7,\"state\":\"ready\",\"identity\":{\"id\":%u,\"labels\":[\"k8s:app=x\"]},"
				     "\"networking\":{\"addressing\":[{\"ipv4\":\"%s\"}],\"node\":\"172.19.0.9\"}}", 1000 + payload,
				     address);
		break;
	case SIM_CNP:
		r = buf_addf(b, "\"spec\":{\"endpointSelector\":{\"matchLabels\":{\"app\":\"own\"}},\"ingress\":[{\"toPorts\":[{\"ports\":[{"
			     "\"port\":\"%u\",\"protocol\":\"TCP\"}]}]}]}", SIM_PORT_CNP + payload);
		break;
	case SIM_CCNP: /* one rule for all, one for a group of prefixes */
		r = buf_addf(b, "\"spec\":{\"endpointSelector\":{\"matchLabels\":{\"app\":\"own\"}},\"ingress\":[{\"toPorts\":[{\"ports\":[{"
			     "\"port\":\"%u\",\"protocol\":\"TCP\"}]}]},{\"fromCIDRSet\":[{\"cidrGroupRef\":\"e%u\"}],\"toPorts\":[{"
			     "\"ports\":[{\"port\":\"%u\",\"protocol\":\"TCP\"}]}]}]}", SIM_PORT_CCNP + payload, i,
			     SIM_PORT_GROUP + payload);
		break;
	case SIM_CIDR_GROUP:
		r = buf_addf(b, "\"spec\":{\"externalCIDRs\":[\"192.168.%u.%u/32\"]}", i, payload % 250);
		break;
	case SIM_KNP:
		r = buf_addf(b, "\"spec\":{\"podSelector\":{\"matchLabels\":{\"app\":\"own\"}},\"ingress\":[{\"ports\":[{\"port\":%u,"
			     "\"protocol\":\"TCP\"}]}]}", SIM_PORT_KNP + payload);
		break;
	case SIM_SERVICE:
		r = buf_addf(b, "\"spec\":{\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ports\":[{\"name\":\"http\",\"port\":%u,"
			     "\"protocol\":\"TCP\"}]}", address, address, 80 + payload % 7);
		break;
	case SIM_SLICE:
		r = buf_addf(b, "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.2.%u.1\"],\"conditions\":{\"ready\":true}}],"
			     "\"ports\":[{\"name\":\"http\",\"port\":%u,\"protocol\":\"TCP\"}]", i, 1000 + payload);
		break;
	case SIM_KINDS:
		break;
	}
	if (r < 0)
		abort(); /* no memory for the simulation itself */
}

void object_write(struct buf *b, enum sim_kind kind, unsigned index, const struct sim_object *o, uint32_t offset)
{
	const struct sim_path *p = sim_path_of(kind);
	bool is_cluster_wide = kind == SIM_NAMESPACE || kind == SIM_IDENTITY || kind == SIM_NODE || kind == SIM_CCNP ||
			       kind == SIM_CIDR_GROUP || (kind == SIM_ENDPOINT && sim->has_slices);
	char name[32];
	int r;

	if (kind == SIM_CONFIG)
		(void)snprintf(name, sizeof(name), CILIUM_CONFIG_NAME);
	else if (kind == SIM_IDENTITY)
		(void)snprintf(name, sizeof(name), "%u", 5000 + index + offset);
	else
		(void)snprintf(name, sizeof(name), "e%u", index + offset);
	r = buf_addf(b, "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\",%s\"generation\":%u,\"uid\":\"u%u\","
		     "\"resourceVersion\":\"%llu\"%s%u%s},", p->api, p->name, name,
		     kind == SIM_CONFIG ? "\"namespace\":\"kube-system\"," : is_cluster_wide ? "" : "\"namespace\":\"legacy\",",
		     o->payload, index, (unsigned long long)o->version,
		     kind == SIM_SLICE ? ",\"labels\":{\"kubernetes.io/service-name\":\"e" : ",\"labels\":{\"n\":\"",
		     index + offset, "\"}");
	if (r < 0)
		abort();
	write_spec(b, kind, index, o->payload, offset);
	if (buf_addf(b, "}") < 0)
		abort();
}
