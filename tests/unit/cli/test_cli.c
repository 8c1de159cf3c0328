/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "cli/monitor_line.h"
#include "cli/out.h"
#include "cli/out_wrap.h"
#include "cli/preflight.h"
#include "cli/redact.h"
#include "cli/tar.h"
#include "json/json.h"

static json_t *j(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	cr_assert_not_null(v, "%s", text);
	return v;
}

Test(out, values)
{
	static const struct {
		const char *json, *text;
	} cases[] = {
		{"null", "-"}, {"\"\"", "-"}, {"\"a\"", "a"}, {"true", "yes"}, {"false", "no"}, {"-5", "-5"},
		{"1.5", "1.500"}, {"[]", "-"}, {"[\"a\",2,null]", "a; 2; -"}, {"{}", "-"}, {"{\"a\":1}", "-"},
		{"\"a\\u001b[2Jb\\n\\u007f\"", "a?[2Jb??"}, {"\"\\u009bx\"", "?x"}, {"\"\\u00e9\"", "\xc3\xa9"},
		{"[[1,2],3]", "1, 2; 3"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *v = j(cases[i].json);
		CLEANUP(buf_done) struct buf text = {0};

		cr_assert_eq(out_value(&text, v, "; "), 0);
		cr_expect_str_eq(text.data, cases[i].text, "%s: %s", cases[i].json, text.data);
	}
}

Test(out, ages)
{
	static const struct {
		const char *json, *text;
	} cases[] = {{"0", "0ms"}, {"999", "999ms"}, {"1000", "1s"}, {"61000", "1m1s"}, {"3600000", "1h"},
		     {"90000000", "1d1h"}, {"86400000", "1d"}, {"-1", "-"}, {"\"x\"", "-"},
		     {"9223372036854775807", "106751991167d7h"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *v = j(cases[i].json);
		CLEANUP(buf_done) struct buf text = {0};

		cr_assert_eq(out_age(&text, v), 0);
		cr_expect_str_eq(text.data, cases[i].text, "%s: %s", cases[i].json, text.data);
	}
}

Test(out, breaks_between_words)
{
	static const struct {
		const char *text, *broken;
		size_t width, indent;
	} cases[] = {{"", "", 10, 2}, {"one two three", "one two three", 0, 2}, {"one two three", "one two\n  three", 8, 2},
		     {"one two three", "one two\nthree", 7, 0}, {"a wordthatistoolong b", "a\n wordthatistoolong\n b", 5, 1},
		     {"\xc3\xa9\xc3\xa9 b", "\xc3\xa9\xc3\xa9 b", 4, 0}, {"  a  b", "  a  b", 6, 0}};

	cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf text = {0};

		cr_assert_eq(out_wrap(&text, cases[i].text, cases[i].width, cases[i].indent), 0);
		cr_expect_str_eq(text.data ? text.data : "", cases[i].broken);
	}
	cr_expect_eq(out_width("ab\nabcd\na"), 4);
	cr_expect_eq(out_width("\xc3\xa9\xff"), 2);
}

Test(out, latencies)
{
	static const struct {
		const char *json, *text;
	} cases[] = {{"0", "0us"}, {"999", "999us"}, {"1000", "1.0ms"}, {"12345", "12.3ms"}, {"2100000", "2.1s"}, {"-1", "-"}, {"null", "-"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *v = j(cases[i].json);
		CLEANUP(buf_done) struct buf text = {0};

		cr_assert_eq(out_latency(&text, v), 0);
		cr_expect_str_eq(text.data, cases[i].text, "%s: %s", cases[i].json, text.data);
	}
}

static const struct out_col cols[] = {
	{.heading = "NAME", .key = "a.name"},
	{.heading = "N", .key = "n", .is_right = true},
	{.heading = "LABELS", .key = "labels", .is_lines = true},
};

static char *print(const char *rows_json, enum cli_format format, bool has_headings, int want)
{
	CLEANUP(json_decref) json_t *rows = j(rows_json);
	char *text = NULL;
	size_t len = 0;
	struct cli cli = {.format = format, .has_headings = has_headings, .out = open_memstream(&text, &len)};
	int r = out_rows(&cli, rows, cols, ARRAY_LEN(cols));

	(void)fclose(cli.out);
	cr_assert_eq(r, want, "%s: %d", rows_json, r);
	return text;
}

Test(out, tables)
{
	static const char rows[] = "[{\"a\":{\"name\":\"luke\"},\"n\":5,\"labels\":[\"x=1\",\"yy=2\"]},"
				   "{\"n\":1000,\"labels\":[]},7]";
	CLEANUP(free) char *table = print(rows, CLI_TABLE, true, 0), *bare = print(rows, CLI_TABLE, false, 0),
			   *json = print(rows, CLI_JSON, true, 0), *none = print("[]", CLI_TABLE, true, 0),
			   *none_bare = print("[]", CLI_TABLE, false, 0), *none_json = print("[]", CLI_JSON, true, 0),
			   *no_list = print("{}", CLI_TABLE, true, -EPROTO);
	CLEANUP(json_decref) json_t *want = j(rows), *got = j(json);

	cr_expect_str_eq(table, "NAME     N  LABELS\nluke     5  x=1\n            yy=2\n-     1000  -\n-        -  -\n",
			 "%s", table);
	cr_expect(str_has_prefix(bare, "luke  "), "%s", bare);
	cr_expect(json_equal(want, got));
	cr_expect_str_eq(none, "NAME  N  LABELS\n");
	cr_expect_str_eq(none_bare, "");
	cr_expect_str_eq(none_json, "[]\n");
	cr_expect_str_eq(no_list, "");
}

Test(monitor, hostile_events)
{
	static const char *const events[] = {
		"{}", "[]", "5", "null", "{\"peer\":[],\"rule\":5,\"source\":{},\"bytes\":\"x\"}",
		"{\"time_us\":9223372036854775807}", "{\"time_us\":-9223372036854775807}",
		"{\"rule\":{}}", "{\"peer\":{\"labels\":{},\"identity\":\"x\"}}",
		"{\"source\":\"::\",\"source_port\":-1,\"destination_port\":99999999999}",
	};
	struct monitor_filter filter = {.is_drops_only = true, .peer = "10.0.0.1", .has_identity = true};

	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		CLEANUP(json_decref) json_t *event = j(events[i]);
		CLEANUP(buf_done) struct buf text = {0};

		cr_assert_eq(monitor_line(event, INT64_MAX - 5, &text), 0);
		cr_assert(str_has_prefix(text.data, "--:--:--.---") || text.data[2] == ':', "%s", text.data);
		cr_assert_not(strchr(text.data, '\n'));
		cr_assert_not(monitor_matches(&filter, event));
	}
}

Test(monitor, filters)
{
	CLEANUP(json_decref) json_t *e = j("{\"type\":\"drop\",\"direction\":\"egress\",\"source\":\"10.0.0.1\","
					   "\"destination\":\"fd00:0:0::1\",\"peer\":{\"identity\":7}}");
	static const struct {
		struct monitor_filter f;
		bool is_match;
	} cases[] = {
		{{0}, true},
		{{.is_drops_only = true}, true},
		{{.peer = "fd00::1"}, true},
		{{.peer = "10.0.0.2"}, false},
		{{.has_identity = true, .identity = 7}, true},
		{{.has_identity = true, .identity = 8}, false},
		{{.direction = "egress", .peer = "10.0.0.1"}, true},
		{{.direction = "ingress", .peer = "10.0.0.1"}, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		cr_expect_eq(monitor_matches(&cases[i].f, e), cases[i].is_match, "%zu", i);
}

Test(redact, credentials)
{
	static const struct {
		const char *in, *out;
		size_t n;
	} cases[] = {
		{"nothing here", "nothing here", 0},
		{"eyJ is short", "eyJ is short", 0},
		{"t=eyJhbGciOiJSUzI1NiIs.eyJz.c2ln end", "t=****************************** end", 1},
		{"--token mesh1.eyJzZXJ2ZXIi", "--token ******************", 1},
		{"Authorization: Bearer abc def", "Authorization: Bearer *** def", 1},
		{"Bearer ", "Bearer ", 0},
		{"http://user:s3cr3t@127.0.0.1/", "http://***********@127.0.0.1/", 1},
		{"\"https://a@b:c@h\", \"https://h/a@b\"", "\"https://*****@h\", \"https://h/a@b\"", 1},
		{"http://h", "http://h", 0},
		{"-----BEGIN PRIVATE KEY-----\nMIIE\nxx\n-----END", "-----BEGIN ****************\n****\n**\n-----END", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *text = strdup(cases[i].in);
		size_t n = redact(text, strlen(text));

		if (cases[i].n || str_eq(cases[i].in, cases[i].out)) {
			cr_expect_eq(n, cases[i].n, "%s: %zu", cases[i].in, n);
			cr_expect_str_eq(text, cases[i].out, "%s", text);
		} else {
			cr_expect_not(strstr(text, "MIIE"), "%s", text);
		}
	}
}

Test(redact, arguments)
{
	static const struct {
		const char *in, *out;
		size_t n;
	} cases[] = {
		{"command = [ \"/usr/bin/curl\", \"-u\", \"admin:Pa55w0rd\" ]; x = \"y\";",
		 "command = [ \"/usr/bin/curl\", \"**\", \"**************\" ]; x = \"y\";", 2},
		{"command: (\"/a\",\n# command = [\"/b\", \"c\"]\n \"d\")", "command: (\"/a\",\n# command = [\"**\", \"*\"]\n \"d\")", 2},
		{"# command=[\"/a\", \"b\"]", "# command=[\"/a\", \"*\"]", 1},
		{"command = [\"/a\\\"]\", \"b\\\"]c\"]", "command = [\"/a\\\"]\", \"*****\"]", 1},
		{"command = [\"/a\", \"b", "command = [\"/a\", \"*", 1},
		{"command = \"/a\"; my-command = [\"a\", \"b\"];", "command = \"/a\"; my-command = [\"a\", \"b\"];", 0},
		{"command", "command", 0},
		{"command = ", "command = ", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *text = strdup(cases[i].in);

		cr_expect_eq(redact_arguments(text, strlen(text)), cases[i].n, "%s", cases[i].in);
		cr_expect_str_eq(text, cases[i].out, "%s", text);
	}
}

Test(tar, names_and_ends)
{
	char *text = NULL, name[200];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_eq(tar_add(f, name, "x", 1), -EINVAL);
	cr_assert_eq(tar_add(f, "a", "", 0), 0);
	cr_assert_eq(tar_add(f, "b", name, 199), 0);
	cr_assert_eq(tar_end(f), 0);
	(void)fclose(f);
	cr_assert_eq(len, 512 + 512 + 512 + 1024);
	cr_assert_str_eq(text + 257, "ustar");
	free(text);
}

static void expect_row(const json_t *rows, const char *state, const char *text)
{
	const json_t *row = json_array_get(rows, json_array_size(rows) - 1);

	cr_expect_str_eq(json_str(row, "state", ""), state, "%s", text);
	cr_expect(strstr(json_str(row, "detail", ""), text), "%s: %s", text, json_str(row, "detail", ""));
}

Test(preflight, kernels)
{
	static const struct {
		const char *release, *state, *text;
	} cases[] = {
		{"4.18.0-553.el8.x86_64", "failed", "5.8 or newer"}, {"5.4.0-216-generic", "failed", "5.8 or newer"},
		{"5.7.19", "failed", "5.8 or newer"},		     {"5.8.0", "ok", "clsact"},
		{"5.10.0-26-amd64", "ok", "clsact"},		     {"6.6.1", "ok", "tcx"},
		{"?", "failed", "5.8 or newer"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *rows = json_array();

		cr_assert_eq(preflight_kernel_release(rows, cases[i].release), 0);
		expect_row(rows, cases[i].state, cases[i].text);
	}
}

static char root[] = "/tmp/test-ssh-ports.XXXXXX";

static void proc_put(const char *name, const char *text)
{
	CLEANUP(free) char *path = str_printf("%s/%s", root, name);

	cr_assert_eq(file_replace(path, text, strlen(text), 0600), 0, "%s", path);
}

static void proc_process(const char *pid, const char *comm, const char *fd)
{
	CLEANUP(free) char *dir = str_printf("%s/%s/fd", root, pid), *name = str_printf("%s/comm", pid), *link = str_printf("%s/3", dir);

	cr_assert_eq(file_mkdirs(dir, 0700), 0);
	proc_put(name, comm);
	cr_assert_eq(symlink(fd, link), 0);
}

static int proc_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* A /proc with sshd on 2222 (IPv4 and IPv6) and, for who has logged in, on loopback; and others. */
Test(preflight, ports_of_sshd)
{
	static const char rest[] = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 ";
	CLEANUP(free) char *tcp = str_printf("  sl  local_address rem_address   st\n"
					     "   0: 00000000:08AE%s101 1 0 100 0 0 10 0\n   1: %08X:177A%s102 1\n   2: 00000000:0050%s103 1\n"
					     "   3: 00000000:0017 00000000:0000 01 00000000:00000000 00:00000000 00000000 0 0 104 1\n",
					     rest, htonl(0x7f000001), rest, rest);
	CLEANUP(free) char *tcp6 = str_printf("   0: %032d:08AE %032d:0000 0A 0:0 00:0 0 0 0 105 1\n"
					      "   1: %024d%08X:177A %032d:0000 0A 0:0 00:0 0 0 0 106 1\nnothing\n", 0, 0, 0, htonl(1), 0);
	CLEANUP(free) char *command = NULL;
	CLEANUP(ssh_ports_done) struct ssh_ports ports = {0};

	cr_assert_not_null(mkdtemp(root));
	command = str_printf("%s/net", root);
	cr_assert_eq(file_mkdirs(command, 0700), 0);
	proc_put("net/tcp", tcp);
	proc_put("net/tcp6", tcp6);
	proc_process("7", "sshd\n", "socket:[101]");
	proc_process("8", "sshd\n", "socket:[102]");
	proc_process("9", "nginx\n", "socket:[103]");
	proc_process("10", "sshd\n", "socket:[105]");
	proc_process("11", "sshd\n", "socket:[106]");
	proc_process("12", "sshd\n", "socket:[104]");
	proc_process("13", "sshd\n", "/dev/null");
	cr_assert_eq(ssh_ports_of_processes(root, &ports), 0);
	cr_expect_eq(nftw(root, proc_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
	cr_assert_eq(ports.list.n, 1, "%zu", ports.list.n);
	cr_expect_eq(ports.list.v[0], 2222);
	cr_expect_eq(ssh_port_of("[::]:2222"), 2222);
	cr_expect_eq(ssh_port_of("0.0.0.0:22"), 22);
	cr_expect_eq(ssh_port_of("127.0.0.1:22"), 0);
	cr_expect_eq(ssh_port_of("[::1]:22"), 0);
	cr_expect_eq(ssh_port_of("/run/ssh"), 0);
}

Test(preflight, who_would_be_locked_out)
{
	static const struct {
		const char *conf;
		uint16_t ports[2];
		const char *state, *text;
	} cases[] = {
		{"", {22}, "ok", "TCP 22 is in"},
		{"", {22, 2222}, "warning", "TCP 2222, where policies may lock you out: put { protocol = \"tcp\"; port = 2222; } into failsafe.inbound"},
		{"failsafe: { inbound = ( { protocol = \"any\"; } ); };", {2222}, "ok", "TCP 2222"},
		{"failsafe: { inbound = ( { protocol = \"udp\"; port = 22; } ); };", {22}, "warning", "TCP 22,"},
		{"failsafe: { enabled = false; };", {2222}, NULL, NULL},
		{"", {0}, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *rows = json_array();
		CLEANUP(ssh_ports_done) struct ssh_ports ports = {0};
		CLEANUP(conf_free) struct conf *conf = NULL;
		struct err err = {0};

		cr_assert_eq(conf_parse(cases[i].conf, strlen(cases[i].conf), "test", &conf, &err), 0, "%s", err.text);
		for (size_t k = 0; k < 2 && cases[i].ports[k]; k++)
			cr_assert_eq(ARRAY_ADD(&ports.list, cases[i].ports[k]), 0);
		cr_assert_eq(preflight_ssh(rows, conf, &ports), 0);
		if (cases[i].state)
			expect_row(rows, cases[i].state, cases[i].text);
		else
			cr_expect_eq(json_array_size(rows), 0);
	}
}

Test(preflight, what_cilium_can_have_hosts)
{
	static const struct {
		const char *data, *state, *text;
	} cases[] = {
		{"{}", "ok", "cluster default"},
		{"{\"identity-allocation-mode\":\"kvstore\"}", "failed", "identity-allocation-mode"},
		{"{\"enable-ipsec\":\"true\"}", "failed", "enable-ipsec"},
		{"{\"disable-endpoint-crd\":\"true\"}", "failed", "disable-endpoint-crd"},
		{"{\"tunnel-port\":\"many\"}", "failed", "tunnel-port"},
	};
	CLEANUP(json_decref) json_t *none = json_array();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *config_map = json_pack("{s:o}", "data", j(cases[i].data));
		CLEANUP(json_decref) json_t *rows = json_array();

		cr_assert_eq(preflight_cilium(rows, config_map), 0);
		expect_row(rows, cases[i].state, cases[i].text);
	}
	cr_assert_eq(preflight_cilium(none, NULL), 0);
	expect_row(none, "warning", "cannot be read");
}
