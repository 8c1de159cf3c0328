/* SPDX-License-Identifier: Apache-2.0 */
/* What fakes of services on the system bus have in common: a socket where each client gets a bus of its own. */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

struct fake_bus {
	int fd; /* -1: not there */
	sd_event *event;
	sd_event_source *listen;
};

/* Listens at `path`; on_client, with `arg`, is called for each who connects. 0 or -errno; fake_bus_done() in both cases. */
int fake_bus_init(struct fake_bus *b, const char *path, sd_event_io_handler_t on_client, void *arg);
void fake_bus_done(struct fake_bus *b);

/*
 * Takes the client that waits. on_message, with `arg`, gets its messages, but for those to the bus itself, which are answered
 * as one would. 0; -EAGAIN if there is none; -errno.
 */
int fake_bus_accept(struct fake_bus *b, sd_bus_message_handler_t on_message, void *arg, sd_bus **ret);

/* Serves what is there, waiting for the first of it. */
void fake_bus_run(struct fake_bus *b, unsigned timeout_ms);
