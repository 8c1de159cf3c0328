/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <errno.h>
#include <libsmartcols.h>
#include <string.h>

#include "cli/out_wrap.h"
#include "json/json.h"

enum { TEXT_MIN = 24 }; /* columns of a text, however little the others leave */

int out_clean(struct buf *text, const char *s)
{
	int r = 0;

	for (; r >= 0 && *s; s++) {
		unsigned char c = (unsigned char)*s;

		/* C1 controls are C2 80 to C2 9F in UTF-8; jansson has checked the rest. */
		if (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0) {
			r = buf_add(text, "?", 1);
			s++;
		} else {
			r = buf_add(text, c < 0x20 || c == 0x7f ? "?" : s, 1);
		}
	}
	return r;
}

int out_value(struct buf *text, const json_t *value, const char *separator)
{
	const json_t *e;
	size_t i;
	int r = 0;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return json_string_length(value) ? out_clean(text, json_string_value(value))
						 : buf_add(text, "-", 1);
	case JSON_INTEGER:
		return buf_addf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL:
		return buf_addf(text, "%.3f", json_real_value(value));
	case JSON_TRUE:
		return buf_addf(text, "yes");
	case JSON_FALSE:
		return buf_addf(text, "no");
	case JSON_ARRAY:
		if (!json_array_size(value))
			break;
		json_array_foreach(value, i, e) {
			if (i)
				r = buf_addf(text, "%s", separator);
			if (r >= 0)
				r = out_value(text, e, ", ");
			if (r < 0)
				return r;
		}
		return 0;
	case JSON_OBJECT:
	case JSON_NULL:
		break;
	}
	return buf_add(text, "-", 1);
}

json_t *out_text(const char *s)
{
	json_t *text = json_string(s);
	CLEANUP(free) char *copy = text ? NULL : strdup(s);

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return copy ? json_string(copy) : text;
}

int out_age(struct buf *text, const json_t *age_ms)
{
	static const struct {
		const char *unit;
		long long ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
	long long ms = json_integer_value(age_ms);

	if (!json_is_integer(age_ms) || ms < 0)
		return buf_add(text, "-", 1);
	if (ms < 1000)
		return buf_addf(text, "%lldms", ms);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ms < units[i].ms)
			continue;
		if (i + 1 < ARRAY_LEN(units) && ms % units[i].ms >= units[i + 1].ms)
			return buf_addf(text, "%lld%s%lld%s", ms / units[i].ms, units[i].unit,
					ms % units[i].ms / units[i + 1].ms, units[i + 1].unit);
		return buf_addf(text, "%lld%s", ms / units[i].ms, units[i].unit);
	}
	return 0;
}

int out_latency(struct buf *text, const json_t *us)
{
	json_int_t v = json_integer_value(us);

	if (!json_is_integer(us) || v < 0)
		return buf_add(text, "-", 1);
	if (v < 1000)
		return buf_addf(text, "%" JSON_INTEGER_FORMAT "us", v);
	return v < 1000000 ? buf_addf(text, "%.1fms", (double)v / 1000) : buf_addf(text, "%.1fs", (double)v / 1000000);
}

static int add_cell(struct libscols_line *line, size_t i, const struct out_col *col, const json_t *row)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = col->format ? col->format(row, &text)
			    : out_value(&text, json_at(row, col->key), col->is_lines ? "\n" : ", ");

	if (r < 0)
		return r;
	return scols_line_set_data(line, i, text.data ? text.data : "-");
}

static int add_columns(struct libscols_table *table, const struct out_col *cols, size_t n_cols)
{
	for (size_t i = 0; i < n_cols; i++) {
		bool has_lines = cols[i].is_lines || cols[i].is_text;
		int flags = (cols[i].is_right ? SCOLS_FL_RIGHT : 0) | (has_lines ? SCOLS_FL_WRAP : 0);
		struct libscols_column *c = scols_table_new_column(table, cols[i].heading, 0, flags);

		if (!c)
			return -ENOMEM;
		if (has_lines &&
		    (scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) < 0 ||
		     scols_column_set_safechars(c, "\n") < 0))
			return -ENOMEM;
	}
	return 0;
}

static int fill(struct libscols_table *table, const struct cli *cli, const json_t *rows,
		const struct out_col *cols, size_t n_cols)
{
	const json_t *row;
	size_t i;
	int r = scols_table_set_stream(table, cli->out);

	if (r >= 0)
		r = scols_table_enable_noheadings(table, !cli->has_headings);
	if (r >= 0)
		r = scols_table_set_column_separator(table, "  ");
	if (r >= 0)
		r = add_columns(table, cols, n_cols);
	json_array_foreach(rows, i, row) {
		struct libscols_line *line = r >= 0 ? scols_table_new_line(table, NULL) : NULL;

		if (!line)
			return r < 0 ? r : -ENOMEM;
		for (size_t k = 0; r >= 0 && k < n_cols; k++)
			r = add_cell(line, k, &cols[k], row);
	}
	return r;
}

/* What the other columns leave of the terminal. 0: no need to break anything. */
static size_t room_for(struct libscols_table *table, const struct out_col *cols, size_t n_cols, size_t text, size_t columns)
{
	size_t others = 2 * (n_cols - 1), n = scols_table_get_nlines(table);

	for (size_t i = 0; i < n_cols; i++) {
		size_t widest = out_width(cols[i].heading);

		for (size_t k = 0; i != text && k < n; k++)
			widest = MAX(widest, out_width(scols_cell_get_data(scols_line_get_cell(scols_table_get_line(table, k), i))));
		others += i == text ? 0 : widest;
	}
	return columns > others + TEXT_MIN ? columns - others : TEXT_MIN;
}

static int break_text(struct libscols_table *table, const struct cli *cli, const struct out_col *cols, size_t n_cols)
{
	size_t columns = out_columns(cli->out), text = 0, room;
	int r = 0;

	while (text < n_cols && !cols[text].is_text)
		text++;
	if (!columns || text == n_cols)
		return 0;
	room = room_for(table, cols, n_cols, text, columns);
	for (size_t k = 0; r == 0 && k < scols_table_get_nlines(table); k++) {
		struct libscols_cell *cell = scols_line_get_cell(scols_table_get_line(table, k), text);
		CLEANUP(buf_done) struct buf broken = {0};

		r = out_wrap(&broken, scols_cell_get_data(cell), room, 0);
		if (r == 0)
			r = scols_cell_set_data(cell, broken.data ? broken.data : "-");
	}
	return r;
}

static int print_table(const struct cli *cli, const json_t *rows, const struct out_col *cols, size_t n_cols)
{
	struct libscols_table *table = scols_new_table();
	int r;

	if (!table)
		return -ENOMEM;
	r = fill(table, cli, rows, cols, n_cols);
	if (r >= 0)
		r = break_text(table, cli, cols, n_cols);
	/* The library prints nothing at all for a table without lines. */
	if (r >= 0 && json_array_size(rows) == 0) {
		for (size_t i = 0; cli->has_headings && i < n_cols; i++)
			(void)fprintf(cli->out, "%s%s", i ? "  " : "", cols[i].heading);
		if (cli->has_headings)
			(void)fputc('\n', cli->out);
	} else if (r >= 0) {
		r = scols_print_table(table);
	}
	scols_unref_table(table);
	if (r < 0)
		return r;
	return ferror(cli->out) ? -EIO : 0;
}

int out_json(const struct cli *cli, const json_t *value)
{
	if (json_dumpf(value, cli->out, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0 || fputc('\n', cli->out) == EOF)
		return -EIO;
	return 0;
}

int out_rows(const struct cli *cli, const json_t *rows, const struct out_col *cols, size_t n_cols)
{
	if (!json_is_array(rows))
		return -EPROTO;
	if (cli->format == CLI_JSON)
		return out_json(cli, rows);
	return print_table(cli, rows, cols, n_cols);
}

int out_result(const struct cli *cli, int r)
{
	switch (-r) {
	case 0:
		return CLI_OK;
	case EIO:
		return cli_complain(CLI_FAILED, "the output could not be written");
	case EPROTO:
		return cli_error(cli, CLI_FAILED, "the daemon's answer has not the expected shape: are meshctl and "
					     "the daemon of one version?");
	}
	return cli_error(cli, CLI_FAILED, "%s", err_name(r));
}

int out_call(const struct cli *cli, const char *verb, json_t *args, const struct out_col *cols, size_t n_cols)
{
	CLEANUP(json_decref) json_t *rows = NULL;
	int code = cli_call(cli, verb, args, &rows);

	return code == CLI_OK ? out_result(cli, out_rows(cli, rows, cols, n_cols)) : code;
}
