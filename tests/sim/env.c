/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance and timers, instead of those of agent/base and agent/event (linked with --wrap). */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "event/loop.h"

struct source {
	loop_fn fn;
	void *arg;
	uint64_t due_us; /* UINT64_MAX = not armed */
	struct source *prev, *next;
};

struct sim *sim;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);
uint64_t __wrap_clock_boot_us(void);
void __wrap_rng_bytes(void *data, size_t len);
uint32_t __wrap_rng_below(uint32_t bound);
int __wrap_loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct source **ret);
int __wrap_source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us);
void __wrap_source_disarm(struct source *s);
void __wrap_source_free(struct source *s);

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (sim->failure[0])
		return;
	va_start(ap, fmt);
	(void)vsnprintf(sim->failure, sizeof(sim->failure), fmt, ap); /* cut is fine */
	va_end(ap);
}

void sim_say(const char *fmt, ...)
{
	va_list ap;

	if (!sim->is_verbose)
		return;
	(void)printf("%10.3f ", (double)sim->now_us / 1e6);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

/* True for the allocation whose turn it is to fail. */
static bool has_no_memory(void)
{
	if (!sim || !sim->in_host || !sim->allocations_left || --sim->allocations_left)
		return false;
	sim->count.out_of_memory++;
	sim_say("out of memory");
	sim->allocations_left = 1 + sim_below(sim_chance(30) ? 3 : sim->allocations_max);
	return true;
}

void *__wrap_malloc(size_t size)
{
	return has_no_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return has_no_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return has_no_memory() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) || has_no_memory() ? NULL : __real_realloc(p, bytes);
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

char *__wrap_strndup(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	char *copy = __wrap_malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t x = sim->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint32_t sim_below(uint32_t bound)
{
	return (uint32_t)(next() % bound);
}

bool sim_chance(unsigned percent)
{
	return sim_below(100) < percent;
}

uint64_t __wrap_clock_boot_us(void)
{
	return sim->now_us;
}

/* The key of the hash tables: the same always, or one seed would not be one history. */
void __wrap_rng_bytes(void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = (uint8_t)(i * 37 + 11);
}

uint32_t __wrap_rng_below(uint32_t bound)
{
	return sim_below(bound);
}

int __wrap_loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct source **ret)
{
	struct source *s = calloc(1, sizeof(*s));

	(void)l;
	if (!s)
		return -ENOMEM;
	*s = (struct source){.fn = fn, .arg = arg, .due_us = UINT64_MAX};
	DL_APPEND(sim->timers, s);
	*ret = s;
	return 0;
}

int __wrap_source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us)
{
	s->due_us = sim->now_us + delay_us + (slack_us ? next() % slack_us : 0);
	return 0;
}

void __wrap_source_disarm(struct source *s)
{
	s->due_us = UINT64_MAX;
}

void __wrap_source_free(struct source *s)
{
	if (!s)
		return;
	DL_DELETE(sim->timers, s);
	free(s);
}

uint64_t timers_due_us(void)
{
	uint64_t due = UINT64_MAX;

	for (const struct source *s = sim->timers; s; s = s->next)
		due = MIN(due, s->due_us);
	return due;
}

void timers_run(void)
{
	for (struct source *s = sim->timers; s; s = s->next) {
		if (s->due_us > sim->now_us)
			continue;
		s->due_us = UINT64_MAX;
		sim->count.woken++;
		sim->in_host = true;
		s->fn(s->arg);
		sim->in_host = false;
		return; /* it may have freed any other */
	}
}
