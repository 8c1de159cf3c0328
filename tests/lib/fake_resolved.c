/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_resolved.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fake_bus.h"

enum { TEXT_MAX = 4096, NAME_MAX_LEN = 300 };

#define RESOLVE1 "org.freedesktop.resolve1"

struct fake_resolved {
	struct fake_bus bus;
	sd_bus *client;
	const char *refusal;
	int is_forbidden, is_told;
	char told[TEXT_MAX], taken[TEXT_MAX];
};

/* The servers or domains of a call. */
static int read_list(sd_bus_message *m, const char *method, char *text, size_t size)
{
	int is_dns = strcmp(method, "SetLinkDNS") == 0;
	int r = sd_bus_message_enter_container(m, 'a', is_dns ? "(iay)" : "(sb)");
	size_t len = 0;

	text[0] = '\0';
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', is_dns ? "iay" : "sb")) > 0) {
		char address[INET6_ADDRSTRLEN] = "?";
		const void *bytes;
		const char *name;
		size_t n;
		int first, flag = 0;

		if (is_dns) {
			r = sd_bus_message_read(m, "i", &first);
			if (r >= 0)
				r = sd_bus_message_read_array(m, 'y', &bytes, &n);
			if (r >= 0 && n == (first == AF_INET ? 4 : 16))
				(void)inet_ntop(first, bytes, address, sizeof(address));
			name = address;
		} else {
			r = sd_bus_message_read(m, "sb", &name, &flag);
		}
		if (r < 0)
			return r;
		len += (size_t)snprintf(text + len, size - len, is_dns ? " %s" : " %s:%d", name, flag);
		r = len >= size ? -E2BIG : sd_bus_message_exit_container(m);
	}
	return r;
}

static int read_value(sd_bus_message *m, const char *method, char *text, size_t size)
{
	const char *value;
	int flag, r;

	if (strcmp(method, "SetLinkDNS") == 0 || strcmp(method, "SetLinkDomains") == 0)
		return read_list(m, method, text, size);
	if (strcmp(method, "SetLinkDefaultRoute") == 0) {
		r = sd_bus_message_read(m, "b", &flag);
		(void)snprintf(text, size, " %d", flag);
		return r;
	}
	r = sd_bus_message_read(m, "s", &value);
	if (r >= 0)
		(void)snprintf(text, size, " %s", value);
	return r;
}

static int on_call(struct fake_resolved *f, sd_bus_message *m)
{
	const char *method = sd_bus_message_get_member(m);
	char text[NAME_MAX_LEN] = "";
	size_t len = strlen(f->told);
	int ifindex, r = sd_bus_message_read(m, "i", &ifindex);

	if (r >= 0)
		r = read_value(m, method, text, sizeof(text));
	if (r < 0)
		return sd_bus_reply_method_errorf(m, "org.freedesktop.DBus.Error.InvalidArgs", "%s: %d", method, r);
	(void)snprintf(f->told + len, sizeof(f->told) - len, "%s %d%s\n", method, ifindex, text);
	if (f->is_forbidden && strcmp(method, "SetLinkDNS") == 0)
		return sd_bus_reply_method_errorf(m, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Interactive authentication required.");
	if (f->refusal && strcmp(method, "SetLinkDNS") == 0)
		return sd_bus_reply_method_errorf(m, RESOLVE1 ".LinkBusy", "%s", f->refusal);
	return sd_bus_reply_method_return(m, "");
}

/* The servers of a link. */
static int on_get(struct fake_resolved *f, sd_bus_message *m)
{
	return f->is_told ? sd_bus_reply_method_return(m, "v", "a(iay)", 1, AF_INET, 4, 198, 18, 53, 53) :
			    sd_bus_reply_method_return(m, "v", "a(iay)", 0);
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct fake_resolved *f = arg;
	int r = 0;

	(void)error;
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
		r = on_get(f, m);
	else if (sd_bus_message_is_method_call(m, RESOLVE1 ".Manager", NULL))
		r = on_call(f, m);
	else
		return 0;
	return r < 0 ? r : 1;
}

static int on_client(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct fake_resolved *f = arg;
	sd_bus *client;
	int r = fake_bus_accept(&f->bus, on_message, f, &client);

	(void)s;
	(void)fd;
	(void)events;
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	fake_resolved_drop(f);
	f->client = client;
	return 0;
}

int fake_resolved_new(const char *path, struct fake_resolved **ret)
{
	struct fake_resolved *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = fake_bus_init(&f->bus, path, on_client, f);
	if (r < 0) {
		fake_resolved_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void fake_resolved_free(struct fake_resolved *f)
{
	if (!f)
		return;
	fake_resolved_drop(f);
	fake_bus_done(&f->bus);
	free(f);
}

const char *fake_resolved_take(struct fake_resolved *f)
{
	memcpy(f->taken, f->told, sizeof(f->taken));
	f->told[0] = '\0';
	return f->taken;
}

void fake_resolved_refuse(struct fake_resolved *f, const char *why)
{
	f->refusal = why;
}

void fake_resolved_forbid(struct fake_resolved *f, int is_told)
{
	f->is_forbidden = 1;
	f->is_told = is_told;
}

void fake_resolved_announce(struct fake_resolved *f, int is_there)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(f->client, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged");

	if (r >= 0)
		r = sd_bus_message_append(m, "sss", RESOLVE1, is_there ? "" : ":1.9", is_there ? ":1.9" : "");
	if (r >= 0)
		r = sd_bus_message_set_sender(m, "org.freedesktop.DBus");
	if (r >= 0)
		r = sd_bus_send(f->client, m, NULL);
	sd_bus_message_unref(m);
	if (r < 0)
		abort();
}

void fake_resolved_drop(struct fake_resolved *f)
{
	sd_bus_close_unref(f->client);
	f->client = NULL;
}

void fake_resolved_run(struct fake_resolved *f, unsigned timeout_ms)
{
	fake_bus_run(&f->bus, timeout_ms);
}
