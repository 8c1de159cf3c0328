/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/serving.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "agentd/own_address.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "join/service_events.h"
#include "probe/probes.h"

static const char DRAINED[] = "this host is drained";

struct serving {
	struct loop *loop;
	const struct conf *conf;
	const struct join_state *join;
	const struct service_table *services;
	struct serving_roles roles;
	struct health *health;
	bool is_draining;
	struct publish *publish;
	struct probes *probes;
	struct service_events *events;
	struct kube_pairs labels;
	struct serve_named_port *ports;
	struct serve_plan plan;
	struct strv no_services; /* allowed, while nothing is known */
	ARRAY(struct ip) own;
	uint64_t generation; /* of the Services that the plan is made from */
	bool is_stale;	     /* make the plan anew */
};

static void on_change(void *arg)
{
	struct serving *s = arg;

	s->is_stale = true;
	if (s->own.n)
		(void)serving_update(s, s->own.v, s->own.n); /* out of memory: with the next change */
}

/* "10.0.0.1/32,fd00::1/128": the enrolled text, word for word. */
static int join_addresses(const struct join_state *join, struct buf *text)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < join->addresses.n; i++)
		r = buf_addf(text, "%s%s", i ? "," : "", join->addresses.v[i]);
	return r;
}

int serving_new(struct loop *loop, struct kube_client *client, const struct conf *conf, const struct join_state *join,
		const struct service_table *services, const struct serving_roles *roles, struct health *health, struct serving **ret)
{
	CLEANUP(serving_free) struct serving *s = calloc(1, sizeof(*s));
	CLEANUP(buf_done) struct buf addresses = {0};
	CLEANUP(doc_free) struct doc *labels = NULL;
	struct publish_conf pc = {.host = join->host, .ns = join->namespace, .on_change = on_change, .arg = s};
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->conf = conf;
	s->join = join;
	s->services = services;
	s->roles = *roles;
	s->health = health;
	s->is_stale = true;
	s->ports = calloc(conf->named_ports.n + 1, sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	for (size_t i = 0; i < conf->named_ports.n; i++)
		s->ports[i] = (struct serve_named_port){.name = conf->named_ports.v[i].name,
							.port = conf->named_ports.v[i].port,
							.proto = conf->named_ports.v[i].protocol};
	labels = join->labels ? doc_from_json(join->labels) : NULL;
	if (join->labels && !labels)
		return -ENOMEM;
	r = kube_pairs_decode(labels, NULL, LIMIT_LABELS, &s->labels, NULL);
	if (r == 0)
		r = join_addresses(join, &addresses);
	pc.addresses = addresses.data;
	if (r == 0)
		r = publish_new(loop, client, &pc, &s->publish);
	if (r == 0)
		r = probes_new(loop, conf, on_change, s, &s->probes);
	if (r == 0)
		r = service_events_new(loop, client, join->host, join->namespace, &s->events);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void serving_free(struct serving *s)
{
	if (!s)
		return;
	service_events_free(s->events);
	probes_free(s->probes);
	publish_free(s->publish);
	serve_plan_done(&s->plan);
	kube_pairs_done(&s->labels);
	ARRAY_DONE(&s->own);
	free(s->ports);
	free(s);
}

struct planning {
	struct serving *s;
	struct serve_plan plan;
	struct serve_host host;
};

static int look_at_health(struct planning *p, const char *service)
{
	static const int families[2] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < 2; i++) {
		struct probes_view view;
		int r = probes_get(p->s->probes, service, families[i], &view);

		if (r < 0)
			return r;
		p->host.state[i] = (struct serve_state){.is_ready = view.is_ready, .is_serving = view.is_serving,
							.is_terminating = view.is_terminating, .is_held = !view.is_known,
							.is_gone = view.is_gone, .text = view.text};
	}
	return 0;
}

static int plan_service(const struct kube_service *svc, void *arg)
{
	struct planning *p = arg;
	struct serve_role role = {0};
	int r;

	if (!serve_matches(svc, &p->host))
		return 0;
	r = look_at_health(p, svc->name);
	if (r < 0)
		return r;
	p->s->roles.fn(svc->name, &role, p->s->roles.arg);
	serve_host_apply(&p->host, &role);
	return serve_plan_add(&p->plan, svc, &p->host);
}

/* What is wrong with a Service in the words of an Event. False: nothing that a person should hear of. */
static bool trouble_of(const struct serving *s, const struct serve_entry *e, enum service_event *ret, const char **ret_note)
{
	bool is_published = e->status == SERVE_OK;
	int failure = is_published ? publish_failure(s->publish, e->service) : 0;

	*ret_note = e->reason;
	if (failure) {
		*ret = failure == -EEXIST ? SERVICE_EVENT_CONFLICT : SERVICE_EVENT_REFUSED;
		*ret_note = publish_status(s->publish, e->service);
		return failure == -EEXIST || failure == -EPERM || failure == -EINVAL; /* others are outages */
	}
	switch (e->status) {
	case SERVE_NOT_ALLOWED:
		*ret = SERVICE_EVENT_NOT_ALLOWED;
		return publish_allowed(s->publish) != NULL; /* before that nobody knows */
	case SERVE_NO_ADDRESS:
		*ret = SERVICE_EVENT_NO_ADDRESS;
		return true;
	case SERVE_NO_PORT:
		*ret = SERVICE_EVENT_NO_PORT;
		return true;
	case SERVE_EXTERNAL_NAME:
	case SERVE_STOPPED: /* as somebody wished */
		return false;
	case SERVE_OK:
		break;
	}
	if (e->reason) { /* some of its ports have no number */
		*ret = SERVICE_EVENT_NO_PORT;
		return true;
	}
	for (size_t f = 0; f < 2; f++) { /* being stopped is no trouble, nor is what is not decided yet */
		const json_t *endpoint = json_array_get(json_object_get(e->slice[f], "endpoints"), 0);
		const json_t *conditions = json_object_get(endpoint, "conditions");

		if (!endpoint || e->is_held[f] || json_is_true(json_object_get(conditions, "ready")) ||
		    json_is_true(json_object_get(conditions, "terminating")))
			continue;
		*ret = SERVICE_EVENT_NOT_READY;
		*ret_note = e->health;
		return true;
	}
	return false;
}

static void tell_events(struct serving *s)
{
	service_events_begin(s->events);
	for (size_t i = 0; i < s->plan.n; i++) {
		const struct serve_entry *e = &s->plan.v[i];
		enum service_event what;
		const char *note;

		if (trouble_of(s, e, &what, &note) && note)
			service_events_tell(s->events, e->service, e->uid, what, note);
	}
	service_events_end(s->events);
}

/* Of the own addresses those that the host may have; one may be left that it had to give up. Returns how many. */
static size_t enrolled_addresses(const struct serving *s, struct ip ret[LIMIT_ADDRESSES])
{
	size_t n = 0;

	for (size_t i = 0; i < s->own.n && n < LIMIT_ADDRESSES; i++)
		if (own_address_is_enrolled(s->join, &s->own.v[i]))
			ret[n++] = s->own.v[i];
	return n;
}

/* A host in a zone that is not its own would be given what clients there ask for: the admin enrols it. NULL = none. */
static const char *zone_of(struct serving *s)
{
	const char *zone = s->conf->zone;
	bool is_lacking = publish_lacks_zone(s->publish, zone);
	char text[160];

	if (!is_lacking || !publish_allowed(s->publish)->n) { /* without Services there are no endpoints */
		health_clear(s->health, "serve.zone");
		return *zone && !is_lacking ? zone : NULL;
	}
	(void)snprintf(text, sizeof(text), "%.64s is not enrolled for zone %.64s: its endpoints are in no zone", s->join->host, zone); /* fits */
	health_raise(s->health, HEALTH_WARNING, "serve.zone", text, "an admin runs `meshctl host add HOST --zone ZONE`");
	return NULL;
}

static int make_plan(struct serving *s)
{
	const struct strv *allowed = publish_allowed(s->publish);
	struct ip addresses[LIMIT_ADDRESSES];
	struct planning p = {.s = s, .host = {.name = s->join->host, .ns = s->join->namespace, .zone = zone_of(s),
				      .labels = &s->labels, .allowed = allowed ? allowed : &s->no_services,
				      .ports = s->ports, .n_ports = s->conf->named_ports.n, .addresses = addresses,
				      .n_addresses = enrolled_addresses(s, addresses)}};
	CLEANUP(buf_done) struct buf ranges = {0};
	int r = join_addresses(s->join, &ranges);

	if (r == 0)
		r = publish_set_addresses(s->publish, ranges.data);
	if (r == 0)
		r = service_table_each_service(s->services, plan_service, &p);
	if (r == 0) {
		serve_plan_sort(&p.plan);
		r = publish_set(s->publish, &p.plan);
	}
	if (r < 0) {
		serve_plan_done(&p.plan);
		return r;
	}
	serve_plan_done(&s->plan);
	s->plan = p.plan;
	tell_events(s);
	return 0;
}

/* The address that is published in each family, as the plan picks it; family 0 if there is none. */
static void set_probe_addresses(struct serving *s)
{
	struct ip v4 = {0}, v6 = {0};

	for (size_t i = s->own.n; i > 0; i--)
		if (!ip_is_special(&s->own.v[i - 1]))
			*(s->own.v[i - 1].family == AF_INET ? &v4 : &v6) = s->own.v[i - 1];
	probes_set_addresses(s->probes, &v4, &v6);
}

int serving_update(struct serving *s, const struct ip *own, size_t n_own)
{
	struct service_counts counts;
	int r = 0;

	service_table_counts(s->services, &counts);
	if (own != s->own.v && (n_own != s->own.n || memcmp(own, s->own.v, n_own * sizeof(*own)) != 0)) {
		s->is_stale = true;
		s->own.n = 0;
		for (size_t i = 0; r == 0 && i < n_own; i++)
			r = ARRAY_ADD(&s->own, own[i]);
		set_probe_addresses(s);
	}
	if (r < 0 || (!s->is_stale && counts.generation == s->generation))
		return r;
	r = make_plan(s);
	s->is_stale = r < 0;
	s->generation = counts.generation;
	return r == -EBUSY ? 0 : r; /* draining: nothing is published any more */
}

int serving_reload(struct serving *s)
{
	struct probes *probes;
	int r;

	r = probes_new(s->loop, s->conf, on_change, s, &probes);
	if (r < 0)
		return r;
	probes_free(s->probes);
	s->probes = probes;
	set_probe_addresses(s);
	on_change(s);
	return 0;
}

void serving_ranges_changed(struct serving *s)
{
	s->is_stale = true;
}

void serving_roles_changed(struct serving *s)
{
	on_change(s);
}

static const struct serve_entry *entry_of(const struct serving *s, const char *service)
{
	for (size_t i = 0; i < s->plan.n; i++)
		if (str_eq(s->plan.v[i].service, service))
			return &s->plan.v[i];
	return NULL;
}

int serving_look(struct serving *s, const char *service, struct serving_state *ret)
{
	static const int families[2] = {AF_INET, AF_INET6};
	const struct serve_entry *e = entry_of(s, service);
	const char *status = e ? publish_status(s->publish, service) : NULL;
	int failure = e ? publish_failure(s->publish, service) : 0;

	*ret = (struct serving_state){.is_served = e && (e->status == SERVE_OK || e->status == SERVE_STOPPED), .is_known = true};
	if (!e)
		ret->text = "no Service of this name is to be served by this host";
	else if (!ret->is_served)
		ret->text = e->reason;
	else if (s->is_draining)
		ret->text = DRAINED;
	else if (s->is_stale || !status || *status)
		ret->text = status && *status ? status : "not published yet";
	ret->is_refused = failure == -EPERM || failure == -EINVAL || failure == -EEXIST;
	for (size_t f = 0; e && f < 2; f++) {
		struct probes_view view;
		int r;

		if (e->status != SERVE_STOPPED && !e->slice[f])
			continue;
		r = probes_get(s->probes, service, families[f], &view);
		if (r < 0)
			return r;
		ret->is_known &= view.is_known;
		ret->is_ready |= view.is_ready;
		if (!view.is_ready)
			ret->health = view.text;
		if (e->is_held[f] && !ret->text)
			ret->text = "the health probes have not decided yet";
	}
	return 0;
}

void serving_kick(struct serving *s)
{
	publish_kick(s->publish);
}

int serving_drain(struct serving *s, uint64_t max_s, void (*on_done)(size_t n_left, void *arg), void *arg)
{
	s->is_draining = true;
	return publish_drain(s->publish, MIN(s->conf->drain_time_s, max_s) * USEC_PER_SEC, on_done, arg);
}

bool serving_is_drained(const struct serving *s)
{
	return s->is_draining;
}

void serving_each(const struct serving *s, serving_fn fn, void *arg)
{
	for (size_t i = 0; i < s->plan.n; i++) {
		const struct serve_entry *e = &s->plan.v[i];
		const char *failure = e->status == SERVE_OK ? publish_status(s->publish, e->service) : serve_status_str(e->status);
		bool is_published = e->status == SERVE_OK && (!failure || !*failure);
		const char *reason = e->reason ? e->reason : e->health;

		if (e->status == SERVE_OK && s->is_draining)
			reason = DRAINED;
		else if (e->status == SERVE_OK && !is_published)
			reason = failure; /* the newest trouble */
		else if (!reason)
			reason = failure;
		fn(e, is_published, reason ? reason : "", arg);
	}
}

json_t *serving_named_ports(const struct conf *conf)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < conf->named_ports.n; i++) {
		const struct conf_named_port *p = &conf->named_ports.v[i];
		const char *protocol = p->protocol == IPPROTO_UDP ? "UDP" : p->protocol == IPPROTO_SCTP ? "SCTP" : "TCP";

		if (json_array_append_new(list, json_pack("{s:s, s:i, s:s}", "name", p->name, "port", p->port, "protocol",
							  protocol)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
