/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log events: a stable dotted name, typed fields and one sentence. They go to the journal with
 * their fields when the process runs under systemd, else to stderr as text. Events of one name are
 * limited to a burst of 20 in 10 s; what was held back is counted in the next one that passes.
 * Never hand a token, key or payload to this interface.
 */
#pragma once

#include <stdint.h>
#include <syslog.h>

#include "base/macro.h"

enum log_field_type { LOG_FIELD_STR, LOG_FIELD_I64, LOG_FIELD_U64 };

struct log_field {
	const char *key;
	enum log_field_type type;
	union {
		const char *str; /* NULL prints as "-" */
		int64_t i64;
		uint64_t u64;
	};
};

#define F_STR(k, v)   ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = (v)})
#define F_I64(k, v)   ((struct log_field){.key = (k), .type = LOG_FIELD_I64, .i64 = (v)})
#define F_U64(k, v)   ((struct log_field){.key = (k), .type = LOG_FIELD_U64, .u64 = (v)})
#define F_ERRNO(r)    F_STR("error", err_name(r))

/* Level is LOG_ERR (a person must act), LOG_WARNING (degraded), LOG_INFO (state changed) or LOG_DEBUG. */
#define log_event(level, event, sentence, ...)                                                     \
	log_event_fields((level), (event), (sentence),                                             \
			 (const struct log_field[]){{.key = NULL}, ##__VA_ARGS__},                 \
			 ARRAY_LEN(((const struct log_field[]){{.key = NULL}, ##__VA_ARGS__})))
void log_event_fields(int level, const char *event, const char *sentence,
		      const struct log_field *fields, size_t n);

/* Events above this syslog level are dropped; LOG_INFO at start. */
void log_set_level(int level);
int log_get_level(void);

/* Parses "error", "warning", "info" or "debug". -EINVAL for anything else. */
int log_level_parse(const char *name, int *ret_level);
