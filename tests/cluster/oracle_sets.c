/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of policies with this project's verdicts, a line of JSON each, for tests/cluster/oracle to judge:
 *   oracle_sets cases                     those of tests/data/policy-*.yaml
 *   oracle_sets random SEED FROM COUNT    random ones
 *   oracle_sets strange SEED FROM COUNT   random ones with values that nobody should write
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "cluster/diff_random.h"
#include "cluster/diff_strange.h"
#include "policy/policy_rule.h"
#include "unit/policy/cases.h"
#include "lib/json_objects.h"

static const char *const peers[] = {"A", "B", "R", "P", "Q", "N", "K", "L", "W", "W4", "W6"};
static const char *const addresses[] = {"198.51.100.77", "198.51.100.1", "198.51.7.7", "10.1.2.3", "10.1.9.9",
					"10.244.7.7",	 "172.19.100.50", "192.0.2.1",	"2001:db8::1", "2001:db8:1::1"};
static const struct {
	uint8_t proto;
	uint16_t port;
} asked[] = {{6, 22}, {6, 80}, {6, 100}, {6, 443}, {6, 8080}, {6, 9090}, {6, 9001}, {6, 8}, {6, 65535}, {17, 80}, {17, 7000}, {17, 100},
	     {132, 80}, {132, 64}, {1, 8}, {1, 13}, {58, 128}, {58, 129}, {47, 1}};

/* What an object of a case is at the API server. */
static json_t *object_of(const json_t *p, const char *kind, size_t number)
{
	static const char *const versions[][3] = {{"cnp", "cilium.io/v2", "CiliumNetworkPolicy"},
						  {"ccnp", "cilium.io/v2", "CiliumClusterwideNetworkPolicy"},
						  {"knp", "networking.k8s.io/v1", "NetworkPolicy"},
						  {"group", "cilium.io/v2", "CiliumCIDRGroup"}};
	const char *given = json_string_value(json_object_get(p, "name"));
	char name[32];
	json_t *obj;

	(void)snprintf(name, sizeof(name), "p%zu", number);
	obj = fixture_object(json_string_value(json_object_get(p, "ns")), given ? given : name, json_object_get(p, "spec"));
	if (json_object_get(p, "specs"))
		(void)json_object_set(obj, "specs", json_object_get(p, "specs"));
	if (json_object_get(p, "labels"))
		(void)json_object_set(json_object_get(obj, "metadata"), "labels", json_object_get(p, "labels"));
	if (str_eq(kind, "ccnp") || str_eq(kind, "group"))
		(void)json_object_del(json_object_get(obj, "metadata"), "namespace");
	if (!json_is_object(json_object_get(obj, "spec")) && json_object_get(obj, "specs"))
		(void)json_object_del(obj, "spec");
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (str_eq(kind, versions[i][0])) {
			(void)json_object_set_new(obj, "apiVersion", json_string(versions[i][1]));
			(void)json_object_set_new(obj, "kind", json_string(versions[i][2]));
		}
	return obj;
}

/* Puts the policies in force, and says of each whether it is fit for use. */
static json_t *set_policies(struct fixture *f, const json_t *policies)
{
	static const char *const kinds[] = {"cnp", "ccnp", "knp", "group"};
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(policies); i++) {
		const json_t *p = json_array_get(policies, i);
		const char *kind = json_string_value(json_object_get(p, "kind"));
		json_t *obj;
		struct err err = {0};
		unsigned k = 0;
		int r;

		while (kind && !str_eq(kind, kinds[k]))
			k++;
		obj = object_of(p, kinds[k], i);
		r = json_policy_set(f->repo, (enum policy_kind)k, obj, &err);
		cr_assert(r == 1 || r == -EBADMSG);
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "kind", kinds[k], "rejected", r == 1 ? "" : err.text,
							    "object", obj));
	}
	cr_assert_geq(policy_table_update(f->table), 0);
	return list;
}

static const char *word(struct policy_verdict v)
{
	return v.action == POLICY_ALLOW	    ? "allow" :
	       v.action == POLICY_DENY_RULE ? "deny" :
	       v.action == POLICY_DENY_AUTH ? "auth" :
					      "default";
}

static void add_checks(struct fixture *f, json_t *checks, const char *name, const struct fixture_peer *peer, const char *ip)
{
	for (unsigned dir = 0; dir < POLICY_DIRS; dir++)
		for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
			struct policy_verdict v =
				fixture_table_verdict(f, peer, (enum policy_dir)dir, asked[i].proto, asked[i].port);

			(void)json_array_append_new(
				checks, json_pack("{s:s, s:s, s:I, s:s, s:i, s:i, s:s}", "dir", dir == POLICY_INGRESS ? "in" : "out",
						  "peer", name, "identity", (json_int_t)peer->identity, "ip", ip, "proto",
						  asked[i].proto, "port", asked[i].port, "verdict", word(v)));
		}
}

static json_t *checks_of(struct fixture *f)
{
	bool is_dual = f->options.has_ipv4 && f->options.has_ipv6;
	json_t *checks = json_array();
	struct fixture_peer p;

	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		p = fixture_peer(peers[i]);
		/* the world is one where there is one family */
		if (!identity_get(f->ids, p.identity) ||
		    (is_dual ? p.identity == IDENTITY_WORLD
			     : p.identity == IDENTITY_WORLD_IPV4 || p.identity == IDENTITY_WORLD_IPV6))
			continue;
		p.ip.family = 0;
		add_checks(f, checks, peers[i], &p, "");
	}
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		p = (struct fixture_peer){0};
		cr_assert_eq(ip_parse(addresses[i], &p.ip), 0);
		/* Cilium has no word on a family that it does not have */
		if (p.ip.family == AF_INET6 ? f->options.has_ipv6 : f->options.has_ipv4)
			add_checks(f, checks, addresses[i], &p, addresses[i]);
	}
	return checks;
}

static json_t *identities_of(struct fixture *f)
{
	json_t *all = json_object();

	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		struct fixture_peer p = fixture_peer(peers[i]);
		const struct identity *id = identity_get(f->ids, p.identity);
		char number[16];

		if (!id || p.identity < 256)
			continue;
		(void)snprintf(number, sizeof(number), "%u", p.identity);
		(void)json_object_set_new(all, number, fixture_label_texts(f, id->labels));
	}
	return all;
}

static void print_set(const json_t *set)
{
	const json_t *subject = json_object_get(set, "subject"), *ports = json_object_get(set, "ports");
	struct fixture f;
	const char *name;
	json_t *line, *own = json_object(), *v;
	struct policy_options o = case_options(json_object_get(set, "opts"));

	fixture_init(&f, &o, subject, ports, json_incref(json_object_get(set, "services")));
	json_object_foreach((json_t *)ports, name, v)
	{
		const char *s = json_string_value(v);
		char key[64];

		(void)snprintf(key, sizeof(key), "%s/%s", str_has_prefix(s, "TCP") ? "tcp" : "udp", name);
		(void)json_object_set_new(own, key, json_integer(strtol(strchr(s, '/') + 1, NULL, 10)));
	}
	line = json_pack("{s:O, s:O?, s:o, s:o}", "name", json_object_get(set, "name"), "options", json_object_get(set, "opts"),
			 "ports", own, "objects", set_policies(&f, json_object_get(set, "policies")));
	(void)json_object_set_new(line, "subject", fixture_label_texts(&f, f.repo->subject));
	(void)json_object_set_new(line, "identities", identities_of(&f));
	(void)json_object_set_new(line, "checks", checks_of(&f));
	(void)json_dumpf(line, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(line);
	fixture_done(&f);
}

/* What no policy alone decides: services, names that were looked up, groups of a cloud. */
static bool is_alone(const json_t *set)
{
	static const char *const words[] = {"\"toServices\"", "\"services\"", "\"fqdn\"", "Groups\"",
					     /* everybody in Cilium 1.20, every group here */ "\"cidrGroupSelector\":{}"};
	char *text = json_dumps(set, JSON_COMPACT);
	bool alone = true;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		alone = alone && !strstr(text, words[i]);
	free(text);
	return alone;
}

static uint64_t number(const char *s)
{
	uint64_t v = 0;

	cr_assert_eq(str_to_u64(s, UINT64_MAX, &v), 0, "%s is no number", s);
	return v;
}

int main(int argc, char **argv)
{
	if (argc == 2 && str_eq(argv[1], "cases")) {
		json_t *cases = cases_load();

		for (size_t i = 0; i < json_array_size(cases); i++)
			if (is_alone(json_array_get(cases, i)))
				print_set(json_array_get(cases, i));
		json_decref(cases);
		return 0;
	}
	if (argc != 5 || (!str_eq(argv[1], "random") && !str_eq(argv[1], "strange"))) {
		(void)fputs("usage: oracle_sets cases | random SEED FROM COUNT | strange SEED FROM COUNT\n", stderr);
		return 2;
	}
	for (uint64_t i = number(argv[3]), end = i + number(argv[4]); i < end; i++) {
		json_t *set = diff_random_set(number(argv[2]), (unsigned)i);

		diff_strange(set, number(argv[2]), (unsigned)i, str_eq(argv[1], "strange"));
		if (is_alone(set))
			print_set(set);
		json_decref(set);
	}
	return 0;
}
