/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory after so many events: the reflectors and tables of a host, and a server whose objects come, change and go all
 * the time. In each of ten rounds the watches bring a tenth of the events, and end, are too old or break now and then;
 * at its end all objects go. What the heap holds then must not grow: in the last five rounds it is at most what it was in
 * the first five, and a hundredth, as tables keep the size that they once needed.
 *
 *	churn [EVENTS]     200,000 by default; a thousand a second for 72 hours are 259,200,000
 */
#include "sim.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/kube_client.h"
#include "lib/ignoring.h"
#include "lib/result.h"

enum { DEFAULT_EVENTS = 200000, ROUNDS = 10, OBJECTS = 100, PAYLOADS = 9000, APPLY_EVERY = 50, BREAK_EVERY = 1000 };

struct kube_op {
	struct kube_request req;
	enum sim_kind kind;
	bool is_watch, is_list, is_open;
};

static struct server {
	struct sim_object objects[SIM_KINDS][OBJECTS];
	struct kube_op *ops[SIM_KINDS + 1]; /* a reflector has one at a time */
	uint64_t version, events, lists, breaks, updates;
	uint32_t payload;
	struct buf out;
} server;

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);
void __wrap_kube_cancel(struct kube_op *op);
void __wrap_kube_bulk_over(struct kube_op *op);

static enum sim_kind kind_of(const char *path)
{
	size_t len = strcspn(path, "?");
	unsigned k = 0;

	while (k < SIM_KINDS && (strlen(sim_paths[k].path) != len || memcmp(sim_paths[k].path, path, len) != 0))
		k++;
	return (enum sim_kind)k;
}

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret)
{
	struct kube_op *op = calloc(1, sizeof(*op));

	(void)c;
	if (!op)
		return -ENOMEM;
	*op = (struct kube_op){.req = *req, .kind = kind_of(req->path), .is_watch = strstr(req->path, "watch=1"),
			       .is_list = strstr(req->path, "sendInitialEvents") || !strstr(req->path, "watch=1")};
	server.ops[op->kind] = op;
	*ret = op;
	return 0;
}

static void forget(struct kube_op *op)
{
	server.ops[op->kind] = NULL;
	free(op);
}

void __wrap_kube_cancel(struct kube_op *op)
{
	if (op)
		forget(op);
}

void __wrap_kube_bulk_over(struct kube_op *op)
{
	(void)op; /* nothing waits here */
}

static void finish(struct kube_op *op, int r)
{
	const struct kube_result res = {.r = r, .reason = "", .message = r ? "no" : "", .retry_after_s = -1, .server = "https://sim"};
	const struct kube_request req = op->req;

	forget(op);
	req.on_done(&res, req.arg);
}

static void add(const char *text)
{
	if (buf_add(&server.out, text, strlen(text)) < 0)
		abort();
}

static void add_event(enum sim_kind kind, const char *type, unsigned index)
{
	add("{\"type\":\"");
	add(type);
	add("\",\"object\":");
	object_write(&server.out, kind, index, &server.objects[kind][index], 0);
	add("}\n");
}

static void add_version(const char *before, const char *after)
{
	if (buf_addf(&server.out, "%s\"resourceVersion\":\"%" PRIu64 "\"%s", before, server.version, after) < 0)
		abort();
}

static void send_out(struct kube_op *op)
{
	int r = server.out.len ? op->req.on_data(server.out.data, server.out.len, op->req.arg) : 0;

	buf_clear(&server.out);
	if (r < 0)
		sim_fail("an answer was not accepted: %d", r);
}

/* What a new request gets at once. */
static void answer(struct kube_op *op)
{
	if (op->kind == SIM_KINDS) {
		finish(op, -ENOENT);
		return;
	}
	op->is_open = true;
	op->req.on_open(op->req.arg);
	if (!op->is_list)
		return;
	server.lists++;
	if (!op->is_watch) { /* asks for the version only: there is WatchList */
		add_version("{\"kind\":\"List\",\"items\":[],\"metadata\":{", "}}\n");
		send_out(op);
		finish(op, 0);
		return;
	}
	for (unsigned i = 0; i < OBJECTS; i++)
		if (server.objects[op->kind][i].is_there)
			add_event(op->kind, "ADDED", i);
	add_version("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{", ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n");
	send_out(op);
}

/* Until every kind is watched: requests are answered, waits are over. */
static void settle(void)
{
	bool is_busy = true;

	while (is_busy && !sim->failure[0]) {
		is_busy = false;
		for (unsigned k = 0; k <= SIM_KINDS; k++) {
			if (server.ops[k] && !server.ops[k]->is_open) {
				answer(server.ops[k]);
				is_busy = true;
			}
			if (k < SIM_KINDS && !server.ops[k]) {
				sim->now_us = MAX(sim->now_us, timers_due_us());
				timers_run();
				is_busy = true;
			}
		}
	}
}

static void change(enum sim_kind kind, unsigned index, bool is_there)
{
	struct sim_object *o = &server.objects[kind][index];
	const char *type = !is_there ? "DELETED" : o->is_there ? "MODIFIED" : "ADDED";

	if (!is_there && !o->is_there)
		return;
	*o = (struct sim_object){.is_there = is_there, .payload = 1 + ++server.payload % PAYLOADS, .version = ++server.version};
	server.events++;
	add_event(kind, type, index);
	send_out(server.ops[kind]);
}

/* A watch ends as they do, is too old, or breaks. */
static void end_a_watch(void)
{
	static const int ends[] = {0, -ESTALE, -ECONNRESET};

	sim->now_us += 10 * USEC_PER_SEC;
	server.breaks++;
	finish(server.ops[sim_below(SIM_KINDS)], ends[sim_below(ARRAY_LEN(ends))]);
	settle();
}

static int on_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	(void)ip, (void)claim, (void)arg;
	server.updates++;
	return 0;
}

static void on_service(const struct frontend *old, const struct frontend *now, void *arg)
{
	(void)old, (void)now, (void)arg;
	server.updates++;
}

static void apply(struct world *w)
{
	int r = world_update(w);

	if (r >= 0)
		r = service_table_flush(w->services, on_service, NULL);
	if (r >= 0)
		r = ipcache_flush(w->addresses, on_address, NULL);
	if (r < 0 && r != -ENODATA) /* our own identity comes and goes, too */
		sim_fail("the tables cannot be applied: %d", r);
}

static int start(void)
{
	struct sync_callbacks callbacks = ignoring;
	static struct conf conf;
	CLEANUP(json_decref) json_t *map = json_object();
	struct cilium_config config;
	struct sync_tables tables;
	int r = cilium_config_parse(map, &config, NULL);

	callbacks.on_memory = ignore;
	if (r == 0)
		r = world_new(&config, "me", 5000, &conf, &sim->world);
	if (r < 0)
		return r;
	tables = (struct sync_tables){.identities = sim->world->identities, .policies = sim->world->gate,
				      .services = sim->world->services, .imports = sim->world->imports, .endpoints = sim->world->endpoints,
				      .ports = sim->world->ports, .nodes = sim->world->nodes};
	return sync_new(NULL, NULL, false, &tables, &callbacks, &sim->sync);
}

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2(); /* small pieces, and large ones that are mapped */

	return info.uordblks + info.hblkhd;
}

static size_t round_of(uint64_t events)
{
	for (uint64_t i = 1; i <= events && !sim->failure[0]; i++) {
		change((enum sim_kind)(1 + sim_below(SIM_KINDS - 1)), sim_below(OBJECTS), sim_chance(65));
		if (i % APPLY_EVERY == 0)
			apply(sim->world);
		if (i % BREAK_EVERY == 0)
			end_a_watch();
	}
	for (unsigned k = 0; k < SIM_KINDS; k++)
		for (unsigned i = 0; i < OBJECTS; i++)
			change((enum sim_kind)k, i, false);
	apply(sim->world);
	return heap_bytes();
}

int main(int argc, char **argv)
{
	uint64_t events = DEFAULT_EVENTS;
	size_t before = 0, after = 0;

	if (argc > 2 || (argc == 2 && str_to_u64(argv[1], INT64_MAX, &events) < 0)) {
		(void)fprintf(stderr, "usage: churn [EVENTS]\n");
		return 2;
	}
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		abort();
	sim->now_us = 1000 * USEC_PER_SEC;
	server.out.max = 1 << 20;
	server.version = 1;
	log_set_level(LOG_EMERG);
	if (start() < 0)
		sim_fail("the host does not start");
	else
		settle();
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t bytes = round_of(events / ROUNDS);

		if (i < ROUNDS / 2)
			before = MAX(before, bytes);
		else
			after = MAX(after, bytes);
	}
	if (after > before + before / 100)
		sim_fail("the heap grows: %zu bytes at most after the first rounds, %zu after the last", before, after);
	(void)printf("%" PRIu64 " events, %" PRIu64 " lists, %" PRIu64 " watches ended, %" PRIu64 " entries told: at most %zu bytes of heap "
		     "after the first rounds, %zu after the last%s%s\n", server.events, server.lists, server.breaks, server.updates, before, after, sim->failure[0] ? ": " : "", sim->failure);
	result_add("churn", json_pack("{s:I, s:I, s:I, s:b}", "events", (json_int_t)server.events, "first_bytes", (json_int_t)before,
				      "last_bytes", (json_int_t)after, "failed", sim->failure[0] != '\0'));
	sync_free(sim->sync);
	world_free(sim->world);
	buf_done(&server.out);
	return sim->failure[0] ? 1 : 0;
}
