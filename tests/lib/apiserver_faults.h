/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that an admin asks for: POST /test/faults takes a JSON list of them. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/err.h"

enum fault_action {
	FAULT_STATUS,	   /* a Status of code `status` (500 if 0) */
	FAULT_RETRY_AFTER, /* 429 with Retry-After: `retry_after` */
	FAULT_CUT,	   /* the connection ends after `after_bytes` of the body */
	FAULT_EMPTY,	   /* lists and initial events without items */
	FAULT_SLOW,	   /* `after_bytes` of the body every `delay_ms` */
	FAULT_HANG,	   /* nothing more after `after_bytes`; 0 = not even the headers */
	FAULT_GARBAGE,	   /* after `after_bytes` something that is no JSON */
	FAULT_GONE,	   /* 410: as status of a list, as ERROR event of a watch */
	FAULT_RV_BACK,	   /* a list as a lagging server has it, `back` writes ago */
	FAULT_DELAY,	   /* the right answer after `delay_ms` */
};

struct fault {
	char *method;	   /* NULL = any */
	char *path_prefix; /* NULL = any */
	int watch;	   /* 1 = only watches, 0 = only others, -1 = both */
	enum fault_action action;
	uint64_t count; /* requests still to be hit */
	uint64_t after_bytes, delay_ms, back;
	unsigned retry_after;
	int status;
};

struct fault_list {
	ARRAY(struct fault) items;
};

/* Adds all or none. -EINVAL with the reason. */
int faults_add(struct fault_list *l, const json_t *list, struct err *reterr);
void faults_clear(struct fault_list *l);
/* The first that matches, counted down; an owned copy, or NULL. */
struct fault *faults_take(struct fault_list *l, const char *method, const char *path,
			  bool is_watch);
void fault_free(struct fault *f);
json_t *faults_json(const struct fault_list *l);
