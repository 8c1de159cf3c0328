/* SPDX-License-Identifier: Apache-2.0 */
/* The host as agent/agentd wires it: tables fed by reflectors, applied only once it is known whose cluster speaks. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "json/json.h"

static void on_change(void *arg)
{
	(void)arg;
	sim->is_changed = true;
}

static void on_namespace(const char *name, bool exists, void *arg)
{
	uint64_t i;

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

static void on_resumed(void *arg)
{
	(void)arg;
	if (sim->is_unverified)
		return;
	sim->is_unverified = true;
	sim->verify_us = sim->now_us + 1000 + sim_below(50000);
}

static void add_own_identity(void)
{
	struct label_builder l = {.table = identity_labels(sim->world->identities)};
	struct label_set *set;

	if (label_builder_add_text(&l, "k8s:app=own") < 0 ||
	    label_builder_add_text(&l, "k8s:io.kubernetes.pod.namespace=legacy") < 0 || label_builder_take(&l, &set) < 0 ||
	    identity_upsert(sim->world->identities, SIM_OWN, set) < 0)
		abort();
}

void host_start(void)
{
	static const struct sync_callbacks callbacks = {.on_change = on_change, .on_namespace = on_namespace,
							.on_config = on_config, .on_unauthorized = on_unauthorized,
							.on_resumed = on_resumed};
	static struct conf conf;
	json_t *map = json_object();
	struct cilium_config config;
	struct sync_tables tables;

	if (cilium_config_parse(map, &config, NULL) < 0 || world_new(&config, "me", SIM_OWN, &conf, &sim->world) < 0)
		abort();
	json_decref(map);
	add_own_identity();
	memset(sim->namespaces, 0, sizeof(sim->namespaces));
	memset(sim->seen, 0, sizeof(sim->seen));
	sim->config = 0;
	sim->is_changed = sim->is_unverified = sim->is_frozen = false;
	sim->verify_us = 0;
	tables = (struct sync_tables){.identities = sim->world->identities, .policies = sim->world->gate,
				      .services = sim->world->services, .endpoints = sim->world->endpoints,
				      .ports = sim->world->ports, .nodes = sim->world->nodes};
	if (sync_new(NULL, NULL, sim->has_slices, &tables, &callbacks, &sim->sync) < 0)
		abort();
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
		host_stop();
		host_start();
	} else {
		sim->is_unverified = false;
		sim->is_changed = true;
	}
}

void host_run(void)
{
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
	if (world_update(sim->world) < 0)
		sim_fail("world_update() failed");
	model_check_promises();
}
