/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one event loop of a process, on sd-event. Everything runs in its thread; no callback blocks.
 * A source is owned by who added it; source_free() may be called from any callback, its own included.
 */
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

struct loop;
struct source;

/* Smaller runs first when several are ready. */
enum loop_priority { LOOP_URGENT = -10, LOOP_NORMAL = 0, LOOP_IDLE = 10 };

/* 0 or -ENOMEM and other errno of epoll. */
int loop_new(struct loop **ret);
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)

/* Runs until loop_exit(); returns its code, or -errno if the loop itself failed. */
int loop_run(struct loop *l);
void loop_exit(struct loop *l, int code);

/* Dispatches what is ready, waiting at most `timeout_us` (UINT64_MAX = without end). For tests and the CLI. */
int loop_once(struct loop *l, uint64_t timeout_us);

/* Tells systemd that the process lives, as often as the unit's WatchdogSec asks. 0 if none is asked for. */
int loop_enable_watchdog(struct loop *l);

/* `events` are EPOLLIN, EPOLLOUT; the callback gets those that are ready. `fd` is borrowed. */
typedef void (*loop_io_fn)(uint32_t events, void *arg);
int loop_add_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *arg, struct source **ret);
int source_set_events(struct source *s, uint32_t events);

/* A one-shot timer on CLOCK_BOOTTIME. Made disarmed; source_arm() sets it, again and again if wished. */
typedef void (*loop_fn)(void *arg);
int loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct source **ret);
/* Fires `delay_us` from now, up to `slack_us` later so that wake-ups can be shared. */
int source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us);
void source_disarm(struct source *s);

/* Runs once in a later iteration, after other ready sources of higher priority. Made disarmed. */
int loop_add_defer(struct loop *l, enum loop_priority priority, loop_fn fn, void *arg, struct source **ret);
int source_trigger(struct source *s);

/* The signal is blocked for the process and delivered through the loop. */
int loop_add_signal(struct loop *l, int signo, loop_fn fn, void *arg, struct source **ret);

/* Lets the loop drive the connection until it is closed; callbacks of sd-bus run in the loop. 0 or -errno. */
struct sd_bus;
int loop_attach_bus(struct loop *l, struct sd_bus *bus);

void source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free)
