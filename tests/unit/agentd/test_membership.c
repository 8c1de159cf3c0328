/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon makes of refusals, lasting failures and a changed cluster, without a kernel. */
#define world api_world /* the daemon has a struct of that name, too */
#include "../lib/helpers.h"
#undef world

#include "agentd/apply.h"
#include "agentd/boot.h"
#include "agentd/membership.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

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
	CLEANUP(buf_done) struct buf ca = {0};
	struct kube_conf kube = {.n_servers = 1};
	const char *servers[1];
	struct err err = {0};

	setup();
	world_start(&w, NULL);
	servers[0] = w.api->url;
	kube.servers = servers;
	kube.token = w.api->token;
	cr_assert_eq(file_read(w.api->ca_path, 1 << 20, &ca), 0);
	kube.ca_pem = ca.data;
	cr_assert_eq(kube_client_new(agent.loop, &kube, &agent.client, &err), 0, "%s", err.text);
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

static const char *text_of(const char *name)
{
	static char text[600];
	CLEANUP(json) json_t *list = health_json(agent.health);
	json_t *o;
	size_t i;

	text[0] = '\0';
	json_array_foreach (list, i, o)
		if (str_eq(text_at(o, "name", NULL), name))
			(void)snprintf(text, sizeof(text), "%s", text_at(o, "text", NULL));
	return text;
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
		membership_refused(&agent);
		membership_check(&agent);
		cr_expect(health_has(agent.health, "api.unauthorized"));
		if (answers[i])
			fault(text);
		(void)kube_call(agent.loop, agent.client, "GET", "/api/v1/namespaces", NULL, NULL, &err);
		membership_check(&agent);
		cr_expect_not(health_has(agent.health, "api.unauthorized"), "%d", answers[i]);
	}
	cr_expect_eq(agent.state, AGENT_RUNNING);
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
	configured("enable-wireguard", "maybe");
	cr_expect_eq(agent.state, AGENT_FROZEN);
	cr_expect(strstr(text_of("cluster.config"), "enable-wireguard"), "%s", text_of("cluster.config"));
	configured("unrelated", "x");
	cr_expect_not(health_has(agent.health, "cluster.config"));
	cr_expect_eq(loop_run(agent.loop), 0, "it starts anew, as what it froze is out of date");
}

Test(boot, what_is_degraded, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *map = json_pack("{s:{s:s, s:s}}", "data", "enable-wireguard", "true", "routing-mode", "native");

	boot_config(map, &agent);
	cr_expect(strstr(text_of("cluster.degraded"), "enable-wireguard"));
	configured("unrelated", "x");
	cr_expect_not(health_has(agent.health, "cluster.degraded"));
}
