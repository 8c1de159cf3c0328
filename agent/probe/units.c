/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/units.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-bus.h>
#include <utlist.h>

#include "base/backoff.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

#define SYSTEMD	   "org.freedesktop.systemd1"
#define MANAGER	   "/org/freedesktop/systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

struct unit {
	struct units *u;
	char *name;
	char *path;    /* on the bus */
	char *primary; /* path of the unit that the name is an alias of; NULL until known */
};

struct units_check {
	struct units *u;
	struct unit *unit;
	sd_bus_slot *slot;
	check_fn fn;
	void *arg;
	struct units_check *prev, *next;
};

struct units {
	struct loop *loop;
	sd_bus *bus; /* NULL = away */
	struct source *timer;
	struct backoff backoff;
	struct unit *v;
	size_t n;
	struct units_check *checks;
	void (*on_change)(const char *unit, void *arg);
	void *arg;
};

void units_check_cancel(struct units_check *c)
{
	if (!c)
		return;
	DL_DELETE(c->u->checks, c);
	sd_bus_slot_unref(c->slot); /* its callback will not run */
	free(c);
}

/* Not from a callback of the connection. */
static void disconnect(struct units *u)
{
	if (!u->bus)
		return;
	sd_bus_close_unref(u->bus);
	u->bus = NULL;
}

void units_free(struct units *u)
{
	struct units_check *c, *tmp;

	if (!u)
		return;
	DL_FOREACH_SAFE(u->checks, c, tmp)
		units_check_cancel(c);
	disconnect(u);
	source_free(u->timer);
	for (size_t i = 0; i < u->n; i++) {
		free(u->v[i].name);
		free(u->v[i].path);
		free(u->v[i].primary);
	}
	free(u->v);
	free(u);
}

/* Signals: they only say when to look; what is true is asked for. */

static int on_unit_signal(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct unit *unit = arg;

	(void)m;
	(void)error;
	unit->u->on_change(unit->name, unit->u->arg);
	return 0;
}

/* The daemon of systemd has read its units again: names may stand for others. */
static int on_reloading(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct units *u = arg;

	(void)m;
	(void)error;
	u->on_change(NULL, u->arg);
	return 0;
}

static void retry(struct units *u)
{
	uint64_t now = clock_boot_us();

	(void)source_arm(u->timer, backoff_next_us(&u->backoff, now), USEC_PER_SEC); /* a live timer */
}

static int on_disconnected(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct units *u = arg;

	(void)m;
	(void)error;
	log_event(LOG_INFO, "probe.bus", "the connection to the system bus is gone, trying again");
	retry(u); /* the timer disconnects: here the connection is in use */
	return 0;
}

/* Without it there are no signals; states are still asked for at each interval. */
static int on_subscribed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	(void)arg;
	(void)error;
	if (sd_bus_message_is_method_error(m, NULL))
		log_event(LOG_WARNING, "probe.bus", "systemd will not tell of changes of units, they are looked at in intervals",
			  F_ERRNO(-sd_bus_message_get_errno(m)));
	return 0;
}

static int match(struct units *u, const char *path, const char *interface, const char *member,
		 sd_bus_message_handler_t fn, void *arg)
{
	CLEANUP(buf_done) struct buf rule = {0};
	int r = buf_addf(&rule, "type='signal',path='%s',interface='%s',member='%s'", path, interface, member);

	/* Floating: it goes with the connection. */
	return r < 0 ? r : sd_bus_add_match_async(u->bus, NULL, rule.data, fn, NULL, arg);
}

static int subscribe(struct units *u)
{
	int r = match(u, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, u);

	if (r >= 0)
		r = match(u, MANAGER, SYSTEMD ".Manager", "Reloading", on_reloading, u);
	for (size_t i = 0; r >= 0 && i < u->n; i++) {
		r = match(u, u->v[i].path, PROPERTIES, "PropertiesChanged", on_unit_signal, &u->v[i]);
		if (r >= 0 && u->v[i].primary)
			r = match(u, u->v[i].primary, PROPERTIES, "PropertiesChanged", on_unit_signal, &u->v[i]);
	}
	if (r >= 0)
		r = sd_bus_call_method_async(u->bus, NULL, SYSTEMD, MANAGER, SYSTEMD ".Manager", "Subscribe", on_subscribed, u, "");
	return r;
}

static void connect_bus(void *arg)
{
	struct units *u = arg;
	struct units_check *c, *tmp;
	int r;

	DL_FOREACH_SAFE(u->checks, c, tmp) { /* of a connection that broke; their callers' time limit ends them */
		sd_bus_slot_unref(c->slot);
		c->slot = NULL;
	}
	disconnect(u);
	r = sd_bus_open_system(&u->bus);
	if (r >= 0)
		r = loop_attach_bus(u->loop, u->bus);
	if (r >= 0)
		r = subscribe(u);
	if (r < 0) {
		disconnect(u);
		retry(u);
		return;
	}
	u->on_change(NULL, u->arg);
}

int units_new(struct loop *loop, const struct strv *names, void (*on_change)(const char *unit, void *arg), void *arg,
	      struct units **ret)
{
	CLEANUP(units_free) struct units *u = calloc(1, sizeof(*u));
	int r = 0;

	if (!u)
		return -ENOMEM;
	u->loop = loop;
	u->on_change = on_change;
	u->arg = arg;
	u->v = calloc(names->n + 1, sizeof(*u->v));
	if (!u->v)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < names->n; i++) {
		struct unit *unit = &u->v[u->n++];

		unit->u = u;
		unit->name = strdup(names->v[i]);
		r = unit->name ? sd_bus_path_encode(MANAGER "/unit", unit->name, &unit->path) : -ENOMEM;
	}
	if (r >= 0)
		r = loop_add_timer(loop, connect_bus, u, &u->timer);
	if (r >= 0)
		r = source_arm(u->timer, 0, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(u);
	return 0;
}

/* Checks */

struct properties {
	const char *id, *load, *active;
};

/* Of all properties those that count; the strings are the message's. */
static int read_properties(sd_bus_message *m, struct properties *ret)
{
	int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
		const char *name = "", **at;

		r = sd_bus_message_read(m, "s", &name);
		at = str_eq(name, "Id")		   ? &ret->id
		     : str_eq(name, "LoadState")   ? &ret->load
		     : str_eq(name, "ActiveState") ? &ret->active : NULL;
		if (r >= 0)
			r = at ? sd_bus_message_read(m, "v", "s", at) : sd_bus_message_skip(m, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r < 0)
		return r;
	return ret->id && ret->load && ret->active ? 0 : -EBADMSG;
}

/* systemd sends signals of an alias from the unit that it stands for. */
static void follow_alias(struct unit *unit, const char *id)
{
	CLEANUP(free) char *path = NULL;

	if (sd_bus_path_encode(MANAGER "/unit", id, &path) < 0 || !path || str_eq(path, unit->path) ||
	    (unit->primary && str_eq(path, unit->primary)))
		return;
	if (match(unit->u, path, PROPERTIES, "PropertiesChanged", on_unit_signal, unit) < 0)
		return; /* out of memory: the intervals see it */
	free(unit->primary);
	unit->primary = TAKE_PTR(path);
}

static enum check_outcome outcome_of(const struct properties *p)
{
	static const struct {
		const char *state;
		enum check_outcome outcome;
	} states[] = {{"active", CHECK_OK}, {"reloading", CHECK_OK}, {"refreshing", CHECK_OK},
		      {"deactivating", CHECK_STOPPING}, {"inactive", CHECK_STOPPED}};

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (str_eq(p->active, states[i].state))
			return states[i].outcome;
	return CHECK_FAILED;
}

static int on_properties(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct units_check *c = arg;
	struct units *u = c->u;
	struct properties p = {0};
	enum check_outcome outcome = CHECK_UNKNOWN;
	check_fn fn = c->fn;
	void *fn_arg = c->arg;
	char text[160] = "";
	int r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : read_properties(m, &p);

	(void)error;
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "no answer from systemd: %s", err_name(r));
	} else {
		backoff_reset(&u->backoff);
		follow_alias(c->unit, p.id);
		outcome = outcome_of(&p);
		if (str_eq(p.load, "not-found"))
			(void)snprintf(text, sizeof(text), "there is no such unit");
		else if (outcome != CHECK_OK)
			(void)snprintf(text, sizeof(text), "%.32s", p.active);
	}
	units_check_cancel(c);
	fn(outcome, text, fn_arg);
	return 0;
}

int units_check_start(struct units *u, const char *unit, check_fn fn, void *arg, struct units_check **ret)
{
	struct units_check *c = NULL;
	int r = -ENOENT;

	if (!u->bus)
		return -ENOTCONN;
	for (size_t i = 0; i < u->n && !c; i++) {
		if (!str_eq(u->v[i].name, unit))
			continue;
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		*c = (struct units_check){.u = u, .unit = &u->v[i], .fn = fn, .arg = arg};
		DL_APPEND(u->checks, c);
		r = sd_bus_call_method_async(u->bus, &c->slot, SYSTEMD, u->v[i].path, PROPERTIES, "GetAll", on_properties, c,
					     "s", SYSTEMD ".Unit");
	}
	if (r < 0) {
		units_check_cancel(c);
		return r;
	}
	*ret = c;
	return 0;
}
