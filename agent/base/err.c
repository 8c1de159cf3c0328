/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *reterr, int code, const char *fmt, ...)
{
	va_list ap;

	if (reterr) {
		va_start(ap, fmt);
		(void)vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap); /* cut text is still text */
		va_end(ap);
	}
	return -code;
}

int err_prefix(struct err *reterr, int r, const char *fmt, ...)
{
	char old[sizeof(reterr->text)];
	va_list ap;
	int n;

	if (!reterr)
		return r;
	memcpy(old, reterr->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(reterr->text))
		(void)snprintf(reterr->text + n, sizeof(reterr->text) - (size_t)n, ": %s", old);
	return r;
}

const char *err_name(int r)
{
	static char buf[128];

	return strerror_r(r < 0 ? -r : r, buf, sizeof(buf));
}
