/* SPDX-License-Identifier: Apache-2.0 */
/* The host as agent/agentd wires it: tables fed by reflectors, applied only once it is known whose cluster speaks. */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "json/json.h"

static void on_change(void *arg)
{
	(void)arg;
	sim->is_changed = true;
}

static void on_namespace(const char *name, bool exists, const struct doc *labels, void *arg)
{
	uint64_t i;

	(void)labels;
	(void)arg;
	if (name[0] == 'e' && str_to_u64(name + 1, ARRAY_LEN(sim->namespaces) - 1, &i) == 0)
		sim->namespaces[i] = exists;
}

static void on_config(const json_t *configmap, void *arg)
{
	(void)arg;
	sim->config = (uint32_t)strtoul(json_str(configmap, "data.v", "0"), NULL, 10);
}

static void on_unauthorized(void *arg)
{
	(void)arg;
}

static void on_memory(void *arg)
{
	(void)arg;
	sim->is_lost = true;
}

static void on_resumed(void *arg)
{
	(void)arg;
	if (sim->is_unverified)
		return;
	sim->is_unverified = true;
	sim->verify_us = sim->now_us + 1000 + sim_below(50000);
}

static int add_own_identity(void)
{
	CLEANUP(label_builder_done) struct label_builder l = {.table = identity_labels(sim->world->identities)};
	struct label_set *set;
	int r = label_builder_add_text(&l, "k8s:app=own");

	if (r == 0)
		r = label_builder_add_text(&l, "k8s:io.kubernetes.pod.namespace=legacy");
	if (r == 0)
		r = label_builder_take(&l, &set);
	return r < 0 ? r : identity_upsert(sim->world->identities, SIM_OWN, set);
}

static int start(void)
{
	static const struct sync_callbacks callbacks = {.on_change = on_change, .on_namespace = on_namespace,
							.on_config = on_config, .on_unauthorized = on_unauthorized,
							.on_memory = on_memory, .on_resumed = on_resumed};
	static struct conf conf;
	CLEANUP(json_decref) json_t *map = json_object();
	struct cilium_config config;
	struct sync_tables tables;
	int r = map ? cilium_config_parse(map, &config, NULL) : -ENOMEM;

	if (r == 0)
		r = world_new(&config, "me", SIM_OWN, &conf, &sim->world);
	if (r == 0)
		r = add_own_identity();
	if (r < 0)
		return r;
	tables = (struct sync_tables){.identities = sim->world->identities, .policies = sim->world->gate,
				      .services = sim->world->services, .imports = sim->world->imports, .endpoints = sim->world->endpoints,
				      .ports = sim->world->ports, .nodes = sim->world->nodes};
	return sync_new(NULL, NULL, sim->has_slices, &tables, &callbacks, &sim->sync);
}

void host_start(void)
{
	int r;

	do { /* the unit does not give up, and memory comes back some time */
		sim->allocations_max *= 2;
		host_stop();
		memset(sim->namespaces, 0, sizeof(sim->namespaces));
		memset(sim->seen, 0, sizeof(sim->seen));
		memset(sim->pace, 0, sizeof(sim->pace)); /* the unit waits between starts, which is not simulated */
		sim->config = 0;
		sim->is_changed = sim->is_lost = false;
		sim->is_unverified = sim->is_frozen = sim->is_foreign; /* that is asked before anything else */
		sim->verify_us = sim->is_foreign ? sim->now_us + USEC_PER_SEC : 0;
		sim->in_host = true;
		r = start();
		sim->in_host = false;
	} while (r == -ENOMEM);
	if (r < 0)
		sim_fail("the host does not start: %d", r);
}

void host_stop(void)
{
	sync_free(sim->sync);
	world_free(sim->world);
	sim->sync = NULL;
	sim->world = NULL;
}

uint64_t host_due_us(void)
{
	return sim->verify_us ? sim->verify_us : UINT64_MAX;
}

/* The answer to the question which cluster this is; see on_verified() in agent/agentd/boot.c. */
static void verify(void)
{
	sim->verify_us = 0;
	if (sim->now_us < sim->outage_until_us) {
		sim->verify_us = sim->now_us + 1000000 + sim_below(10000000);
	} else if (sim->is_foreign) {
		sim_say("the cluster is another one");
		sim->is_frozen = true;
		sim->verify_us = sim->now_us + 1000000 + sim_below(30000000);
	} else if (sim->is_frozen) {
		sim_say("the cluster is ours again: starting anew");
		sim->count.restarts++;
		host_start();
	} else {
		sim->is_unverified = false;
		sim->is_changed = true;
	}
}

void host_run(void)
{
	int r;

	if (sim->is_lost || sim->world->lost_claims) { /* see agent_out_of_memory() */
		sim_say("out of memory: starting anew");
		host_start();
	}
	if (sim->verify_us && sim->verify_us <= sim->now_us)
		verify();
	if (!sim->is_changed || sim->is_unverified || !sync_is_complete(sim->sync))
		return;
	sim->is_changed = false;
	if (sim_chance(70)) {
		sim->is_changed = true; /* changes are gathered for a while */
		return;
	}
	sim->count.applied++;
	sim->in_host = true;
	r = world_update(sim->world);
	sim->in_host = false;
	if (r == -ENOMEM)
		sim->is_changed = true; /* tried again */
	else if (r < 0)
		sim_fail("world_update() failed: %d", r);
	else
		model_check_promises();
}
