/* SPDX-License-Identifier: Apache-2.0 */
/* One event of `meshctl monitor`: which are shown, and how. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct monitor_filter {
	bool is_drops_only;
	const char *peer; /* address; NULL = any */
	const char *direction;
	bool has_identity;
	uint64_t identity;
};

bool monitor_matches(const struct monitor_filter *f, const json_t *event);

/* Appends the event as one line without its end; offset_us is wall clock minus boot clock. 0, -ENOMEM. */
int monitor_line(const json_t *event, int64_t offset_us, struct buf *text);
