/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

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
