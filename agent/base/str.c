/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macro.h"

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

int str_to_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t x = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(x, 10, &x) ||
		    __builtin_add_overflow(x, (uint64_t)(*p - '0'), &x) || x > max)
			return -ERANGE;
	}
	*ret = x;
	return 0;
}

int str_to_hex64(const char *text, uint64_t *ret)
{
	uint64_t v = 0;

	if (strlen(text) != 16)
		return -EINVAL;
	for (; *text; text++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, *text);

		if (!at)
			return -EINVAL;
		v = v << 4 | (uint64_t)(at - digits);
	}
	*ret = v;
	return 0;
}

int str_to_usec(const char *text, uint64_t *ret_us)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = {{"ms", 1000}, {"s", USEC_PER_SEC}, {"m", 60 * USEC_PER_SEC}, {"h", 3600 * USEC_PER_SEC}};
	char digits[24];
	size_t n = strspn(text, "0123456789");
	uint64_t x;
	int r;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	r = str_to_u64(digits, UINT64_MAX, &x);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!str_eq(text + n, units[i].unit))
			continue;
		if (__builtin_mul_overflow(x, units[i].us, &x))
			return -ERANGE;
		*ret_us = x;
		return 0;
	}
	return -EINVAL;
}

static bool is_label(const char *s, size_t n)
{
	if (!n || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	return true;
}

bool str_is_dns_label(const char *s)
{
	return is_label(s, strlen(s));
}

bool str_is_dns_subdomain(const char *s)
{
	if (strlen(s) > 253)
		return false;
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_label(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

int strv_addn(struct strv *l, const char *s, size_t len)
{
	char **v = reallocarray(l->v, l->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->n] = strndup(s, len);
	if (!v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int str_replace(char **at, const char *text)
{
	char *copy;

	if (*at && str_eq(*at, text))
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

int strv_add(struct strv *l, const char *s)
{
	return strv_addn(l, s, strlen(s));
}

int strv_split(struct strv *l, const char *s, char sep)
{
	const char set[2] = {sep, '\0'};

	while (*s) {
		size_t n = strcspn(s, set);
		int r = n ? strv_addn(l, s, n) : 0;

		if (r < 0)
			return r;
		s += n;
		if (*s)
			s++;
	}
	return 0;
}

bool strv_has(const struct strv *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->v[i], s))
			return true;
	return false;
}

void strv_done(struct strv *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}
