/* SPDX-License-Identifier: Apache-2.0 */
#include "join/register.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "json/json.h"

enum { RECHECK_S = 300, FAMILIES = 2, CONFLICTS_MAX = 5, REFUSALS_MAX = 3 };

/* Objects in the order in which they are looked after: peers learn the endpoint before the node. */
enum step { STEP_ENDPOINT, STEP_NODE, STEP_IDENTITY, STEPS };

struct registration {
	struct loop *loop;
	struct kube_client *client;
	struct registration_conf conf;
	struct source *timer;
	struct kube_op *op;
	struct backoff backoff;
	enum registration_state state;
	enum step step;
	bool is_set;	 /* registration_set() ran: what to publish is known */
	bool is_leaving;
	unsigned n_conflicts; /* of writes, in a row */
	unsigned n_refused;   /* while leaving: a credential that stays refused cannot tidy up */
	bool is_again; /* something changed while a pass was under way */
	uint64_t failing_us; /* since when passes fail; 0 = they do not */
	bool is_lost;  /* the lists no longer have our node, and no pass has shown the contrary */
	struct ip address[FAMILIES]; /* IPv4, IPv6; family 0 = none */
	bool has_ipv6_underlay;
	json_t *named_ports;
	char *path; /* of the object at hand */
	char error[256];
};

static void run(struct registration *r);

static void set_state(struct registration *r, enum registration_state state, const char *error)
{
	bool is_new = state != r->state;

	(void)snprintf(r->error, sizeof(r->error), "%s", error);
	r->state = state;
	if (is_new)
		r->conf.on_state(state, r->conf.arg);
}

static char *path_of(const struct registration *r, enum step step)
{
	switch (step) {
	case STEP_ENDPOINT:
		return str_printf("/apis/cilium.io/v2/namespaces/%s/ciliumendpoints/%s", r->conf.namespace, r->conf.host);
	case STEP_NODE:
		return str_printf("/apis/cilium.io/v2/ciliumnodes/%s", r->conf.host);
	default:
		return str_printf("/apis/cilium.io/v2/ciliumidentities/%u", r->conf.identity);
	}
}

/* The objects as they should be */

static const char *node_address(const struct registration *r, char buf[IP_STRLEN])
{
	bool is_six = r->address[1].family && (r->has_ipv6_underlay || !r->address[0].family);

	return ip_str(&r->address[is_six ? 1 : 0], buf);
}

static json_t *networking(const struct registration *r)
{
	char v4[IP_STRLEN], v6[IP_STRLEN], node[IP_STRLEN];
	json_t *pair = json_object();
	int e = 0;

	if (r->address[0].family)
		e = json_object_set_new(pair, "ipv4", json_string(ip_str(&r->address[0], v4)));
	if (e == 0 && r->address[1].family)
		e = json_object_set_new(pair, "ipv6", json_string(ip_str(&r->address[1], v6)));
	if (e < 0) {
		json_decref(pair);
		return NULL;
	}
	return json_pack("{s:[o], s:s}", "addressing", pair, "node", node_address(r, node));
}

static bool same_or_absent(const json_t *a, const json_t *b)
{
	if (!a || json_is_null(a))
		return !b || json_is_null(b);
	return b && json_equal((json_t *)a, (json_t *)b);
}

/* Sets a member, or deletes it for NULL; true if that changed something. Takes `value`. Lack of memory is seen by fix(). */
static bool put(json_t *o, const char *key, json_t *value)
{
	bool differs = !same_or_absent(json_object_get(o, key), value);

	if (value)
		(void)json_object_set_new(o, key, value); /* as said above */
	else
		(void)json_object_del(o, key); /* absent is fine */
	return differs;
}

/* The object under a key, made if there is none. NULL when out of memory, which put() takes. */
static json_t *member(json_t *doc, const char *key)
{
	if (!json_is_object(json_object_get(doc, key)))
		(void)json_object_set_new(doc, key, json_object()); /* as in put() */
	return json_object_get(doc, key);
}

static bool fix_endpoint(const struct registration *r, json_t *doc)
{
	json_t *status = member(doc, "status");
	bool has_address = r->address[0].family || r->address[1].family;
	bool up = has_address && !r->is_leaving, changed;

	changed = put(status, "networking", up ? networking(r) : NULL);
	changed |= put(status, "state", json_string(up ? "ready" : "disconnected"));
	changed |= put(status, "id", json_integer(1));
	changed |= put(status, "named-ports",
		       up && json_array_size(r->named_ports) ? json_clone(r->named_ports) : NULL);
	return changed;
}

static bool fix_node(const struct registration *r, json_t *doc)
{
	json_t *spec = member(doc, "spec"), *list = json_array();

	for (unsigned i = 0; i < FAMILIES && !r->is_leaving; i++) {
		char text[IP_STRLEN];

		if (r->address[i].family)
			(void)json_array_append_new(list, json_pack("{s:s, s:s}", "type", "InternalIP", "ip",
								    ip_str(&r->address[i], text))); /* as in put() */
	}
	if (!json_array_size(list)) {
		json_decref(list);
		list = NULL;
	}
	return put(spec, "addresses", list);
}

static bool fix_identity(json_t *doc)
{
	json_t *annotations = json_at(doc, "metadata.annotations");

	/* The operator marks identities that it believes unused; whoever uses one takes the mark off. */
	return json_object_get(annotations, "io.cilium.heartbeat") &&
	       json_object_del(annotations, "io.cilium.heartbeat") == 0;
}

/* 1 if `doc` is another one now, 0 if it was as it should be. -ENOMEM: it lacks something, and must not be written. */
static int fix(const struct registration *r, json_t *doc)
{
	struct json_watch watch;
	bool changed, is_short;

	json_watch_begin(&watch);
	changed = r->step == STEP_ENDPOINT ? fix_endpoint(r, doc) : r->step == STEP_NODE ? fix_node(r, doc) : fix_identity(doc);
	is_short = json_watch_end(&watch);
	return is_short ? -ENOMEM : changed;
}

/* Passes */

static void again(struct registration *r, uint64_t delay_us)
{
	(void)source_arm(r->timer, delay_us, delay_us / 8); /* a live timer */
}

static void pass_failed(struct registration *r, const struct kube_result *res)
{
	uint64_t delay_us = backoff_next_us(&r->backoff, clock_boot_us());
	bool is_refused = res->r == -EACCES || res->r == -EPERM;
	char text[256];

	r->n_conflicts = 0;
	(void)snprintf(text, sizeof(text), "%s: %.180s", r->path ? r->path : "", res->message);
	if (r->is_leaving && is_refused && (r->is_lost || ++r->n_refused == REFUSALS_MAX)) {
		r->failing_us = 0;
		set_state(r, REGISTRATION_LEFT, text); /* the cluster has forgotten us already */
		return;
	}
	if (res->r == -EACCES)
		r->conf.on_unauthorized(r->conf.arg);
	if (res->r == -ENOENT || (is_refused && r->is_lost)) {
		r->failing_us = 0; /* it is known what is wrong */
		set_state(r, REGISTRATION_REMOVED, text);
		delay_us = RECHECK_S * USEC_PER_SEC / 10;
	} else {
		bool is_told = r->failing_us && str_eq(r->error, text);

		if (!r->failing_us)
			r->failing_us = clock_boot_us();
		set_state(r, REGISTRATION_PENDING, text);
		log_event(is_told ? LOG_DEBUG : LOG_WARNING, "register.failed", "this host's objects could not be brought up to date, will try again",
			  F_STR("reason", text));
	}
	if (res->retry_after_s > 0)
		delay_us += (uint64_t)res->retry_after_s * USEC_PER_SEC;
	again(r, delay_us);
}

static void pass_done(struct registration *r)
{
	backoff_reset(&r->backoff);
	r->failing_us = 0;
	r->n_conflicts = 0;
	r->is_lost = false;
	if (r->is_again) {
		again(r, 0);
		return;
	}
	set_state(r, r->is_leaving ? REGISTRATION_LEFT : REGISTRATION_READY, "");
	if (!r->is_leaving)
		again(r, RECHECK_S * USEC_PER_SEC);
}

static void next_step(struct registration *r)
{
	if (++r->step == STEPS)
		pass_done(r);
	else
		run(r);
}

/* Who leaves has nothing to do about an object that is gone; the others may be there. */
static bool is_forgotten(const struct registration *r, const struct kube_result *res)
{
	return r->is_leaving && res->r == -ENOENT;
}

static void on_written(const struct kube_result *res, void *arg)
{
	struct registration *r = arg;

	r->op = NULL;
	if (res->r == -EAGAIN && ++r->n_conflicts < CONFLICTS_MAX)
		run(r); /* somebody else wrote in between: read again */
	else if (res->r < 0 && !is_forgotten(r, res))
		pass_failed(r, res);
	else
		next_step(r);
}

static bool has_our_identity(const struct registration *r, const json_t *doc)
{
	return r->step != STEP_ENDPOINT || json_int(doc, "status.identity.id", 0) == (json_int_t)r->conf.identity;
}

/* Not ours to write any more, with the identity that we have. */
static void enrolled_anew(struct registration *r, const json_t *doc)
{
	json_int_t identity = json_int(doc, "status.identity.id", 0);
	char text[256];

	r->failing_us = 0; /* it is known what is wrong */
	if (identity > 0) {
		(void)snprintf(text, sizeof(text),
			       "the cluster has enrolled this host anew, with identity %lld; this host has %u. The labels of its namespace, "
			       "or its service account, are others now",
			       (long long)identity, r->conf.identity); /* it fits */
		set_state(r, REGISTRATION_CHANGED, text);
	} else {
		set_state(r, REGISTRATION_REMOVED, "the CiliumEndpoint has no identity");
	}
	again(r, RECHECK_S * USEC_PER_SEC / 10);
}

static void on_read(const struct kube_result *res, void *arg)
{
	struct registration *r = arg;
	struct kube_request req = {.method = "PUT", .path = r->path, .on_done = on_written, .arg = r};
	CLEANUP(json_decref) json_t *doc = NULL;
	int e;

	r->op = NULL;
	if (res->r < 0 && !is_forgotten(r, res)) {
		pass_failed(r, res);
		return;
	}
	if (res->r < 0 || (r->is_leaving && !has_our_identity(r, res->body))) {
		next_step(r); /* it is not there, or not ours to change */
		return;
	}
	if (!has_our_identity(r, res->body)) {
		enrolled_anew(r, res->body);
		return;
	}
	doc = json_clone(res->body);
	e = doc ? fix(r, doc) : -ENOMEM;
	if (e == 0) {
		next_step(r);
		return;
	}
	req.body = doc;
	if (e > 0)
		e = kube_start(r->client, &req, &r->op);
	if (e < 0) {
		const struct kube_result failed = {.r = e, .message = err_name(e), .retry_after_s = -1};

		pass_failed(r, &failed);
	}
}

static void run(struct registration *r)
{
	struct kube_request req = {.on_done = on_read, .arg = r};
	int e = -ENOMEM;

	free(r->path);
	r->path = path_of(r, r->step);
	req.path = r->path;
	if (r->path)
		e = kube_start(r->client, &req, &r->op);
	if (e < 0) {
		const struct kube_result failed = {.r = e, .message = err_name(e), .retry_after_s = -1};

		pass_failed(r, &failed);
	}
}

static void on_timer(void *arg)
{
	struct registration *r = arg;

	if (r->state == REGISTRATION_LEFT)
		return;
	if (r->op || (!r->is_set && !r->is_leaving)) {
		r->is_again = r->op != NULL;
		return;
	}
	r->is_again = false;
	r->step = STEP_ENDPOINT;
	run(r);
}

int registration_new(struct loop *loop, struct kube_client *client, const struct registration_conf *conf,
		     struct registration **ret)
{
	CLEANUP(registration_free) struct registration *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->client = client;
	r->conf = *conf;
	e = loop_add_timer(loop, on_timer, r, &r->timer);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void registration_free(struct registration *r)
{
	if (!r)
		return;
	kube_cancel(r->op);
	source_free(r->timer);
	json_decref(r->named_ports);
	free(r->path);
	free(r);
}

int registration_set(struct registration *r, const struct registration_info *info)
{
	struct ip address[FAMILIES] = {0};
	json_t *ports = info->named_ports ? json_clone(info->named_ports) : NULL;

	if (info->named_ports && !ports)
		return -ENOMEM;
	for (size_t i = info->n_addresses; i > 0; i--)
		address[info->addresses[i - 1].family == AF_INET ? 0 : 1] = info->addresses[i - 1];
	if (r->is_set && memcmp(address, r->address, sizeof(address)) == 0 && r->has_ipv6_underlay == info->has_ipv6_underlay &&
	    same_or_absent(ports, r->named_ports)) {
		json_decref(ports);
		return 0;
	}
	memcpy(r->address, address, sizeof(address));
	r->has_ipv6_underlay = info->has_ipv6_underlay;
	json_decref(r->named_ports);
	r->named_ports = ports;
	r->is_set = true;
	registration_kick(r);
	return 0;
}

void registration_kick(struct registration *r)
{
	if (r->op)
		r->is_again = true;
	else
		again(r, 0);
}

void registration_lost(struct registration *r)
{
	r->is_lost = true;
	registration_kick(r);
}

void registration_leave(struct registration *r)
{
	r->is_leaving = true;
	r->n_refused = 0;
	backoff_reset(&r->backoff); /* somebody waits for it */
	r->state = REGISTRATION_PENDING; /* so that the end is told, also a second time */
	registration_kick(r);
}

void registration_stay(struct registration *r)
{
	r->is_leaving = false;
	registration_kick(r);
}

enum registration_state registration_get_state(const struct registration *r)
{
	return r->state;
}

uint64_t registration_failing_us(const struct registration *r)
{
	return r->failing_us;
}

const char *registration_error(const struct registration *r)
{
	return r->error;
}
