/* SPDX-License-Identifier: Apache-2.0 */
/* One model for all output: JSON rows, shown as a table for people or as they are. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/cmd.h"

struct out_col {
	const char *heading;
	const char *key; /* dotted path as in json_at(); strings, numbers, lists, null */
	bool is_right;	 /* numbers */
	bool is_lines;	 /* a list has one element a line, else "a, b" */
	bool is_text;	 /* at a terminal it is broken between words, so that the table fits; one of a table */
	/* Instead of key: appends the cell's text. 0 or -errno. */
	int (*format)(const json_t *row, struct buf *text);
};

/*
 * Prints an array of objects. 0, -ENOMEM, -EIO if `cli->out` cannot be written, -EPROTO if `rows`
 * is no array. Control characters of values never reach a table.
 */
int out_rows(const struct cli *cli, const json_t *rows, const struct out_col *cols, size_t n_cols);

/* Prints a value as JSON, indented. */
int out_json(const struct cli *cli, const json_t *value);

/* Appends a value as a cell: "-" for null and empty, lists joined by `separator`. */
int out_value(struct buf *text, const json_t *value, const char *separator);

/* Appends without control characters; bad bytes become '?'. */
int out_clean(struct buf *text, const char *s);

/* A JSON string; what is no UTF-8 becomes '?'. NULL when out of memory. */
json_t *out_text(const char *s);

/* Appends "3d4h", "5m2s", "120ms". */
int out_age(struct buf *text, const json_t *age_ms);

/* Appends "820us", "12.5ms", "2.1s". */
int out_latency(struct buf *text, const json_t *us);

/* Turns -errno of the functions above into an exit code, with a message. */
int out_result(const struct cli *cli, int r);

/* Asks the daemon and prints the rows; `args` is taken. The exit code of the command. */
int out_call(const struct cli *cli, const char *verb, json_t *args, const struct out_col *cols,
	     size_t n_cols);
