/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers: a Kubernetes client that has no network (linked with --wrap), and all that can go wrong. */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str.h"
#include "kube/kube_client.h"

enum fault {
	FAULT_NONE,
	FAULT_REFUSED,	/* no connection */
	FAULT_STATUS,	/* 401, 403, 404, 429, 5xx */
	FAULT_CUT,	/* the connection breaks */
	FAULT_SHORT,	/* the body ends early, as if it were complete */
	FAULT_GARBAGE,	/* something that is no JSON */
	FAULT_GONE,	/* 410 */
	FAULT_SILENT,	/* nothing more comes, often not even the head, until the connection breaks */
	FAULT_EMPTY,	/* a list without objects */
	FAULT_LOST,	/* a list without most of its objects */
	FAULTS,
};

enum { BOOKMARK_S = 60, TIMEOUT_S = 32, SILENT_S = 600, PACE_S = 60 };

struct kube_op {
	struct kube_request req;
	enum sim_kind kind;
	bool is_watch, has_initial, has_bookmarks, is_open, is_over, is_silent;
	uint64_t since; /* of a watch: what came before is known */
	uint64_t snapshot, limit, skip; /* of a page */
	uint64_t due_us, bookmark_us, end_us;
	enum fault fault;
	size_t fault_after; /* bytes */
	unsigned slow;	    /* bytes at a time; 0 = all */
	struct buf out;
	size_t sent;
	int end; /* how it ends once all was sent */
	struct kube_op *prev, *next;
};

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);
void __wrap_kube_cancel(struct kube_op *op);
void __wrap_kube_give_up(struct kube_op *op, uint64_t since_us);
void __wrap_kube_bulk_over(struct kube_op *op);

static uint64_t latency_us(void)
{
	return 200 + sim_below(sim_chance(5) ? 3000000 : 20000);
}

/* The kind of a path without its query; SIM_KINDS for the one that is absent, and for another version of one that is there. */
static enum sim_kind kind_of(const char *path)
{
	static const char other[] = "/apis/cilium.io/v2alpha1/ciliumcidrgroups";
	size_t len = strcspn(path, "?");

	if (len == sizeof(other) - 1 && memcmp(other, path, len) == 0)
		return SIM_KINDS;
	for (unsigned k = 0; k <= SIM_KINDS; k++) {
		const char *p = sim_path_of((enum sim_kind)k)->path;

		if (strlen(p) == len && memcmp(p, path, len) == 0)
			return (enum sim_kind)k;
	}
	abort(); /* the host asked for what the simulation does not have */
}

/* A parameter of the query; NULL if it is not there. */
static const char *param(const char *path, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strchr(path, '?'); p; p = strchr(p, '&')) {
		p++;
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return p + len + 1;
	}
	return NULL;
}

static uint64_t number(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

static void op_free(struct kube_op *op)
{
	DL_DELETE(sim->ops, op);
	free((char *)op->req.path);
	buf_done(&op->out);
	free(op);
}

static void finish(struct kube_op *op, int r, long status, const char *message)
{
	struct kube_result res = {.r = r, .status = status, .reason = "", .message = message, .retry_after_s = -1,
				  .server = "https://sim"};
	struct kube_request req = op->req;

	if (r == -EBUSY)
		res.retry_after_s = 1 + sim_below(5);
	if (r < 0)
		sim_say("%s: ends: %s", sim_path_of(op->kind)->name, message);
	op_free(op);
	req.path = NULL;
	sim->count.woken++;
	sim->in_host = true;
	req.on_done(&res, req.arg);
	sim->in_host = false;
}

/*
 * However badly the server behaves, a host does not hurry: of a kind it asks no more than SIM_PACE times a minute, pages
 * of one list not counted.
 */
static void check_pace(const struct kube_op *op)
{
	struct sim_pace *p = &sim->pace[op->kind];
	uint64_t *at = &p->at_us[p->n++ % SIM_PACE];

	if (p->n > SIM_PACE && sim->now_us - *at < PACE_S * USEC_PER_SEC)
		sim_fail("%s: more than %d requests in a minute", sim_path_of(op->kind)->name, SIM_PACE);
	*at = sim->now_us;
}

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret)
{
	struct kube_op *op = calloc(1, sizeof(*op));
	const char *token = param(req->path, "continue");

	char *path = strdup(req->path);

	(void)c;
	if (!op || !path) {
		free(op);
		free(path);
		return -ENOMEM;
	}
	op->req = *req;
	op->req.path = path;
	op->out.max = 1 << 20;
	op->kind = kind_of(req->path);
	op->is_watch = param(req->path, "watch") != NULL;
	op->has_initial = param(req->path, "sendInitialEvents") != NULL;
	/* Lists are too short here for the host to ask for them: in some histories they come all the same. */
	op->has_bookmarks = op->is_watch && (sim->has_bookmarks || param(req->path, "allowWatchBookmarks"));
	op->since = number(param(req->path, "resourceVersion"));
	op->limit = number(param(req->path, "limit"));
	if (token && sscanf(token, "v%lu.%lu", &op->snapshot, &op->skip) != 2)
		abort();
	op->end_us = op->is_watch ? sim->now_us + number(param(req->path, "timeoutSeconds")) * USEC_PER_SEC
				  : sim->now_us + TIMEOUT_S * USEC_PER_SEC;
	op->due_us = sim->now_us + latency_us();
	sim->count.requests++;
	sim_say("%s: asks: %s", sim_path_of(op->kind)->name, req->path);
	if (!token)
		check_pace(op);
	DL_APPEND(sim->ops, op);
	if (ret)
		*ret = op;
	return 0;
}

void __wrap_kube_cancel(struct kube_op *op)
{
	if (op)
		op_free(op);
}

void __wrap_kube_give_up(struct kube_op *op, uint64_t since_us)
{
	(void)since_us;
	sim_say("%s: is given up", sim_path_of(op->kind)->name);
	op_free(op);
}

void __wrap_kube_bulk_over(struct kube_op *op)
{
	op->req.is_bulk = false;
}

/* A lie must be one that no client has to believe: less than half, or nothing, of what it knows; and the first to say so. */
static bool can_lie(const struct kube_op *op, enum fault fault)
{
	const struct reflector *r;
	struct reflector_doubt doubt;

	if ((op->is_watch && !op->has_initial) || op->skip || op->limit == 1 || sim->has_lied[op->kind] || !sim->sync)
		return false;
	r = sync_reflector(sim->sync, op->kind);
	return !reflector_get_doubt(r, &doubt) && reflector_get_stats(r).objects >= (fault == FAULT_EMPTY ? 1 : 10);
}

static enum fault choose_fault(struct kube_op *op)
{
	enum fault fault;

	if (sim->now_us < sim->outage_until_us)
		return FAULT_REFUSED;
	if (!sim->has_faults || sim_below(1000) >= sim->fault_rate)
		return FAULT_NONE;
	fault = (enum fault)(1 + sim_below(FAULTS - 1));
	if (!(sim->fault_kinds & 1u << fault) || ((fault == FAULT_EMPTY || fault == FAULT_LOST) && !can_lie(op, fault)))
		return FAULT_NONE;
	sim->count.faults++;
	op->fault_after = sim_chance(20) ? 0 : sim_below(sim_chance(50) ? 100 : 3000);
	sim_say("%s: fault %d after %zu bytes: %s", sim_path_of(op->kind)->name, (int)fault, op->fault_after, op->req.path);
	return fault;
}

static void add(struct kube_op *op, const char *text)
{
	if (buf_add(&op->out, text, strlen(text)) < 0)
		abort();
}

static void add_event(struct kube_op *op, const char *type, unsigned index, const struct sim_object *o)
{
	add(op, "{\"type\":\"");
	add(op, type);
	add(op, "\",\"object\":");
	object_write(&op->out, op->kind, index, o, server_universe()->offset);
	add(op, "}\n");
}

static void add_bookmark(struct kube_op *op, bool is_end_of_list)
{
	if (buf_addf(&op->out, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{"
		     "\"resourceVersion\":\"%llu\"%s}}}\n", sim_path_of(op->kind)->name, sim_path_of(op->kind)->api,
		     (unsigned long long)op->since,
		     is_end_of_list ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "") < 0)
		abort();
	op->bookmark_us = sim->now_us + BOOKMARK_S * USEC_PER_SEC;
}

static void add_error(struct kube_op *op, int code)
{
	if (buf_addf(&op->out, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
		     "\"message\":\"no more\",\"code\":%d}}\n", code) < 0)
		abort();
	op->is_over = true;
}

/* What happened since, as far as this server has seen it. */
static void add_news(struct kube_op *op)
{
	const struct sim_universe *u = server_universe();
	uint64_t visible = server_visible();

	for (size_t i = 0; i < u->n; i++) {
		const struct sim_event *e = &u->events[i];
		struct sim_object o = e->now;

		if (e->version <= op->since || e->version > visible || e->kind != op->kind)
			continue;
		add_event(op, !e->now.is_there ? "DELETED" : e->before.is_there ? "MODIFIED" : "ADDED", e->index, &o);
	}
	if (visible > op->since)
		op->since = visible;
}

/* Indices of those that are there, in random order: a list is a set. */
static size_t shuffled(const struct sim_object objects[SIM_OBJECTS], unsigned ret[SIM_OBJECTS])
{
	size_t n = 0;

	for (unsigned i = 0; i < SIM_OBJECTS; i++)
		if (objects[i].is_there)
			ret[n++] = i;
	for (size_t i = n; i > 1; i--) {
		size_t j = sim_below((uint32_t)i);
		unsigned t = ret[j];

		ret[j] = ret[i - 1];
		ret[i - 1] = t;
	}
	return n;
}

static void hide(struct kube_op *op, struct sim_object objects[SIM_OBJECTS])
{
	struct reflector_stats known = reflector_get_stats(sync_reflector(sim->sync, op->kind));
	size_t n = server_count(objects), keep = op->fault == FAULT_LOST ? known.objects / 3 : 0;

	for (unsigned i = 0; i < SIM_OBJECTS && n > keep; i++) {
		n -= objects[i].is_there;
		objects[i].is_there = false;
	}
	sim->has_lied[op->kind] = true;
	sim->count.lies++;
	sim_say("%s: a lie: %zu objects", sim_path_of(op->kind)->name, server_count(objects));
}

static void open_initial(struct kube_op *op)
{
	struct sim_object objects[SIM_OBJECTS];
	unsigned order[SIM_OBJECTS];
	size_t n;

	op->since = server_visible();
	server_at(server_universe(), op->kind, op->since, objects);
	if (op->fault == FAULT_EMPTY || op->fault == FAULT_LOST)
		hide(op, objects);
	n = shuffled(objects, order);
	for (size_t i = 0; i < n; i++)
		add_event(op, "ADDED", order[i], &objects[order[i]]);
}

static void open_list(struct kube_op *op)
{
	struct sim_object objects[SIM_OBJECTS];
	size_t n = 0, end;

	if (!op->snapshot)
		op->snapshot = server_visible();
	server_at(server_universe(), op->kind, op->snapshot, objects);
	if (op->fault == FAULT_EMPTY || op->fault == FAULT_LOST)
		hide(op, objects);
	/* Servers may give less than is asked for. Pages keep the order. */
	end = op->skip + (op->limit == 1 || sim_chance(30) ? 1 + (op->limit == 1 ? 0 : sim_below(8)) : SIM_OBJECTS);
	if (op->fault == FAULT_EMPTY || op->fault == FAULT_LOST)
		end = SIM_OBJECTS;
	add(op, "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[");
	for (unsigned i = 0; i < SIM_OBJECTS; i++) {
		if (!objects[i].is_there || n++ < op->skip || n > end)
			continue;
		if (op->out.data[op->out.len - 1] == '}')
			add(op, ",");
		object_write(&op->out, op->kind, i, &objects[i], server_universe()->offset);
	}
	if (buf_addf(&op->out, "],\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)op->snapshot) < 0 ||
	    (n > end && buf_addf(&op->out, ",\"continue\":\"v%llu.%zu\"", (unsigned long long)op->snapshot, end) < 0))
		abort();
	add(op, "}}\n");
	op->is_over = true;
}

static bool refuse(struct kube_op *op)
{
	static const struct {
		int r;
		long status;
	} refusals[] = {{-EACCES, 401}, {-EPERM, 403}, {-ENOENT, 404}, {-EBUSY, 429}, {-EIO, 500}, {-EIO, 503}};
	size_t i = sim_below(ARRAY_LEN(refusals));

	switch (op->fault) {
	case FAULT_REFUSED:
		finish(op, sim_chance(50) ? -ECONNREFUSED : -ETIMEDOUT, 0, "no connection");
		return true;
	case FAULT_STATUS:
		finish(op, refusals[i].r, refusals[i].status, "refused");
		return true;
	case FAULT_GONE:
		if (sim_chance(50)) {
			finish(op, -ESTALE, 410, "too old");
			return true;
		}
		return false;
	default:
		break;
	}
	if (op->has_initial && !sim->has_watchlist) {
		finish(op, -EINVAL, 400, "sendInitialEvents is forbidden");
		return true;
	}
	if (op->is_watch && !op->has_initial && op->since < server_universe()->floor && sim_chance(50)) {
		finish(op, -ESTALE, 410, "too old resource version");
		return true;
	}
	return false;
}

static void fall_silent(struct kube_op *op)
{
	op->is_silent = true;
	op->due_us = sim->now_us + (op->is_watch ? SILENT_S : TIMEOUT_S) * USEC_PER_SEC;
}

/* A watch may be quiet for that long. Who waits for a list or for any answer at all must not wait for it. */
static void end_silence(struct kube_op *op)
{
	if (op->is_watch && (op->has_initial || !op->is_open))
		sim_fail("%s: waits for an answer that does not come", sim_path_of(op->kind)->name);
	finish(op, -ECONNRESET, op->is_open ? 200 : 0, "broken");
}

/* The head of the answer, and what is to be said at once. False: there is nothing to be said. */
static bool open_op(struct kube_op *op)
{
	if (op->kind == SIM_KINDS) {
		finish(op, -ENOENT, 404, "no such kind");
		return false;
	}
	op->fault = choose_fault(op);
	op->slow = sim->has_faults && sim_chance(5) ? 1 + sim_below(400) : 0;
	if (refuse(op))
		return false;
	if (op->fault == FAULT_SILENT && sim_chance(30)) {
		fall_silent(op);
		return false;
	}
	op->is_open = true;
	op->bookmark_us = sim->now_us + BOOKMARK_S * USEC_PER_SEC;
	sim->count.woken++;
	sim->in_host = true;
	if (op->req.on_open)
		op->req.on_open(op->req.arg);
	sim->in_host = false;
	if (!op->is_watch)
		open_list(op);
	else if (op->fault == FAULT_GONE || (!op->has_initial && op->since < server_universe()->floor))
		add_error(op, 410);
	else if (op->has_initial)
		open_initial(op);
	return true;
}

/* A list without a lie was told to its end. */
static void told(struct kube_op *op)
{
	if (op->fault != FAULT_EMPTY && op->fault != FAULT_LOST && op->limit != 1)
		sim->has_lied[op->kind] = false;
}

/* The stream goes wrong after fault_after more bytes. */
static bool is_cut(const struct kube_op *op)
{
	return op->fault == FAULT_CUT || op->fault == FAULT_SHORT || op->fault == FAULT_GARBAGE || op->fault == FAULT_SILENT;
}

static int hand_over(struct kube_op *op, const char *data, size_t n)
{
	int r;

	sim->count.woken++;
	sim->in_host = true;
	r = op->req.on_data(data, n, op->req.arg);
	sim->in_host = false;
	if (r == 0 && op->is_watch && op->req.is_bulk == (reflector_get_state(sync_reflector(sim->sync, op->kind)) == REFLECTOR_SYNCED))
		sim_fail("%s: parts may wait: %d", sim_path_of(op->kind)->name, op->req.is_bulk);
	return r;
}

/* Sends some of what waits; the operation may be over then. */
static void send_some(struct kube_op *op)
{
	size_t n = op->out.len - op->sent;
	int r = 0;

	if (op->slow)
		n = MIN(n, op->slow);
	if (is_cut(op))
		n = MIN(n, op->fault_after);
	if (n)
		r = hand_over(op, op->out.data + op->sent, n);
	op->sent += n;
	op->fault_after -= MIN(n, op->fault_after);
	if (r == 0 && is_cut(op) && op->fault_after == 0) {
		if (op->fault == FAULT_SILENT) {
			fall_silent(op);
			return;
		}
		if (op->fault == FAULT_GARBAGE)
			r = hand_over(op, "<html>\0{]", 9);
		finish(op, op->fault == FAULT_SHORT && r == 0 ? 0 : r < 0 ? r : -ECONNRESET, 200, "broken");
		return;
	}
	if (r < 0) {
		finish(op, r, 200, "not wanted");
		return;
	}
	op->due_us = sim->now_us + (op->slow ? 1000 + sim_below(50000) : 1);
}

static void run_op(struct kube_op *op)
{
	if (op->is_silent) {
		end_silence(op);
		return;
	}
	if (!op->is_open && !open_op(op))
		return;
	if (op->sent < op->out.len || (is_cut(op) && op->fault_after == 0)) {
		send_some(op);
		return;
	}
	if (op->is_over) {
		told(op);
		finish(op, 0, 200, "");
		return;
	}
	buf_clear(&op->out);
	op->sent = 0;
	if (op->has_initial) {
		told(op);
		if (sim_chance(50))
			add_news(op); /* what happens meanwhile may come before the mark */
		add_bookmark(op, true);
		op->has_initial = false;
	} else {
		add_news(op);
	}
	if (op->has_bookmarks && sim->now_us >= op->bookmark_us) {
		if (sim->has_faults && sim_chance(30))
			op->bookmark_us = sim->now_us + BOOKMARK_S * USEC_PER_SEC; /* not every one comes */
		else
			add_bookmark(op, false);
	}
	if (sim->now_us >= op->end_us)
		op->is_over = true;
	op->due_us = op->out.len || op->is_over ? sim->now_us : op->has_bookmarks ? MIN(op->bookmark_us, op->end_us) : op->end_us;
}

uint64_t wire_due_us(void)
{
	uint64_t due = UINT64_MAX;

	for (const struct kube_op *op = sim->ops; op; op = op->next)
		due = MIN(due, op->due_us);
	return due;
}

void wire_run(void)
{
	for (struct kube_op *op = sim->ops; op; op = op->next) {
		if (op->due_us <= sim->now_us) {
			run_op(op);
			return; /* callbacks may have changed the list */
		}
	}
}

static bool is_waiting_for_news(const struct kube_op *op)
{
	return op->is_open && op->is_watch && !op->has_initial && op->sent == op->out.len && !op->is_over &&
	       !(is_cut(op) && op->fault_after == 0);
}

void wire_wake(enum sim_kind kind)
{
	for (struct kube_op *op = sim->ops; op; op = op->next)
		if (op->kind == kind && is_waiting_for_news(op))
			op->due_us = MIN(op->due_us, sim->now_us + latency_us());
}

/* Each of those that are there now, as callbacks begin new ones. */
static void each_op(void (*fn)(struct kube_op *op))
{
	struct kube_op *all[2 * SIM_KINDS], *op;
	size_t n = 0;

	DL_FOREACH (sim->ops, op)
		if (n < ARRAY_LEN(all))
			all[n++] = op;
	for (size_t i = 0; i < n; i++)
		fn(all[i]);
}

static void break_op(struct kube_op *op)
{
	finish(op, -ECONNRESET, 0, "connection reset");
}

static void end_watch(struct kube_op *op)
{
	if (is_waiting_for_news(op))
		op->end_us = op->due_us = sim->now_us;
}

void wire_reset(void)
{
	each_op(break_op);
}

void wire_end_watches(void)
{
	each_op(end_watch);
}

bool wire_is_idle(void)
{
	for (const struct kube_op *op = sim->ops; op; op = op->next)
		if (!is_waiting_for_news(op))
			return false;
	return true;
}
