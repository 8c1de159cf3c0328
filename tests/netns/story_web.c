/* SPDX-License-Identifier: Apache-2.0 */
#include "story_web.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOAD_EVERY_US = 10 * 1000, TEXTS = 32, PATIENCE_S = 2 };

/* Of both families. */
static int listener(const char *port)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number(port, UINT16_MAX))};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, off = 0;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, 16) < 0)
		return -1;
	return fd;
}

int web_late(char **argv)
{
	int fd = listener(argv[0]), c = fd < 0 ? -1 : accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (c < 0)
		return fail("story_peer: listen");
	while (access(argv[1], F_OK) < 0)
		(void)poll(NULL, 0, 50);
	if (send(c, "late\n", 5, MSG_NOSIGNAL) < 0)
		return fail("story_peer: send");
	(void)recv(c, argv[0], 1, 0); /* until the other side ends it */
	return 0;
}

int web_serve(char **argv)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = listener(argv[0]);
	const char *fail_if = getenv("FAIL_IF");
	char request[4096], reply[512];

	if (fd < 0)
		return fail("story_peer: listen");
	(void)snprintf(reply, sizeof(reply), "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s\n",
		       strlen(argv[1]) + 1, argv[1]);
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0)
			continue; /* the client was gone already */
		(void)setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* a silent client costs 2 s */
		if (recv(c, request, sizeof(request), 0) > 0) {
			const char *text = fail_if && access(fail_if, F_OK) == 0 ? "HTTP/1.0 500 Oh no\r\n\r\n" : reply;

			(void)send(c, text, strlen(text), MSG_NOSIGNAL); /* the client sees what is missing */
		}
		(void)close(c);
	}
}

/* Counts texts; those that do not fit are counted with the last. */
struct tally {
	struct {
		char text[64];
		unsigned n;
	} v[TEXTS];
};

static void tally_add(struct tally *t, const char *text)
{
	size_t i = 0;

	while (i < TEXTS - 1 && t->v[i].text[0] && strncmp(t->v[i].text, text, sizeof(t->v[i].text) - 1) != 0)
		i++;
	if (!t->v[i].text[0])
		(void)snprintf(t->v[i].text, sizeof(t->v[i].text), "%s", text);
	t->v[i].n++;
}

/* ";text=count" for each, which begin anew. */
static void tally_tell(struct tally *t)
{
	for (size_t i = 0; i < TEXTS && t->v[i].text[0]; i++) {
		(void)printf(";%s=%u", t->v[i].text, t->v[i].n);
		t->v[i].n = 0;
	}
}

/* One of the addresses, not always the first. NULL if there is none. */
static const struct addrinfo *pick(const struct addrinfo *list)
{
	static unsigned turn;
	unsigned n = 0;

	for (const struct addrinfo *a = list; a; a = a->ai_next)
		n++;
	for (unsigned i = n ? turn++ % n : 0; i; i--)
		list = list->ai_next;
	return list;
}

/* The text of the answer; NULL if there was none, `why` says why. */
static const char *ask(const char *name, const char *port, char *room, size_t size, const char **why)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *to;
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct addrinfo *list = NULL;
	size_t len = 0;
	ssize_t n = -1;
	int fd = -1, r = getaddrinfo(name, port, &hints, &list);
	char *text;

	to = pick(list);
	if (r == 0)
		fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* without, a failure is told later */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	errno = 0;
	if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1)
		while (len < size - 1 && (n = recv(fd, room + len, size - 1 - len, 0)) > 0)
			len += (size_t)n;
	*why = r ? gai_strerror(r) : n < 0 ? strerror(errno) : "no answer";
	if (fd >= 0)
		(void)close(fd);
	if (list)
		freeaddrinfo(list);
	room[len] = '\0';
	text = strstr(room, "\r\n\r\n");
	if (text && strncmp(room + 8, " 200 ", 5) != 0)
		*why = "not 200";
	if (n != 0 || !text || strncmp(room + 8, " 200 ", 5) != 0)
		return NULL;
	text += 4;
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

int web_load(char **argv)
{
	static struct tally answers, failures;
	static char room[4096], why_text[64];
	struct timespec now, last;
	unsigned failed = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &last); /* a valid clock */
	for (;;) {
		const char *why, *text = ask(argv[0], argv[1], room, sizeof(room), &why);

		if (text) {
			tally_add(&answers, text);
		} else {
			failed++;
			(void)snprintf(why_text, sizeof(why_text), "why: %s", why);
			tally_add(&failures, why_text);
		}
		(void)usleep(LOAD_EVERY_US);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec == last.tv_sec)
			continue;
		last = now;
		(void)printf("failed=%u", failed);
		failed = 0;
		tally_tell(&answers);
		tally_tell(&failures);
		(void)putchar('\n');
		if (fflush(stdout) != 0)
			return fail("story_peer: output");
	}
}
