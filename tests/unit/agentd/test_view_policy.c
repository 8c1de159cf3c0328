/* SPDX-License-Identifier: Apache-2.0 */
/* policy.why and policy.list over a world without a kernel. */
#include <criterion/criterion.h>
#include <errno.h>

#include "agentd/view.h"
#include "base/str.h"
#include "json/json.h"
#include "../../lib/json_objects.h"

enum { OWN = 300, PEER = 301 };
#define BY_DEFAULT "no rule allows it, and ingress is denied by default by CiliumNetworkPolicy ext/both, CiliumNetworkPolicy ext/in"

static struct conf conf;
static struct agent agent;

static void add_identity(uint32_t number, const char *a, const char *b)
{
	struct label_builder l = {.table = identity_labels(agent.world->identities)};
	struct label_set *set;

	cr_assert_eq(label_builder_add_text(&l, a), 0);
	cr_assert_eq(label_builder_add_text(&l, b), 0);
	cr_assert_eq(label_builder_add_text(&l, "k8s:io.cilium.k8s.policy.cluster=default"), 0);
	cr_assert_eq(label_builder_take(&l, &set), 0);
	cr_assert_eq(identity_upsert(agent.world->identities, number, set), 0);
}

static void add_policy(const char *text)
{
	CLEANUP(json_decref) json_t *obj = json_loads(text, 0, NULL);
	struct err err = {0};

	cr_assert(obj);
	cr_assert_eq(json_policy_set(agent.world->policies, POLICY_CNP, obj, &err), 1, "%s", err.text);
}

static void setup(void)
{
	CLEANUP(json_decref) json_t *map = json_object();
	struct cilium_config config;
	struct ipcache_claim claim = {.identity = PEER, .owner = 1};
	struct ip ip;

	cr_assert_eq(cilium_config_parse(map, &config, NULL), 0);
	cr_assert_eq(world_new(&config, "me", OWN, &conf, &agent.world), 0);
	agent.conf = &conf;
	add_identity(OWN, "k8s:app=vm", "k8s:io.kubernetes.pod.namespace=ext");
	add_identity(PEER, "k8s:app=a", "k8s:io.kubernetes.pod.namespace=ext");
	cr_assert_eq(ip_parse("10.244.1.5", &ip), 0);
	cr_assert_eq(ipcache_claim(agent.world->addresses, IPCACHE_FROM_ENDPOINT, &ip, &claim), 0);
	add_policy("{\"metadata\": {\"name\": \"in\", \"namespace\": \"ext\"}, \"spec\": {\"endpointSelector\": {},"
		   "\"ingress\": [{\"fromEndpoints\": [{\"matchLabels\": {\"app\": \"a\"}}]},"
		   " {\"fromCIDR\": [\"192.0.2.0/24\"], \"toPorts\": [{\"ports\": [{\"port\": \"22\"}]}]}]}}");
	add_policy("{\"metadata\": {\"name\": \"both\", \"namespace\": \"ext\"}, \"spec\": {\"endpointSelector\": {},"
		   "\"ingress\": [{}], \"egressDeny\": [{\"toEntities\": [\"world\"]}]}}");
	cr_assert_geq(world_update(agent.world), 0);
	agent.is_joined = true;
}

static void teardown(void)
{
	world_free(agent.world);
	agent = (struct agent){0};
}

TestSuite(view_policy, .init = setup, .fini = teardown);

static int call(const char *verb, json_t *args, json_t **ret, struct err *reterr)
{
	int r = -ENOSYS;

	for (size_t i = 0; i < agent_n_verbs; i++)
		if (str_eq(agent_verbs[i].name, verb))
			r = agent_verbs[i].handle(&agent, args, ret, reterr);
	json_decref(args);
	return r;
}

static void expect(json_t *args, const char *verdict, const char *reason, json_int_t identity)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	struct err err = {0};

	cr_assert_eq(call(CTL_VERB_POLICY_WHY, args, &answer, &err), 0, "%s", err.text);
	cr_expect_str_eq(json_str(answer, "verdict", "?"), verdict);
	cr_expect_str_eq(json_str(answer, "reason", "?"), reason);
	if (identity)
		cr_expect_eq(json_int(answer, "identity", -1), identity);
	else
		cr_expect_geq(json_int(answer, "identity", -1), IDENTITY_LOCAL_CIDR);
	cr_expect_gt(json_array_size(json_at(answer, "labels")), 0);
	cr_expect_eq(json_truth(answer, "failsafe", 1), 0);
	cr_expect_str_eq(json_str(answer, "enforcement", "?"), "disabled"); /* nothing is attached */
}

static json_t *question(const char *direction, const char *address, const char *port)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "direction", direction, "address", address, "protocol", "tcp", "port", port);
}

Test(view_policy, answers)
{
	expect(question("ingress", "10.244.1.5", "80"), "allow", "allowed by CiliumNetworkPolicy ext/in, spec.ingress[0]", PEER);
	expect(question("ingress", "192.0.2.7", "22"), "allow", "allowed by CiliumNetworkPolicy ext/in, spec.ingress[1]", 0);
	expect(question("ingress", "192.0.2.7", "23"), "deny", BY_DEFAULT, 0);
	expect(question("ingress", "198.51.100.1", "22"), "deny", BY_DEFAULT, IDENTITY_WORLD);
	expect(question("egress", "198.51.100.1", "22"), "deny",
	       "denied by CiliumNetworkPolicy ext/both, spec.egressDeny[0]", IDENTITY_WORLD);
	expect(json_pack("{s:s, s:s, s:s, s:i}", "direction", "ingress", "protocol", "icmp", "icmp_type", "8", "identity", PEER),
	       "allow", "allowed by CiliumNetworkPolicy ext/in, spec.ingress[0]", PEER);
}

/* "path differs, ..." of the rules that would nearly have allowed it */
static void expect_near(json_t *args, const char *near)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(buf_done) struct buf text = {0};
	struct err err = {0};
	json_t *v;
	size_t i;

	cr_assert_eq(call(CTL_VERB_POLICY_WHY, args, &answer, &err), 0, "%s", err.text);
	json_array_foreach(json_at(answer, "near"), i, v)
		cr_assert_eq(buf_addf(&text, "%s%s/%s %s %s", i ? ", " : "", json_str(v, "namespace", "?"), json_str(v, "name", "?"),
				      json_str(v, "path", "?"), json_str(v, "differs", "?")), 0);
	cr_expect_str_eq(text.data ? text.data : "", near);
	cr_expect_eq(json_array_size(json_at(answer, "isolated_by")), *near ? 2 : 0);
}

Test(view_policy, tells_what_was_missing)
{
	expect_near(question("ingress", "192.0.2.7", "23"), "ext/in spec.ingress[0] peer, ext/in spec.ingress[1] port");
	expect_near(question("ingress", "198.51.100.1", "22"), "ext/in spec.ingress[0] peer, ext/in spec.ingress[1] peer");
	expect_near(question("ingress", "10.244.1.5", "80"), "");
	expect_near(question("egress", "198.51.100.1", "22"), "");
}

static void expect_error(json_t *args, int r, const char *text)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	struct err err = {0};

	cr_expect_eq(call(CTL_VERB_POLICY_WHY, args, &answer, &err), r);
	cr_expect(strstr(err.text, text), "%s", err.text);
	cr_expect_null(answer);
}

Test(view_policy, refuses)
{
	expect_error(json_object(), -EINVAL, "--direction is missing");
	expect_error(question("ingress", "300.1.1.1", "1"), -EINVAL, "is no address");
	expect_error(question("ingress", "192.0.2.1", "x"), -EINVAL, "--port x");
	expect_error(json_pack("{s:s, s:s, s:s}", "direction", "egress", "protocol", "tcp", "port", "1"), -EINVAL,
		     "neither address nor identity");
	expect_error(json_pack("{s:s, s:s, s:s, s:i}", "direction", "egress", "protocol", "tcp", "port", "1", "identity", 999),
		     -ENOENT, "identity 999");
	agent.is_joined = false;
	expect_error(question("ingress", "192.0.2.1", "1"), -ENOTCONN, "has not joined");
}

/* Until then no policy would seem to be about this host, and everything to be allowed. */
Test(view_policy, waits_until_the_host_is_known)
{
	CLEANUP(json_decref) json_t *map = json_object(), *list = NULL;
	struct cilium_config config;
	struct err err = {0};

	world_free(agent.world);
	cr_assert_eq(cilium_config_parse(map, &config, NULL), 0);
	cr_assert_eq(world_new(&config, "me", OWN, &conf, &agent.world), 0);
	add_policy("{\"metadata\": {\"name\": \"in\", \"namespace\": \"ext\"}, \"spec\": {\"endpointSelector\": {}, \"ingress\": [{}]}}");
	cr_expect_eq(call(CTL_VERB_POLICY_LIST, NULL, &list, &err), -EBUSY);
	expect_error(question("ingress", "192.0.2.1", "1"), -EBUSY, "not known yet");
	add_identity(OWN, "k8s:app=vm", "k8s:io.kubernetes.pod.namespace=ext");
	cr_assert_geq(world_update(agent.world), 0);
	cr_assert_eq(call(CTL_VERB_POLICY_LIST, NULL, &list, &err), 0, "%s", err.text);
	cr_expect_eq(json_array_size(list), 1);
}

Test(view_policy, list_tells_directions)
{
	CLEANUP(json_decref) json_t *list = NULL;
	struct err err = {0};

	cr_assert_eq(call(CTL_VERB_POLICY_LIST, NULL, &list, &err), 0);
	cr_assert_eq(json_array_size(list), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *o = json_array_get(list, i), *d = json_at(o, "directions");

		if (str_eq(json_str(o, "name", ""), "in")) {
			cr_expect_eq(json_array_size(d), 1);
			cr_expect_str_eq(json_string_value(json_array_get(d, 0)), "ingress");
		} else {
			cr_expect_eq(json_array_size(d), 2);
			cr_expect_str_eq(json_string_value(json_array_get(d, 1)), "egress");
		}
	}
}

static void add_claim(enum ipcache_source source, const char *address, uint32_t identity)
{
	struct ipcache_claim claim = {.identity = identity};
	struct ip ip;

	cr_assert_eq(ip_parse(address, &ip), 0);
	cr_assert_eq(ipcache_claim(agent.world->addresses, source, &ip, &claim), 0);
}

/* Who says of an address what it is. */
Test(view_policy, sources_of_addresses)
{
	static const struct {
		const char *address, *source;
		enum ipcache_source from;
		uint32_t identity;
	} cases[] = {
		{"172.18.0.3", "node", IPCACHE_FROM_NODE, IDENTITY_REMOTE_NODE},
		{"10.244.1.8", "node", IPCACHE_FROM_NODE, IDENTITY_INGRESS},
		{"10.244.1.9", "node", IPCACHE_FROM_NODE, IDENTITY_HEALTH},
		{"172.18.0.4", "kube-apiserver", IPCACHE_FROM_APISERVER, IDENTITY_KUBE_APISERVER},
		{"172.18.0.5", "kube-apiserver", IPCACHE_FROM_APISERVER, IDENTITY_LOCAL_CIDR + 7},
		{"10.244.1.6", "custom-resource", IPCACHE_FROM_ENDPOINT, IDENTITY_UNMANAGED},
		{"10.244.1.7", "custom-resource", IPCACHE_FROM_ENDPOINT, PEER},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		add_claim(cases[i].from, cases[i].address, cases[i].identity);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *one = NULL, *list = NULL;
		struct err err = {0};

		cr_assert_eq(call(CTL_VERB_IPCACHE_GET, json_pack("{s:s}", "address", cases[i].address), &one, &err), 0, "%s", err.text);
		cr_expect_str_eq(json_str(one, "source", "?"), cases[i].source, "%s", cases[i].address);
		cr_assert_eq(call(CTL_VERB_IPCACHE_LIST, json_pack("{s:s}", "prefix", cases[i].address), &list, &err), 0, "%s", err.text);
		cr_assert_eq(json_array_size(list), 1);
		cr_expect(json_equal(json_array_get(list, 0), one));
	}
}
