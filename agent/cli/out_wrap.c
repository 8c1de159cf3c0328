/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out_wrap.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/macro.h"

size_t out_columns(FILE *out)
{
	struct winsize size = {0};
	int fd = fileno(out);

	return fd >= 0 && isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Columns of the first `len` bytes; what is no character of the locale counts as one each. */
static size_t width_of(const char *s, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len;) {
		mbstate_t state = {0};
		wchar_t c;
		size_t n = mbrtowc(&c, s + i, len - i, &state);
		int w = n == 0 || n > len - i ? 1 : wcwidth(c);

		i += n == 0 || n > len - i ? 1 : n;
		width += w > 0 ? (size_t)w : 0;
	}
	return width;
}

size_t out_width(const char *text)
{
	size_t widest = 0;

	for (;;) {
		size_t len = strcspn(text, "\n");

		widest = MAX(widest, width_of(text, len));
		if (!text[len])
			return widest;
		text += len + 1;
	}
}

int out_wrap(struct buf *to, const char *text, size_t width, size_t indent)
{
	size_t at = 0; /* columns of this line so far */
	int r = 0;

	if (!width)
		return buf_add(to, text, strlen(text));
	while (r == 0 && *text) {
		size_t space = strspn(text, " "), word = strcspn(text + space, " "), wide = width_of(text + space, word);

		if (at && at + space + wide > width) {
			r = buf_addf(to, "\n%*s", (int)indent, "");
			at = 0;
			text += space;
			space = 0;
		}
		if (r == 0)
			r = buf_add(to, text, space + word);
		at += space + wide;
		text += space + word;
	}
	return r;
}
