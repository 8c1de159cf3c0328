/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ssh_ports.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"

enum { COMM_MAX = 64, TCP_STATE_LISTEN = 10 };

struct listener {
	uint64_t inode;
	uint16_t port;
};

struct listeners {
	ARRAY(struct listener) list;
};

static void listeners_done(struct listeners *l)
{
	ARRAY_DONE(&l->list);
}
DEFINE_CLEANUP_DONE(struct listeners, listeners_done)

void ssh_ports_done(struct ssh_ports *p)
{
	ARRAY_DONE(&p->list);
}

static int add_port(struct ssh_ports *p, uint16_t port)
{
	size_t i = 0;
	int r;

	while (i < p->list.n && p->list.v[i] < port)
		i++;
	if (!port || (i < p->list.n && p->list.v[i] == port))
		return 0;
	r = ARRAY_ADD(&p->list, port);
	if (r < 0)
		return r;
	memmove(&p->list.v[i + 1], &p->list.v[i], (p->list.n - 1 - i) * sizeof(port));
	p->list.v[i] = port;
	return 0;
}

/* The kernel writes addresses as numbers of the machine, four bytes each. */
static bool is_loopback(const char *address)
{
	unsigned word;

	if (strlen(address) != 8)
		return strncmp(address, "000000000000000000000000", 24) == 0 && sscanf(address + 24, "%8x", &word) == 1 && ntohl(word) == 1;
	return sscanf(address, "%8x", &word) == 1 && ntohl(word) >> 24 == 127;
}

/* Of proc_net(5). */
static int read_listeners(const char *path, struct listeners *l)
{
	char line[512], address[33];
	FILE *f = fopen(path, "re");
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		struct listener one;
		unsigned port, state;

		if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*x %2x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu64, address, &port,
			   &state, &one.inode) != 4 ||
		    state != TCP_STATE_LISTEN || is_loopback(address))
			continue;
		one.port = (uint16_t)port;
		r = ARRAY_ADD(&l->list, one);
	}
	if (f)
		(void)fclose(f); /* was only read */
	return r;
}

static bool is_sshd(const char *dir)
{
	CLEANUP(free) char *path = str_printf("%s/comm", dir);
	CLEANUP(buf_done) struct buf name = {0};

	return path && file_read(path, COMM_MAX, &name) == 0 && name.len && str_eq(name.data, "sshd\n");
}

static int add_ports_of(const char *dir, const struct listeners *l, struct ssh_ports *p)
{
	CLEANUP(free) char *path = str_printf("%s/fd", dir);
	DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;
	int r = 0;

	while (d && r == 0 && (e = readdir(d))) {
		char target[64];
		uint64_t inode;
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (len < 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
			continue;
		for (size_t i = 0; r == 0 && i < l->list.n; i++)
			if (l->list.v[i].inode == inode)
				r = add_port(p, l->list.v[i].port);
	}
	if (d)
		(void)closedir(d); /* was only read */
	return path ? r : -ENOMEM;
}

int ssh_ports_of_processes(const char *proc, struct ssh_ports *p)
{
	static const char *const tables[] = {"tcp", "tcp6"};
	CLEANUP(listeners_done) struct listeners l = {0};
	DIR *d = opendir(proc);
	struct dirent *e;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++) {
		CLEANUP(free) char *path = str_printf("%s/net/%s", proc, tables[i]);

		r = path ? read_listeners(path, &l) : -ENOMEM;
	}
	while (d && r == 0 && (e = readdir(d))) {
		CLEANUP(free) char *dir = isdigit((unsigned char)e->d_name[0]) ? str_printf("%s/%s", proc, e->d_name) : NULL;

		if (dir && is_sshd(dir))
			r = add_ports_of(dir, &l, p);
	}
	if (d)
		(void)closedir(d); /* was only read */
	return r;
}

uint16_t ssh_port_of(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	uint64_t port;

	if (!colon || str_to_u64(colon + 1, UINT16_MAX, &port) < 0 || strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0)
		return 0;
	return (uint16_t)port;
}

static int add_ports_of_unit(sd_bus *bus, const char *path, struct ssh_ports *p)
{
	static const char service[] = "org.freedesktop.systemd1";
	sd_bus_message *list = NULL;
	const char *kind, *listen;
	char *state = NULL;
	int r = 0;

	if (sd_bus_get_property_string(bus, service, path, "org.freedesktop.systemd1.Unit", "ActiveState", NULL, &state) >= 0 &&
	    str_eq(state, "active") &&
	    sd_bus_get_property(bus, service, path, "org.freedesktop.systemd1.Socket", "Listen", NULL, &list, "a(ss)") >= 0 &&
	    sd_bus_message_enter_container(list, 'a', "(ss)") >= 0)
		while (r == 0 && sd_bus_message_read(list, "(ss)", &kind, &listen) > 0)
			r = str_eq(kind, "Stream") ? add_port(p, ssh_port_of(listen)) : 0;
	sd_bus_message_unref(list);
	free(state);
	return r;
}

int ssh_ports_of_systemd(struct ssh_ports *p)
{
	sd_bus *bus = NULL;
	int r = 0;

	if (sd_bus_open_system(&bus) >= 0) {
		r = add_ports_of_unit(bus, "/org/freedesktop/systemd1/unit/ssh_2esocket", p); /* Debian */
		if (r == 0)
			r = add_ports_of_unit(bus, "/org/freedesktop/systemd1/unit/sshd_2esocket", p);
	}
	sd_bus_flush_close_unref(bus);
	return r;
}
