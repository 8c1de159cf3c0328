/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolved.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/macro.h"
#include "netlink/nl_dummy.h"

enum { RETRY_S = 30, SOON_S = 3 };

#define RESOLVE1 "org.freedesktop.resolve1"
#define PATH	 "/org/freedesktop/resolve1"
#define CHANGED                                                                                                        \
	"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" RESOLVE1 "'"
#define BROKEN "type='signal',path='/org/freedesktop/DBus/Local',interface='org.freedesktop.DBus.Local',member='Disconnected'"

struct resolved {
	struct resolved_setup s;
	sd_bus *bus; /* NULL = away */
	struct source *retry;
	bool is_told, was_refused, was_asked;
	char why[256]; /* the last answer that it could not be told */
};

int resolved_link_make(struct ip *ret_ip, int *ret_ifindex, struct err *reterr)
{
	int r;

	(void)ip_parse(RESOLVED_ADDRESS, ret_ip); /* a legal address */
	r = nl_dummy_make(RESOLVED_DEVICE, RESOLVED_ALIAS, ret_ip, ret_ifindex);
	return r < 0 ? err_set(reterr, -r, "cannot make the device %s: %s", RESOLVED_DEVICE, err_name(r)) : 0;
}

int resolved_link_remove(void)
{
	return nl_dummy_remove(RESOLVED_DEVICE, RESOLVED_ALIAS);
}

static void retry_in(struct resolved *d, unsigned seconds)
{
	(void)source_arm(d->retry, seconds * USEC_PER_SEC, seconds * USEC_PER_SEC / 10); /* a live timer */
}

static void retry_later(struct resolved *d)
{
	retry_in(d, RETRY_S);
}

static void say_failed(struct resolved *d, const char *why)
{
	struct err err;

	(void)err_set(&err, EIO, "systemd-resolved does not ask the agent for the names of the cluster: %.300s", why); /* the text is what counts */
	health_raise(d->s.health, HEALTH_WARNING, "dns.resolved", err.text,
		     "see: systemctl status systemd-resolved; is polkit there? Or set dns.host-resolver = \"off\" in the configuration");
}

static void note_told(struct resolved *d)
{
	d->is_told = true;
	health_clear(d->s.health, "dns.resolved");
}

/* The servers of the link, in a variant: is ours among them? */
static bool has_our_server(const struct resolved *d, sd_bus_message *m)
{
	bool is_found = false;
	int r = sd_bus_message_enter_container(m, 'v', "a(iay)");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(iay)");
	while (r >= 0 && !is_found && (r = sd_bus_message_enter_container(m, 'r', "iay")) > 0) {
		const void *bytes;
		size_t n;
		int family;

		r = sd_bus_message_read(m, "i", &family);
		if (r >= 0)
			r = sd_bus_message_read_array(m, 'y', &bytes, &n);
		is_found = r >= 0 && family == d->s.ip.family && n == ip_len(&d->s.ip) && memcmp(bytes, d->s.ip.b, n) == 0;
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return is_found;
}

static int tell(struct resolved *d);

/* We could not tell it; perhaps somebody who may has told it. */
static int on_checked(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct resolved *d = arg;
	bool is_first = !d->was_refused;

	(void)error;
	if (!sd_bus_message_get_error(m) && has_our_server(d, m)) {
		note_told(d);
		return 0;
	}
	if (d->s.is_asking && !d->was_asked) {
		d->was_asked = true;
		if (tell(d) >= 0)
			return 0;
	}
	d->was_refused = true;
	if (d->s.on_refused)
		d->s.on_refused(d->s.arg);
	if (!is_first || !d->s.on_refused)
		say_failed(d, d->why);
	retry_in(d, is_first ? SOON_S : RETRY_S);
	return 0;
}

static int check(struct resolved *d)
{
	CLEANUP(free) char *path = NULL;
	char number[16];
	int r;

	(void)snprintf(number, sizeof(number), "%d", d->s.ifindex); /* fits */
	r = sd_bus_path_encode(PATH "/link", number, &path);
	return r < 0 ? r : sd_bus_call_method_async(d->bus, NULL, RESOLVE1, path, "org.freedesktop.DBus.Properties", "Get", on_checked, d, "ss",
						    RESOLVE1 ".Link", "DNS");
}

/* The last of the calls: what it needs was said before it. */
static int on_told(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct resolved *d = arg;
	const sd_bus_error *e = sd_bus_message_get_error(m);

	(void)error;
	if (!e) {
		note_told(d);
		return 0;
	}
	(void)snprintf(d->why, sizeof(d->why), "%s", e->message ? e->message : e->name); /* may be cut */
	if (check(d) >= 0)
		return 0;
	say_failed(d, d->why);
	retry_later(d);
	return 0;
}

/* Begins a call about our link. Nobody is started for it. */
static int begin(struct resolved *d, const char *method, sd_bus_message **ret)
{
	int r = sd_bus_message_new_method_call(d->bus, ret, RESOLVE1, PATH, RESOLVE1 ".Manager", method);

	if (r >= 0)
		r = sd_bus_message_set_auto_start(*ret, 0);
	return r < 0 ? r : sd_bus_message_append(*ret, "i", d->s.ifindex);
}

/* One value of our link, given as to sd_bus_message_append(). Nobody waits for the answer. */
static int tell_value(struct resolved *d, const char *method, const char *types, ...)
{
	sd_bus_message *m = NULL;
	int r = begin(d, method, &m);
	va_list values;

	va_start(values, types);
	if (r >= 0)
		r = sd_bus_message_appendv(m, types, values);
	va_end(values);
	if (r >= 0)
		r = sd_bus_send(d->bus, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int tell_server(struct resolved *d)
{
	sd_bus_message *m = NULL;
	int r = begin(d, "SetLinkDNS", &m);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(iay)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'r', "iay");
	if (r >= 0)
		r = sd_bus_message_append(m, "i", (int)d->s.ip.family);
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', d->s.ip.b, ip_len(&d->s.ip));
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_call_async(d->bus, NULL, m, on_told, d, 0);
	sd_bus_message_unref(m);
	return r;
}

/* They are routed to the link, and no others. */
static int tell_domains(struct resolved *d)
{
	sd_bus_message *m = NULL;
	int r = begin(d, "SetLinkDomains", &m);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sb)");
	for (size_t i = 0; r >= 0 && i < d->s.domains->n; i++)
		r = sd_bus_message_append(m, "(sb)", d->s.domains->v[i], 1);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_send(d->bus, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

/* The server comes last: before that the link is of no use to anyone, so no name goes astray. */
static int tell(struct resolved *d)
{
	static const char *const without[] = {"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS", "SetLinkDNSSEC"};
	int r = tell_domains(d);

	if (r >= 0)
		r = tell_value(d, "SetLinkDefaultRoute", "b", 0); /* older ones than 240 do not know it, nor need it */
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(without); i++)
		r = tell_value(d, without[i], "s", "no");
	return r < 0 ? r : tell_server(d);
}

static void disconnect(struct resolved *d)
{
	sd_bus_close_unref(d->bus);
	d->bus = NULL;
}

static int on_changed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *name, *old, *now;
	struct resolved *d = arg;

	(void)error;
	if (sd_bus_message_read(m, "sss", &name, &old, &now) < 0)
		return 0;
	d->is_told = false;
	if (!*now || tell(d) < 0)
		retry_later(d); /* usually it is back by then */
	return 0;
}

static int on_broken(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	(void)m;
	(void)error;
	retry_later(arg); /* not closed within its own callback */
	return 0;
}

static void connect_bus(void *arg)
{
	struct resolved *d = arg;
	int r;

	disconnect(d);
	r = sd_bus_open_system(&d->bus);
	if (r >= 0)
		r = loop_attach_bus(d->s.loop, d->bus);
	if (r >= 0) /* floating, as the next: they go with the connection */
		r = sd_bus_add_match_async(d->bus, NULL, CHANGED, on_changed, NULL, d);
	if (r >= 0)
		r = sd_bus_add_match_async(d->bus, NULL, BROKEN, on_broken, NULL, d);
	if (r >= 0)
		r = d->s.is_asking && !d->was_asked ? check(d) : tell(d);
	if (r >= 0)
		return;
	disconnect(d);
	say_failed(d, "the system bus does not answer");
	retry_later(d);
}

int resolved_new(const struct resolved_setup *setup, struct resolved **ret)
{
	CLEANUP(resolved_free) struct resolved *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->s = *setup;
	r = loop_add_timer(setup->loop, connect_bus, d, &d->retry);
	if (r < 0)
		return r;
	connect_bus(d);
	*ret = TAKE_PTR(d);
	return 0;
}

bool resolved_is_told(const struct resolved *r)
{
	return r->is_told;
}

void resolved_free(struct resolved *d)
{
	if (!d)
		return;
	disconnect(d);
	source_free(d->retry);
	health_clear(d->s.health, "dns.resolved");
	free(d);
}
