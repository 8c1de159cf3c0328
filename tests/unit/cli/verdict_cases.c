/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a file of cases (tests/data/policy-cases.yaml) into files of objects and a shell script of calls:
 * usage: verdict_cases CASES DIRECTORY. The script, on the standard output, calls
 *   check NAME VERDICT FILE [option...]   and   refused NAME FILE TEXT
 * and ends with: cases MADE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/yaml_json.h"

#define NS	"k8s:io.kubernetes.pod.namespace="
#define CLUSTER "k8s:io.cilium.k8s.policy.cluster="

static const struct {
	const char *name, *labels, *ip;
} peers[] = {
	{"A", "k8s:app=a," NS "ext," CLUSTER "c1", "10.244.1.5"},
	/* without a source */
	{"B", "app=b,io.kubernetes.pod.namespace=web,io.cilium.k8s.namespace.labels.team=blue,"
	      "io.cilium.k8s.policy.cluster=c1", "10.244.2.6"},
	{"R", "k8s:app=a," NS "ext," CLUSTER "c2", "10.245.1.5"},
	{"P", "k8s:app=p," NS "ports," CLUSTER "c1,gen:io.cilium.k8s.named-ports=web.TCP.8080_bad.TCP.666", NULL},
	{"Q", "k8s:app=q," NS "ports," CLUSTER "c1,gen:io.cilium.k8s.named-ports-1=web.TCP.9090_bad.TCP.1_bad.TCP.2_junk",
	 NULL},
	{"N", "reserved:remote-node", "172.18.0.3"},
	{"K", "reserved:kube-apiserver", "172.18.0.2"},
	{"L", "reserved:host", NULL},
	{"W", "reserved:world", NULL},
	{"W4", "reserved:world-ipv4", NULL},
	{"W6", "reserved:world-ipv6", NULL},
	{"X", NULL, "198.51.100.77"},
	{"unknown", "reserved:unknown", NULL},
	{"id 3", "reserved:unmanaged", NULL},
	{"id 4", "reserved:health", NULL},
	{"id 5", "reserved:init", NULL},
	{"id 8", "reserved:ingress", NULL},
};

static void die(const char *what, const char *detail)
{
	(void)fprintf(stderr, "verdict_cases: %s: %s\n", what, detail);
	exit(99);
}

/* " 'text'" for a shell. */
static void word(const char *text)
{
	(void)fputs(" '", stdout);
	for (; *text; text++)
		if (*text == '\'')
			(void)fputs("'\\''", stdout);
		else
			(void)fputc(*text, stdout);
	(void)fputc('\'', stdout);
}

static void option(const char *name, const char *text)
{
	(void)printf(" --%s", name);
	word(text);
}

static const char *member(const json_t *o, const char *key, const char *otherwise)
{
	return json_str(o, key, otherwise);
}

static void must(int r)
{
	if (r < 0)
		die("out of memory", "");
}

/* Objects */

static json_t *policy_object(const json_t *p, size_t number)
{
	static const struct {
		const char *name, *kind, *api;
	} kinds[] = {{"cnp", "CiliumNetworkPolicy", "cilium.io/v2"},
		     {"ccnp", "CiliumClusterwideNetworkPolicy", "cilium.io/v2"},
		     {"knp", "NetworkPolicy", "networking.k8s.io/v1"},
		     {"group", "CiliumCIDRGroup", "cilium.io/v2"}};
	const char *kind = member(p, "kind", "cnp");
	char name[32];
	json_t *o = NULL;

	(void)snprintf(name, sizeof(name), "p%zu", number);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kind, kinds[i].name))
			o = json_pack("{s:s, s:s, s:{s:s, s:s*, s:O*}, s:O*, s:O*}", "apiVersion", kinds[i].api, "kind",
				      kinds[i].kind, "metadata", "name", member(p, "name", name), "namespace",
				      member(p, "ns", NULL), "labels", json_object_get(p, "labels"), "spec",
				      json_object_get(p, "spec"), "specs", json_object_get(p, "specs"));
	if (!o)
		die("no kind", kind);
	return o;
}

static json_t *service_object(const json_t *s)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:O*}, s:{s:s, s:O*, s:[{s:i}]}}", "apiVersion", "v1", "kind", "Service",
			 "metadata", "name", member(s, "name", ""), "namespace", member(s, "ns", ""), "labels",
			 json_object_get(s, "labels"), "spec", "clusterIP", "None", "selector", json_object_get(s, "selector"),
			 "ports", "port", 80);
}

static json_t *slice_object(const json_t *s)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:s, s:[{s:O}], s:[]}", "apiVersion", "discovery.k8s.io/v1",
			 "kind", "EndpointSlice", "metadata", "name", member(s, "name", ""), "namespace",
			 member(s, "ns", ""), "labels", "kubernetes.io/service-name", member(s, "name", ""), "addressType",
			 "IPv4", "endpoints", "addresses", json_object_get(s, "backends"), "ports");
}

static void write_objects(const json_t *c, const char *path)
{
	const json_t *policies = json_object_get(c, "policies"), *services = json_object_get(c, "services");
	CLEANUP(json_decref) json_t *items = json_array();

	for (size_t i = 0; i < json_array_size(policies); i++)
		must(json_array_append_new(items, policy_object(json_array_get(policies, i), i)));
	for (size_t i = 0; i < json_array_size(services); i++) {
		const json_t *s = json_array_get(services, i);

		must(json_array_append_new(items, service_object(s)));
		if (json_object_get(s, "backends"))
			must(json_array_append_new(items, slice_object(s)));
	}
	CLEANUP(json_decref) json_t *list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items);
	if (!list || json_dump_file(list, path, JSON_INDENT(1)) < 0)
		die("cannot write", path);
}

/* Options */

static void print_subject(const json_t *c)
{
	const json_t *list = json_object_get(c, "subject"), *ports = json_object_get(c, "ports");
	CLEANUP(buf_done) struct buf text = {0};
	const char *name;
	json_t *v;

	for (size_t i = 0; i < json_array_size(list); i++)
		must(buf_addf(&text, "%s%s", i ? "," : "", json_string_value(json_array_get(list, i))));
	option("subject", text.len ? text.data : "k8s:app=vm," NS "ext," CLUSTER "c1");
	json_object_foreach((json_t *)ports, name, v)
	{
		buf_clear(&text);
		must(buf_addf(&text, "%s=%s", name, json_string_value(v)));
		option("named-port", text.data);
	}
}

static void print_names(const json_t *c)
{
	const json_t *names = json_object_get(c, "fqdn");
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)names, name, v)
	{
		CLEANUP(buf_done) struct buf text = {0};

		must(buf_addf(&text, "%s=", name));
		for (size_t i = 0; i < json_array_size(v); i++)
			must(buf_addf(&text, "%s%s", i ? "," : "", json_string_value(json_array_get(v, i))));
		option("fqdn", text.data);
	}
}

static void print_options(const json_t *c)
{
	const json_t *opts = json_object_get(c, "opts");
	const char *key;
	json_t *v;

	(void)fputs(" --option cluster-name=c1", stdout);
	json_object_foreach((json_t *)opts, key, v)
	{
		CLEANUP(buf_done) struct buf text = {0};

		must(buf_addf(&text, "%s%s=", str_has_prefix(key, "ipv") ? "enable-" : "", key));
		if (str_eq(key, "allow-localhost"))
			must(buf_addf(&text, "%s", json_is_true(v) ? "always" : "policy"));
		else if (json_is_boolean(v))
			must(buf_addf(&text, "%s", json_is_true(v) ? "true" : "false"));
		else if (json_is_string(v))
			must(buf_addf(&text, "%s", json_string_value(v)));
		for (size_t i = 0; i < json_array_size(v); i++)
			must(buf_addf(&text, "%s%s", i ? " " : "", json_string_value(json_array_get(v, i))));
		option("option", text.data);
	}
}

static void print_peer(const char *name)
{
	if (str_has_prefix(name, "ip ")) {
		option("peer-ip", name + strlen("ip "));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		if (!str_eq(name, peers[i].name))
			continue;
		if (peers[i].labels)
			option("peer", peers[i].labels);
		if (peers[i].ip)
			option("peer-ip", peers[i].ip);
		return;
	}
	die("no peer", name);
}

static void print_l4(const json_t *l4)
{
	const char *text = json_string_value(l4), *slash = text ? strchr(text, '/') : NULL;

	if (json_is_integer(l4)) {
		(void)printf(" --protocol %lld", (long long)json_integer_value(l4));
		return;
	}
	if (!slash)
		die("no protocol", text ? text : "");
	(void)printf(" --protocol %.*s --%s %s", (int)(slash - text), text,
		     str_has_prefix(text, "ICMP") ? "icmp-type" : "port", slash + 1);
}

static void print_check(const json_t *c, const json_t *check, const char *file)
{
	const char *dir = json_string_value(json_array_get(check, 0)), *peer = json_string_value(json_array_get(check, 1)),
		   *want = json_string_value(json_array_get(check, 3));

	if (!dir || !peer || !want)
		die("a check is incomplete", member(c, "name", ""));
	(void)fputs("check", stdout);
	word(member(c, "name", ""));
	word(want);
	word(file);
	print_subject(c);
	print_names(c);
	print_options(c);
	print_peer(peer);
	option("direction", str_eq(dir, "in") ? "ingress" : "egress");
	print_l4(json_array_get(check, 2));
	(void)fputc('\n', stdout);
}

static void print_refused(const json_t *c, const char *file)
{
	const json_t *policies = json_object_get(c, "policies");

	for (size_t i = 0; i < json_array_size(policies); i++) {
		const char *text = member(json_array_get(policies, i), "rejected", NULL);

		if (!text)
			continue;
		(void)fputs("refused", stdout);
		word(member(c, "name", ""));
		word(file);
		word(text);
		print_options(c);
		(void)fputc('\n', stdout);
	}
}

int main(int argc, char **argv)
{
	CLEANUP(buf_done) struct buf text = {.max = 4 << 20};
	CLEANUP(json_decref) json_t *docs = NULL;
	struct err err = {0};
	size_t made = 0;

	if (argc != 3 || file_read(argv[1], 4 << 20, &text) < 0)
		die("usage: verdict_cases CASES DIRECTORY", argc > 1 ? argv[1] : "");
	if (yaml_to_json(text.data, text.len, &docs, &err) < 0)
		die(argv[1], err.text);
	const json_t *cases = json_array_get(docs, 0);

	for (size_t i = 0; i < json_array_size(cases); i++) {
		const json_t *c = json_array_get(cases, i), *checks = json_object_get(c, "checks");
		CLEANUP(free) char *file = str_printf("%s/%zu.json", argv[2], i);

		if (!file)
			die("out of memory", "");
		write_objects(c, file);
		for (size_t k = 0; k < json_array_size(checks); k++)
			print_check(c, json_array_get(checks, k), file);
		print_refused(c, file);
		made++;
	}
	(void)printf("cases %zu\n", made);
	return fflush(stdout) == 0 ? 0 : 99;
}
