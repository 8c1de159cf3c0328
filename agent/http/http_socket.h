/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket that libcurl reads and writes, on the event loop. While nobody waits for single pieces of what comes, those of
 * 5 ms are read at once: an API server sends the list that a watch begins with object by object, and to wake up for each
 * costs more than to decode it.
 */
#pragma once

#include <stdint.h>

#include "event/loop.h"

struct http_socket;

struct http_socket_conf {
	/* `fd` is ready: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. May free the socket. */
	void (*on_ready)(int fd, uint32_t events, void *arg);
	void *arg;
	const uint64_t *received; /* counts the bytes that came, in on_ready() */
	const unsigned *bulk;	  /* above 0: pieces may wait */
};

/* `fd` is borrowed, `conf` copied; `events` are EPOLLIN and EPOLLOUT. 0, -ENOMEM and what epoll says. */
int http_socket_new(struct loop *loop, int fd, uint32_t events, const struct http_socket_conf *conf, struct http_socket **ret);
void http_socket_free(struct http_socket *s);
DEFINE_CLEANUP(struct http_socket *, http_socket_free)

/* 0 or what epoll says. */
int http_socket_set_events(struct http_socket *s, uint32_t events);
