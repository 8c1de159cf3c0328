/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_bus.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int fake_bus_init(struct fake_bus *b, const char *path, sd_event_io_handler_t on_client, void *arg)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int r;

	*b = (struct fake_bus){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	(void)unlink(path);
	if (b->fd < 0 || bind(b->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(b->fd, 8) < 0)
		return -errno;
	r = sd_event_new(&b->event);
	return r < 0 ? r : sd_event_add_io(b->event, &b->listen, b->fd, EPOLLIN, on_client, arg);
}

void fake_bus_done(struct fake_bus *b)
{
	sd_event_source_unref(b->listen);
	sd_event_unref(b->event);
	if (b->fd >= 0)
		(void)close(b->fd);
	*b = (struct fake_bus){.fd = -1};
}

static int on_bus_message(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	int r;

	(void)arg;
	(void)error;
	if (sd_bus_message_is_method_call(m, NULL, "Hello"))
		r = sd_bus_reply_method_return(m, "s", ":1.7");
	else if (sd_bus_message_is_method_call(m, NULL, "AddMatch") || sd_bus_message_is_method_call(m, NULL, "RemoveMatch"))
		r = sd_bus_reply_method_return(m, "");
	else
		return 0;
	return r < 0 ? r : 1;
}

int fake_bus_accept(struct fake_bus *b, sd_bus_message_handler_t on_message, void *arg, sd_bus **ret)
{
	int fd = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;
	sd_id128_t id = {{4, 5, 6}};
	sd_bus *bus = NULL;

	if (fd < 0)
		return -EAGAIN;
	r = sd_bus_new(&bus);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = sd_bus_set_fd(bus, fd, fd); /* its own from now on */
	if (r >= 0)
		r = sd_bus_set_server(bus, 1, id);
	/* the last one that was added is asked first */
	if (r >= 0)
		r = sd_bus_add_filter(bus, NULL, on_bus_message, NULL);
	if (r >= 0)
		r = sd_bus_add_filter(bus, NULL, on_message, arg);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus, b->event, 0);
	if (r < 0) {
		sd_bus_close_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

void fake_bus_run(struct fake_bus *b, unsigned timeout_ms)
{
	uint64_t wait_us = timeout_ms * UINT64_C(1000);

	while (sd_event_run(b->event, wait_us) > 0)
		wait_us = 0;
}
