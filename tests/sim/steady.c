/* SPDX-License-Identifier: Apache-2.0 */
#include "steady.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "json/json.h"
#include "kube/kube_client.h"
#include "lib/ignoring.h"

enum { PAYLOADS = 9000, IDENTITY = 5000, OUT_MAX = 16 << 20 };

struct kube_op {
	struct kube_request req;
	enum sim_kind kind;
	bool is_watch, is_list, is_open;
};

struct steady steady;

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);
void __wrap_kube_cancel(struct kube_op *op);
void __wrap_kube_give_up(struct kube_op *op, uint64_t since_us);
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
	steady.ops[op->kind] = op;
	*ret = op;
	return 0;
}

static void forget(struct kube_op *op)
{
	steady.ops[op->kind] = NULL;
	free(op);
}

void __wrap_kube_cancel(struct kube_op *op)
{
	if (op)
		forget(op);
}

void __wrap_kube_give_up(struct kube_op *op, uint64_t since_us)
{
	(void)since_us;
	__wrap_kube_cancel(op);
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
	if (buf_add(&steady.out, text, strlen(text)) < 0)
		abort();
}

/* `text` NULL = the object of that index. */
static void add_event(enum sim_kind kind, const char *type, unsigned index, const char *text)
{
	add("{\"type\":\"");
	add(type);
	add("\",\"object\":");
	if (text)
		add(text);
	else
		object_write(&steady.out, kind, index, &steady.objects[kind][index], 0);
	add("}\n");
}

static void add_version(const char *before, const char *after)
{
	if (buf_addf(&steady.out, "%s\"resourceVersion\":\"%" PRIu64 "\"%s", before, steady.version, after) < 0)
		abort();
}

static int send_out(struct kube_op *op)
{
	int r = steady.out.len ? op->req.on_data(steady.out.data, steady.out.len, op->req.arg) : 0;

	buf_clear(&steady.out);
	return r;
}

static void send_well(struct kube_op *op)
{
	int r = send_out(op);

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
	steady.lists++;
	if (!op->is_watch) { /* asks for the version only: there is WatchList */
		add_version("{\"kind\":\"List\",\"items\":[],\"metadata\":{", "}}\n");
		send_well(op);
		finish(op, 0);
		return;
	}
	if (steady.extra && steady.extra_kind == op->kind)
		add_event(op->kind, "ADDED", 0, steady.extra);
	for (unsigned i = 0; i < STEADY_OBJECTS; i++)
		if (steady.objects[op->kind][i].is_there)
			add_event(op->kind, "ADDED", i, NULL);
	add_version("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{", ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n");
	send_well(op);
}

/* Until every kind is watched: requests are answered, waits are over. */
static void settle(void)
{
	bool is_busy = true;

	while (is_busy && !sim->failure[0]) {
		is_busy = false;
		for (unsigned k = 0; k <= SIM_KINDS; k++) {
			if (steady.ops[k] && !steady.ops[k]->is_open) {
				answer(steady.ops[k]);
				is_busy = true;
			}
			if (k < SIM_KINDS && !steady.ops[k]) {
				sim->now_us = MAX(sim->now_us, timers_due_us());
				timers_run();
				is_busy = true;
			}
		}
	}
}

void steady_change(enum sim_kind kind, unsigned index, bool is_there)
{
	struct sim_object *o = &steady.objects[kind][index];
	const char *type = !is_there ? "DELETED" : o->is_there ? "MODIFIED" : "ADDED";

	if (!is_there && !o->is_there)
		return;
	*o = (struct sim_object){.is_there = is_there, .payload = 1 + ++steady.payload % PAYLOADS, .version = ++steady.version};
	steady.events++;
	add_event(kind, type, index, NULL);
	send_well(steady.ops[kind]);
}

int steady_tell_extra(bool is_there)
{
	steady.events++;
	add_event(steady.extra_kind, is_there ? "ADDED" : "DELETED", 0, steady.extra);
	return send_out(steady.ops[steady.extra_kind]);
}

int steady_feed(enum sim_kind kind, const char *data, size_t len)
{
	struct kube_op *op = steady.ops[kind];

	return op->req.on_data(data, len, op->req.arg);
}

void steady_end_watch(enum sim_kind kind, int result)
{
	sim->now_us += 10 * USEC_PER_SEC;
	finish(steady.ops[kind], result);
	settle();
}

static int on_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	(void)ip, (void)claim, (void)arg;
	steady.updates++;
	return 0;
}

static void on_service(const struct frontend *old, const struct frontend *now, void *arg)
{
	(void)old, (void)now, (void)arg;
	steady.updates++;
}

void steady_apply(void)
{
	struct world *w = sim->world;
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
		r = world_new(&config, "me", IDENTITY, &conf, &sim->world);
	if (r < 0)
		return r;
	tables = (struct sync_tables){.identities = sim->world->identities, .policies = sim->world->gate,
				      .services = sim->world->services, .imports = sim->world->imports, .endpoints = sim->world->endpoints,
				      .ports = sim->world->ports, .nodes = sim->world->nodes};
	return sync_new(NULL, NULL, false, &tables, &callbacks, &sim->sync);
}

void steady_start(void)
{
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		abort();
	sim->now_us = 1000 * USEC_PER_SEC;
	steady.out.max = OUT_MAX;
	steady.version = 1;
	log_set_level(LOG_EMERG);
	if (start() < 0)
		sim_fail("the host does not start");
	else
		settle();
}

void steady_stop(void)
{
	sync_free(sim->sync);
	world_free(sim->world);
	buf_done(&steady.out);
}
