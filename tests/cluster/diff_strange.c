/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_strange.h"

#include <string.h>

#include "base/macro.h"
#include "base/str.h"

#define PICK(list) ((list)[below(ARRAY_LEN(list))])

static uint64_t state;

static uint32_t below(uint32_t bound)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % bound;
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

static const char *strange_text(const char *key)
{
	static const char *const ports[] = {"00",   "010",  "08",	"0x50",	  "1_0",  "65536", "65535", "-1", " 80", "+80",
					    "",	    "80a",  "a--b",	"-a",	  "HTTP", "9999999999", "0", "http", "80 ", "a",
					    "1a",   "abcdefghijklmno", "abcdefghijklmnop", "0b1", "0o7", "7"};
	static const char *const protocols[] = {"tcp", "Tcp", "ANY", "any", "ICMP", "ICMPv6", "ICMPV6", "VRRP", "IGMP", "GRE",
						"", "SCTP", "udp", "6", "ESP", "AH", "IPIP", "IPV6"};
	static const char *const prefixes[] = {"10.1.2.3",     "10.1.2.3/8",   "::ffff:10.1.2.3/128", "010.1.1.1/32", "10.1/16",
					       "10.0.0.0/33",  "10.0.0.0/08",  "0.0.0.0/0",	      "::/0",	      "",
					       "2001:db8::/32", "2001:db8:1::", "10.1.2.3/32 ",	      "198.51.100.77/0", "::ffff:0:0/96",
					       "fe80::1%eth0", "255.255.255.255/32"};
	static const char *const entities[] = {"all", "world", "cluster", "host", "World", "", "init", "ingress", "unmanaged",
					       "world-ipv4", "world-ipv6", "health", "remote-node", "kube-apiserver", "none",
					       "cluster-mesh", "nobody"};
	static const char *const operators[] = {"in", "In", "NotIn", "Exists", "DoesNotExist", "", "Equals"};
	static const char *const modes[] = {"disabled", "required", "test-always-fail", "", "Required"};
	static const char *const others[] = {"", "a", "A", "b", "any:a", " a", "a ", "luke", "ext", "-", "*", "0", "null", "true"};

	if (str_eq(key, "port"))
		return PICK(ports);
	if (str_eq(key, "protocol"))
		return PICK(protocols);
	if (strstr(key, "CIDR") || str_eq(key, "cidr") || str_eq(key, "except"))
		return PICK(prefixes);
	if (strstr(key, "Entities"))
		return PICK(entities);
	if (str_eq(key, "operator"))
		return PICK(operators);
	if (str_eq(key, "mode"))
		return PICK(modes);
	return PICK(others);
}

static json_t *strange_value(const char *key, const json_t *old)
{
	static const json_int_t numbers[] = {-1, 0, 1, 7, 8, 79, 80, 100, 255, 256, 65535, 65536, 70000};

	if (chance(12))
		return json_null();
	if (json_is_string(old))
		return json_string(strange_text(key));
	if (json_is_integer(old))
		return json_integer(PICK(numbers));
	if (json_is_array(old))
		return json_array();
	if (json_is_object(old))
		return json_object();
	return json_boolean(chance(50));
}

/* Another key of a selector. */
static const char *strange_key(void)
{
	static const char *const keys[] = {"any:app", "k8s:app", "any.app", "k8s.app", "reserved:world", "reserved.host", "cidr:10.0.0.0/8",
					   "reserved:all", ":app", "app:", "k8s:", "unspec:app", "container:app", "io.kubernetes.pod.namespace",
					   "any:io.kubernetes.pod.namespace", "k8s:io.cilium.k8s.policy.cluster", "a:b:c", "node:kubernetes.io/os",
					   "cidrgroup:io.cilium.policy.cidrgroupname/g1", "kubernetes.io/metadata.name", "APP", "reserved:",
					   "k8s:io.cilium.k8s.policy.serviceaccount", "$world", "gen:app", "fqdn:a.io"};

	return PICK(keys);
}

static void change(json_t *v, const char *key, uint32_t per_mille);

static void change_object(json_t *o, uint32_t per_mille)
{
	const char *key;
	void *tmp;
	json_t *v;

	json_object_foreach_safe(o, tmp, key, v)
	{
		if (below(1000) >= per_mille) {
			change(v, key, per_mille);
			continue;
		}
		if (chance(12))
			(void)json_object_del(o, key);
		else
			(void)json_object_set_new(o, key, strange_value(key, v));
	}
}

static void change(json_t *v, const char *key, uint32_t per_mille)
{
	if (json_is_object(v)) {
		if (str_eq(key, "matchLabels") && below(1000) < per_mille * 4)
			(void)json_object_set_new(v, strange_key(), json_string(chance(40) ? "" : strange_text(key)));
		change_object(v, per_mille);
	}
	for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
		if (below(1000) < per_mille)
			(void)json_array_set_new(v, i, strange_value(key, json_array_get(v, i)));
		else
			change(json_array_get(v, i), key, per_mille);
	}
}

static json_t *random_options(void)
{
	static const char *const flags[] = {"enable-non-default-deny-policies", "policy-default-local-cluster", "enable-icmp-rules",
					    "enable-l7-proxy", "enable-extended-ip-protocols", "ipv6", "allow-localhost"};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (chance(i < 4 ? 10 : 40))
			(void)json_object_set_new(o, flags[i], json_boolean(i >= 4));
	if (chance(25))
		(void)json_object_set_new(o, "policy-cidr-match-mode", chance(50) ? json_pack("[s]", "nodes") : json_pack("[s, s]", "nodes", "pods"));
	if (chance(6))
		(void)json_object_set_new(o, "enable-policy", json_string("always"));
	return o;
}

void diff_strange(json_t *set, uint64_t seed, unsigned number, bool has_strange)
{
	json_t *policies = json_object_get(set, "policies");

	state = seed * UINT64_C(0x9e3779b97f4a7c15) + number;
	(void)below(2);
	(void)json_object_set_new(set, "opts", random_options());
	(void)json_object_set_new(set, "subject",
				  json_pack("[s, s, s, s]", "k8s:jedi=luke", "k8s:app=vm", "k8s:io.kubernetes.pod.namespace=ext",
					    "k8s:io.cilium.k8s.policy.cluster=c1"));
	(void)json_object_set_new(set, "ports", json_pack("{s:s, s:s, s:s}", "http", "TCP/8080", "metrics", "TCP/9090", "syslog", "UDP/7000"));
	for (size_t i = 0; has_strange && i < json_array_size(policies); i++) {
		json_t *p = json_array_get(policies, i);
		const char *kind = json_string_value(json_object_get(p, "kind"));

		if (kind && str_eq(kind, "knp"))
			continue; /* the API server lets nothing strange in there */
		change(json_object_get(p, "spec"), "spec", 12);
		change(json_object_get(p, "specs"), "specs", 12);
	}
}
