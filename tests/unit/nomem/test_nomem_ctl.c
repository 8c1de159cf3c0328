/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: an answer is whole, or it says why there is none. And what is to be in the API. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"
#include "ctl/ctl_server.h"
#include "join/publish_private.h"
#include "json/json.h"
#include "kube/decode_service.h"
#include "nomem.h"
#include "unit/crypto/certs.h"

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
		(void)snprintf(s->text, sizeof(s->text), "told"); /* it fits */
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

/* --- what is to be in the API --- */

struct published {
	struct loop *loop;
	struct kube_client *client;
	struct publish *p;
	struct serve_plan plan;
};

/* The Services by name, of which the later ones are those of the plan that comes. */
static void plan_make(struct serve_plan *plan, const char *const *names, size_t n)
{
	struct strv allowed = {0};
	struct ip ip;
	struct serve_host h = {.name = "vm1",
			       .ns = "legacy",
			       .allowed = &allowed,
			       .labels = &(struct kube_pairs){0},
			       .addresses = &ip,
			       .n_addresses = 1,
			       .state = {{.is_ready = true, .is_serving = true}}};

	cr_assert_eq(ip_parse("172.19.100.2", &ip), 0);
	for (size_t i = 0; i < n; i++) {
		char text[400];
		struct kube_service *s;
		struct doc *d;

		(void)snprintf(text, sizeof(text),
			       "{\"metadata\":{\"namespace\":\"legacy\",\"name\":\"%s\",\"uid\":\"u\",\"annotations\":{"
			       "\"io.cilium/portal\":\"true\"}},\"spec\":{\"clusterIP\":\"10.96.0.%zu\",\"ports\":[{\"port\":80}]}}",
			       names[i], i + 1);
		d = doc_parse(text, strlen(text));
		NOMEM_NEED(d);
		cr_assert_eq(kube_service_decode(d, &s, NULL), 0);
		if (i != 2) /* which is not allowed, and has a note why */
			cr_assert_eq(strv_add(&allowed, names[i]), 0);
		cr_assert_eq(serve_plan_add(plan, s, &h), 0);
		kube_service_free(s);
		doc_free(d);
	}
	serve_plan_sort(plan);
	strv_done(&allowed);
}

static void *published_begin(const void *arg)
{
	static const char *const before[] = {"a", "gone"}, *const now[] = {"a", "b", "c", "d"};
	struct published *p = calloc(1, sizeof(*p));
	const char *server = "https://127.0.0.1:1";
	struct kube_conf kube = {.servers = &server, .n_servers = 1, .ca_pem = CA_A, .token = "t"};
	struct publish_conf conf = {.host = "vm1", .ns = "legacy", .addresses = "172.19.100.2/32"};
	struct serve_plan first = {0};
	struct err err = {0};

	(void)arg;
	NOMEM_NEED(p);
	cr_assert_eq(loop_new(&p->loop), 0);
	cr_assert_eq(kube_client_new(p->loop, &kube, &p->client, &err), 0, "%s", err.text);
	cr_assert_eq(publish_new(p->loop, p->client, &conf, &p->p), 0);
	plan_make(&first, before, ARRAY_LEN(before));
	cr_assert_eq(publish_set(p->p, &first), 0);
	serve_plan_done(&first);
	plan_make(&p->plan, now, ARRAY_LEN(now));
	return p;
}

static int published_run(void *state)
{
	struct published *p = state;
	int r = publish_set_addresses(p->p, "172.19.100.2/32,fd00::/64");

	return r < 0 ? r : publish_set(p->p, &p->plan);
}

/* Nothing of the old plan is deleted before all of the new one is there. */
static int published_safely(void *state)
{
	struct published *p = state;
	int r = published_run(state);
	const struct slice *s;

	HASH_FIND_STR(p->p->slices, "gone-mesh-vm1", s);
	cr_assert(r == 0 || (s && s->desired), "deleted");
	return r;
}

static void published_dump(void *state, FILE *out)
{
	struct published *p = state;

	for (const struct slice *s = p->p->slices; s; s = s->hh.next) {
		char *text = s->desired ? json_text(s->desired) : NULL;

		(void)fprintf(out, "%s of %s %s\n", s->name, s->service ? s->service : "none", text ? text : "");
		free(text);
	}
	for (const struct note *n = p->p->notes; n; n = n->hh.next)
		(void)fprintf(out, "note %s %s\n", n->service, n->text);
}

static void published_end(void *state)
{
	struct published *p = state;

	publish_free(p->p);
	kube_client_free(p->client);
	loop_free(p->loop);
	serve_plan_done(&p->plan);
	free(p);
}

Test(nomem_ctl, publish)
{
	const struct nomem n = {.name = "slices wanted",
				.begin = published_begin,
				.run = published_safely,
				.dump = published_dump,
				.end = published_end,
				.has_no_order = true};

	nomem_try(&n);
}
