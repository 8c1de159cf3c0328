/* SPDX-License-Identifier: Apache-2.0 */
/* Named conditions: what is wrong now, why, and what a person can do. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum health_severity { HEALTH_INFO, HEALTH_WARNING, HEALTH_ERROR };

struct health;

/* Of what the daemon does by itself as soon as it can: for want of its own memory; where the kernel refused something. */
#define REMEDY_MEMORY "it is tried again; if it lasts, give this host, or the unit's MemoryMax, more memory"
#define REMEDY_KERNEL "it is tried again; if it lasts, give this host more memory, and see dmesg"

int health_new(struct health **ret);
void health_free(struct health *h);
DEFINE_CLEANUP(struct health *, health_free)

/*
 * Raises condition `name` ("api.unreachable"), or changes its text; logged when it is new or its text
 * differs. `remedy` is borrowed for as long as the condition is there, and may be NULL. Lack of memory only costs the entry in the status.
 */
void health_raise(struct health *h, enum health_severity severity, const char *name, const char *text,
		  const char *remedy);

/* Ends it; logged if it was there. */
void health_clear(struct health *h, const char *name);

/* The worst severity now; -1 = none at all. */
int health_worst(const struct health *h);
bool health_has(const struct health *h, const char *name);
/* CLOCK_BOOTTIME since when it is there; 0 = it is not. */
uint64_t health_since_us(const struct health *h, const char *name);

/* [{"name", "severity", "text", "remedy"?, "age_ms"}]; NULL when out of memory. */
json_t *health_json(const struct health *h);
