/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/preflight.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/cilium_config.h"
#include "recon/recon_net.h"

enum { ALIAS_MAX = 4096 };

int preflight_add(json_t *rows, const char *check, enum preflight_state state, const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warning", "failed"};
	char detail[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	return json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "check", check, "state", names[state], "detail", detail)) < 0 ? -ENOMEM
																  : 0;
}

static int add_server(json_t *rows, const struct join_session *s)
{
	long long skew_s;
	int r;

	if (!s)
		return 0; /* the failure itself is reported with its own exit code */
	r = preflight_add(rows, "API server", PREFLIGHT_OK, "%s, verified, accepts the token", kube_client_server(s->client));
	skew_s = s->skew_s > 0 ? s->skew_s : -s->skew_s;
	if (r < 0)
		return r;
	return preflight_add(rows, "clock", skew_s > JOIN_SKEW_WARN_S ? PREFLIGHT_WARN : PREFLIGHT_OK, "%lld s from the API server's", skew_s);
}

static bool is_enrolled(const struct join_token *t, const struct ip *ip)
{
	for (size_t i = 0; i < t->addresses.n; i++) {
		struct cidr c;

		if (cidr_parse(t->addresses.v[i], true, &c) == 0 && cidr_contains_ip(&c, ip))
			return true;
	}
	return false;
}

static int sockaddr_to_ip(const struct sockaddr *sa, struct ip *ret)
{
	if (sa && sa->sa_family == AF_INET)
		*ret = ip_from_bytes(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr);
	else if (sa && sa->sa_family == AF_INET6)
		*ret = ip_from_bytes(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
	else
		return -EAFNOSUPPORT;
	return ip_is_special(ret) ? -EADDRNOTAVAIL : 0;
}

/* This machine must have an address that it was enrolled for; the one that was asked for, if any. */
static int add_address(json_t *rows, const struct join_token *t, const struct ip *wanted)
{
	CLEANUP(buf_done) struct buf have = {.max = 4096};
	struct ifaddrs *all;
	char text[IP_STRLEN], found[IP_STRLEN] = "", device[IFNAMSIZ] = "";

	if (wanted && !is_enrolled(t, wanted))
		return preflight_add(rows, "address", PREFLIGHT_FAIL, "%s is not among those the host was enrolled for", ip_str(wanted, text));
	if (getifaddrs(&all) < 0)
		return preflight_add(rows, "address", PREFLIGHT_FAIL, "the addresses of this machine cannot be read");
	for (const struct ifaddrs *i = all; i && !*found; i = i->ifa_next) {
		struct ip ip;

		if (sockaddr_to_ip(i->ifa_addr, &ip) < 0)
			continue;
		/* Only for the message: what does not fit in is left out. */
		(void)buf_addf(&have, "%s%s", have.len ? ", " : "", ip_str(&ip, text));
		if (wanted ? !ip_eq(&ip, wanted) : !is_enrolled(t, &ip))
			continue;
		(void)snprintf(found, sizeof(found), "%s", ip_str(&ip, text));
		(void)snprintf(device, sizeof(device), "%s", i->ifa_name);
	}
	freeifaddrs(all);
	if (*found)
		return preflight_add(rows, "address", PREFLIGHT_OK, "%s on %s", found, device);
	if (wanted)
		return preflight_add(rows, "address", PREFLIGHT_FAIL, "%s is not configured on this machine", ip_str(wanted, text));
	return preflight_add(rows, "address", PREFLIGHT_FAIL, "this machine has %s, and was enrolled for %s", have.len ? have.data : "none",
			     t->addresses.n ? t->addresses.v[0] : "none");
}

/* The tunnel device of an earlier run outlives the daemon and holds the port; its alias says whose it is. */
static bool has_own_tunnel(void)
{
	struct if_nameindex *all = if_nameindex();
	bool found = false;

	for (const struct if_nameindex *i = all; i && i->if_index && !found; i++) {
		CLEANUP(buf_done) struct buf alias = {0};
		CLEANUP(free) char *path = str_printf("/sys/class/net/%s/ifalias", i->if_name);

		found = path && file_read(path, ALIAS_MAX, &alias) == 0 && alias.len && str_eq(alias.data, RECON_NET_ALIAS "\n");
	}
	if (all)
		if_freenameindex(all);
	return found;
}

static int add_tunnel(json_t *rows, const struct join_session *s)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	struct cilium_config config;
	CLEANUP(close_fd) int fd = -1;

	if (!s || !s->cilium_config || cilium_config_parse(s->cilium_config, &config, NULL) < 0)
		return 0; /* preflight_cilium() has said it */
	if (config.routing == CILIUM_NATIVE)
		return preflight_add(rows, "tunnel port", PREFLIGHT_OK, "not needed: this cluster routes natively");
	if (preflight_tunnel_driver(rows, config.routing == CILIUM_GENEVE ? "geneve" : "vxlan") < 0)
		return -ENOMEM;
	if (has_own_tunnel())
		return preflight_add(rows, "tunnel port", PREFLIGHT_OK, "UDP %u, held by this agent's own device", config.tunnel_port);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sin.sin_port = htons(config.tunnel_port);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0)
		return preflight_add(rows, "tunnel port", PREFLIGHT_FAIL, "UDP %u is in use on this machine (ss -ulpn)", config.tunnel_port);
	return preflight_add(rows, "tunnel port", PREFLIGHT_OK, "UDP %u is free", config.tunnel_port);
}

/* The same decision as at enrolment and in the daemon, which may be newer or older than the admin's program. */
int preflight_cilium(json_t *rows, const json_t *config_map)
{
	CLEANUP(strv_done) struct strv warnings = {0};
	struct cilium_config config;
	struct err err = {0};
	int r;

	if (!config_map)
		return preflight_add(rows, "Cilium", PREFLIGHT_WARN, "not checked, and neither is the tunnel port: cilium-config cannot be read");
	r = cilium_config_parse(config_map, &config, &err);
	if (r == 0)
		r = cilium_config_check(config_map, &config, &warnings, &err);
	if (r < 0)
		return preflight_add(rows, "Cilium", PREFLIGHT_FAIL, "%s", err.text);
	r = preflight_add(rows, "Cilium", PREFLIGHT_OK, "cluster %s can have external hosts", config.cluster_name);
	for (size_t i = 0; i < warnings.n && r == 0; i++)
		r = preflight_add(rows, "Cilium", PREFLIGHT_WARN, "%s", warnings.v[i]);
	return r;
}

static int add_no_agent(json_t *rows)
{
	if (access("/var/run/cilium/cilium.sock", F_OK) == 0 || if_nametoindex("cilium_host"))
		return preflight_add(rows, "no other agent", PREFLIGHT_FAIL, "a cilium-agent runs or ran here: this machine is a cluster node");
	return preflight_add(rows, "no other agent", PREFLIGHT_OK, "no cilium-agent here");
}

static bool is_failsafe(const struct conf *conf, uint16_t port)
{
	for (size_t i = 0; i < conf->failsafe.inbound.n; i++) {
		const struct conf_failsafe *f = &conf->failsafe.inbound.v[i];

		if ((!f->protocol || f->protocol == IPPROTO_TCP) && (!f->port || f->port == port))
			return true;
	}
	return false;
}

int preflight_ssh(json_t *rows, const struct conf *conf, const struct ssh_ports *ports)
{
	CLEANUP(buf_done) struct buf inside = {0}, outside = {0}, entries = {0};
	int r = 0;

	if (!conf->failsafe.is_enabled)
		return 0; /* as somebody wished */
	for (size_t i = 0; r >= 0 && i < ports->list.n; i++) {
		bool is_inside = is_failsafe(conf, ports->list.v[i]);
		struct buf *b = is_inside ? &inside : &outside;

		r = buf_addf(b, "%s%u", b->len ? ", " : "", ports->list.v[i]);
		if (r >= 0 && !is_inside)
			r = buf_addf(&entries, "%s{ protocol = \"tcp\"; port = %u; }", entries.len ? ", " : "", ports->list.v[i]);
	}
	if (r < 0)
		return r;
	if (outside.len)
		return preflight_add(rows, "ssh", PREFLIGHT_WARN, "sshd listens on TCP %.60s, where policies may lock you out: put %.240s into "
				     "failsafe.inbound of the configuration", outside.data, entries.data);
	return inside.len ? preflight_add(rows, "ssh", PREFLIGHT_OK, "no policy locks you out: TCP %.60s is in the failsafe set", inside.data) : 0;
}

static int add_ssh(json_t *rows, const struct conf *conf)
{
	CLEANUP(ssh_ports_done) struct ssh_ports ports = {0};
	int r = ssh_ports_of_processes("/proc", &ports);

	if (r == 0)
		r = ssh_ports_of_systemd(&ports);
	return r < 0 ? r : preflight_ssh(rows, conf, &ports);
}

json_t *preflight_run(const struct preflight *p, enum preflight_state *ret_worst)
{
	CLEANUP(json_decref) json_t *rows = json_array();
	enum preflight_state worst = PREFLIGHT_OK;
	json_t *v;
	size_t i;

	if (!rows || preflight_kernel(rows, p->conf) < 0 || add_no_agent(rows) < 0 || add_ssh(rows, p->conf) < 0 ||
	    add_address(rows, p->token, p->address) < 0 ||
	    add_server(rows, p->session) < 0 || (p->session && preflight_cilium(rows, p->session->cilium_config) < 0) ||
	    add_tunnel(rows, p->session) < 0)
		return NULL;
	json_array_foreach(rows, i, v)
	{
		const char *state = json_string_value(json_object_get(v, "state"));

		if (state[0] == 'f')
			worst = PREFLIGHT_FAIL;
		else if (state[0] == 'w' && worst == PREFLIGHT_OK)
			worst = PREFLIGHT_WARN;
	}
	*ret_worst = worst;
	return TAKE_PTR(rows);
}
