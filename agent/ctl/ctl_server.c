/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "ctl/ctl_conn.h"
#include "ctl/ctl_listen.h"
#include "ctl/ctl_proto.h"
#include "json/json.h"

enum { GROUPS_MAX = 1024 };

struct ctl_server {
	struct loop *loop;
	struct ctl_server_config config;
	char *path;
	int fd;
	struct source *io, *retry;
	struct ctl_conn *conns;
	size_t n_conns;
};

/* Outlives its client and the server: the one who answers late must find something to answer to. */
struct ctl_call {
	struct ctl_conn *conn; /* NULL: nobody waits any more */
	bool is_starting;      /* inside `start` */
	bool is_done;	       /* answered there */
};

static void conn_continue(struct ctl_conn *c);

enum ctl_access ctl_access_of(const struct ctl_peer *peer, uid_t own_uid, bool has_read_gid, gid_t read_gid)
{
	if (peer->uid == 0 || peer->uid == own_uid)
		return CTL_ACCESS_ALL;
	if (!has_read_gid)
		return CTL_ACCESS_NONE;
	if (peer->gid == read_gid)
		return CTL_ACCESS_READ;
	for (size_t i = 0; i < peer->n_groups; i++)
		if (peer->groups[i] == read_gid)
			return CTL_ACCESS_READ;
	return CTL_ACCESS_NONE;
}

static enum ctl_access access_of_fd(const struct ctl_server *s, int fd)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups), cred_len;
	struct ctl_peer peer = {.groups = groups};
	struct ucred cred;

	cred_len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) < 0)
		return CTL_ACCESS_NONE;
	peer.uid = cred.uid;
	peer.gid = cred.gid;
#ifdef SO_PEERGROUPS
	/* Linux 4.13; without it, or with more groups than fit, only the primary one counts. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		peer.n_groups = len / sizeof(gid_t);
#else
	(void)len;
#endif
	return ctl_access_of(&peer, geteuid(), s->config.has_read_gid, s->config.read_gid);
}

bool ctl_has_subscribers(const struct ctl_server *s, const char *topic)
{
	const struct ctl_conn *c;

	DL_FOREACH(s->conns, c)
		if (c->stream && str_eq(c->stream->topic, topic))
			return true;
	return false;
}

static void conn_free(struct ctl_conn *c)
{
	struct ctl_server *s = c->server;
	const struct ctl_stream *stream = c->stream;

	DL_DELETE(s->conns, c);
	s->n_conns--;
	if (c->call)
		c->call->conn = NULL;
	source_free(c->io);
	source_free(c->idle);
	source_free(c->again);
	close_fd(c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	free(c);
	if (stream && s->config.on_subscribers && !ctl_has_subscribers(s, stream->topic))
		s->config.on_subscribers(s->config.arg, stream->topic, false);
}

static const char *code_of(int r)
{
	switch (-r) {
	case EINVAL:
		return CTL_CODE_REQUEST;
	case EPERM:
	case EACCES:
		return CTL_CODE_DENIED;
	case ENOENT:
		return CTL_CODE_MISSING;
	case ENOTCONN:
		return CTL_CODE_UNJOINED;
	case EBUSY:
		return CTL_CODE_BUSY;
	}
	return CTL_CODE_FAILED;
}

/* Takes `data`. */
static void conn_reply(struct ctl_conn *c, int r, json_t *data, const struct err *err)
{
	CLEANUP(json_decref) json_t *owned = data, *message = NULL;

	if (r >= 0)
		message = owned ? json_pack("{s:b,s:O}", "ok", 1, "data", owned)
				: json_pack("{s:b,s:{}}", "ok", 1, "data");
	else
		message = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", code_of(r), "error",
				    err && err->text[0] ? err->text : err_name(r));
	if (!message && r < 0) /* text that is not UTF-8 */
		message = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", code_of(r), "error", err_name(r));
	r = message ? ctl_conn_add(c, message) : -ENOMEM;
	if (r < 0) {
		char text[128];
		int n = snprintf(text, sizeof(text), "{\"ok\":false,\"code\":\"" CTL_CODE_FAILED "\",\"error\":\"%s\"}\n",
				 r == -E2BIG ? "the answer is too large" : err_name(r));

		if (buf_add(&c->out, text, (size_t)n) < 0)
			c->is_ending = true; /* no memory even for this: closing says it */
	}
}

/* Refuses and closes once that is sent. */
static void conn_refuse(struct ctl_conn *c, int r, const char *text)
{
	struct err err;

	(void)err_set(&err, -r, "%s", text); /* only formats */
	conn_reply(c, r, NULL, &err);
	c->is_ending = true;
}

static void call_verb(struct ctl_conn *c, const struct ctl_verb *v, const json_t *args)
{
	struct ctl_server *s = c->server;
	struct err err = {0};
	json_t *data = NULL;
	struct ctl_call *call;
	int r;

	if (v->handle) {
		struct json_watch watch;
		bool is_short;

		json_watch_begin(&watch);
		r = v->handle(s->config.arg, args, &data, &err);
		is_short = json_watch_end(&watch);
		/* a list without some of its elements would look whole; what is done is done */
		if (is_short && r >= 0 && !v->is_write) {
			r = -ENOMEM;
			json_decref(TAKE_PTR(data));
		}
		conn_reply(c, r, data, &err);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		conn_reply(c, -ENOMEM, NULL, NULL);
		return;
	}
	*call = (struct ctl_call){.conn = c, .is_starting = true};
	c->call = call;
	r = v->start(s->config.arg, args, call, &err);
	call->is_starting = false;
	if (r < 0 && !call->is_done)
		conn_reply(c, r, NULL, &err);
	if (r < 0 || call->is_done) {
		c->call = NULL;
		free(call);
	}
}

void ctl_call_done(struct ctl_call *call, int r, json_t *data, const struct err *err)
{
	struct ctl_conn *c = call->conn;

	if (!c) {
		json_decref(data);
		free(call);
		return;
	}
	conn_reply(c, r, data, err);
	if (call->is_starting) {
		call->is_done = true;
		return;
	}
	c->call = NULL;
	free(call);
	conn_continue(c);
}

static void subscribe(struct ctl_conn *c, const struct ctl_stream *stream)
{
	struct ctl_server *s = c->server;
	bool is_first = !ctl_has_subscribers(s, stream->topic);
	struct err err = {0};
	int r = s->config.may_subscribe ? s->config.may_subscribe(s->config.arg, stream->topic, &err) : 0;

	if (r < 0) {
		conn_reply(c, r, NULL, &err);
		return;
	}
	c->stream = stream;
	source_disarm(c->idle);
	conn_reply(c, 0, NULL, NULL);
	if (is_first && s->config.on_subscribers)
		s->config.on_subscribers(s->config.arg, stream->topic, true);
}

/* 0 with the members of a well-formed request, which `root` keeps alive; else -EINVAL. */
static int request_parse(const json_t *root, const char **ret_verb, json_t **ret_args)
{
	const char *verb = json_string_value(json_object_get(root, "verb"));
	json_t *args = json_object_get(root, "args");
	size_t known = args ? 2 : 1;

	if (!verb || (args && !json_is_object(args)) || json_object_size(root) != known)
		return -EINVAL;
	*ret_verb = verb;
	*ret_args = args;
	return 0;
}

/* Bytes that clients who may only read have asked for and not taken yet. */
static size_t unread_bytes(const struct ctl_server *s)
{
	const struct ctl_conn *c;
	size_t n = 0;

	DL_FOREACH(s->conns, c)
		if (c->access != CTL_ACCESS_ALL)
			n += c->out.len - c->sent;
	return n;
}

static void conn_request(struct ctl_conn *c, const char *line, size_t len)
{
	const struct ctl_server_config *config = &c->server->config;
	CLEANUP(json_decref) json_t *root = json_parse(line, len);
	bool has_memory = root || errno != ENOMEM;
	CLEANUP(json_decref) json_t *none = json_object();
	const char *verb;
	struct err err;
	json_t *args;

	if (!has_memory || !none) {
		conn_reply(c, -ENOMEM, NULL, NULL);
		return;
	}
	if (!root || request_parse(root, &verb, &args) < 0) {
		/* Where the next request begins is a guess now. */
		conn_refuse(c, -EINVAL, "a request is one line {\"verb\": \"...\", \"args\": {...}}");
		return;
	}
	if (c->access != CTL_ACCESS_ALL && unread_bytes(c->server) >= LIMIT_CTL_RESPONSE) {
		(void)err_set(&err, EBUSY, "other clients have not read their answers yet");
		conn_reply(c, -EBUSY, NULL, &err);
		return;
	}
	for (size_t i = 0; i < config->n_streams; i++)
		if (str_eq(config->streams[i].verb, verb)) {
			subscribe(c, &config->streams[i]);
			return;
		}
	for (size_t i = 0; i < config->n_verbs; i++) {
		const struct ctl_verb *v = &config->verbs[i];

		if (!str_eq(v->name, verb))
			continue;
		if (v->is_write && c->access != CTL_ACCESS_ALL) {
			(void)err_set(&err, EPERM, "%s changes the host: only root may do it", verb);
			conn_reply(c, -EPERM, NULL, &err);
		} else {
			call_verb(c, v, args ? args : none);
		}
		return;
	}
	(void)err_set(&err, EINVAL, "%.64s: no such verb in this version of the daemon", verb);
	conn_reply(c, -EINVAL, NULL, &err);
}

/* What waits at the socket decides which events we want; 0 or -errno. */
static int conn_watch(struct ctl_conn *c, bool has_unsent)
{
	bool is_open = !c->is_ending && !c->call && !has_unsent;

	return source_set_events(c->io, (has_unsent ? EPOLLOUT : 0) | (is_open ? EPOLLIN : 0));
}

/*
 * Sends what is ready and answers one request that is read already: others of this client wait until all else has had its turn,
 * since some answers take a while. May free `c`.
 */
static void conn_continue(struct ctl_conn *c)
{
	bool is_answered = false;
	int r;

	for (;;) {
		CLEANUP(free) char *line = NULL;
		size_t len;

		r = ctl_conn_flush(c);
		if (r < 0 || (r == 1 && c->is_ending))
			break;
		if (r == 1 && c->lost) {
			ctl_conn_event(c, "", 0);
			if (!c->lost)
				continue;
			/* without memory for the line: with the next event */
		}
		if (r == 0 || c->call || c->stream || is_answered) {
			if (conn_watch(c, r == 0) < 0)
				break;
			return;
		}
		r = ctl_conn_line(c, &line, &len);
		if (r == -E2BIG) {
			conn_refuse(c, -EINVAL, "the request is too long");
			continue;
		}
		if (r < 0)
			break;
		if (r == 0) {
			if (conn_watch(c, false) < 0)
				break;
			return;
		}
		conn_request(c, line, len);
		if (source_arm(c->again, 0, 0) < 0)
			break;
		is_answered = true;
	}
	conn_free(c);
}

static void on_again(void *arg)
{
	conn_continue(arg);
}

static void on_conn(uint32_t events, void *arg)
{
	struct ctl_conn *c = arg;
	int r;

	if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN)) {
		conn_free(c);
		return;
	}
	if (!c->stream && source_arm(c->idle, CTL_IDLE_S * USEC_PER_SEC, USEC_PER_SEC) < 0) {
		conn_free(c);
		return;
	}
	if (events & EPOLLIN) {
		r = ctl_conn_fill(c);
		if (r < 0) {
			conn_free(c);
			return;
		}
		if (c->stream)
			buf_clear(&c->in); /* a subscriber has nothing more to say */
	}
	conn_continue(c);
}

static void on_idle(void *arg)
{
	struct ctl_conn *c = arg;

	if (c->call) /* it is us who are slow */
		(void)source_arm(c->idle, CTL_IDLE_S * USEC_PER_SEC, USEC_PER_SEC); /* else it stays */
	else
		conn_free(c);
}

/* Takes `fd`. */
static int conn_new(struct ctl_server *s, int fd, struct ctl_conn **ret)
{
	struct ctl_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	DL_APPEND(s->conns, c);
	s->n_conns++;
	r = loop_add_io(s->loop, fd, EPOLLIN, on_conn, c, &c->io);
	if (r >= 0)
		r = loop_add_timer(s->loop, on_idle, c, &c->idle);
	if (r >= 0)
		r = loop_add_timer(s->loop, on_again, c, &c->again);
	if (r >= 0)
		r = source_arm(c->idle, CTL_IDLE_S * USEC_PER_SEC, USEC_PER_SEC);
	if (r < 0) {
		conn_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* One line to a client that gets no place; whether it arrives is its problem. */
static void turn_away(int fd, const char *code, const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "{\"ok\":false,\"code\":\"%s\",\"error\":\"%s\"}\n", code, text);

	(void)send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT); /* as said above */
}

static void on_accept(uint32_t events, void *arg)
{
	struct ctl_server *s = arg;
	CLEANUP(close_fd) int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum ctl_access access;
	struct ctl_conn *c;

	(void)events;
	if (fd < 0) {
		/* Out of descriptors or memory: the client still waits, so look away for a moment. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			if (source_arm(s->retry, USEC_PER_SEC, USEC_PER_SEC) == 0)
				(void)source_set_events(s->io, 0); /* else it spins a little */
		return;
	}
	access = access_of_fd(s, fd);
	if (access == CTL_ACCESS_NONE) {
		turn_away(fd, CTL_CODE_DENIED, "only root and the configured control-group may ask");
		return;
	}
	if (s->n_conns >= (access == CTL_ACCESS_ALL ? LIMIT_CTL_CLIENTS : LIMIT_CTL_CLIENTS - CTL_ROOT_CLIENTS)) {
		turn_away(fd, CTL_CODE_BUSY, "too many clients at once");
		return;
	}
	if (conn_new(s, TAKE_FD(fd), &c) == 0)
		c->access = access;
}

static void on_retry(void *arg)
{
	struct ctl_server *s = arg;

	if (source_set_events(s->io, EPOLLIN) < 0)
		(void)source_arm(s->retry, USEC_PER_SEC, USEC_PER_SEC); /* nothing else is left to do */
}

int ctl_publish(struct ctl_server *s, const char *topic, const json_t *event)
{
	CLEANUP(buf_done) struct buf line = {.max = CTL_STREAM_BYTES};
	CLEANUP(free) char *text = NULL;
	struct ctl_conn *c, *next;

	if (!ctl_has_subscribers(s, topic))
		return 0;
	text = json_dumps(event, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text || buf_addf(&line, "{\"event\":%s}\n", text) < 0)
		return -ENOMEM;
	DL_FOREACH_SAFE(s->conns, c, next) {
		if (!c->stream || !str_eq(c->stream->topic, topic))
			continue;
		ctl_conn_event(c, line.data, line.len);
		if (source_set_events(c->io, EPOLLIN | EPOLLOUT) < 0)
			conn_free(c);
	}
	return 0;
}

int ctl_server_new(struct loop *loop, const struct ctl_server_config *config, struct ctl_server **ret,
		   struct err *reterr)
{
	CLEANUP(ctl_server_free) struct ctl_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->loop = loop;
	s->config = *config;
	s->path = strdup(config->path);
	if (!s->path)
		return -ENOMEM;
	r = ctl_listen(s->path, s->config.has_read_gid, &s->fd, reterr);
	if (r < 0)
		return r;
	r = loop_add_timer(loop, on_retry, s, &s->retry);
	if (r >= 0)
		r = loop_add_io(loop, s->fd, EPOLLIN, on_accept, s, &s->io);
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", s->path, err_name(r));
	*ret = TAKE_PTR(s);
	return 0;
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	s->config.on_subscribers = NULL; /* its owner is being torn down as well */
	while (s->conns)
		conn_free(s->conns);
	if (s->io)
		(void)unlink(s->path); /* a stale one is replaced at the next start */
	source_free(s->io);
	source_free(s->retry);
	close_fd(s->fd);
	free(s->path);
	free(s);
}
