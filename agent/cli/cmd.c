/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/out.h"
#include "json/json.h"

enum { GLOBALS_MAX = 8, LONG_BASE = 256, TIMEOUT_S = 10, HELP_COLUMN = 28 };

const struct cmd_opt cmd_global_opts[] = {
	{"output", 'o', "FORMAT", "table (default) or json", false},
	{"no-headings", 0, NULL, "tables without a line of headings", false},
	{"socket", 0, "PATH", "control socket of the daemon", false},
	{"config", 'c', "FILE", "configuration file to read", false},
	{"timeout", 0, "SECONDS", "longest wait for an answer (10)", false},
	{"help", 'h', NULL, "explain the command", false},
	{"version", 'V', NULL, "print the version", false},
	{NULL, 0, NULL, NULL, false},
};

/* What was parsed before and after the command's name. */
struct parsed {
	struct cli cli;
	bool is_help, is_version;
	struct cmd_args args;
};

static void print_error_json(FILE *out, enum cli_exit code, const char *text)
{
	CLEANUP(json_decref) json_t *o = json_pack("{s:o, s:i}", "error", out_text(text), "exit", (int)code);

	if (o && json_dumpf(o, out, JSON_COMPACT) == 0) /* cmd_main() looks at the stream at the end */
		(void)fputc('\n', out);
}

static int complain(const struct cli *cli, enum cli_exit code, const char *fmt, va_list ap)
{
	CLEANUP(buf_done) struct buf clean = {0};
	char raw[1024];
	const char *text;

	(void)fflush(stdout); /* what both go to has them in order; cmd_main() looks at failures */
	(void)vsnprintf(raw, sizeof(raw), fmt, ap); /* cut text is still text */
	(void)out_clean(&clean, raw); /* parts of it come from others; out of memory: it is cut */
	text = clean.data ? clean.data : "";
	(void)fprintf(stderr, "meshctl: %s\n", text);
	if (cli && cli->format == CLI_JSON)
		print_error_json(cli->out, code, text);
	return (int)code;
}

int cli_error(const struct cli *cli, enum cli_exit code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = complain(cli, code, fmt, ap);
	va_end(ap);
	return r;
}

int cli_complain(enum cli_exit code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = complain(NULL, code, fmt, ap);
	va_end(ap);
	return r;
}

static int opt_index(const struct cmd_opt *opts, const char *name)
{
	for (int i = 0; opts && opts[i].name; i++)
		if (str_eq(opts[i].name, name))
			return i;
	return -1;
}

const struct strv *cmd_opt_all(const struct cmd_args *args, const char *name)
{
	static const struct strv none;
	int i = opt_index(args->opts, name);

	return i < 0 ? &none : &args->values[i];
}

const char *cmd_opt(const struct cmd_args *args, const char *name)
{
	const struct strv *values = cmd_opt_all(args, name);

	return values->n ? values->v[values->n - 1] : NULL;
}

/* A line of two columns; what does not fit into the first has it alone. */
static void print_entry(FILE *out, const char *left, const char *help)
{
	if (strlen(left) > HELP_COLUMN)
		(void)fprintf(out, "  %s\n  %*s %s\n", left, HELP_COLUMN, "", help);
	else
		(void)fprintf(out, "  %-*s %s\n", HELP_COLUMN, left, help);
}

static void print_opts(const struct cmd_opt *opts, FILE *out)
{
	for (; opts && opts->name; opts++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", opts->letter ? '-' : ' ',
			       opts->letter ? opts->letter : ' ', opts->letter ? "," : " ", opts->name,
			       opts->arg ? " " : "", opts->arg ? opts->arg : "");
		print_entry(out, left, opts->help);
	}
}

static void print_command(const struct cmd *c, FILE *out)
{
	char left[96];

	(void)snprintf(left, sizeof(left), "%s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "", c->args ? " " : "",
		       c->args ? c->args : "");
	print_entry(out, left, c->help);
}

static void print_one(const struct cmd *c, FILE *out)
{
	(void)fprintf(out, "usage: meshctl %s%s%s [options]%s%s\n\n%s.\n\n", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
		      c->args ? " " : "", c->args ? c->args : "", c->help);
	if (c->opts)
		(void)fprintf(out, "options:\n");
	print_opts(c->opts, out);
	if (c->opts)
		(void)fputc('\n', out);
}

void cmd_help(const struct cmd *const *tables, const char *noun, const char *verb, FILE *out)
{
	const struct cmd *one = NULL, *alone = NULL; /* `alone` has no verb */
	size_t n = 0;

	for (const struct cmd *const *t = tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			if (noun && str_eq(c->noun, noun) && (!verb || (c->verb && str_eq(c->verb, verb)))) {
				one = c;
				alone = c->verb ? alone : c;
				n++;
			}
	if (n == 1) {
		print_one(one, out);
	} else {
		if (alone)
			print_one(alone, out);
		else
			(void)fprintf(out, "usage: meshctl [options] COMMAND [options] [arguments]\n\n");
		(void)fprintf(out, "%scommands:\n", alone ? "other " : "");
		for (const struct cmd *const *t = tables; *t; t++)
			for (const struct cmd *c = *t; c->noun; c++)
				if ((!n || str_eq(c->noun, noun)) && c != alone)
					print_command(c, out);
		(void)fputc('\n', out);
	}
	(void)fprintf(out, "options of all commands:\n");
	print_opts(cmd_global_opts, out);
	if (!noun)
		(void)fprintf(out, "\nThe manual is meshctl(8); what to do when something fails is in mesh-external-agent(7).\n");
}

static int set_global(struct parsed *p, const char *name, const char *value)
{
	uint64_t seconds;

	if (str_eq(name, "output")) {
		if (str_eq(value, "json"))
			p->cli.format = CLI_JSON;
		else if (str_eq(value, "table"))
			p->cli.format = CLI_TABLE;
		else
			return cli_error(&p->cli, CLI_USAGE, "--output %.40s: only table and json are known", value);
	} else if (str_eq(name, "no-headings")) {
		p->cli.has_headings = false;
	} else if (str_eq(name, "socket")) {
		p->cli.socket = value;
	} else if (str_eq(name, "config")) {
		p->cli.config = value;
	} else if (str_eq(name, "timeout")) {
		if (str_to_u64(value, 3600, &seconds) < 0 || !seconds)
			return cli_error(&p->cli, CLI_USAGE, "--timeout %.40s: must be 1 to 3600 seconds", value);
		p->cli.timeout_us = seconds * USEC_PER_SEC;
	} else if (str_eq(name, "help")) {
		p->is_help = true;
	} else if (str_eq(name, "version")) {
		p->is_version = true;
	}
	return CLI_OK;
}

static void add_opts(const struct cmd_opt *opts, int base, struct option *longs, size_t *n, char *shorts)
{
	for (int i = 0; opts && opts[i].name; i++) {
		char *end = shorts + strlen(shorts);

		longs[(*n)++] = (struct option){.name = opts[i].name,
						.has_arg = opts[i].arg ? required_argument : no_argument,
						.val = base + i};
		if (!opts[i].letter)
			continue;
		*end++ = opts[i].letter;
		if (opts[i].arg)
			*end++ = ':';
		*end = '\0';
	}
}

/* The option that getopt_long() answered with: its index in one of the lists. */
static int by_letter(const struct cmd_opt *opts, int letter)
{
	for (int i = 0; opts && opts[i].name; i++)
		if (opts[i].letter && opts[i].letter == letter)
			return i;
	return -1;
}

/*
 * Parses options; stops at the first other word if `is_first`, else goes through all. Returns the
 * index of the first other word (others come after it), or -enum cli_exit.
 */
static int parse_opts(struct parsed *p, int argc, char **argv, bool is_first)
{
	struct option longs[GLOBALS_MAX + CMD_OPTS_MAX + 1] = {0};
	char shorts[2 * (GLOBALS_MAX + CMD_OPTS_MAX) + 2] = "";
	const int own_base = LONG_BASE + GLOBALS_MAX;
	bool is_bad = false;
	size_t n = 0;
	int val, r;

	if (is_first)
		memcpy(shorts, "+", 2);
	add_opts(cmd_global_opts, LONG_BASE, longs, &n, shorts);
	add_opts(p->args.opts, own_base, longs, &n, shorts);
	optind = 0; /* glibc: forget the run before */
	while ((val = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		int global, own;

		if (val == '?') {
			is_bad = true; /* getopt has said why; an --output that comes later counts for what we say */
			continue;
		}
		global = val >= LONG_BASE ? val - LONG_BASE : by_letter(cmd_global_opts, val);
		own = val >= LONG_BASE ? val - own_base : by_letter(p->args.opts, val);
		if (own >= 0 && (val >= own_base || val < LONG_BASE)) {
			if (strv_add(&p->args.values[own], optarg ? optarg : "") < 0)
				return -cli_error(&p->cli, CLI_FAILED, "out of memory");
			continue;
		}
		r = set_global(p, cmd_global_opts[global].name, optarg);
		if (r != CLI_OK)
			return -r;
	}
	return is_bad ? -cli_error(&p->cli, CLI_USAGE, "the command line is not understood; see meshctl --help, or meshctl COMMAND --help") : optind;
}

static const struct cmd *find(const struct cmd *const *tables, const char *noun, const char *verb)
{
	for (const struct cmd *const *t = tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			if (str_eq(c->noun, noun) &&
			    (!c->verb || (verb && str_eq(c->verb, verb))))
				return c;
	return NULL;
}

/* `verb` NULL: whether there is such a noun. */
static bool is_command(const struct cmd *const *tables, const char *noun, const char *verb)
{
	for (const struct cmd *const *t = tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			if (str_eq(c->noun, noun) && (!verb || (c->verb && str_eq(c->verb, verb))))
				return true;
	return false;
}

/* What the options among these words ask for, since no command is there to parse them. */
static void look_for_options(struct parsed *p, char **words, int n)
{
	for (int i = 0; i < n; i++) {
		bool is_output = i && (str_eq(words[i - 1], "-o") || str_eq(words[i - 1], "--output"));

		if (str_eq(words[i], "--help") || str_eq(words[i], "-h"))
			p->is_help = true;
		if (str_eq(words[i], "-ojson") || str_eq(words[i], "--output=json") || (is_output && str_eq(words[i], "json")))
			p->cli.format = CLI_JSON;
	}
}

static int help(const struct cmd *const *tables, const struct parsed *p, char **words, int n)
{
	const char *noun = n > 0 && words[0][0] != '-' ? words[0] : NULL, *verb = noun && n > 1 && words[1][0] != '-' ? words[1] : NULL;

	if (noun && !is_command(tables, noun, verb))
		return cli_error(&p->cli, CLI_USAGE, "%.64s%s%.64s: no such command; meshctl --help lists them", noun, verb ? " " : "",
				 verb ? verb : "");
	cmd_help(tables, noun, verb, p->cli.out);
	return CLI_OK;
}

/* The words around the command are wrong or missing: help if asked for, else what would be right. */
static int no_command(const struct cmd *const *tables, struct parsed *p, char **words, int n)
{
	look_for_options(p, words, n);
	if (n && str_eq(words[0], "help"))
		return help(tables, p, words + 1, n - 1);
	if (p->is_help && (!n || is_command(tables, words[0], NULL)))
		return help(tables, p, words, MIN(n, 1));
	if (!n) {
		cmd_help(tables, NULL, NULL, stderr);
		return CLI_USAGE;
	}
	if (!is_command(tables, words[0], NULL))
		return cli_error(&p->cli, CLI_USAGE, "%.64s: no such command; meshctl --help lists them", words[0]);
	return cli_error(&p->cli, CLI_USAGE, "%.64s%s%.64s: no such command; meshctl %.64s --help lists them", words[0],
			 n > 1 ? " " : "", n > 1 ? words[1] : "", words[0]);
}

static int run(struct parsed *p, const struct cmd *c, int argc, char **argv)
{
	int first;

	p->args.opts = c->opts;
	first = parse_opts(p, argc, argv, false);
	if (first < 0)
		return -first;
	if (p->is_help) {
		cmd_help(p->cli.tables, c->noun, c->verb, p->cli.out);
		return CLI_OK;
	}
	p->args.argc = argc - first;
	p->args.argv = argv + first;
	if (p->args.argc < c->min_args || p->args.argc > c->max_args)
		return cli_error(&p->cli, CLI_USAGE, "%s%s%s: %s argument; usage: meshctl %s%s%s%s%s", c->noun,
				 c->verb ? " " : "", c->verb ? c->verb : "",
				 p->args.argc < c->min_args ? "missing" : "superfluous", c->noun,
				 c->verb ? " " : "", c->verb ? c->verb : "", c->args ? " " : "",
				 c->args ? c->args : "");
	return c->run(&p->cli, &p->args);
}

static int parse_and_run(const struct cmd *const *tables, int argc, char **argv, FILE *out)
{
	struct parsed p = {.cli = {.has_headings = true,
				   .timeout_us = TIMEOUT_S * USEC_PER_SEC,
				   .out = out,
				   .tables = tables}};
	int i = parse_opts(&p, argc, argv, true), code;
	const struct cmd *c;

	if (i < 0)
		return -i;
	if (p.is_version) {
		(void)fprintf(out, "meshctl %s\n", PACKAGE_VERSION_TEXT);
		return CLI_OK;
	}
	c = i < argc ? find(tables, argv[i], i + 1 < argc ? argv[i + 1] : NULL) : NULL;
	if (!c)
		return no_command(tables, &p, argv + i, argc - i);
	if (c->verb)
		i++;
	argv[i] = argv[0]; /* for the messages of getopt */
	code = run(&p, c, argc - i, argv + i);
	for (size_t k = 0; k < CMD_OPTS_MAX; k++)
		strv_done(&p.args.values[k]);
	return code;
}

int cmd_main(const struct cmd *const *tables, int argc, char **argv, FILE *out)
{
	int code = parse_and_run(tables, argc, argv, out);

	if ((fflush(out) == 0 && !ferror(out)) || code == CLI_FAILED) /* a command that noticed has said so */
		return code;
	return cli_complain(CLI_FAILED, "the output could not be written");
}
