/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

/* Microseconds of CLOCK_BOOTTIME: goes on during suspend, never jumps. For all timers and ages. */
uint64_t clock_boot_us(void);

/* Seconds of the wall clock: only for what other machines read (certificates, timestamps). */
int64_t clock_wall_s(void);

/* Microseconds of the wall clock: to show a person when something happened. */
int64_t clock_wall_us(void);

/* RFC 3339 in UTC with microseconds, as Kubernetes MicroTime, of microseconds since 1970. `buf` takes 28 bytes. */
void clock_rfc3339_micro(int64_t wall_us, char buf[28]);

/* Parses RFC 3339 (with optional fraction; Z or numeric offset) to Unix seconds. -EINVAL otherwise. */
int clock_parse_rfc3339(const char *text, int64_t *ret_s);
