/* SPDX-License-Identifier: Apache-2.0 */
/* Shell completion and the list for the check of the man page, both from the command tables. */
#include <string.h>

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

static void print_opt_words(const struct cli *cli, const struct cmd_opt *opts)
{
	for (; opts && opts->name; opts++) {
		if (opts->letter)
			(void)fprintf(cli->out, " -%c", opts->letter);
		(void)fprintf(cli->out, " --%s", opts->name);
	}
}

static bool is_first_of_noun(const struct cmd *table, const struct cmd *c)
{
	for (; table != c; table++)
		if (str_eq(table->noun, c->noun))
			return false;
	return true;
}

/* After a noun that has verbs: these, and what the noun takes without one. `c` is its first command. */
static void print_noun_case(const struct cli *cli, const struct cmd *table, const struct cmd *c)
{
	(void)fprintf(cli->out, "\t\"%s\") words=\"", c->noun);
	for (const struct cmd *v = table; v->noun; v++)
		if (v->verb && str_eq(v->noun, c->noun))
			(void)fprintf(cli->out, "%s%s", v == c ? "" : " ", v->verb);
	for (const struct cmd *v = table; v->noun; v++)
		if (!v->verb && str_eq(v->noun, c->noun))
			print_opt_words(cli, v->opts);
	(void)fprintf(cli->out, "\" ;;\n");
}

/* "case" arms: words after nothing, after a noun, after a whole command. */
static void print_cases(const struct cli *cli)
{
	(void)fprintf(cli->out, "\t\"\") words=\"");
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++)
			if (is_first_of_noun(*t, c))
				(void)fprintf(cli->out, "%s ", c->noun);
	(void)fprintf(cli->out, "help\" ;;\n");
	for (const struct cmd *const *t = cli->tables; *t; t++)
		for (const struct cmd *c = *t; c->noun; c++) {
			if (c->verb && is_first_of_noun(*t, c))
				print_noun_case(cli, *t, c);
			if (c->verb)
				(void)fprintf(cli->out, "\t\"%s %s\") words=\"", c->noun, c->verb);
			else /* with verbs before it, it takes another word */
				(void)fprintf(cli->out, "\t\"%s%s) words=\"", c->noun, is_first_of_noun(*t, c) ? "\"" : " \"*");
			print_opt_words(cli, c->opts);
			(void)fprintf(cli->out, "\" ;;\n");
		}
}

/* Both shells: the words typed so far, without options and their arguments, choose the arm. */
static void print_function(const struct cli *cli)
{
	(void)fprintf(cli->out, "_meshctl_words()\n{\n\tlocal words=\"\"\n\tcase \"$1\" in\n");
	print_cases(cli);
	(void)fprintf(cli->out, "\tesac\n\tprintf '%%s' \"$words");
	print_opt_words(cli, cmd_global_opts);
	(void)fprintf(cli->out, "\"\n}\n\n");
}

static void print_bash(const struct cli *cli)
{
	(void)fprintf(cli->out, "# bash completion of meshctl; made by: meshctl completion bash\n\n");
	print_function(cli);
	(void)fprintf(cli->out,
		      "_meshctl()\n{\n"
		      "\tlocal path=\"\" i n=0 word=\"${COMP_WORDS[COMP_CWORD]}\"\n"
		      "\tcase \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"
		      "\t-o|--output) COMPREPLY=($(compgen -W 'table json' -- \"$word\")); return ;;\n"
		      "\t-c|--config|--socket|-f|--file) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
		      "\tesac\n"
		      "\tfor ((i = 1; i < COMP_CWORD && n < 2; i++)); do\n"
		      "\t\tcase \"${COMP_WORDS[i]}\" in\n"
		      "\t\t-o|--output|-c|--config|--socket|--timeout) i=$((i + 1)) ;;\n"
		      "\t\t-*) ;;\n"
		      "\t\t*) path=\"${path:+$path }${COMP_WORDS[i]}\"; n=$((n + 1)) ;;\n"
		      "\t\tesac\n"
		      "\tdone\n"
		      "\tCOMPREPLY=($(compgen -W \"$(_meshctl_words \"$path\")\" -- \"$word\"))\n"
		      "}\n"
		      "complete -o default -F _meshctl meshctl\n");
}

static void print_zsh(const struct cli *cli)
{
	(void)fprintf(cli->out, "#compdef meshctl\n"
				"# zsh completion of meshctl; made by: meshctl completion zsh\n\n");
	print_function(cli);
	(void)fprintf(cli->out,
		      "_meshctl()\n{\n"
		      "\tlocal path=\"\" i=2 n=0\n"
		      "\tcase \"${words[CURRENT-1]}\" in\n"
		      "\t-o|--output) compadd table json; return ;;\n"
		      "\t-c|--config|--socket|-f|--file) _files; return ;;\n"
		      "\tesac\n"
		      "\twhile ((i < CURRENT && n < 2)); do\n"
		      "\t\tcase \"${words[i]}\" in\n"
		      "\t\t-o|--output|-c|--config|--socket|--timeout) i=$((i + 1)) ;;\n"
		      "\t\t-*) ;;\n"
		      "\t\t*) path=\"${path:+$path }${words[i]}\"; n=$((n + 1)) ;;\n"
		      "\t\tesac\n"
		      "\t\ti=$((i + 1))\n"
		      "\tdone\n"
		      "\tcompadd -- ${=$(_meshctl_words \"$path\")}\n"
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
