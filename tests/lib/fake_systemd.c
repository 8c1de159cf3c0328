/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_systemd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_bus.h"

enum { UNITS_MAX = 8, CLIENTS_MAX = 8 };

#define UNIT_PATH "/org/freedesktop/systemd1/unit"
#define JOB_PATH  "/org/freedesktop/systemd1/job"
#define UNIT	  "org.freedesktop.systemd1.Unit"

struct unit {
	char name[64], id[64], state[32], job[32];
};

struct fake_systemd {
	struct fake_bus bus;
	sd_bus *clients[CLIENTS_MAX];
	bool is_subscribed[CLIENTS_MAX];
	bool is_hanging;
	struct unit units[UNITS_MAX];
	size_t n_units;
	unsigned questions;
};

static struct unit *find(struct fake_systemd *f, const char *name)
{
	for (size_t i = 0; i < f->n_units; i++)
		if (strcmp(f->units[i].name, name) == 0)
			return &f->units[i];
	return NULL;
}

static struct unit *make(struct fake_systemd *f, const char *name)
{
	struct unit *u = find(f, name);

	if (u || f->n_units == UNITS_MAX)
		return u;
	u = &f->units[f->n_units++];
	(void)snprintf(u->name, sizeof(u->name), "%s", name);
	(void)snprintf(u->id, sizeof(u->id), "%s", name);
	(void)snprintf(u->state, sizeof(u->state), "inactive");
	return u;
}

static int append_text(sd_bus_message *m, const char *name, const char *value)
{
	return sd_bus_message_append(m, "{sv}", name, "s", value);
}

/* Properties as systemd has them: those that count are among others, of all types. */
static int reply_properties(struct fake_systemd *f, sd_bus_message *call)
{
	char *name = NULL;
	int r = sd_bus_path_decode(sd_bus_message_get_path(call), UNIT_PATH, &name);
	struct unit *u = r > 0 ? find(f, name) : NULL;
	struct unit *real = u ? find(f, u->id) : NULL;
	sd_bus_message *m = NULL;

	f->questions++;
	r = sd_bus_message_new_method_return(call, &m);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = append_text(m, "Id", real ? real->id : name ? name : "");
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}", "Names", "as", 2, "a", "b");
	if (r >= 0)
		r = append_text(m, "LoadState", real ? "loaded" : "not-found");
	if (r >= 0)
		r = append_text(m, "ActiveState", real ? real->state : "inactive");
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}", "Job", "(uo)", 0, "/");
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}", "ActiveEnterTimestamp", "t", UINT64_C(5));
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_send(NULL, m, NULL);
	sd_bus_message_unref(m);
	free(name);
	return r;
}

/* What is asked for by itself: the job of a unit, which has a number, and its type; the paths of both end in the unit's name. */
static int reply_property(struct fake_systemd *f, sd_bus_message *call)
{
	const char *path = sd_bus_message_get_path(call), *property = "";
	char *name = NULL, *job = NULL;
	struct unit *u;
	int r = sd_bus_message_read(call, "ss", NULL, &property);

	if (sd_bus_path_decode(path, UNIT_PATH, &name) == 0)
		(void)sd_bus_path_decode(path, JOB_PATH, &name); /* then it has no unit, either */
	u = name ? find(f, name) : NULL;
	if (r >= 0 && strcmp(property, "Job") == 0) {
		bool has_job = u && *u->job;

		r = has_job ? sd_bus_path_encode(JOB_PATH, name, &job) : 0;
		if (r >= 0)
			r = sd_bus_reply_method_return(call, "v", "(uo)", has_job, job ? job : "/");
	} else if (r >= 0) {
		r = sd_bus_reply_method_return(call, "v", "s", u && strcmp(property, "JobType") == 0 ? u->job : "");
	}
	free(name);
	free(job);
	return r;
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake_systemd *f = arg;
	int r = 0;

	(void)error;
	if (f->is_hanging)
		return 1;
	if (sd_bus_message_is_method_call(m, NULL, "GetAll"))
		r = reply_properties(f, m);
	else if (sd_bus_message_is_method_call(m, NULL, "Get"))
		r = reply_property(f, m);
	else if (sd_bus_message_is_method_call(m, NULL, "Subscribe")) {
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			f->is_subscribed[i] |= f->clients[i] == sd_bus_message_get_bus(m);
		r = sd_bus_reply_method_return(m, "");
	} else
		return 0;
	return r < 0 ? r : 1;
}

static int on_client(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct fake_systemd *f = arg;
	size_t i = 0;
	sd_bus *client;
	int r = fake_bus_accept(&f->bus, on_message, f, &client);

	(void)s;
	(void)fd;
	(void)events;
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	while (i < CLIENTS_MAX && f->clients[i] && sd_bus_is_open(f->clients[i]) > 0)
		i++;
	if (i == CLIENTS_MAX) {
		sd_bus_close_unref(client);
		return 0;
	}
	sd_bus_close_unref(f->clients[i]);
	f->clients[i] = client;
	f->is_subscribed[i] = false;
	return 0;
}

int fake_systemd_new(const char *path, struct fake_systemd **ret)
{
	struct fake_systemd *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = fake_bus_init(&f->bus, path, on_client, f);
	if (r < 0) {
		fake_systemd_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void fake_systemd_drop(struct fake_systemd *f)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		sd_bus_close_unref(f->clients[i]);
		f->clients[i] = NULL;
		f->is_subscribed[i] = false;
	}
}

void fake_systemd_free(struct fake_systemd *f)
{
	if (!f)
		return;
	fake_systemd_drop(f);
	fake_bus_done(&f->bus);
	free(f);
}

int fake_systemd_set(struct fake_systemd *f, const char *unit, const char *active_state)
{
	struct unit *u = make(f, unit);
	char *path = NULL;
	int r = u ? sd_bus_path_encode(UNIT_PATH, unit, &path) : -ENOSPC;

	if (r < 0)
		return r;
	(void)snprintf(u->state, sizeof(u->state), "%s", active_state);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (f->clients[i] && f->is_subscribed[i])
			(void)sd_bus_emit_signal(f->clients[i], path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
						 "sa{sv}as", UNIT, 1, "ActiveState", "s", active_state, 0);
	free(path);
	return 0;
}

int fake_systemd_job(struct fake_systemd *f, const char *unit, const char *type)
{
	struct unit *u = make(f, unit);

	if (!u)
		return -ENOSPC;
	(void)snprintf(u->job, sizeof(u->job), "%s", type);
	return 0;
}

int fake_systemd_alias(struct fake_systemd *f, const char *alias, const char *unit)
{
	struct unit *u = make(f, alias);

	if (!u)
		return -ENOSPC;
	(void)snprintf(u->id, sizeof(u->id), "%s", unit);
	return 0;
}

void fake_systemd_hang(struct fake_systemd *f, int is_hanging)
{
	f->is_hanging = is_hanging;
}

unsigned fake_systemd_questions(const struct fake_systemd *f)
{
	return f->questions;
}

void fake_systemd_run(struct fake_systemd *f, unsigned timeout_ms)
{
	fake_bus_run(&f->bus, timeout_ms);
}
