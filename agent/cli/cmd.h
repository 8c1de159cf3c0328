/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meshctl's commands. Each file cmd_NOUN.c exports one table, which meshctl.c lists; parsing, help,
 * completion and the check of the man page come from the tables.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/str.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_NEGATIVE = 1,    /* the answer is no: not joined, not found, a bad configuration */
	CLI_USAGE = 2,	     /* the command line is wrong */
	CLI_UNREACHABLE = 3, /* nobody answers at the socket or at the API server */
	CLI_DENIED = 4,	     /* we may not */
	CLI_FAILED = 5,	     /* the other side tried and could not, or we could not */
};

enum cli_format { CLI_TABLE, CLI_JSON };

/* What global options say. Commands print data to `out` and errors with cli_error(). */
struct cli {
	enum cli_format format;
	bool has_headings;
	const char *socket; /* NULL = from the configuration, else its default */
	const char *config; /* file */
	uint64_t timeout_us;
	FILE *out;
	const struct cmd *const *tables; /* all commands; ends with NULL */
};

struct cmd_opt {
	const char *name; /* long option */
	char letter;	  /* 0 = none */
	const char *arg;  /* name of its argument in help; NULL = a flag */
	const char *help;
	bool is_many; /* may be given more than once; else the last one counts */
};

enum { CMD_OPTS_MAX = 16 };

/* Values of one command line; read with the functions below. */
struct cmd_args {
	const struct cmd_opt *opts; /* of the command */
	struct strv values[CMD_OPTS_MAX];
	char **argv; /* positional */
	int argc;
};

struct cmd {
	const char *noun, *verb; /* verb NULL: the noun alone is the command; after those with verbs, if there are any */
	const char *args;	 /* positional ones in help; NULL = none */
	int min_args, max_args;
	const char *help; /* one line, without a full stop */
	const struct cmd_opt *opts; /* ends with a NULL name; NULL = none */
	/* Returns enum cli_exit; has printed the reason if it is not CLI_OK. */
	int (*run)(const struct cli *cli, const struct cmd_args *args);
};

/* Tables end with a NULL noun. */
extern const struct cmd cmd_status_table[];
extern const struct cmd cmd_endpoint_table[];
extern const struct cmd cmd_identity_table[];
extern const struct cmd cmd_node_table[];
extern const struct cmd cmd_policy_table[];
extern const struct cmd cmd_service_table[];
extern const struct cmd cmd_ipcache_table[];
extern const struct cmd cmd_map_table[];
extern const struct cmd cmd_dns_table[];
extern const struct cmd cmd_monitor_table[];
extern const struct cmd cmd_drain_table[];
extern const struct cmd cmd_forward_table[];
extern const struct cmd cmd_migrate_table[];
extern const struct cmd cmd_leave_table[];
extern const struct cmd cmd_bugreport_table[];
extern const struct cmd cmd_config_table[];
extern const struct cmd cmd_completion_table[];
extern const struct cmd cmd_cluster_table[];
extern const struct cmd cmd_host_table[];

/* Global options, then those of `cmd` (may be NULL); each list ends with a NULL name. */
extern const struct cmd_opt cmd_global_opts[];

/* The last value of the option, "" for a flag that is set, NULL if it was not given. */
const char *cmd_opt(const struct cmd_args *args, const char *name);
/* All its values, in order; never NULL. */
const struct strv *cmd_opt_all(const struct cmd_args *args, const char *name);

/*
 * Prints "meshctl: text" to stderr and returns `code`. With -o json also {"error": text, "exit": code} to `cli->out`: for
 * commands that have printed nothing yet, or a JSON object a line.
 */
int cli_error(const struct cli *cli, enum cli_exit code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same to stderr alone, where `cli->out` has what was asked for, or cannot be written. */
int cli_complain(enum cli_exit code, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Asks the daemon. `args` is taken, may be NULL. On failure has printed the reason and what to do
 * next, and returns the exit code; *ret_data is the caller's.
 */
int cli_call(const struct cli *cli, const char *verb, json_t *args, json_t **ret_data);

/* Same, quietly: the text that would have been printed goes to `reterr`. */
int cli_ask(const struct cli *cli, const char *verb, json_t *args, json_t **ret_data, struct err *reterr);

/*
 * The socket to use: option, configuration, default. Heap. Returns enum cli_exit: a configuration that
 * was named on the command line must be there and valid.
 */
int cli_socket_path(const struct cli *cli, char **ret, struct err *reterr);

/*
 * Runs `argv` (argv[0] is skipped) against the tables. `tables` ends with NULL. Returns the exit
 * code.
 */
int cmd_main(const struct cmd *const *tables, int argc, char **argv, FILE *out);

/* Usage of everything (noun NULL), of a noun, or of one command. */
void cmd_help(const struct cmd *const *tables, const char *noun, const char *verb, FILE *out);
