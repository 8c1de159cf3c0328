/* SPDX-License-Identifier: Apache-2.0 */
/* The few response headers that matter beyond the status (RFC 9110). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct http_head {
	int64_t retry_after_s; /* at most a day; -1 = none given */
	int64_t date_s;	       /* Unix time; 0 = none */
};

/* Takes one header line, with or without its line end; `line` needs no NUL. Others and malformed ones change nothing. */
void http_head_line(struct http_head *h, const char *line, size_t len);
