/* SPDX-License-Identifier: Apache-2.0 */
/* Shell completion and the list for the check of the man page, both from the command tables. */
#include <string.h>

#include "base/macro.h"
#include "cli/cmd.h"

static void print_opt_lines(const struct cli *cli, const char *command, const struct cmd_opt *opts)
{
	for (; opts && opts->name; opts++) {
		(void)fprintf(cli->out, "option %s --%s\n", command, opts->name);
		if (opts->letter)
			(void)fprintf(cli->out, "letter %s -%c\n", command, opts->letter);
	}
}

/* A line each: "command identity get", "option dns query --type", "letter dns query -t"; globals as "-". */
static void print_words(const struct cli *cli)
{
	print_opt_lines(cli, "-", cmd_global_opts);
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++) {
			char command[64];

			(void)snprintf(command, sizeof(command), "%s%s%s", c->noun, c->verb ? " " : "",
				       c->verb ? c->verb : "");
			(void)fprintf(cli->out, "command %s\n", command);
			print_opt_lines(cli, command, c->opts);
		}
}

/* What the shells ask for: words that may follow, options, and those of them that take an argument. */
enum list { LIST_WORDS, LIST_OPTIONS, LIST_ARGS };

static void print_opt_words(const struct cli *cli, enum list list, const struct cmd_opt *opts)
{
	for (; list != LIST_WORDS && opts && opts->name; opts++) {
		if (list == LIST_ARGS && !opts->arg)
			continue;
		if (opts->letter)
			(void)fprintf(cli->out, " -%c", opts->letter);
		(void)fprintf(cli->out, " --%s", opts->name);
	}
}

/* What an argument can be, by how it is called in help: alternatives, FILE, or "" for what nobody can guess. */
static const char *values_of(const char *arg)
{
	static const struct {
		const char *arg, *values;
	} known[] = {{"FILE", "FILE"}, {"[FILE]", "FILE"}, {"PATH", "FILE"}, {"FORMAT", "table json"}, {"SHELL", "bash zsh words"},
		     {"DIRECTION", "ingress egress"}, {"PROTOCOL", "tcp udp sctp icmp icmpv6"}, {"yes|no", "yes no"},
		     {"pods|host", "pods host"}, {"turns|weights", "turns weights"}};

	for (size_t i = 0; arg && i < ARRAY_LEN(known); i++)
		if (str_eq(known[i].arg, arg))
			return known[i].values;
	return "";
}

static bool is_first_of_noun(const struct cmd *table, const struct cmd *c)
{
	for (; table != c; table++)
		if (str_eq(table->noun, c->noun))
			return false;
	return true;
}

static void print_verbs(const struct cli *cli, const struct cmd *table, const char *noun)
{
	for (const struct cmd *v = table; v->noun; v++)
		if (v->verb && str_eq(v->noun, noun))
			(void)fprintf(cli->out, " %s", v->verb);
}

static void print_nouns(const struct cli *cli)
{
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			if (is_first_of_noun(*t, c))
				(void)fprintf(cli->out, " %s", c->noun);
}

/* After a noun that has verbs: these, and what the noun takes without one. */
static void print_noun_arm(const struct cli *cli, enum list list, const struct cmd *table, const char *noun)
{
	(void)fprintf(cli->out, "\t\"%s\") words=\"", noun);
	if (list == LIST_WORDS)
		print_verbs(cli, table, noun);
	for (const struct cmd *v = table; v->noun; v++)
		if (!v->verb && str_eq(v->noun, noun))
			print_opt_words(cli, list, v->opts);
	(void)fprintf(cli->out, "\" ;;\n");
	if (list == LIST_WORDS) {
		(void)fprintf(cli->out, "\t\"help %s\") words=\"", noun);
		print_verbs(cli, table, noun);
		(void)fprintf(cli->out, "\" ;;\n");
	}
}

static void print_command_arm(const struct cli *cli, enum list list, const struct cmd *table, const struct cmd *c)
{
	if (c->verb)
		(void)fprintf(cli->out, "\t\"%s %s\") words=\"", c->noun, c->verb);
	else /* with verbs before it, it takes another word */
		(void)fprintf(cli->out, "\t\"%s%s) words=\"", c->noun, is_first_of_noun(table, c) ? "\"" : " \"*");
	if (list == LIST_WORDS)
		(void)fprintf(cli->out, "%s", values_of(c->args));
	print_opt_words(cli, list, c->opts);
	(void)fprintf(cli->out, "\" ;;\n");
}

/* A function of the shell: the words typed so far, without options and their arguments, choose the arm. */
static void print_function(const struct cli *cli, enum list list, const char *name)
{
	(void)fprintf(cli->out, "%s()\n{\n\tlocal words=\"\"\n\tcase \"$1\" in\n", name);
	if (list == LIST_WORDS) {
		(void)fprintf(cli->out, "\t\"\"|help) words=\"");
		print_nouns(cli);
		(void)fprintf(cli->out, " help\" ;;\n");
	}
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++) {
			if (c->verb && is_first_of_noun(*t, c))
				print_noun_arm(cli, list, *t, c->noun);
			print_command_arm(cli, list, *t, c);
		}
	(void)fprintf(cli->out, "\tesac\n\tprintf '%%s' \"$words");
	print_opt_words(cli, list, cmd_global_opts);
	(void)fprintf(cli->out, "\"\n}\n\n");
}

/* What can follow an option: FILE, words, or nothing. "command" and "option" are its arguments. */
static void print_values(const struct cli *cli)
{
	(void)fprintf(cli->out, "_meshctl_values()\n{\n\tcase \"$1:$2\" in\n");
	for (const struct cmd_opt *o = cmd_global_opts; o->name; o++)
		if (*values_of(o->arg)) {
			(void)fprintf(cli->out, "\t*:--%s", o->name);
			if (o->letter)
				(void)fprintf(cli->out, "|*:-%c", o->letter);
			(void)fprintf(cli->out, ") printf '%%s' \"%s\" ;;\n", values_of(o->arg));
		}
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			for (const struct cmd_opt *o = c->opts; o && o->name; o++) {
				if (!*values_of(o->arg))
					continue;
				(void)fprintf(cli->out, "\t\"%s%s%s\"*:--%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "", o->name);
				if (o->letter)
					(void)fprintf(cli->out, "|\"%s%s%s\"*:-%c", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
						      o->letter);
				(void)fprintf(cli->out, ") printf '%%s' \"%s\" ;;\n", values_of(o->arg));
			}
	(void)fprintf(cli->out, "\tesac\n}\n\n");
}

static void print_functions(const struct cli *cli)
{
	print_function(cli, LIST_WORDS, "_meshctl_words");
	print_function(cli, LIST_OPTIONS, "_meshctl_options");
	print_function(cli, LIST_ARGS, "_meshctl_args");
	print_values(cli);
}

static void print_bash(const struct cli *cli)
{
	(void)fprintf(cli->out, "# bash completion of meshctl; made by: meshctl completion bash\n\n");
	print_functions(cli);
	(void)fprintf(cli->out,
		      "_meshctl()\n{\n"
		      "\tlocal path=\"\" i n=0 list word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
		      "\tfor ((i = 1; i < COMP_CWORD && n < 2; i++)); do\n"
		      "\t\tcase \"${COMP_WORDS[i]}\" in\n"
		      "\t\t-*) case \" $(_meshctl_args \"$path\") \" in *\" ${COMP_WORDS[i]} \"*) i=$((i + 1)) ;; esac ;;\n"
		      "\t\t*) path=\"${path:+$path }${COMP_WORDS[i]}\"; n=$((n + 1)) ;;\n"
		      "\t\tesac\n"
		      "\tdone\n"
		      "\tcase \" $(_meshctl_args \"$path\") \" in\n"
		      "\t*\" $before \"*) list=$(_meshctl_values \"$path\" \"$before\") ;;\n"
		      "\t*) case \"$word\" in -*) list=$(_meshctl_options \"$path\") ;; *) list=$(_meshctl_words \"$path\") ;; esac ;;\n"
		      "\tesac\n"
		      "\tif [ \"$list\" = FILE ]; then\n"
		      "\t\tcompopt -o filenames 2>/dev/null\n"
		      "\t\tCOMPREPLY=($(compgen -f -- \"$word\"))\n"
		      "\telse\n"
		      "\t\tCOMPREPLY=($(compgen -W \"$list\" -- \"$word\"))\n"
		      "\tfi\n"
		      "}\n"
		      "complete -F _meshctl meshctl\n");
}

static void print_zsh(const struct cli *cli)
{
	(void)fprintf(cli->out, "#compdef meshctl\n"
				"# zsh completion of meshctl; made by: meshctl completion zsh\n\n");
	print_functions(cli);
	(void)fprintf(cli->out,
		      "_meshctl()\n{\n"
		      "\tlocal path_typed=\"\" i=2 n=0 list before=\"${words[CURRENT-1]}\"\n"
		      "\twhile ((i < CURRENT && n < 2)); do\n"
		      "\t\tcase \"${words[i]}\" in\n"
		      "\t\t-*) case \" $(_meshctl_args \"$path_typed\") \" in *\" ${words[i]} \"*) i=$((i + 1)) ;; esac ;;\n"
		      "\t\t*) path_typed=\"${path_typed:+$path_typed }${words[i]}\"; n=$((n + 1)) ;;\n"
		      "\t\tesac\n"
		      "\t\ti=$((i + 1))\n"
		      "\tdone\n"
		      "\tcase \" $(_meshctl_args \"$path_typed\") \" in\n"
		      "\t*\" $before \"*) list=$(_meshctl_values \"$path_typed\" \"$before\") ;;\n"
		      "\t*) case \"${words[CURRENT]}\" in\n"
		      "\t\t-*) list=$(_meshctl_options \"$path_typed\") ;;\n"
		      "\t\t*) list=$(_meshctl_words \"$path_typed\") ;;\n"
		      "\t\tesac ;;\n"
		      "\tesac\n"
		      "\tif [[ $list = FILE ]]; then _files; else compadd -- ${=list}; fi\n"
		      "}\n\n"
		      "_meshctl \"$@\"\n");
}

static int completion(const struct cli *cli, const struct cmd_args *args)
{
	const char *what = args->argv[0];

	if (str_eq(what, "bash"))
		print_bash(cli);
	else if (str_eq(what, "zsh"))
		print_zsh(cli);
	else if (str_eq(what, "words"))
		print_words(cli);
	else
		return cli_error(cli, CLI_USAGE, "completion %.32s: must be bash, zsh or words", what);
	return CLI_OK; /* cmd_main() looks at the stream at the end */
}

const struct cmd cmd_completion_table[] = {
	{"completion", NULL, "SHELL", 1, 1, "Completion for bash or zsh; words: all commands and options", NULL,
	 completion},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
