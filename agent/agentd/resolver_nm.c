/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_nm.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"

#define NM	 "org.freedesktop.NetworkManager"
#define NM_PATH	 "/org/freedesktop/NetworkManager"
#define ID	 "mesh-external-agent"
#define UUID	 "6d657368-2d65-4174-9e61-6c2d6167656e" /* ours, the same on every host */
#define PRIORITY 10 /* VPNs have 50, others 100: the smallest comes first; a negative one would push all others out */

enum { CALL_S = 20 };

struct bus {
	sd_bus *b;
	sd_bus_message *reply;
	sd_bus_error error;
};

static void bus_done(struct bus *bus)
{
	sd_bus_error_free(&bus->error);
	sd_bus_message_unref(bus->reply);
	sd_bus_close_unref(bus->b);
}
DEFINE_CLEANUP_DONE(struct bus, bus_done)

static int complain(const struct bus *bus, int r, const char *what, struct err *reterr)
{
	return err_set(reterr, -r, "NetworkManager: cannot %s: %.300s", what, bus->error.message ? bus->error.message : err_name(r));
}

/* 1 if it runs; it is not started for this. */
static int open_bus(struct bus *bus)
{
	int r = sd_bus_open_system(&bus->b);

	if (r < 0)
		return r;
	(void)sd_bus_set_method_call_timeout(bus->b, CALL_S * USEC_PER_SEC); /* a default is there */
	r = sd_bus_call_method(bus->b, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
			       &bus->error, &bus->reply, "s", NM);
	if (r >= 0) {
		int is_there = 0;

		r = sd_bus_message_read(bus->reply, "b", &is_there);
		r = r < 0 ? r : is_there;
	}
	bus->reply = sd_bus_message_unref(bus->reply);
	return r;
}

/* The path of our connection, below `bus->reply`; 0 if there is none. */
static int find(struct bus *bus, const char **ret_path)
{
	int r = sd_bus_call_method(bus->b, NM, NM_PATH "/Settings", NM ".Settings", "GetConnectionByUuid", &bus->error, &bus->reply, "s",
				   UUID);

	if (r < 0) {
		if (!sd_bus_error_has_name(&bus->error, NM ".Settings.InvalidConnection"))
			return r;
		sd_bus_error_free(&bus->error);
		return 0;
	}
	r = sd_bus_message_read(bus->reply, "o", ret_path);
	return r < 0 ? r : 1;
}

static int is_active(struct bus *bus)
{
	CLEANUP(bus_done) struct bus inner = {0};
	sd_bus_message *m = NULL;
	const char *path;
	bool is_found = false;
	int r = sd_bus_get_property(bus->b, NM, NM_PATH, NM, "ActiveConnections", &bus->error, &m, "ao");

	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "o");
	while (r >= 0 && !is_found && (r = sd_bus_message_read(m, "o", &path)) > 0) {
		CLEANUP(free) char *uuid = NULL;

		if (sd_bus_get_property_string(bus->b, NM, path, NM ".Connection.Active", "Uuid", &inner.error, &uuid) >= 0)
			is_found = str_eq(uuid, UUID);
		sd_bus_error_free(&inner.error); /* one that is gone by now */
	}
	sd_bus_message_unref(m);
	return r < 0 ? r : is_found;
}

/* One section of a connection, its values given as to sd_bus_message_append(). */
static int add_section(sd_bus_message *m, const char *name, const char *types, ...)
{
	va_list values;
	int r = sd_bus_message_open_container(m, 'e', "sa{sv}");

	va_start(values, types);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_appendv(m, types, values);
	va_end(values);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* With "~" before them they are routed, and not searched. */
static int add_domains(sd_bus_message *m, const struct strv *domains)
{
	int r = sd_bus_message_open_container(m, 'e', "sv");

	if (r >= 0)
		r = sd_bus_message_append(m, "s", "dns-search");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	for (size_t i = 0; r >= 0 && i < domains->n; i++) {
		CLEANUP(free) char *routed = str_printf("~%s", domains->v[i]);

		r = routed ? sd_bus_message_append(m, "s", routed) : -ENOMEM;
	}
	for (int i = 0; r >= 0 && i < 3; i++)
		r = sd_bus_message_close_container(m);
	return r;
}

static int add_ipv4(sd_bus_message *m, const struct ip *server, const struct strv *domains)
{
	char address[IP_STRLEN];
	uint32_t dns;
	int r = sd_bus_message_open_container(m, 'e', "sa{sv}");

	(void)ip_str(server, address);
	(void)inet_pton(AF_INET, address, &dns); /* a legal address of IPv4 */
	if (r >= 0)
		r = sd_bus_message_append(m, "s", "ipv4");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}", "method", "s", "manual", "address-data", "aa{sv}", 1, 2, "address", "s",
					  address, "prefix", "u", (uint32_t)32, "dns", "au", 1, dns, "dns-priority", "i", PRIORITY,
					  "never-default", "b", 1);
	if (r >= 0)
		r = add_domains(m, domains);
	for (int i = 0; r >= 0 && i < 2; i++)
		r = sd_bus_message_close_container(m);
	return r;
}

static int add_connection(sd_bus_message *m, const char *device, const struct ip *server, const struct strv *domains)
{
	int r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");

	if (r >= 0)
		r = add_section(m, "connection", "a{sv}", 5, "id", "s", ID, "uuid", "s", UUID, "type", "s", "dummy", "interface-name", "s",
				device, "autoconnect", "b", 0);
	if (r >= 0)
		r = add_section(m, "dummy", "a{sv}", 0);
	if (r >= 0)
		r = add_ipv4(m, server, domains);
	if (r >= 0)
		r = add_section(m, "ipv6", "a{sv}", 1, "method", "s", "disabled");
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int activate(struct bus *bus, const char *device, const struct ip *server, const struct strv *domains)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus->b, &m, NM, NM_PATH, NM, "AddAndActivateConnection2");

	if (r >= 0)
		r = add_connection(m, device, server, domains);
	if (r >= 0)
		r = sd_bus_message_append(m, "ooa{sv}", "/", "/", 1, "persist", "s", "volatile");
	if (r >= 0)
		r = sd_bus_call(bus->b, m, CALL_S * USEC_PER_SEC, &bus->error, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int delete_connection(struct bus *bus)
{
	const char *path;
	int r = find(bus, &path);

	if (r > 0)
		r = sd_bus_call_method(bus->b, NM, path, NM ".Settings.Connection", "Delete", &bus->error, NULL, "");
	return r < 0 ? r : r > 0;
}

int resolver_nm_take(const char *device, const struct ip *server, const struct strv *domains, struct err *reterr)
{
	CLEANUP(bus_done) struct bus bus = {0};
	int r = open_bus(&bus);

	if (r == 0)
		return err_set(reterr, ENOENT, "NetworkManager does not run");
	if (r < 0)
		return complain(&bus, r, "be asked", reterr);
	r = is_active(&bus);
	if (r > 0)
		return 0;
	if (r >= 0)
		r = delete_connection(&bus); /* of an earlier attempt */
	if (r >= 0)
		r = activate(&bus, device, server, domains);
	return r < 0 ? complain(&bus, r, "activate a connection for the agent", reterr) : 1;
}

int resolver_nm_give_back(struct err *reterr)
{
	CLEANUP(bus_done) struct bus bus = {0};
	int r = open_bus(&bus);

	if (r <= 0)
		return 0; /* the connection went with it */
	r = delete_connection(&bus);
	return r < 0 ? complain(&bus, r, "delete the connection of the agent", reterr) : r > 0;
}
