/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "conf/conf.h"

static struct conf *must(const char *text)
{
	struct conf *c = NULL;
	struct err err = {0};
	int r = conf_parse(text, strlen(text), "t.conf", &c, &err);

	cr_assert_eq(r, 0, "%s: %d %s", text, r, err.text);
	return c;
}

Test(conf, defaults)
{
	CLEANUP(conf_free) struct conf *c = must("");
	char text[IP_STRLEN];

	cr_assert_str_eq(c->state_dir, "/var/lib/mesh-external-agent");
	cr_assert_str_eq(c->control_socket, "/run/mesh-external-agent/control.sock");
	cr_assert_eq(c->log_level, LOG_INFO);
	cr_assert_eq(c->revoked_action, CONF_REVOKED_ENFORCE);
	cr_assert_not(c->has_policy_audit);
	cr_assert(c->failsafe.is_enabled && c->failsafe.has_automatic);
	cr_assert_eq(c->failsafe.inbound.n, 1);
	cr_assert_eq(c->failsafe.inbound.v[0].port, 22);
	cr_assert_eq(c->failsafe.inbound.v[0].protocol, 6);
	cr_assert_eq(c->failsafe.inbound.v[0].cidr.ip.family, 0);
	cr_assert_eq(c->dns.listen.n, 1);
	cr_assert_str_eq(ip_str(&c->dns.listen.v[0], text), "127.18.53.53");
	cr_assert_eq(c->dns.port, 53);
	cr_assert_eq(c->interfaces.n, 0);
}

Test(conf, probes_take_defaults_and_named_ports)
{
	CLEANUP(conf_free) struct conf *c = must(
		"health-probes = ( { service = \"a\"; type = \"http\"; port = \"web\"; },\n"
		"{ service = \"*\"; type = \"unit\"; unit = \"nginx.service\"; } );\n"
		"named-ports = ( { name = \"web\"; port = 53; protocol = \"udp\"; }, { name = \"web\"; port = 8080; } );");

	cr_assert_eq(c->probes.n, 2);
	cr_assert_eq(c->probes.v[0].port, 8080);
	cr_assert_str_eq(c->probes.v[0].path, "/");
	cr_assert_eq(c->probes.v[0].interval_s, 10);
	cr_assert_eq(c->probes.v[0].timeout_s, 1);
	cr_assert_eq(c->probes.v[0].successes, 1);
	cr_assert_eq(c->probes.v[0].failures, 3);
	cr_assert_eq(c->probes.v[1].type, CONF_PROBE_UNIT);
	cr_assert_eq(c->probes.v[1].failures, 1);
	cr_assert_str_eq(c->probes.v[1].service, "*");
}

/* The printed value of each key, read again, prints the same. */
Test(conf, values_read_back)
{
	CLEANUP(conf_free) struct conf *c = must(
		"runtime-dir = \"/run/x\"; log-level = \"debug\"; interfaces = [ \"eth0\", \"ens*\" ];\n"
		"addresses = [ \"172.19.100.2\", \"fd00::2\" ]; zone = \"z1\"; mtu = 1400;\n"
		"revoked-action = \"stand-down\";\n"
		"named-ports = ( { name = \"web\"; port = 80; }, { name = \"dns\"; port = 53; protocol = \"udp\"; } );\n"
		"health-probes = ( { service = \"*\"; type = \"tcp\"; port = 80; address = \"::1\"; failures = 1; },\n"
		"{ service = \"a\"; type = \"http\"; port = 81; scheme = \"https\"; path = \"/up\"; interval = 2; },\n"
		"{ service = \"a\"; type = \"exec\"; command = [ \"/bin/true\", \"-x y\" ]; successes = 2; },\n"
		"{ service = \"a\"; type = \"unit\"; unit = \"a@b.service\"; timeout = 9; } );\n"
		"forwards = ( { port = 90; service = \"a\"; }, { port = 90; address = \"::1\"; service = \"a\"; service-port = 8; } );\n"
		"failsafe: { inbound = ( { protocol = \"any\"; cidr = \"192.0.2.7/24\"; } ); outbound = "
		"( { protocol = \"icmpv6\"; }, { protocol = \"tcp\"; port = 443; cidr = \"2001:db8::1\"; } ); };\n"
		"dns: { upstreams = ( \"192.0.2.53\" ); cache-size = 0; reverse = [ \"10.96.0.0/12\", \"fd00:10::/108\" ]; };\n"
		"datapath: { ct-max-entries = 4096L; };");

	cr_assert_str_eq(c->control_socket, "/run/x/control.sock");
	cr_assert_eq(c->datapath.ct_max_entries, 4096);
	cr_assert_eq(c->failsafe.inbound.v[0].cidr.len, 24);
	for (size_t i = 0; i < conf_key_count(); i++) {
		CLEANUP(buf_done) struct buf value = {0}, text = {0}, again = {0};
		CLEANUP(conf_free) struct conf *d = NULL;
		const char *name = conf_key_name(i), *dot = strchr(name, '.');

		cr_assert_eq(conf_key_value(c, i, &value), 0);
		cr_assert_eq(dot ? buf_addf(&text, "%.*s: { %s = %s; };", (int)(dot - name), name, dot + 1, value.data)
				 : buf_addf(&text, "%s = %s;", name, value.data), 0);
		if (strcmp(name, "dns.listen") == 0)
			cr_assert_not_null(strstr(text.data, "127.18.53.53"));
		d = must(text.data);
		cr_assert_eq(conf_key_value(d, i, &again), 0);
		cr_assert_str_eq(value.data, again.data);
	}
}

static const struct {
	const char *text, *line, *key, *allowed;
} bad[] = {
	{"colour = 1;", "t.conf:1:", "colour: unknown key", "state-dir"},
	{"\n\ndns: { prt = 1; };", "t.conf:3:", "dns.prt: unknown key", "cache-size"},
	{"dns = 1;", "t.conf:1:", "dns: must be a group", "dns: {"},
	{"mtu = 70000;", "t.conf:1:", "mtu:", "from 0 to 65535"},
	{"mtu = -1;", "t.conf:1:", "mtu:", "from 0 to 65535"},
	{"mtu = 1.5;", "t.conf:1:", "mtu:", "from 0 to 65535"},
	{"mtu = \"1500\";", "t.conf:1:", "mtu:", "from 0 to 65535"},
	{"mtu = 600;", "t.conf:", "mtu:", "1280 to 65535"},
	{"log-level = \"loud\";", "t.conf:1:", "log-level:", "\"error\", \"warning\", \"info\" or \"debug\""},
	{"log-level = 3;", "t.conf:1:", "log-level:", "\"debug\""},
	{"state-dir = \"var\";", "t.conf:1:", "state-dir:", "absolute path"},
	{"state-dir = 1;", "t.conf:1:", "state-dir:", "absolute path"},
	{"zone = \"a\\nb\";", "t.conf:1:", "zone:", "printable"},
	{"zone = \"0123456789012345678901234567890123456789012345678901234567890123\";", "t.conf:1:", "zone:",
	 "at most 63"},
	{"tunnel-device = \"a-name-that-is-too-long\";", "t.conf:1:", "tunnel-device:", "15"},
	{"tunnel-device = \"a/b\";", "t.conf:1:", "tunnel-device:", "15"},
	{"tunnel-device = \"mesh*\";", "t.conf:1:", "tunnel-device:", "15"},
	{"interfaces = \"eth0\";", "t.conf:1:", "interfaces: not a list", "[ \"eth0\""},
	{"interfaces = [ \"*eth\" ];", "t.conf:1:", "interfaces:", "device names"},
	{"addresses = [ \"1.2.3\" ];", "t.conf:1:", "addresses:", "addresses like"},
	{"addresses = [ \"1.2.3.4\", \"1.2.3.4\" ];", "t.conf:1:", "twice", "addresses like"},
	{"addresses = [ \"127.0.0.1\" ];", "t.conf:", "addresses:", "loopback"},
	{"dns: { listen = [ ]; };", "t.conf:", "dns.listen:", "needs an address"},
	{"dns: { reverse = [ \"10.96.0.1\" ]; };", "t.conf:1:", "dns.reverse: an element is not a prefix", "10.96.0.0/12"},
	{"dns: { reverse = [ \"0.0.0.0/0\" ]; };", "t.conf:", "dns.reverse: 0.0.0.0/0 is too much", "at most /8"},
	{"dns: { reverse = [ \"10.96.0.0/12\", \"172.16.0.0/9\" ]; };", "t.conf:", "dns.reverse: these are 144 reverse zones", "at most 64"},
	{"dns: { upstreams = [ \"127.18.53.53\" ]; };", "t.conf:", "dns.upstreams:", "ask itself"},
	{"dns: { enabled = 1; };", "t.conf:1:", "dns.enabled:", "true or false"},
	{"dns: {\nport = 0;\n};", "t.conf:2:", "dns.port:", "from 1 to 65535"},
	{"named-ports = ( { name = \"Web\"; port = 1; } );", "t.conf:1:", "name is not", "groups like"},
	{"named-ports = ( { name = \"80\"; port = 1; } );", "t.conf:1:", "name is not", "groups like"},
	{"named-ports = ( { name = \"web\"; } );", "t.conf:1:", "are needed", "groups like"},
	{"named-ports = ( { name = \"web\"; port = 1; x = 1; } );", "t.conf:1:", "x is unknown", "groups like"},
	{"named-ports = ( { name = \"web\"; port = 1; protocol = \"icmp\"; } );", "t.conf:1:", "protocol is not",
	 "groups like"},
	{"named-ports = ( { name = \"web\"; port = 1; }, { name = \"web\"; port = 2; } );", "t.conf:1:",
	 "web is there twice", "groups like"},
	{"named-ports = ( 1 );", "t.conf:1:", "not a group", "groups like"},
	{"forwards = ( { port = 7; service = \"a\"; } ); health-probes = ( { service = \"b\"; type = \"tcp\"; port = 7; } );",
	 "t.conf:", "port 7 is asked by a health probe", "for ever"},
	{"forwards = ( { port = 1; } );", "t.conf:1:", "service is missing", "groups like"},
	{"forwards = ( { service = \"a\"; } );", "t.conf:1:", "port is missing", "groups like"},
	{"forwards = ( { port = 0; service = \"a\"; } );", "t.conf:1:", "port is not", "groups like"},
	{"forwards = ( { port = 1; service = \"A.b\"; } );", "t.conf:1:", "service is not", "groups like"},
	{"forwards = ( { port = 1; service = \"a\"; x = 1; } );", "t.conf:1:", "x is unknown", "groups like"},
	{"forwards = ( { port = 1; service = \"a\"; }, { port = 1; service = \"b\"; } );", "t.conf:1:", "port is there twice",
	 "groups like"},
	{"health-probes = ( { type = \"tcp\"; port = 1; } );", "t.conf:1:", "service is missing", "groups like"},
	{"health-probes = ( { service = \"A\"; type = \"tcp\"; port = 1; } );", "t.conf:1:", "service is not", "groups like"},
	{"health-probes = ( { service = \"a\"; port = 1; } );", "t.conf:1:", "type is missing", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"udp\"; port = 1; } );", "t.conf:1:", "type is not", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"tcp\"; } );", "t.conf:1:", "port is missing", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"tcp\"; port = 0; } );", "t.conf:1:", "port is not", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"tcp\"; port = \"web\"; } );", "t.conf:", "\"web\" is not in",
	 "named-ports"},
	{"health-probes = ( { service = \"a\"; type = \"tcp\"; port = 1; path = \"/\"; } );", "t.conf:1:",
	 "path is for http", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"http\"; port = 1; path = \"up\"; } );", "t.conf:1:",
	 "path does not begin", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"exec\"; command = [ ]; } );", "t.conf:1:", "command is not",
	 "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"exec\"; command = [ \"true\" ]; } );", "t.conf:1:",
	 "command is not", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"unit\"; } );", "t.conf:1:", "unit is missing", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"nginx\"; } );", "t.conf:1:", "unit is not",
	 "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"a.service\"; failures = 2; } );", "t.conf:1:",
	 "failures is not for unit", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"a.service\"; interval = 0; } );", "t.conf:1:",
	 "interval is not", "groups like"},
	{"health-probes = ( { service = \"a\"; type = \"unit\"; unit = \"a.service\"; every = 1; } );", "t.conf:1:",
	 "every is unknown", "groups like"},
	{"failsafe: { inbound = ( { port = 22; } ); };", "t.conf:1:", "protocol is missing", "groups like"},
	{"failsafe: { inbound = ( { protocol = \"gre\"; } ); };", "t.conf:1:", "protocol is not", "groups like"},
	{"failsafe: { inbound = ( { protocol = \"icmp\"; port = 1; } ); };", "t.conf:1:", "port needs",
	 "groups like"},
	{"failsafe: { inbound = ( { protocol = \"tcp\"; port = 65536; } ); };", "t.conf:1:", "port is not",
	 "groups like"},
	{"failsafe: { inbound = ( { protocol = \"tcp\"; cidr = \"1.2.3.4/33\"; } ); };", "t.conf:1:",
	 "cidr is not", "groups like"},
	{"mtu = ;", "t.conf:1:", "syntax error", "KEY = VALUE"},
	{"mtu = 1400;\nmtu = 1500;", "t.conf:2:", "duplicate", "KEY = VALUE"},
	{"  @include \"/etc/shadow\"", "t.conf:", "@include", "this file"},
	{"control-socket = \"a.sock\";", "t.conf:", "control-socket:", "absolute path"},
};

Test(conf, errors_name_file_line_key_and_what_is_allowed)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct conf *c = NULL;
		struct err err = {0};
		int r = conf_parse(bad[i].text, strlen(bad[i].text), "t.conf", &c, &err);

		cr_assert_eq(r, -EINVAL, "%s: %d", bad[i].text, r);
		cr_assert_null(c);
		cr_expect(strstr(err.text, bad[i].line) == err.text, "%s: %s", bad[i].text, err.text);
		cr_expect(strstr(err.text, bad[i].key), "%s: %s", bad[i].text, err.text);
		cr_expect(strstr(err.text, bad[i].allowed), "%s: %s", bad[i].text, err.text);
	}
}

Test(conf, no_text_file)
{
	struct conf *c = NULL;
	struct err err = {0};

	cr_assert_eq(conf_parse("mtu\0= 1;", 8, "t.conf", &c, &err), -EINVAL);
	cr_assert(strstr(err.text, "not a text file"));
}

Test(conf, too_many_elements)
{
	CLEANUP(buf_done) struct buf text = {0};
	struct conf *c = NULL;
	struct err err = {0};

	(void)buf_addf(&text, "addresses = [ ");
	for (int i = 0; i < 17; i++)
		(void)buf_addf(&text, "%s\"192.0.2.%d\"", i ? ", " : "", i);
	(void)buf_addf(&text, " ];");
	cr_assert_eq(conf_parse(text.data, text.len, "t.conf", &c, &err), -EINVAL);
	cr_assert(strstr(err.text, "too many"), "%s", err.text);
}

Test(conf, files)
{
	char path[] = "/tmp/mesh-conf-XXXXXX";
	int fd = mkstemp(path);
	CLEANUP(conf_free) struct conf *c = NULL;
	struct conf *none = NULL;
	struct err err = {0};

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "mtu = 9000;\n", 12), 12);
	close_fd(fd);
	cr_assert_eq(conf_load(path, &c, &err), 0, "%s", err.text);
	cr_assert_eq(c->mtu, 9000);
	(void)unlink(path);
	cr_assert_eq(conf_load(path, &none, &err), -ENOENT);
	cr_assert(strstr(err.text, path));
}

Test(conf, changes_are_named)
{
	CLEANUP(conf_free) struct conf *a = must("mtu = 1400;"), *b = must("log-level = \"debug\"; state-dir = \"/x\";");
	CLEANUP(strv_done) struct strv live = {0}, restart = {0};

	cr_assert_eq(conf_changed(a, b, &live, &restart), 0);
	cr_assert_eq(live.n, 2);
	cr_assert(strv_has(&live, "mtu") && strv_has(&live, "log-level"));
	cr_assert_eq(restart.n, 1);
	cr_assert_str_eq(restart.v[0], "state-dir");
}

static char *source_file(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char *path = str_printf("%s/%s", srcdir ? srcdir : ".", name);

	cr_assert_not_null(path);
	return path;
}

/* Uncommented, the packaged file sets every key to its default. */
Test(conf, packaged_file_shows_the_defaults)
{
	CLEANUP(free) char *path = source_file("packaging/config/mesh-external-agent.conf");
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(conf_free) struct conf *c = NULL, *shipped = NULL, *defaults = must("");
	CLEANUP(strv_done) struct strv live = {0}, restart = {0};
	struct err err = {0};

	cr_assert_eq(conf_load(path, &shipped, &err), 0, "%s", err.text);
	cr_assert_eq(file_read(path, 1 << 20, &text), 0);
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.data[i] == '#' && (i == 0 || text.data[i - 1] == '\n') && text.data[i + 1] != ' ' &&
		    text.data[i + 1] != '\n')
			text.data[i] = ' ';
	cr_assert_eq(conf_parse(text.data, text.len, "packaged", &c, &err), 0, "%s", err.text);
	cr_assert_eq(conf_changed(defaults, c, &live, &restart), 0);
	cr_assert_eq(live.n + restart.n, 0, "%s", live.n ? live.v[0] : restart.n ? restart.v[0] : "");
	for (size_t i = 0; i < conf_key_count(); i++) {
		const char *name = conf_key_name(i), *dot = strchr(name, '.');
		CLEANUP(free) char *want = str_printf("%s = ", dot ? dot + 1 : name);

		cr_expect(strstr(text.data, want), "%s is not in %s", name, path);
	}
}

Test(conf, man_page_has_every_key_and_default)
{
	CLEANUP(free) char *path = source_file("man/mesh-external-agent.conf.5");
	CLEANUP(buf_done) struct buf text = {0};

	cr_assert_eq(file_read(path, 1 << 20, &text), 0, "%s", path);
	for (size_t i = 0; i < conf_key_count(); i++) {
		CLEANUP(buf_done) struct buf want = {0};

		(void)buf_addf(&want, ".It Cm %s No = ", conf_key_name(i));
		for (const char *p = conf_key_default(i); *p; p++)
			(void)buf_addf(&want, *p == '"' ? "\\(dq" : "%c", *p);
		cr_expect(strstr(text.data, want.data), "%s is not in %s", want.data, path);
	}
}

Test(conf, a_reload_takes_the_live_keys)
{
	static const char old_text[] = "mtu = 1400; log-level = \"error\"; interfaces = [ \"eth0\" ];";
	static const char new_text[] = "mtu = 1300; log-level = \"debug\"; failsafe = { enabled = false; };";
	CLEANUP(conf_free) struct conf *running = NULL;
	CLEANUP(conf_free) struct conf *next = NULL;
	CLEANUP(strv_done) struct strv live = {0}, restart = {0};
	struct err err = {0};

	cr_assert_eq(conf_parse(old_text, strlen(old_text), "old", &running, &err), 0, "%s", err.text);
	cr_assert_eq(conf_parse(new_text, strlen(new_text), "new", &next, &err), 0, "%s", err.text);
	cr_assert_eq(conf_changed(running, next, &live, &restart), 0);
	cr_assert_eq(live.n, 4);
	cr_assert_eq(restart.n, 0);
	conf_swap_live(running, next);
	cr_expect_eq(running->mtu, 1300);
	cr_expect_eq(running->interfaces.n, 0);
	cr_expect_not(running->failsafe.is_enabled);
	cr_expect_eq(next->mtu, 1400);
}

/* None of them may be forgotten in the swap: afterwards nothing that a reload can change differs. */
Test(conf, a_reload_takes_every_live_key)
{
	static const char text[] =
		"log-level = \"debug\"; interfaces = [ \"eth7\" ]; addresses = [ \"192.0.2.1\" ]; mtu = 1300;\n"
		"revoked-action = \"stand-down\"; policy-audit-mode = true; drain-time = 9;\n"
		"forwards = ( { port = 2; service = \"a\"; } );\n"
		"health-probes = ( { service = \"a\"; type = \"tcp\"; port = 1; } );\n"
		"failsafe: { enabled = false; automatic = false; inbound = ( ); outbound = ( { protocol = \"tcp\"; port = 1; } ); };\n"
		"services: { load-balancers = \"off\"; node-ports = \"on\"; external-ips = true; end-connections = \"none\"; };\n"
		"monitor: { rate = 7; burst = 8; };";
	CLEANUP(conf_free) struct conf *running = NULL;
	CLEANUP(conf_free) struct conf *next = NULL;
	CLEANUP(conf_free) struct conf *again = NULL;
	CLEANUP(strv_done) struct strv live = {0}, restart = {0}, left = {0};
	struct err err = {0};

	cr_assert_eq(conf_parse("", 0, "old", &running, &err), 0, "%s", err.text);
	cr_assert_eq(conf_parse(text, strlen(text), "new", &next, &err), 0, "%s", err.text);
	cr_assert_eq(conf_parse(text, strlen(text), "new", &again, &err), 0, "%s", err.text);
	cr_assert_eq(conf_changed(running, next, &live, &restart), 0);
	cr_assert_eq(restart.n, 0);
	conf_swap_live(running, next);
	cr_assert_eq(conf_changed(running, again, &left, &restart), 0);
	cr_assert_eq(left.n, 0, "%s", left.n ? left.v[0] : "");
	/* and the text above leaves none out */
	for (size_t i = 0; i < conf_key_count(); i++)
		cr_expect(strv_has(&live, conf_key_name(i)) || conf_key_is_restart(i), "%s", conf_key_name(i));
}
