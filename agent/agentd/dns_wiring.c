/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/dns_wiring.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"

enum { SERVERS_MAX = 16, PATH_LEN = 512, FILES_MAX = 1024 };

#define HOST_FILE     "/etc/resolv.conf"
#define RESOLVED_FILE "/run/systemd/resolve/resolv.conf"
#define RESOLVED_LINKS "/run/systemd/resolve/netif"

struct where {
	const char *root;
	const struct ip *listen;
	size_t n;
};

static bool is_agent(const struct where *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->n; i++)
		if (ip_eq(&w->listen[i], ip))
			return true;
	return false;
}

/* The name servers of a file; -errno if it cannot be read. */
static int read_servers(const struct where *w, const char *path, struct ip v[SERVERS_MAX])
{
	CLEANUP(buf_done) struct buf text = {0};
	char full[PATH_LEN], address[IP_STRLEN], *save, *line;
	int r, n = 0;

	(void)snprintf(full, sizeof(full), "%s%s", w->root, path); /* a cut name is no file */
	r = file_read(full, LIMIT_CONFIG_BYTES, &text);
	if (r < 0)
		return r;
	for (line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (n < SERVERS_MAX && sscanf(line, " nameserver %45s", address) == 1 && ip_parse(address, &v[n]) == 0)
			n++;
	return n;
}

/*
 * Whether a line KEY=... of the file holds the agent's address, as "127.18.53.53", with a port behind it, or
 * with a name.
 */
static bool names_agent(const struct where *w, const char *path, const char *key)
{
	CLEANUP(buf_done) struct buf text = {0};
	char *save, *line, *more, *word, address[IP_STRLEN];
	size_t len = strlen(key);

	if (file_read(path, LIMIT_CONFIG_BYTES, &text) < 0 || !text.data)
		return false; /* gone, or not ours to read */
	for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, key, len) != 0)
			continue;
		for (word = strtok_r(line + len, " \t", &more); word; word = strtok_r(NULL, " \t", &more)) {
			struct ip ip;

			word += *word == '[';
			if (sscanf(word, "%45[0-9a-fA-F.:]", address) != 1)
				continue;
			if (ip_parse(address, &ip) < 0 && strchr(address, '.')) /* an IPv4 address with a port */
				address[strcspn(address, ":")] = '\0';
			if (ip_parse(address, &ip) == 0 && is_agent(w, &ip))
				return true;
		}
	}
	return false;
}

/* The links of systemd-resolved are for itself and root to read. */
static bool is_secret(const struct where *w, const char *dir)
{
	char full[PATH_LEN];

	(void)snprintf(full, sizeof(full), "%s%s", w->root, dir); /* as above */
	return access(full, R_OK) < 0 && errno == EACCES;
}

/* Whether some file of the directory, with that end of its name, does. */
static bool is_named_in(const struct where *w, const char *dir, const char *suffix, const char *key)
{
	char full[PATH_LEN], path[PATH_LEN + 300];
	const struct dirent *e;
	bool is_found = false;
	DIR *d;

	(void)snprintf(full, sizeof(full), "%s%s", w->root, dir); /* as above */
	d = opendir(full);
	for (int i = 0; d && !is_found && i < FILES_MAX && (e = readdir(d)); i++) {
		size_t len = strlen(e->d_name), end = strlen(suffix);

		if (e->d_name[0] == '.' || len < end || strcmp(e->d_name + len - end, suffix) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", full, e->d_name); /* as above */
		is_found = names_agent(w, path, key);
	}
	if (d)
		(void)closedir(d); /* was only read */
	return is_found;
}

static void set(struct dns_wiring *ret, enum dns_wiring_state state, const char *method, const char *text)
{
	*ret = (struct dns_wiring){.state = state, .method = method};
	(void)snprintf(ret->text, sizeof(ret->text), "%s", text); /* all fit */
}

/* /etc/resolv.conf names the stub of systemd-resolved. */
static void look_behind_stub(const struct where *w, struct dns_wiring *ret)
{
	struct ip v[SERVERS_MAX];
	int n = read_servers(w, RESOLVED_FILE, v);

	if (is_named_in(w, "/run/systemd/dns-delegate.d", ".dns-delegate", "DNS=") ||
	    is_named_in(w, "/etc/systemd/dns-delegate.d", ".dns-delegate", "DNS=")) {
		set(ret, DNS_WIRING_OK, "systemd-resolved", "systemd-resolved asks the agent for the names of a delegate");
		return;
	}
	if (is_named_in(w, RESOLVED_LINKS, "", "SERVERS=")) {
		set(ret, DNS_WIRING_OK, "systemd-resolved", "systemd-resolved asks the agent for the names of a link");
		return;
	}
	for (int i = 0; i < n; i++)
		if (is_agent(w, &v[i])) {
			set(ret, DNS_WIRING_OK, "systemd-resolved", "systemd-resolved asks the agent, among others");
			return;
		}
	if (n >= 0 && is_secret(w, RESOLVED_LINKS))
		set(ret, DNS_WIRING_UNKNOWN, "none", "systemd-resolved does not tell whom it asks for the names of a link");
	else if (n < 0)
		set(ret, DNS_WIRING_UNKNOWN, "none",
		    HOST_FILE " names a resolver on this host, and whom that asks is not known here");
	else
		set(ret, DNS_WIRING_OFF, "none",
		    "systemd-resolved does not ask the agent: names of the cluster are not known to programs");
}

void dns_wiring_read(const char *root, const struct ip *listen, size_t n, struct dns_wiring *ret)
{
	const struct where w = {.root = root, .listen = listen, .n = n};
	struct ip v[SERVERS_MAX];
	int n_servers = read_servers(&w, HOST_FILE, v), agent = -1;
	char text[IP_STRLEN];

	for (int i = n_servers - 1; i >= 0; i--)
		if (is_agent(&w, &v[i]))
			agent = i;
	if (n_servers < 0)
		set(ret, DNS_WIRING_UNKNOWN, "none", HOST_FILE " cannot be read");
	else if (n_servers == 0)
		set(ret, DNS_WIRING_OFF, "none", HOST_FILE " names no server");
	else if (agent == 0)
		set(ret, DNS_WIRING_OK, "resolv.conf", HOST_FILE " names the agent: it is asked for every name");
	else if (agent > 0)
		set(ret, DNS_WIRING_OFF, "resolv.conf",
		    HOST_FILE " names the agent, but not first: it is asked only when another does not answer");
	else if (ip_is_loopback(&v[0]))
		look_behind_stub(&w, ret);
	else {
		*ret = (struct dns_wiring){.state = DNS_WIRING_OFF, .method = "none"};
		(void)snprintf(ret->text, sizeof(ret->text),
			       HOST_FILE " names %s, not the agent: names of the cluster are not known to programs",
			       ip_str(&v[0], text)); /* fits */
	}
}
