/* SPDX-License-Identifier: Apache-2.0 */
#include "event/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/clock.h"

struct loop {
	sd_event *event;
};

struct source {
	sd_event_source *sd;
	loop_io_fn io;
	loop_fn fn;
	void *arg;
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = sd_event_new(&l->event);
	if (r < 0) {
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	(void)sd_event_unref(l->event); /* returns NULL always */
	free(l);
}

int loop_run(struct loop *l)
{
	return sd_event_loop(l->event);
}

void loop_exit(struct loop *l, int code)
{
	(void)sd_event_exit(l->event, code); /* fails only if exiting already */
}

int loop_once(struct loop *l, uint64_t timeout_us)
{
	return sd_event_run(l->event, timeout_us);
}

int loop_enable_watchdog(struct loop *l)
{
	int r = sd_event_set_watchdog(l->event, 1);

	return r < 0 ? r : 0;
}

static int on_io(sd_event_source *sd, int fd, uint32_t events, void *arg)
{
	struct source *s = arg;

	(void)sd;
	(void)fd;
	s->io(events, s->arg);
	return 0;
}

static int on_time(sd_event_source *sd, uint64_t usec, void *arg)
{
	struct source *s = arg;

	(void)sd;
	(void)usec;
	s->fn(s->arg);
	return 0;
}

static int on_defer(sd_event_source *sd, void *arg)
{
	struct source *s = arg;

	(void)sd;
	s->fn(s->arg);
	return 0;
}

static int on_signal(sd_event_source *sd, const struct signalfd_siginfo *si, void *arg)
{
	struct source *s = arg;

	(void)sd;
	(void)si;
	s->fn(s->arg);
	return 0;
}

static struct source *source_new(loop_io_fn io, loop_fn fn, void *arg)
{
	struct source *s = calloc(1, sizeof(*s));

	if (s) {
		s->io = io;
		s->fn = fn;
		s->arg = arg;
	}
	return s;
}

/* Hands out `s` if the sd call succeeded with `r`, destroys it otherwise. */
static int source_made(struct source *s, int r, struct source **ret)
{
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int loop_add_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *arg, struct source **ret)
{
	struct source *s = source_new(fn, NULL, arg);

	if (!s)
		return -ENOMEM;
	return source_made(s, sd_event_add_io(l->event, &s->sd, fd, events, on_io, s), ret);
}

int source_set_events(struct source *s, uint32_t events)
{
	return sd_event_source_set_io_events(s->sd, events);
}

int loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct source **ret)
{
	struct source *s = source_new(NULL, fn, arg);
	int r;

	if (!s)
		return -ENOMEM;
	r = sd_event_add_time(l->event, &s->sd, CLOCK_BOOTTIME, UINT64_MAX, 0, on_time, s);
	if (r == -EOPNOTSUPP) /* no CLOCK_BOOTTIME timers: containers with old kernels */
		r = sd_event_add_time(l->event, &s->sd, CLOCK_MONOTONIC, UINT64_MAX, 0, on_time, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->sd, SD_EVENT_OFF);
	return source_made(s, r, ret);
}

int source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us)
{
	int r = sd_event_source_set_time(s->sd, clock_boot_us() + delay_us);

	if (r >= 0)
		r = sd_event_source_set_time_accuracy(s->sd, slack_us ? slack_us : 1);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->sd, SD_EVENT_ONESHOT);
	return r < 0 ? r : 0;
}

void source_disarm(struct source *s)
{
	if (s)
		(void)sd_event_source_set_enabled(s->sd, SD_EVENT_OFF); /* cannot fail for a live source */
}

int loop_add_defer(struct loop *l, enum loop_priority priority, loop_fn fn, void *arg, struct source **ret)
{
	struct source *s = source_new(NULL, fn, arg);
	int r;

	if (!s)
		return -ENOMEM;
	r = sd_event_add_defer(l->event, &s->sd, on_defer, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->sd, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(s->sd, (int64_t)priority);
	return source_made(s, r, ret);
}

int source_trigger(struct source *s)
{
	int r = sd_event_source_set_enabled(s->sd, SD_EVENT_ONESHOT);

	return r < 0 ? r : 0;
}

int loop_add_signal(struct loop *l, int signo, loop_fn fn, void *arg, struct source **ret)
{
	struct source *s = source_new(NULL, fn, arg);
	sigset_t set;
	int r;

	if (!s)
		return -ENOMEM;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		r = -errno;
	else
		r = sd_event_add_signal(l->event, &s->sd, signo, on_signal, s);
	return source_made(s, r, ret);
}

int loop_attach_bus(struct loop *l, struct sd_bus *bus)
{
	int r = sd_bus_attach_event(bus, l->event, SD_EVENT_PRIORITY_NORMAL);

	return r < 0 ? r : 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	(void)sd_event_source_set_enabled(s->sd, SD_EVENT_OFF); /* a live source */
	(void)sd_event_source_unref(s->sd);			/* returns NULL always */
	free(s);
}
