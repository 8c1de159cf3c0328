/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/token_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "crypto/secret.h"

enum { KEY_INTERRUPT = 3, KEY_END = 4 };

/* One line, or up to Ctrl-D. The keys come as they are: with the terminal's own handling of Ctrl-C it would stay as we set it. */
static int read_keys(struct buf *text)
{
	static const char ends[] = {KEY_INTERRUPT, KEY_END, '\n', '\r', '\0'};
	char chunk[1024];

	for (;;) {
		ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk) - 1);
		size_t len;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		chunk[n] = '\0';
		len = strcspn(chunk, ends);
		if (buf_add(text, chunk, len) < 0)
			return -E2BIG;
		if (len < (size_t)n)
			return chunk[len] == KEY_INTERRUPT ? -EINTR : 0;
	}
}

static int read_terminal(struct buf *text)
{
	struct termios before, raw;
	int r;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return -errno;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return -errno;
	(void)fputs("Paste the join token and press Enter; it is not shown: ", stderr); /* only a hint */
	r = read_keys(text);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before); /* the terminal is gone, or takes it */
	(void)fputc('\n', stderr);			  /* only for the eye */
	return r;
}

static int read_pipe(struct buf *text)
{
	char chunk[1024];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && buf_add(text, chunk, (size_t)n) < 0)
			return -E2BIG;
	return n < 0 ? -errno : 0;
}

int token_find(char **ret, struct err *reterr)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	CLEANUP(free) char *path = str_printf("%s/" TOKEN_CREDENTIAL, dir ? dir : "");

	if (path && dir && access(path, F_OK) == 0) /* a unit may have others */
		*ret = TAKE_PTR(path);
	else
		*ret = path ? strdup("-") : NULL;
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int token_read(const char *path, char **ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {.max = LIMIT_TOKEN_BYTES};
	bool is_input = str_eq(path, "-");
	const char *name = is_input ? "standard input" : path;
	int r = !is_input ? file_read(path, LIMIT_TOKEN_BYTES, &text) : isatty(STDIN_FILENO) ? read_terminal(&text) : read_pipe(&text);

	if (r == -E2BIG)
		return err_set(reterr, E2BIG, "%s is longer than %d bytes: this is no join token", name, LIMIT_TOKEN_BYTES);
	if (r == -EINTR)
		return err_set(reterr, EINTR, "interrupted; nothing was changed");
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", name, err_name(r));
	secret_free(*ret);
	*ret = strdup(text.data ? text.data : "");
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}
