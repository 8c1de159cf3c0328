/* SPDX-License-Identifier: Apache-2.0 */
/* CiliumEndpoints, slices and nodes as the API server sends them, and as it should not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "json/json_stream.h"
#include "kube/decode_endpoint.h"
#include "kube/decode_node.h"
#include "../../lib/json_objects.h"

static struct kube_endpoint cep;
static struct kube_ces ces;
static bool is_slice;

static int on_pick(const struct json_pick *p, void *arg)
{
	(void)arg;
	if (is_slice)
		kube_ces_pick(&ces, p);
	else
		kube_cep_pick(&cep, p);
	return 0;
}

static int on_object(const struct doc *doc, void *arg)
{
	(void)doc;
	(void)arg;
	return 0;
}

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	(void)path;
	(void)text;
	(void)len;
	(void)arg;
	return 0;
}

static const struct json_stream_ops ops = {.on_object = on_object, .on_envelope = on_envelope, .on_pick = on_pick};

static void decode(bool slice, const char *object)
{
	CLEANUP(json_paths_free) struct json_paths *paths = NULL;
	CLEANUP(json_stream_free) struct json_stream *s = NULL;
	CLEANUP(free) char *text = str_printf("{\"type\":\"ADDED\",\"object\":%s}", object);

	is_slice = slice;
	kube_endpoint_clear(&cep);
	kube_ces_clear(&ces);
	cr_assert_eq(json_paths_new(slice ? kube_ces_fields : kube_cep_fields,
				    slice ? kube_ces_n_fields : kube_cep_n_fields, &paths), 0);
	cr_assert_eq(json_stream_new(JSON_WATCH, paths, &ops, NULL, &s), 0);
	cr_assert_eq(json_stream_feed(s, text, strlen(text)), 0, "%s", object);
}

/* "ns/name identity node key address,address" or "unusable". */
static void print(const struct kube_endpoint *e, struct buf *out)
{
	char ip[IP_STRLEN];

	buf_clear(out);
	if (!kube_endpoint_is_usable(e)) {
		cr_assert_eq(buf_addf(out, "unusable"), 0);
		return;
	}
	cr_assert_eq(buf_addf(out, "%s/%s %u %s %u", e->ns, e->name, e->identity, ip_str(&e->node, ip), e->key), 0);
	for (size_t i = 0; i < e->n_addr; i++)
		cr_assert_eq(buf_addf(out, "%s%s", i ? "," : " ", ip_str(&e->addr[i], ip)), 0);
}

#define META "\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"resourceVersion\":\"5\"}"

Test(decode_endpoint, ceps)
{
	static const struct {
		const char *object, *want;
	} cases[] = {
		{"{\"apiVersion\":\"cilium.io/v2\",\"kind\":\"CiliumEndpoint\",\"metadata\":{\"creationTimestamp\":"
		 "\"2026-01-01T00:00:00Z\",\"generation\":1,\"labels\":{\"app\":\"x\",\"name\":\"wrong\"},\"name\":\"web-0\","
		 "\"namespace\":\"default\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"other\","
		 "\"uid\":\"1\"}],\"resourceVersion\":\"1234\",\"uid\":\"2\"},\"status\":{\"encryption\":{\"key\":3},"
		 "\"external-identifiers\":{\"container-id\":\"c\",\"pod-name\":\"default/web-0\"},\"id\":77,\"identity\":"
		 "{\"id\":51234,\"labels\":[\"k8s:app=x\"]},\"named-ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}],"
		 "\"networking\":{\"addressing\":[{\"ipv4\":\"10.244.1.5\",\"ipv6\":\"fd00:10:244::5\"}],\"node\":"
		 "\"172.18.0.3\"},\"policy\":{},\"state\":\"ready\"}}",
		 "default/web-0 51234 172.18.0.3 3 10.244.1.5,fd00:10:244::5"},
		{"{" META ",\"status\":{\"networking\":{\"node\":\"fd00::1\",\"addressing\":[{\"ipv4\":\"\",\"ipv6\":\"fd01::2\"},"
		 "{\"ipv4\":\"10.0.0.9\"},{\"ipv4\":\"10.0.0.9\"}]}}}", "n/p 0 fd00::1 0 fd01::2,10.0.0.9"},
		/* An endpoint that is not there yet, or not anywhere. */
		{"{" META ",\"status\":{}}", "unusable"},
		{"{" META ",\"status\":null}", "unusable"},
		{"{" META ",\"status\":{\"networking\":{\"addressing\":[{\"ipv4\":\"10.0.0.1\"}]}}}", "unusable"},
		{"{" META ",\"status\":{\"networking\":{\"node\":\"1.2.3.4\",\"addressing\":[]}}}", "unusable"},
		{"{\"metadata\":{\"name\":\"p\"},\"status\":{\"networking\":{\"node\":\"1.2.3.4\",\"addressing\":[{\"ipv4\":"
		 "\"10.0.0.1\"}]}}}", "unusable"},
		/* Hostile. */
#define NET(identity, node, addr)                                                                                  \
	"{" META ",\"status\":{\"identity\":{\"id\":" identity "},\"networking\":{\"node\":" node                  \
	",\"addressing\":[" addr "]}}}"
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "n/p 7 1.2.3.4 0 10.0.0.1"},
		{NET("4294967295", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "n/p 4294967295 1.2.3.4 0 10.0.0.1"},
		{NET("4294967296", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("-1", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("1.5", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("1e3", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("\"7\"", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("7", "\"127.0.0.1\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("7", "7", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\\u0000\"", "{\"ipv4\":\"10.0.0.1\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":\"127.0.0.1\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv6\":\"::ffff:10.0.0.1\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":\"224.0.0.1\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1/32\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":\"10.0.0.1\"},{\"ipv4\":\"x\"}"), "unusable"},
		{NET("7", "\"1.2.3.4\"", "{\"ipv4\":10}"), "unusable"},
		{"{\"metadata\":{\"name\":\"a/b\",\"namespace\":\"n\"},\"status\":{\"networking\":{\"node\":\"1.2.3.4\","
		 "\"addressing\":[{\"ipv4\":\"10.0.0.1\"}]}}}", "unusable"},
		{"{\"metadata\":{\"name\":\"a\\u0000b\",\"namespace\":\"n\"},\"status\":{\"networking\":{\"node\":\"1.2.3.4\","
		 "\"addressing\":[{\"ipv4\":\"10.0.0.1\"}]}}}", "unusable"},
		{"{" META ",\"status\":{\"encryption\":{\"key\":256},\"networking\":{\"node\":\"1.2.3.4\",\"addressing\":[{\"ipv4\":"
		 "\"10.0.0.1\"}]}}}", "unusable"},
	};
	CLEANUP(buf_done) struct buf out = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		decode(false, cases[i].object);
		print(&cep, &out);
		cr_expect_str_eq(out.data, cases[i].want, "%s", cases[i].object);
	}
}

/* Cilium leaves out a port that makes no sense, and so do we; of a name that is there twice the last counts. */
Test(decode_endpoint, named_ports)
{
#define PORTS \
	"[{\"name\":\"HTTP\",\"port\":8080,\"protocol\":\"TCP\"},{\"protocol\":\"UDP\",\"port\":53,\"name\":\"dns\"}," \
	"{\"name\":\"plain\",\"port\":1},{\"name\":\"a_b\",\"port\":2},{\"name\":\"zero\",\"port\":0}," \
	"{\"name\":\"large\",\"port\":65536},{\"name\":\"icmp\",\"port\":3,\"protocol\":\"ICMP\"},{\"port\":4}," \
	"{\"name\":\"longer-than-fifteen\",\"port\":5},{\"name\":\"dns\",\"port\":54,\"protocol\":\"UDP\"}]"
	static const struct kube_endpoint_port want[] = {
		{"http", IPPROTO_TCP, 8080}, {"dns", IPPROTO_UDP, 54}, {"plain", IPPROTO_TCP, 1}};

	decode(false, "{\"metadata\":{\"namespace\":\"n\",\"name\":\"e\"},\"status\":{\"named-ports\":" PORTS
		      ",\"networking\":{\"node\":\"172.19.0.11\",\"addressing\":[{\"ipv4\":\"10.244.1.7\"}]}}}");
	cr_expect(kube_endpoint_is_usable(&cep));
	cr_assert_eq(cep.n_ports, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		cr_expect_str_eq(cep.ports[i].name, want[i].name);
		cr_expect_eq(cep.ports[i].proto, want[i].proto);
		cr_expect_eq(cep.ports[i].port, want[i].port);
	}
	decode(true, "{\"namespace\":\"n\",\"metadata\":{\"name\":\"s\"},\"endpoints\":[{\"name\":\"a\",\"named-ports\":" PORTS
		     "},{\"name\":\"b\"}]}");
	cr_assert_eq(ces.n_endpoints, 2);
	cr_expect_eq(ces.endpoints[0].n_ports, ARRAY_LEN(want));
	cr_expect_eq(ces.endpoints[1].n_ports, 0);
#undef PORTS
}

Test(decode_node, labels_where_they_are_asked_for)
{
	static const char text[] = "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"zone\":\"one\",\"odd\":1}}}";
	CLEANUP(doc_free) struct doc *v = doc_parse(text, strlen(text));
	CLEANUP(kube_node_free) struct kube_node *a = NULL;
	CLEANUP(kube_node_free) struct kube_node *b = NULL;

	cr_assert_eq(kube_node_decode(v, &a, NULL), 0);
	cr_assert_eq(kube_node_decode(v, &b, NULL), 0);
	cr_expect_eq(a->labels.n, 0);
	cr_assert_eq(kube_node_read_labels(a, v), 0);
	cr_assert_eq(a->labels.n, 1);
	cr_expect_str_eq(a->labels.v[0], "zone=one");
	cr_expect_not(kube_node_same(a, b));
}

/* An admin changes them while the host runs. */
Test(decode_node, ranges_of_hosts)
{
	static const char object[] = "{\"metadata\":{\"name\":\"n1\",\"labels\":{%s},\"annotations\":{\"mesh-external-agent.io/addresses\":\"%s\"}}}";
	static const struct {
		const char *labels, *ranges, *want;
	} cases[] = {
		{"\"mesh-external-agent.io/host\":\"n1\"", "10.0.0.1/32", "10.0.0.1/32"},
		{"\"mesh-external-agent.io/host\":\"n1\"", "10.0.0.1/32,fd00::1/128", "10.0.0.1/32,fd00::1/128"},
		{"", "10.0.0.1/32", NULL}, /* a node of Cilium */
	};
	struct kube_node *nodes[ARRAY_LEN(cases)];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *text = str_printf(object, cases[i].labels, cases[i].ranges);
		CLEANUP(doc_free) struct doc *v = doc_parse(text, strlen(text));

		cr_assert_eq(kube_node_decode(v, &nodes[i], NULL), 0);
		cr_expect_str_eq(nodes[i]->ranges ? nodes[i]->ranges : "", cases[i].want ? cases[i].want : "");
	}
	cr_expect(kube_node_same(nodes[0], nodes[0]));
	cr_expect_not(kube_node_same(nodes[0], nodes[1]));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		kube_node_free(nodes[i]);
}

Test(decode_endpoint, too_many_addresses)
{
	CLEANUP(buf_done) struct buf list = {0};

	for (unsigned i = 0; i <= LIMIT_ADDRESSES; i++) {
		CLEANUP(free) char *object = NULL;

		cr_assert_eq(buf_addf(&list, "%s{\"ipv4\":\"10.0.0.%u\"}", i ? "," : "", i + 1), 0);
		object = str_printf("{" META ",\"status\":{\"networking\":{\"node\":\"1.2.3.4\",\"addressing\":[%s]}}}",
				    list.data);
		decode(false, object);
		cr_expect_eq(kube_endpoint_is_usable(&cep), i < LIMIT_ADDRESSES, "%u addresses", i + 1);
	}
}

Test(decode_endpoint, slices)
{
	static const char object[] =
		"{\"apiVersion\":\"cilium.io/v2alpha1\",\"endpoints\":[{\"encryption\":{},\"id\":51234,\"name\":\"web-0\","
		"\"networking\":{\"addressing\":[{\"ipv4\":\"10.244.1.5\"}],\"node\":\"172.18.0.3\"},\"named-ports\":[{\"name\":"
		"\"http\",\"port\":80}]},{\"name\":\"bad\",\"id\":-1,\"networking\":{\"addressing\":[{\"ipv4\":\"10.0.0.1\"}],"
		"\"node\":\"172.18.0.3\"}},{},7,{\"id\":9,\"name\":\"web-1\",\"encryption\":{\"key\":2},\"networking\":{\"node\":"
		"\"172.18.0.4\",\"addressing\":[{\"ipv6\":\"fd00::6\"}]}}],\"kind\":\"CiliumEndpointSlice\",\"metadata\":{\"name\":"
		"\"ces-abc\",\"resourceVersion\":\"9\"},\"namespace\":\"default\"}";
	static const char *const want[] = {"default/web-0 51234 172.18.0.3 0 10.244.1.5", "unusable", "unusable", "unusable",
					   "default/web-1 9 172.18.0.4 2 fd00::6"};
	CLEANUP(buf_done) struct buf out = {0};

	decode(true, object);
	cr_expect_str_eq(ces.slice, "ces-abc");
	cr_expect_str_eq(ces.ns, "default");
	cr_expect_not(ces.is_refused);
	cr_assert_eq(ces.n_endpoints, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct kube_endpoint e = ces.endpoints[i];

		memcpy(e.ns, ces.ns, sizeof(e.ns));
		print(&e, &out);
		cr_expect_str_eq(out.data, want[i]);
	}
	decode(true, "{\"metadata\":{\"name\":{}},\"namespace\":[],\"endpoints\":{}}");
	cr_expect_str_eq(ces.slice, "");
	cr_expect_str_eq(ces.ns, "");
	cr_expect_eq(ces.n_endpoints, 0);
	kube_ces_done(&ces);
}

Test(decode_endpoint, slice_with_too_many)
{
	CLEANUP(buf_done) struct buf b = {0};

	cr_assert_eq(buf_addf(&b, "{\"endpoints\":["), 0);
	for (int i = 0; i < 1500; i++)
		cr_assert_eq(buf_addf(&b, "%s{}", i ? "," : ""), 0);
	cr_assert_eq(buf_addf(&b, "]}"), 0);
	decode(true, b.data);
	cr_expect(ces.is_refused);
	kube_ces_done(&ces);
}

static struct kube_node *node(const char *text, int want)
{
	CLEANUP(json_decref) json_t *v = json_parse(text, strlen(text));
	struct kube_node *n = NULL;
	struct err err = {0};

	cr_assert(v, "%s", text);
	cr_expect_eq(json_node_decode(v, &n, &err), want, "%s", text);
	cr_expect_eq(want == 0, err.text[0] == '\0');
	return n;
}

Test(decode_node, as_stock_cilium_writes_it)
{
	CLEANUP(kube_node_free) struct kube_node *n =
		node("{\"metadata\":{\"name\":\"w1\",\"uid\":\"u1\",\"annotations\":{\"network.cilium.io/wg-pub-key\":\"KEY=\"}},"
		     "\"spec\":{\"addresses\":[{\"ip\":\"10.244.1.9\",\"type\":\"CiliumInternalIP\"},{\"ip\":\"203.0.113.1\",\"type\":"
		     "\"ExternalIP\"},{\"ip\":\"172.18.0.3\",\"type\":\"InternalIP\"},{\"ip\":\"fd00::3\",\"type\":\"InternalIP\"},"
		     "{\"ip\":\"w1\",\"type\":\"Hostname\"},{\"ip\":\"127.0.0.1\",\"type\":\"InternalIP\"},7,{\"type\":\"InternalIP\"}],"
		     "\"ipam\":{\"podCIDRs\":[\"10.244.1.0/24\",\"0.0.0.0/0\",\"10.0.0.0/7\",\"x\",\"10.244.1.1\",\"127.0.0.0/8\",5,"
		     "\"fd00:10:244:1::/64\"],\"pools\":{\"allocated\":[{\"pool\":\"p\",\"cidrs\":[\"10.99.0.0/27\"]},{},7]}}}}", 0);
	char text[CIDR_STRLEN];

	cr_assert(n);
	cr_expect_str_eq(n->name, "w1");
	cr_expect_str_eq(n->uid, "u1");
	cr_expect_str_eq(n->wireguard_key, "KEY=");
	cr_assert_eq(n->node_ips.n, 3);
	cr_expect_str_eq(ip_str(kube_node_underlay(n, AF_INET), text), "172.18.0.3", "internal before external");
	cr_expect_str_eq(ip_str(kube_node_underlay(n, AF_INET6), text), "fd00::3");
	cr_expect_str_eq(ip_str(kube_node_tunnel(n, false), text), "172.18.0.3");
	cr_expect_str_eq(ip_str(kube_node_tunnel(n, true), text), "fd00::3");
	cr_assert_eq(n->internal_ips.n, 1);
	cr_assert_eq(n->pod_cidrs.n, 3);
	cr_expect_str_eq(cidr_str(&n->pod_cidrs.v[0], text), "10.244.1.0/24");
	cr_expect_str_eq(cidr_str(&n->pod_cidrs.v[2], text), "10.99.0.0/27");
}

/* Where a node has only one address, tunnel packets go there, whatever the underlay. */
Test(decode_node, of_one_family)
{
	static const char *const addresses[] = {"172.18.0.3", "fd00::3"};

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		CLEANUP(free) char *json = str_printf("{\"metadata\":{\"name\":\"w1\"},\"spec\":{\"addresses\":[{\"ip\":\"%s\",\"type\":"
						      "\"InternalIP\"}]}}", addresses[i]);
		CLEANUP(kube_node_free) struct kube_node *n = node(json, 0);
		char text[IP_STRLEN];

		cr_assert(n);
		cr_expect_str_eq(ip_str(kube_node_tunnel(n, false), text), addresses[i]);
		cr_expect_str_eq(ip_str(kube_node_tunnel(n, true), text), addresses[i]);
	}
}

Test(decode_node, refused)
{
	CLEANUP(buf_done) struct buf b = {0};

	cr_expect_null(node("{}", -EINVAL));
	cr_expect_null(node("[]", -EINVAL));
	cr_expect_null(node("{\"metadata\":{\"name\":\"A b\"}}", -EINVAL));
	cr_expect_null(node("{\"metadata\":{\"name\":7}}", -EINVAL));
	cr_assert_eq(buf_addf(&b, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":["), 0);
	for (int i = 0; i <= LIMIT_ADDRESSES; i++)
		cr_assert_eq(buf_addf(&b, "%s{\"type\":\"InternalIP\",\"ip\":\"10.0.0.%d\"}", i ? "," : "", i + 1), 0);
	cr_assert_eq(buf_addf(&b, "]}}"), 0);
	cr_expect_null(node(b.data, -EINVAL));
}

Test(decode_node, same)
{
	static const char *const texts[] = {
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\"}}",
		"{\"metadata\":{\"name\":\"b\",\"uid\":\"1\"}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"2\"}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\",\"annotations\":{\"network.cilium.io/wg-pub-key\":\"K\"}}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"addresses\":[{\"type\":\"InternalIP\",\"ip\":\"10.0.0.1\"}]}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"addresses\":[{\"type\":\"CiliumInternalIP\",\"ip\":\"10.0.0.1\"}]}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"ipam\":{\"podCIDRs\":[\"10.0.0.0/24\"]}}}",
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"ipam\":{\"podCIDRs\":[\"10.0.0.0/25\"]}}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			CLEANUP(kube_node_free) struct kube_node *a = node(texts[i], 0);
			CLEANUP(kube_node_free) struct kube_node *b = node(texts[j], 0);

			cr_expect_eq(kube_node_same(a, b), i == j, "%zu and %zu", i, j);
		}
}
