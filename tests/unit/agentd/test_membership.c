/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon makes of refusals, lasting failures and a changed cluster, without a kernel. */
#define world api_world /* the daemon has a struct of that name, too */
#include "../lib/helpers.h"
#undef world

#include "agentd/apply.h"
#include "agentd/boot.h"
#include "agentd/membership.h"
#include "agentd/view.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "ignoring.h"

static struct api_world w;
static struct conf conf;
static struct agent agent;

static void setup(void)
{
	CLEANUP(json) json_t *map = json_object();

	cr_assert_eq(cilium_config_parse(map, &agent.config, NULL), 0);
	cr_assert_eq(loop_new(&agent.loop), 0);
	cr_assert_eq(health_new(&agent.health), 0);
	agent.conf = &conf;
	agent.state = AGENT_RUNNING;
}

static void teardown(void)
{
	health_free(agent.health);
	loop_free(agent.loop);
}

static void setup_server(void)
{
	setup();
	world_start(&w, NULL);
	agent.client = world_client(&w, agent.loop, w.api->token);
}

static void teardown_server(void)
{
	kube_client_free(agent.client);
	world_stop(&w);
	teardown();
}

static void fault(const char *text)
{
	want_code(&w, 200, "POST", json_loads(text, 0, NULL), "/test/faults");
}

static const char *member_of(const char *name, const char *member)
{
	static char text[600];
	CLEANUP(json) json_t *list = health_json(agent.health);
	json_t *o;
	size_t i;

	text[0] = '\0';
	json_array_foreach (list, i, o)
		if (str_eq(text_at(o, "name", NULL), name))
			(void)snprintf(text, sizeof(text), "%s", text_at(o, member, NULL) ? text_at(o, member, NULL) : "");
	return text;
}

static const char *text_of(const char *name)
{
	return member_of(name, "text");
}

static const char *remedy_of(const char *name)
{
	return member_of(name, "remedy");
}

/* Whatever is asked of it, but how it is itself. */
Test(membership, who_is_not_joined_says_so, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *args = json_object();

	conf.dns.is_enabled = true;
	for (size_t i = 0; i < agent_n_verbs; i++) {
		json_t *data = NULL;
		struct err err = {0};

		if (!agent_verbs[i].handle || str_eq(agent_verbs[i].name, CTL_VERB_STATUS))
			continue;
		cr_expect_eq(agent_verbs[i].handle(&agent, args, &data, &err), -ENOTCONN, "%s: %s", agent_verbs[i].name, err.text);
		json_decref(data);
	}
}

Test(membership, a_refusal_that_is_over, .init = setup_server, .fini = teardown_server)
{
	static const int answers[] = {403, 0};
	struct err err = {0};

	conf.revoked_action = CONF_REVOKED_STAND_DOWN;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		CLEANUP(free) char *text = str_printf("[{\"action\":\"status\",\"status\":%d,\"count\":1}]", answers[i]);

		fault("[{\"action\":\"status\",\"status\":401,\"count\":1}]");
		cr_expect_eq(kube_call(agent.loop, agent.client, "GET", "/api/v1/namespaces", NULL, NULL, &err), -EACCES);
		membership_check(&agent);
		cr_expect(health_has(agent.health, "api.unauthorized"), "whoever it was that was refused");
		if (answers[i])
			fault(text);
		(void)kube_call(agent.loop, agent.client, "GET", "/api/v1/namespaces", NULL, NULL, &err);
		membership_check(&agent);
		cr_expect_not(health_has(agent.health, "api.unauthorized"), "%d", answers[i]);
	}
	cr_expect_eq(agent.state, AGENT_RUNNING);
}

static uint64_t refused_us; /* in place of what the client says; 0 = that */
static int64_t expires_s;
static unsigned n_removed;
uint64_t __real_kube_client_refused_us(const struct kube_client *c);
uint64_t __wrap_kube_client_refused_us(const struct kube_client *c);
int64_t __wrap_renewal_expires_s(const struct renewal *r);
int __wrap_datapath_remove(struct datapath *d, struct err *reterr);

uint64_t __wrap_kube_client_refused_us(const struct kube_client *c)
{
	return refused_us ? refused_us : __real_kube_client_refused_us(c);
}

int64_t __wrap_renewal_expires_s(const struct renewal *r)
{
	(void)r;
	return expires_s;
}

int __wrap_datapath_remove(struct datapath *d, struct err *reterr)
{
	(void)d;
	(void)reterr;
	n_removed++;
	return 0;
}

/* Whether the host stands down with that. */
static bool stands_down(enum conf_revoked action, uint64_t refused_s, int64_t expires_in_s)
{
	static int none;

	conf.revoked_action = action;
	refused_us = refused_s * USEC_PER_SEC;
	expires_s = expires_in_s ? clock_wall_s() + expires_in_s : 0;
	agent.renewal = (struct renewal *)&none; /* no more than that there is one */
	agent.has_stood_down = false;
	n_removed = 0;
	membership_check(&agent);
	membership_check(&agent);
	agent.renewal = NULL;
	refused_us = 0;
	cr_expect_eq(n_removed, agent.has_stood_down ? 1 : 0, "once");
	return agent.has_stood_down;
}

/* Only who still has a good credential is known to be removed when it is refused. */
Test(membership, standing_down, .init = setup_server, .fini = teardown_server)
{
	cr_expect_not(stands_down(CONF_REVOKED_STAND_DOWN, 60, 3600));
	cr_expect_not(stands_down(CONF_REVOKED_ENFORCE, 200, 3600));
	cr_expect(stands_down(CONF_REVOKED_STAND_DOWN, 200, 3600));
	cr_expect(stands_down(CONF_REVOKED_STAND_DOWN, 200, 0), "of a credential that does not say it");
	cr_expect_not(stands_down(CONF_REVOKED_STAND_DOWN, 200, -60), "it was not renewed in time: that may be an outage");
}

Test(membership, failures_that_last, .init = setup, .fini = teardown)
{
	struct renewal_failure f = {.reason = "forbidden", .expires_s = 1798761600};
	uint64_t old = clock_boot_us() - 61 * USEC_PER_SEC;

	if (clock_boot_us() < 61 * USEC_PER_SEC)
		cr_skip("the machine has just been started");
	f.since_us = clock_boot_us();
	membership_renewal_failed(&f, &agent);
	cr_expect_not(health_has(agent.health, "credential.renew"));
	f.since_us = old;
	membership_renewal_failed(&f, &agent);
	cr_expect(strstr(text_of("credential.renew"), "2027-01-01 00:00 UTC"), "%s", text_of("credential.renew"));
	cr_expect(strstr(text_of("credential.renew"), "forbidden"));
	membership_note_pending(&agent, clock_boot_us(), "no");
	cr_expect_not(health_has(agent.health, "register.pending"));
	membership_note_pending(&agent, old, "ciliumnodes/h1: forbidden");
	cr_expect_str_eq(text_of("register.pending"), "ciliumnodes/h1: forbidden");
	membership_note_pending(&agent, 0, "");
	cr_expect_not(health_has(agent.health, "register.pending"));
}

/* A leave ends what serves: one that overtakes a drain would leave its EndpointSlices, and whoever waits for it. */
Test(membership, no_leave_before_a_drain_is_over, .init = setup, .fini = teardown)
{
	struct err err = {0};
	int calls[2];

	agent.is_joined = true;
	cr_assert_eq(ARRAY_ADD(&agent.draining, (struct ctl_call *)&calls[0]), 0); /* no more than that there is one */
	cr_expect_eq(agent_leave(&agent, false, (struct ctl_call *)&calls[1], &err), -EBUSY);
	cr_expect(strstr(err.text, "drain"), "%s", err.text);
	cr_expect_null(agent.leaving);
	ARRAY_DONE(&agent.draining);
}

static void configured(const char *key, const char *value)
{
	CLEANUP(json) json_t *map = json_pack("{s:{s:s}}", "data", key, value);

	boot_config(map, &agent);
}

/* Policy for a cluster that this host cannot serve would be wrong policy. */
Test(boot, another_configuration, .init = setup, .fini = teardown)
{
	configured("unrelated", "x");
	cr_expect_eq(agent.state, AGENT_RUNNING);
	configured("disable-endpoint-crd", "true");
	cr_expect_eq(agent.state, AGENT_FROZEN);
	cr_expect(strstr(text_of("cluster.config"), "disable-endpoint-crd"));
	cr_expect(strstr(remedy_of("cluster.config"), "meshctl cluster check"));
	configured("enable-wireguard", "maybe");
	cr_expect_eq(agent.state, AGENT_FROZEN);
	cr_expect(strstr(text_of("cluster.config"), "enable-wireguard"), "%s", text_of("cluster.config"));
	configured("unrelated", "x");
	cr_expect_not(health_has(agent.health, "cluster.config"));
	cr_expect_eq(loop_run(agent.loop), 0, "it starts anew, as what it froze is out of date");
}

static bool has_no_memory;
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return has_no_memory ? NULL : __real_reallocarray(p, n, size);
}

/* That it cannot be read for the moment is nothing to freeze for, until it changes once more. */
Test(boot, no_memory_for_a_configuration, .init = setup, .fini = teardown)
{
	/* which is warned of */
	CLEANUP(json) json_t *map = json_pack("{s:{s:s, s:s}}", "data", "enable-wireguard", "true", "routing-mode", "native");

	has_no_memory = true;
	boot_config(map, &agent);
	has_no_memory = false;
	cr_assert_eq(agent.state, AGENT_RUNNING);
	cr_expect_not(health_has(agent.health, "cluster.config"));
	cr_expect_eq(loop_run(agent.loop), 1, "it starts anew");
}

Test(boot, what_is_degraded, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *map = json_pack("{s:{s:s, s:s}}", "data", "enable-wireguard", "true", "routing-mode", "native");

	boot_config(map, &agent);
	cr_expect(strstr(text_of("cluster.degraded"), "enable-wireguard"));
	cr_expect(strstr(remedy_of("cluster.degraded"), "meshctl cluster check"));
	configured("unrelated", "x");
	cr_expect_not(health_has(agent.health, "cluster.degraded"));
}

/* Pods that are not seen as pods: told with the key that decides, unless the ip-masq-agent may leave the host out. */
Test(boot, masquerading, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *map = json_pack("{s:{s:s, s:s, s:s}}", "data", "routing-mode", "native", "enable-bpf-masquerade", "true",
					      "ipv4-native-routing-cidr", "10.244.0.0/16");
	struct ip own;

	cr_assert_eq(cilium_config_parse(map, &agent.config, NULL), 0);
	cr_assert_eq(ip_parse("172.19.100.2", &own), 0);
	cr_assert_eq(ARRAY_ADD(&agent.own, own), 0);
	apply_note_addresses(&agent);
	cr_expect_eq(health_worst(agent.health), HEALTH_WARNING);
	cr_expect(strstr(text_of("cluster.masquerade"), "172.19.100.2"), "%s", text_of("cluster.masquerade"));
	cr_expect(strstr(text_of("cluster.masquerade"), "ipv4-native-routing-cidr"), "%s", text_of("cluster.masquerade"));
	agent.config.has_masquerade_list = true;
	apply_note_addresses(&agent);
	cr_expect_eq(health_worst(agent.health), HEALTH_INFO, "the list may hold it");
	cr_assert_eq(ip_parse("10.244.100.2", &agent.own.v[0]), 0);
	apply_note_addresses(&agent);
	cr_expect_not(health_has(agent.health, "cluster.masquerade"));
	ARRAY_DONE(&agent.own);
}

/* An address of the other family than the tunnel's outer packets is none in the tunnel. */
Test(boot, underlay, .init = setup, .fini = teardown)
{
	static const struct {
		const char *address;
		bool is_six, is_native, is_told;
	} cases[] = {
		{"172.19.100.2", false, false, false}, {"fd00::2", false, false, true}, {"172.19.100.2", true, false, true},
		{"fd00::2", true, false, false},       {"fd00::2", false, true, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip own;

		cr_assert_eq(ip_parse(cases[i].address, &own), 0);
		cr_assert_eq(ARRAY_ADD(&agent.own, own), 0);
		agent.config.has_ipv6_underlay = cases[i].is_six;
		agent.config.routing = cases[i].is_native ? CILIUM_NATIVE : CILIUM_VXLAN;
		apply_note_addresses(&agent);
		cr_expect_eq(health_has(agent.health, "cluster.underlay"), cases[i].is_told, "case %zu", i);
		ARRAY_DONE(&agent.own);
	}
}

/* Reading */

static unsigned n_resumed;

static void on_resumed(void *arg)
{
	(void)arg;
	n_resumed++;
}

static void start_sync(void)
{
	struct sync_callbacks callbacks = ignoring;
	struct sync_tables t;

	callbacks.on_resumed = on_resumed;
	cr_assert_eq(world_new(&agent.config, "me", 300, &conf, &agent.world), 0);
	t = (struct sync_tables){.identities = agent.world->identities, .policies = agent.world->gate,
				 .services = agent.world->services, .imports = agent.world->imports, .endpoints = agent.world->endpoints,
				 .nodes = agent.world->nodes, .ignores_knp = agent.config.ignores_knp,
				 .ignores_cnp = agent.config.ignores_cnp, .ignores_ccnp = agent.config.ignores_ccnp};
	cr_assert_eq(sync_new(agent.loop, agent.client, false, &t, &callbacks, &agent.sync), 0);
}

#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 15 * USEC_PER_SEC;                               \
		while (!(condition) && clock_boot_us() < end_)                                     \
			(void)loop_once(agent.loop, 10000);                                        \
		cr_assert(condition);                                                              \
	} while (0)

/* A kind that the cluster does not have is no outage; all that fail are looked at, not the first alone. */
Test(sync, what_fails, .init = setup_server, .fini = teardown_server)
{
	size_t n = 0;

	fault("[{\"action\":\"status\",\"status\":404,\"match\":{\"pathPrefix\":\"/apis/cilium.io/v2/ciliumcidrgroups\"},"
	      "\"count\":100000}]");
	start_sync();
	AWAIT(sync_is_complete(agent.sync));
	for (unsigned i = 0; i < 20; i++)
		(void)loop_once(agent.loop, 10000);
	cr_expect_null(sync_failing(agent.sync, &n));
	cr_expect_eq(n, 0);
	apply_note_outage(&agent);
	cr_expect_eq(health_worst(agent.health), -1);
	n_resumed = 0;
	fault("[{\"action\":\"status\",\"status\":503,\"match\":{\"pathPrefix\":\"/api/v1/\",\"watch\":true},\"count\":100000}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", "/api/v1/"), "/test/cut");
	AWAIT(sync_failing(agent.sync, &n) && n >= 2);
	for (unsigned i = 0; i < 300; i++)
		(void)loop_once(agent.loop, 10000);
	cr_expect(sync_failing(agent.sync, &n));
	cr_expect_not(reflector_is_forbidden(sync_failing(agent.sync, &n)));
	cr_expect_eq(n_resumed, 0, "vain attempts are no recovery");
	sync_free(agent.sync);
	world_free(agent.world);
}

/* What an older setup does not let a host read is no fault of its connection. */
Test(sync, status_without_imports, .init = setup_server, .fini = teardown_server)
{
	CLEANUP(json) json_t *status = NULL;
	struct err err = {0};

	fault("[{\"action\":\"status\",\"status\":403,\"match\":{\"pathPrefix\":\"/apis/multicluster.x-k8s.io\"},\"count\":100000}]");
	start_sync();
	AWAIT(sync_is_complete(agent.sync));
	cr_expect_not(sync_has_imports(agent.sync));
	cr_assert_eq(view_status(&agent, NULL, &status, &err), 0, "%s", err.text);
	cr_expect(json_is_true(json_at(status, "api", "connected", NULL)));
	cr_expect_str_eq(text_at(status, "api", "error", NULL), "");
	sync_free(TAKE_PTR(agent.sync));
	world_free(TAKE_PTR(agent.world));
}

/* Somebody edited the roles: other advice than for an outage. */
Test(sync, rights_that_were_taken, .init = setup_server, .fini = teardown_server)
{
	const struct reflector *r;
	size_t n = 0;

	fault("[{\"action\":\"status\",\"status\":403,\"match\":{\"pathPrefix\":\"/apis/cilium.io/v2/ciliumnodes\"},\"count\":1}]");
	start_sync();
	AWAIT((r = sync_failing(agent.sync, &n)));
	cr_expect_str_eq(reflector_name(r), "CiliumNode");
	cr_expect(reflector_is_forbidden(r));
	sync_kick(agent.sync);
	AWAIT(sync_is_complete(agent.sync));
	cr_expect_not(reflector_is_forbidden(r));
	sync_free(agent.sync);
	world_free(agent.world);
}

/* Policies of a kind that Cilium was told not to read count for nothing here, too; without them the host does not wait. */
Test(sync, policies_that_count_for_nothing, .init = setup_server, .fini = teardown_server)
{
	CLEANUP(free) char *path = str_printf("/apis/cilium.io/v2/namespaces/%s/ciliumnetworkpolicies", w.ns);
	CLEANUP(free) char *kept = str_printf("/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies", w.ns);
	CLEANUP(json) json_t *list = NULL;
	size_t n = 0;

	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s},s:{s:{},s:[{}]}}", "apiVersion", "cilium.io/v2", "kind", "CiliumNetworkPolicy",
			    "metadata", "name", "p", "spec", "endpointSelector", "ingress"),
		  "%s", path);
	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s},s:{s:{},s:[{}]}}", "apiVersion", "networking.k8s.io/v1", "kind", "NetworkPolicy",
			    "metadata", "name", "k", "spec", "podSelector", "ingress"),
		  "%s", kept);
	agent.config.ignores_cnp = true;
	start_sync();
	AWAIT(sync_is_complete(agent.sync));
	list = policy_gate_snapshot(agent.world->gate);
	cr_assert(list);
	cr_expect_eq(json_array_size(list), 1);
	cr_expect_str_eq(text_at(json_array_get(list, 0), "kind", NULL), "NetworkPolicy");
	cr_expect_null(sync_failing(agent.sync, &n));
	sync_free(agent.sync);
	world_free(agent.world);
}

/* Policies that vanish all at once stay in force, and a person is told. */
Test(sync, policies_that_vanish, .init = setup_server, .fini = teardown_server)
{
	CLEANUP(free) char *path = str_printf("/apis/cilium.io/v2/namespaces/%s/ciliumnetworkpolicies", w.ns);

	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s},s:{s:{},s:[{}]}}", "apiVersion", "cilium.io/v2", "kind", "CiliumNetworkPolicy",
			    "metadata", "name", "p", "spec", "endpointSelector", "ingress"),
		  "%s", path);
	start_sync();
	AWAIT(sync_is_complete(agent.sync));
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true,\"pathPrefix\":"
	      "\"/apis/cilium.io/v2/ciliumnetworkpolicies\"},\"count\":1},"
	      "{\"action\":\"empty\",\"match\":{\"pathPrefix\":\"/apis/cilium.io/v2/ciliumnetworkpolicies\"},\"count\":3}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", "/apis/cilium.io/v2/ciliumnetworkpolicies"), "/test/cut");
	AWAIT((apply_note_outage(&agent), health_has(agent.health, "api.suspicious")));
	cr_expect(strstr(text_of("api.suspicious"), "CiliumNetworkPolicy: the API server lists 0 objects, 1 were known"), "%s",
		  text_of("api.suspicious"));
	cr_expect_not(health_has(agent.health, "api.outage"));
	sync_free(agent.sync);
	world_free(agent.world);
}

/* Slices */

#define CES "/apis/cilium.io/v2alpha1/ciliumendpointslices"

static int known = -1; /* the last answer; -2 = a failure */
static unsigned n_made;

static void on_known(bool has_slices, const struct kube_result *failure, void *arg)
{
	(void)arg;
	known = failure ? -2 : has_slices;
}

static void on_made(void *arg)
{
	(void)arg;
	n_made++;
}

/* cilium-config says that there are slices before the operator, restarted later, makes the first one. */
Test(slicing, before_the_first_one, .init = setup_server, .fini = teardown_server)
{
	const struct slicing_conf sc = {.on_known = on_known, .on_made = on_made, .poll_us = 10 * USEC_PER_MSEC};
	CLEANUP(slicing_free) struct slicing *s = NULL;

	cr_assert_eq(slicing_new(agent.loop, agent.client, agent.health, &sc, &s), 0);
	fault("[{\"action\":\"status\",\"status\":503,\"count\":1}]");
	slicing_ask(s);
	AWAIT(known != -1);
	cr_expect_eq(known, -2, "nothing is known yet");
	slicing_ask(s);
	AWAIT(known == 0);
	cr_expect(strstr(text_of("cluster.slices"), "CiliumEndpoints are read"));
	for (unsigned i = 0; i < 20; i++)
		(void)loop_once(agent.loop, 10000);
	cr_expect_eq(n_made, 0);
	want_code(&w, 201, "POST", json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "cilium.io/v2alpha1", "kind", "CiliumEndpointSlice", "metadata", "name", "ces-1"), CES);
	AWAIT(n_made == 1);
	cr_expect_not(health_has(agent.health, "cluster.slices"));
	for (unsigned i = 0; i < 20; i++)
		(void)loop_once(agent.loop, 10000);
	cr_expect_eq(n_made, 1, "told once");
	cr_expect_eq(known, 0);
}

/* The usual start */
Test(slicing, that_are_there, .init = setup_server, .fini = teardown_server)
{
	const struct slicing_conf sc = {.on_known = on_known, .on_made = on_made, .poll_us = 10 * USEC_PER_MSEC};
	CLEANUP(slicing_free) struct slicing *s = NULL;

	want_code(&w, 201, "POST", json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "cilium.io/v2alpha1", "kind", "CiliumEndpointSlice", "metadata", "name", "ces-1"), CES);
	cr_assert_eq(slicing_new(agent.loop, agent.client, agent.health, &sc, &s), 0);
	slicing_ask(s);
	AWAIT(known == 1);
	cr_expect_not(health_has(agent.health, "cluster.slices"));
}

/* Nodes learn of the host by slices alone. */
Test(membership, in_no_slice, .init = setup_server, .fini = teardown_server)
{
	if (clock_boot_us() < 61 * USEC_PER_SEC)
		cr_skip("the machine has just been started");
	agent.unlisted_us = clock_boot_us();
	membership_check(&agent);
	cr_expect_not(health_has(agent.health, "cluster.unlisted"), "not yet");
	agent.unlisted_us -= 61 * USEC_PER_SEC;
	membership_check(&agent);
	cr_expect(health_has(agent.health, "cluster.unlisted"));
	agent.unlisted_us = 0;
	membership_check(&agent);
	cr_expect_not(health_has(agent.health, "cluster.unlisted"));
}
