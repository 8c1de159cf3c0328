/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: an answer is whole, or it says why there is none; and the client of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"
#include "ctl/ctl_server.h"
#include "json/json.h"
#include "nomem.h"

struct socket {
	char dir[NOMEM_DIR_MAX], path[64];
	struct loop *loop;
	struct ctl_server *server;
	int n_written;
	int watcher; /* who has subscribed */
	char text[8192];
};

static int on_echo(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	(void)arg;
	(void)reterr;
	*ret_data = json_clone(args);
	return *ret_data ? 0 : -ENOMEM;
}

/* As those of the daemon do it, which leave out an element that there is no memory for. */
static int on_list(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	json_t *list = json_array();

	(void)arg;
	(void)args;
	(void)reterr;
	for (int i = 0; i < 10; i++) {
		json_t *element = json_pack("{s:i, s:s*}", "n", i, "text", "some");

		if (element)
			(void)json_array_append_new(list, element);
	}
	*ret_data = list;
	return 0;
}

static int on_write(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	struct socket *s = arg;

	(void)args;
	(void)ret_data;
	(void)reterr;
	s->n_written++;
	return 0;
}

static const struct ctl_verb verbs[] = {{"echo", false, on_echo, NULL}, {"list", false, on_list, NULL}, {"write", true, on_write, NULL}};
static const struct ctl_stream streams[] = {{"watch", "events"}};

static void pump(struct socket *s)
{
	for (int i = 0; i < 8; i++)
		cr_assert_geq(loop_once(s->loop, 0), 0);
}

static int dial(const struct socket *s)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, s->path, strlen(s->path));
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static size_t hear(struct socket *s, int fd)
{
	size_t len = 0;
	ssize_t n;

	pump(s);
	while ((n = recv(fd, s->text + len, sizeof(s->text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	s->text[len] = '\0';
	return len;
}

static void *socket_begin(const void *arg)
{
	struct socket *s = calloc(1, sizeof(*s));
	struct ctl_server_config config = {.verbs = verbs, .n_verbs = ARRAY_LEN(verbs), .streams = streams, .n_streams = 1, .arg = s};
	struct err err = {0};

	(void)arg;
	NOMEM_NEED(s);
	nomem_dir_make(s->dir);
	(void)snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
	config.path = s->path;
	cr_assert_eq(loop_new(&s->loop), 0);
	cr_assert_eq(ctl_server_new(s->loop, &config, &s->server, &err), 0, "%s", err.text);
	s->watcher = dial(s);
	cr_assert_eq(send(s->watcher, "{\"verb\":\"watch\"}\n", 17, MSG_NOSIGNAL), 17);
	cr_assert_gt(hear(s, s->watcher), 0);
	s->text[0] = '\0';
	return s;
}

/* One question on a connection of its own. */
static int ask(struct socket *s, const char *text)
{
	int fd = dial(s);

	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	(void)hear(s, fd);
	close_fd(fd);
	pump(s);
	if (str_has_prefix(s->text, "{\"ok\":true"))
		return 0;
	/* closed without a word, or with the reason */
	return !s->text[0] || strstr(s->text, "Cannot allocate memory") ? -ENOMEM : -EPROTO;
}

static int echo(void *state)
{
	return ask(state, "{\"verb\":\"echo\",\"args\":{\"a\":[1,\"a text that is longer than sixteen bytes\"],\"bcdefghijklmnopqrstuvwxyz\":{}}}\n");
}

static int list(void *state)
{
	return ask(state, "{\"verb\":\"list\"}\n");
}

static int publish(void *state)
{
	struct socket *s = state;
	CLEANUP(json_decref) json_t *event = json_pack("{s:s}", "what", "a thing");
	int r = event ? ctl_publish(s->server, "events", event) : -ENOMEM;

	(void)hear(s, s->watcher);
	/* one that got lost is said to be */
	if (r == 0 && !strstr(s->text, "a thing"))
		r = !s->text[0] || strstr(s->text, "lost") ? -ENOMEM : -EPROTO;
	if (r == 0)
		(void)strcpy(s->text, "told");
	return r;
}

static void socket_dump(void *state, FILE *out)
{
	(void)fputs(((struct socket *)state)->text, out);
}

static void socket_end(void *state)
{
	struct socket *s = state;

	close_fd(s->watcher);
	ctl_server_free(s->server);
	loop_free(s->loop);
	nomem_dir_remove(s->dir);
	free(s);
}

Test(nomem_ctl, answers)
{
	const struct nomem all[] = {
		{.name = "a question", .run = echo},
		{.name = "a list", .run = list},
		{.name = "an event", .run = publish},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = socket_begin;
		n.dump = socket_dump;
		n.end = socket_end;
		nomem_try(&n);
	}
}
