/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix);

/* Parses a whole decimal number without sign or space. -EINVAL, -ERANGE past `max`. */
int str_to_u64(const char *text, uint64_t max, uint64_t *ret);

/* Parses 16 hexadecimal digits, lower case. -EINVAL. */
int str_to_hex64(const char *text, uint64_t *ret);

/* Parses a Go-like duration of whole units: "90s", "5m", "1h", "250ms". -EINVAL, -ERANGE. */
int str_to_usec(const char *text, uint64_t *ret_us);

/* RFC 1123 label or subdomain, as Kubernetes names are checked (lower case, digits, '-', '.'). */
bool str_is_dns_label(const char *s);
bool str_is_dns_subdomain(const char *s);

/* Formats into a fresh string, owned by the caller; NULL when out of memory. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Makes the owned string `*at`, which may be NULL, a copy of `text`. 0, or -ENOMEM and it stays. */
int str_replace(char **at, const char *text);

/* A list of owned strings. */
struct strv {
	char **v;
	size_t n;
};

/* Copies and appends. 0 or -ENOMEM. */
int strv_add(struct strv *l, const char *s);
int strv_addn(struct strv *l, const char *s, size_t len);
/* Splits at `sep`, empty parts left out. */
int strv_split(struct strv *l, const char *s, char sep);
bool strv_has(const struct strv *l, const char *s);
void strv_done(struct strv *l);

DEFINE_CLEANUP_DONE(struct strv, strv_done)
