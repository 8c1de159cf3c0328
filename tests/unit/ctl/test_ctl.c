/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"
#include "ctl/ctl_client.h"
#include "ctl/ctl_proto.h"
#include "ctl/ctl_server.h"
#include "json/json.h"

/* A server, its loop, and what its handlers remember. */
struct fix {
	char dir[32], path[64];
	struct loop *loop;
	struct ctl_server *server;
	struct ctl_call *call;
	int n_written, n_subscribed;
};

static int on_echo(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	(void)arg;
	(void)reterr;
	*ret_data = json_deep_copy(args);
	return 0;
}

static int on_fail(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	int code = (int)json_int(args, "errno", EIO);

	(void)arg;
	(void)ret_data;
	return err_set(reterr, code, "%s", json_str(args, "text", "no luck"));
}

static int on_write(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	struct fix *f = arg;

	(void)args;
	(void)ret_data;
	(void)reterr;
	f->n_written++;
	return 0;
}

static int on_large(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)
{
	json_t *list = json_array();

	(void)arg;
	(void)reterr;
	for (json_int_t i = 0; i < json_int(args, "n", 0); i++)
		(void)json_array_append_new(list, json_string("0123456789012345678901234567890123456789"));
	*ret_data = list;
	return 0;
}

static int on_later(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr)
{
	struct fix *f = arg;

	if (json_truth(args, "now", 0)) {
		ctl_call_done(call, 0, json_pack("{s:b}", "now", 1), NULL);
		return 0;
	}
	if (json_truth(args, "never", 0))
		return err_set(reterr, ENOTCONN, "not joined");
	f->call = call;
	return 0;
}

static void on_subscribers(void *arg, const char *topic, bool has_any)
{
	struct fix *f = arg;

	cr_assert_str_eq(topic, "events");
	f->n_subscribed += has_any ? 1 : -1;
}

static const struct ctl_verb verbs[] = {
	{"echo", false, on_echo, NULL},	  {"fail", false, on_fail, NULL},   {"write", true, on_write, NULL},
	{"large", false, on_large, NULL}, {"later", false, NULL, on_later},
};
static const struct ctl_stream streams[] = {{"watch", "events"}, {"watch-nothing", "nothing"}};

static int may_subscribe(void *arg, const char *topic, struct err *reterr)
{
	(void)arg;
	return str_eq(topic, "nothing") ? err_set(reterr, ENOTCONN, "there is nothing") : 0;
}

static struct ctl_server_config config_of(struct fix *f)
{
	return (struct ctl_server_config){.path = f->path,
					  .verbs = verbs,
					  .n_verbs = ARRAY_LEN(verbs),
					  .streams = streams,
					  .n_streams = ARRAY_LEN(streams),
					  .may_subscribe = may_subscribe,
					  .on_subscribers = on_subscribers,
					  .arg = f};
}

static void fix_init(struct fix *f)
{
	struct ctl_server_config config;
	struct err err = {0};

	*f = (struct fix){.dir = "/tmp/mesh-ctl-XXXXXX"};
	cr_assert_not_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	config = config_of(f);
	cr_assert_eq(loop_new(&f->loop), 0);
	cr_assert_eq(ctl_server_new(f->loop, &config, &f->server, &err), 0, "%s", err.text);
}

static void fix_done(struct fix *f)
{
	ctl_server_free(f->server);
	loop_free(f->loop);
	cr_assert_eq(access(f->path, F_OK), -1, "the socket stays behind");
	cr_assert_eq(rmdir(f->dir), 0);
}

static int dial(const struct fix *f)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, f->path, strlen(f->path));
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void pump(struct fix *f)
{
	for (int i = 0; i < 20; i++)
		cr_assert_geq(loop_once(f->loop, 0), 0);
}

/* Reads what is there after the server had its turns; "" with *ret_closed at the end. */
static const char *hear(struct fix *f, int fd, bool *ret_closed)
{
	static char text[256 * 1024];
	size_t len = 0;
	ssize_t n;

	if (ret_closed)
		*ret_closed = false;
	for (int i = 0; i < 4; i++) {
		pump(f);
		while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
			len += (size_t)n;
		if ((n == 0 || (n < 0 && errno == ECONNRESET)) && ret_closed)
			*ret_closed = true;
	}
	text[len] = '\0';
	return text;
}

Test(ctl_server, answers_in_order)
{
	struct fix f;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	say(fd, "{\"verb\":\"echo\",\"args\":{\"a\":1}}\n{\"verb\":\"write\"}\n{\"verb\":\"echo\"}\n{\"verb\":");
	cr_assert_str_eq(hear(&f, fd, NULL), "{\"ok\":true,\"data\":{\"a\":1}}\n{\"ok\":true,\"data\":{}}\n"
					     "{\"ok\":true,\"data\":{}}\n");
	cr_assert_eq(f.n_written, 1);
	say(fd, "\"echo\",\"args\":{\"b\":[]}}\n");
	cr_assert_str_eq(hear(&f, fd, NULL), "{\"ok\":true,\"data\":{\"b\":[]}}\n");
	close_fd(fd);
	fix_done(&f);
}

/* Who asks for much at once gets it, but not before others get theirs. */
Test(ctl_server, many_requests_take_turns)
{
	enum { MANY = 300 };
	CLEANUP(buf_done) struct buf all = {0};
	bool is_closed;
	int many, one;
	struct fix f;

	fix_init(&f);
	many = dial(&f);
	one = dial(&f);
	pump(&f);
	for (unsigned i = 0; i < MANY; i++)
		cr_assert_eq(buf_addf(&all, "{\"verb\":\"write\"}\n"), 0);
	say(many, all.data);
	say(one, "{\"verb\":\"echo\"}\n");
	for (unsigned i = 0; i < 5; i++)
		cr_assert_geq(loop_once(f.loop, 0), 0);
	cr_expect_geq(f.n_written, 1);
	cr_expect_lt(f.n_written, 10);
	cr_expect_str_eq(hear(&f, one, NULL), "{\"ok\":true,\"data\":{}}\n");
	while (f.n_written < MANY)
		(void)hear(&f, many, &is_closed);
	cr_expect_eq(f.n_written, MANY);
	cr_expect(!is_closed);
	close_fd(many);
	close_fd(one);
	fix_done(&f);
}

Test(ctl_server, failures_have_codes)
{
	static const struct {
		int e;
		const char *code;
	} codes[] = {{EINVAL, "bad-request"}, {EPERM, "denied"},     {EACCES, "denied"}, {ENOENT, "not-found"},
		     {ENOTCONN, "not-joined"}, {EBUSY, "busy"}, {EIO, "failed"}};
	struct fix f;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		CLEANUP(free) char *q = str_printf("{\"verb\":\"fail\",\"args\":{\"errno\":%d}}\n", codes[i].e);
		CLEANUP(free) char *want =
			str_printf("{\"ok\":false,\"code\":\"%s\",\"error\":\"no luck\"}\n", codes[i].code);

		say(fd, q);
		cr_assert_str_eq(hear(&f, fd, NULL), want);
	}
	say(fd, "{\"verb\":\"nothing\"}\n");
	cr_assert(strstr(hear(&f, fd, NULL), "no such verb"));
	close_fd(fd);
	fix_done(&f);
}

Test(ctl_server, hostile_lines)
{
	static const char *const lines[] = {
		"\n", "garbage\n", "[]\n", "{}\n", "{\"verb\":1}\n", "{\"verb\":\"echo\",\"args\":[]}\n",
		"{\"verb\":\"echo\",\"more\":1}\n", "{\"verb\":\"echo\",\"verb\":\"write\"}\n",
		"{\"verb\":\"echo\"} x\n", "\xff\xfe\n", "{\"verb\":\"\xff\"}\n", "{\"verb\":\"echo\",\"args\":null}\n",
	};
	struct fix f;

	fix_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int fd = dial(&f);
		bool is_closed;
		const char *answer;

		say(fd, lines[i]);
		answer = hear(&f, fd, &is_closed);
		cr_assert(str_has_prefix(answer, "{\"ok\":false,\"code\":\"bad-request\""), "%zu: %s", i, answer);
		cr_assert(is_closed, "%zu", i);
		close_fd(fd);
	}
	cr_assert_eq(f.n_written, 0);
	fix_done(&f);
}

Test(ctl_server, long_and_deep_requests)
{
	CLEANUP(buf_done) struct buf deep = {0};
	CLEANUP(free) char *line = malloc(LIMIT_CTL_REQUEST * 2);
	struct fix f;
	bool is_closed;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	memset(line, 'x', LIMIT_CTL_REQUEST * 2);
	(void)send(fd, line, LIMIT_CTL_REQUEST * 2, MSG_NOSIGNAL); /* as much as fits */
	cr_assert(strstr(hear(&f, fd, &is_closed), "too long"));
	cr_assert(is_closed);
	close_fd(fd);

	(void)buf_addf(&deep, "{\"verb\":\"echo\",\"args\":");
	for (int i = 0; i < 5000; i++)
		(void)buf_addf(&deep, "[");
	(void)buf_addf(&deep, "\n");
	fd = dial(&f);
	say(fd, deep.data);
	cr_assert(strstr(hear(&f, fd, &is_closed), "bad-request"));
	close_fd(fd);
	fix_done(&f);
}

Test(ctl_server, half_a_request_and_gone)
{
	struct fix f;

	fix_init(&f);
	for (int i = 0; i < 100; i++) {
		int fd = dial(&f);

		say(fd, "{\"verb\":\"write\"");
		pump(&f);
		close_fd(fd);
		pump(&f);
	}
	cr_assert_eq(f.n_written, 0);
	fix_done(&f);
}

Test(ctl_server, too_many_clients)
{
	int fds[LIMIT_CTL_CLIENTS], extra;
	struct fix f;
	bool is_closed;

	fix_init(&f);
	for (int i = 0; i < LIMIT_CTL_CLIENTS; i++) {
		fds[i] = dial(&f);
		pump(&f);
	}
	extra = dial(&f);
	cr_assert(strstr(hear(&f, extra, &is_closed), "\"code\":\"busy\""));
	cr_assert(is_closed);
	close_fd(extra);
	close_fd(fds[0]);
	pump(&f);
	extra = dial(&f);
	say(extra, "{\"verb\":\"echo\"}\n");
	cr_assert_str_eq(hear(&f, extra, NULL), "{\"ok\":true,\"data\":{}}\n");
	close_fd(extra);
	for (int i = 1; i < LIMIT_CTL_CLIENTS; i++)
		close_fd(fds[i]);
	fix_done(&f);
}

Test(ctl_server, large_answers_wait_for_a_slow_reader)
{
	CLEANUP(buf_done) struct buf all = {.max = 64 << 20};
	CLEANUP(json_decref) json_t *root = NULL;
	char chunk[8192];
	struct fix f;
	ssize_t n;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	/* The second request must neither be lost nor be answered into the middle of the first. */
	say(fd, "{\"verb\":\"large\",\"args\":{\"n\":200000}}\n{\"verb\":\"write\"}\n");
	pump(&f);
	cr_assert_eq(f.n_written, 0);
	while (!f.n_written || (n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
		if (!f.n_written)
			n = recv(fd, chunk, sizeof(chunk), 0);
		if (n > 0)
			cr_assert_eq(buf_add(&all, chunk, (size_t)n), 0);
		cr_assert_geq(loop_once(f.loop, 0), 0);
	}
	cr_assert_not_null(strchr(all.data, '\n'));
	*strchr(all.data, '\n') = '\0';
	root = json_loads(all.data, 0, NULL);
	cr_assert_eq(json_array_size(json_object_get(root, "data")), 200000);
	cr_assert_str_eq(all.data + strlen(all.data) + 1, "{\"ok\":true,\"data\":{}}\n");
	close_fd(fd);
	fix_done(&f);
}

/* Who would wait for ever is told, and goes on asking. */
Test(ctl_server, a_stream_of_nothing_is_refused)
{
	struct fix f;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	say(fd, "{\"verb\":\"watch-nothing\"}\n");
	cr_expect_str_eq(hear(&f, fd, NULL), "{\"ok\":false,\"code\":\"not-joined\",\"error\":\"there is nothing\"}\n");
	cr_expect_eq(f.n_subscribed, 0);
	say(fd, "{\"verb\":\"watch\"}\n");
	cr_expect_str_eq(hear(&f, fd, NULL), "{\"ok\":true,\"data\":{}}\n");
	close_fd(fd);
	fix_done(&f);
}

Test(ctl_server, streams_drop_and_count_for_a_slow_reader)
{
	CLEANUP(buf_done) struct buf all = {.max = 64 << 20};
	CLEANUP(json_decref) json_t *event = NULL;
	struct fix f;
	int slow, quick, n_seen = 0;
	uint64_t n_lost = 0, n_slow = 0;
	char pad[1001] = "";

	fix_init(&f);
	memset(pad, 'p', 1000);
	event = json_pack("{s:s}", "pad", pad);
	cr_assert_eq(ctl_publish(f.server, "events", event), 0); /* nobody listens */
	slow = dial(&f);
	quick = dial(&f);
	say(slow, "{\"verb\":\"watch\"}\n");
	say(quick, "{\"verb\":\"watch\",\"args\":{}}\n");
	cr_assert_str_eq(hear(&f, slow, NULL), "{\"ok\":true,\"data\":{}}\n");
	cr_assert_str_eq(hear(&f, quick, NULL), "{\"ok\":true,\"data\":{}}\n");
	cr_assert_eq(f.n_subscribed, 1);
	cr_assert(ctl_has_subscribers(f.server, "events"));
	cr_assert_not(ctl_has_subscribers(f.server, "others"));
	for (int i = 0; i < 4000; i++) {
		cr_assert_eq(ctl_publish(f.server, "events", event), 0);
		if (i % 50 == 49) {
			const char *text = hear(&f, quick, NULL);

			for (; (text = strstr(text, "{\"event\"")); text++)
				n_seen++;
		}
	}
	cr_assert_eq(n_seen, 4000, "the quick reader got %d", n_seen);
	/* The slow one wakes up: what was kept and what was lost is all there was. */
	for (int i = 0; i < 200; i++) {
		const char *text = hear(&f, slow, NULL);

		if (!*text)
			break;
		cr_assert_eq(buf_add(&all, text, strlen(text)), 0);
	}
	for (const char *p = all.data; (p = strstr(p, "{\"event\"")); p++)
		n_slow++;
	for (const char *p = all.data; (p = strstr(p, "{\"lost\":")); p++)
		n_lost += strtoull(p + 8, NULL, 10);
	cr_assert_gt(n_lost, 0);
	cr_assert_eq(n_slow + n_lost, 4000, "%d + %d", (int)n_slow, (int)n_lost);
	close_fd(slow);
	close_fd(quick);
	pump(&f);
	cr_assert_eq(f.n_subscribed, 0);
	fix_done(&f);
}

Test(ctl_server, answers_that_come_later)
{
	struct fix f;
	int fd;

	fix_init(&f);
	fd = dial(&f);
	say(fd, "{\"verb\":\"later\",\"args\":{\"now\":true}}\n{\"verb\":\"later\",\"args\":{\"never\":true}}\n"
		"{\"verb\":\"later\"}\n{\"verb\":\"echo\"}\n");
	cr_assert_str_eq(hear(&f, fd, NULL),
			 "{\"ok\":true,\"data\":{\"now\":true}}\n"
			 "{\"ok\":false,\"code\":\"not-joined\",\"error\":\"not joined\"}\n");
	cr_assert_not_null(f.call);
	ctl_call_done(f.call, 0, json_pack("{s:i}", "x", 7), NULL);
	cr_assert_str_eq(hear(&f, fd, NULL), "{\"ok\":true,\"data\":{\"x\":7}}\n{\"ok\":true,\"data\":{}}\n");

	say(fd, "{\"verb\":\"later\"}\n");
	pump(&f);
	close_fd(fd); /* gone before the answer */
	pump(&f);
	ctl_call_done(f.call, 0, json_pack("{s:i}", "x", 7), NULL);

	fd = dial(&f);
	say(fd, "{\"verb\":\"later\"}\n");
	pump(&f);
	fix_done(&f); /* the server is gone before the answer */
	ctl_call_done(f.call, -EIO, NULL, NULL);
	close_fd(fd);
}

Test(ctl_server, sockets_in_the_way)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct ctl_server_config config;
	struct ctl_server *second = NULL;
	struct err err = {0};
	char path[200];
	struct fix f;
	struct stat st;
	int fd;

	fix_init(&f);
	config = config_of(&f);
	cr_assert_eq(stat(f.path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(ctl_server_new(f.loop, &config, &second, &err), -EADDRINUSE);
	cr_assert(strstr(err.text, "another daemon"), "%s", err.text);

	(void)snprintf(path, sizeof(path), "%s/t", f.dir);
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close_fd(fd); /* a dead daemon's */
	config.path = path;
	config.has_read_gid = true;
	config.read_gid = getegid();
	cr_assert_eq(ctl_server_new(f.loop, &config, &second, &err), 0, "%s", err.text);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0666);
	ctl_server_free(second);

	second = NULL;
	config.path = "/dev/null";
	cr_assert_eq(ctl_server_new(f.loop, &config, &second, &err), -EEXIST);
	cr_assert(strstr(err.text, "is no socket"));
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	config.path = path;
	cr_assert_eq(ctl_server_new(f.loop, &config, &second, &err), -ENAMETOOLONG);
	fix_done(&f);
}

Test(ctl_server, who_may_do_what)
{
	static const gid_t groups[] = {5, 77};
	const struct ctl_peer root = {.uid = 0}, own = {.uid = 900}, member = {.uid = 7, .gid = 77},
			      other_member = {.uid = 7, .gid = 8, .groups = groups, .n_groups = 2},
			      stranger = {.uid = 7, .gid = 8, .groups = groups, .n_groups = 1};

	cr_assert_eq(ctl_access_of(&root, 900, false, 0), CTL_ACCESS_ALL);
	cr_assert_eq(ctl_access_of(&own, 900, true, 77), CTL_ACCESS_ALL);
	cr_assert_eq(ctl_access_of(&member, 900, true, 77), CTL_ACCESS_READ);
	cr_assert_eq(ctl_access_of(&other_member, 900, true, 77), CTL_ACCESS_READ);
	cr_assert_eq(ctl_access_of(&stranger, 900, true, 77), CTL_ACCESS_NONE);
	cr_assert_eq(ctl_access_of(&member, 900, false, 77), CTL_ACCESS_NONE);
}

/* Runs a client as another user; exit status of the child. Needs root, so others skip it. */
static int as_user(const struct fix *f, uid_t uid, gid_t gid)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct ctl_client *c;
		json_t *data = NULL;
		struct err err = {0};
		int r;

		if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(100);
		r = ctl_client_new(f->path, 60000000, &c, &err);
		if (r < 0)
			_exit(r == -EACCES ? 1 : 2);
		r = ctl_client_call(c, "echo", NULL, &data, &err);
		if (r == -EPERM)
			_exit(3);
		if (r < 0)
			_exit(4);
		r = ctl_client_call(c, "write", NULL, &data, &err);
		_exit(r == -EPERM && strstr(err.text, "only root") ? 5 : 6);
	}
	do
		cr_assert_geq(loop_once(f->loop, 10000), 0);
	while (waitpid(pid, &status, WNOHANG) == 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

Test(ctl_server, other_users)
{
	struct ctl_server_config config;
	struct err err = {0};
	struct fix f;

	if (geteuid() != 0)
		cr_skip_test("changing the user needs root");
	fix_init(&f);
	cr_assert_eq(chmod(f.dir, 0755), 0);
	cr_assert_eq(as_user(&f, 4711, 4711), 1);
	ctl_server_free(f.server);
	f.server = NULL;
	config = config_of(&f);
	config.has_read_gid = true;
	config.read_gid = 4712;
	cr_assert_eq(ctl_server_new(f.loop, &config, &f.server, &err), 0, "%s", err.text);
	cr_assert_eq(as_user(&f, 4711, 4712), 5);
	cr_assert_eq(as_user(&f, 4711, 4711), 3); /* the file lets everyone knock */
	cr_assert_eq(chmod(f.path, 0666), 0); /* even if the mode is opened up */
	cr_assert_eq(as_user(&f, 4711, 4711), 3);
	cr_assert_eq(f.n_written, 0);
	fix_done(&f);
}

/* A connection of a user who may only read. */
static int dial_as_reader(const struct fix *f)
{
	int fd;

	cr_assert_eq(setegid(4712), 0);
	cr_assert_eq(seteuid(4711), 0);
	fd = dial(f);
	cr_assert_eq(seteuid(0), 0);
	cr_assert_eq(setegid(0), 0);
	return fd;
}

/* Who may only read could fill the memory of the daemon with answers, by reading none. */
Test(ctl_server, answers_that_nobody_reads)
{
	static const char ask[] = "{\"verb\":\"large\",\"args\":{\"n\":450000}}\n"; /* 19 MB */
	struct ctl_server_config config;
	struct err err = {0};
	struct fix f;
	int fds[4], one, root;

	if (geteuid() != 0)
		cr_skip_test("changing the user needs root");
	fix_init(&f);
	cr_assert_eq(chmod(f.dir, 0755), 0);
	ctl_server_free(f.server);
	config = config_of(&f);
	config.has_read_gid = true;
	config.read_gid = 4712;
	cr_assert_eq(ctl_server_new(f.loop, &config, &f.server, &err), 0, "%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial_as_reader(&f);
		say(fds[i], ask);
		pump(&f);
	}
	one = dial_as_reader(&f);
	say(one, "{\"verb\":\"echo\"}\n");
	cr_expect(strstr(hear(&f, one, NULL), "\"code\":\"busy\""));
	say(one, "{\"verb\":\"watch\"}\n");
	cr_expect(strstr(hear(&f, one, NULL), "\"code\":\"busy\""));
	root = dial(&f);
	say(root, "{\"verb\":\"echo\"}\n");
	cr_expect_str_eq(hear(&f, root, NULL), "{\"ok\":true,\"data\":{}}\n");
	close_fd(fds[0]);
	pump(&f);
	say(one, "{\"verb\":\"echo\"}\n");
	cr_expect_str_eq(hear(&f, one, NULL), "{\"ok\":true,\"data\":{}}\n");
	for (size_t i = 1; i < ARRAY_LEN(fds); i++)
		close_fd(fds[i]);
	close_fd(one);
	close_fd(root);
	fix_done(&f);
}

/* --- client against a peer that says what the test wants --- */

/* Listens, and answers the first client with `text` in a child process. */
static pid_t peer(const struct fix *f, const char *text, bool stays)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	memcpy(sa.sun_path, f->path, strlen(f->path));
	(void)unlink(f->path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	pid = fork();
	if (pid == 0) {
		char ignored[512];
		int c = accept(fd, NULL, NULL);

		(void)recv(c, ignored, sizeof(ignored), 0);
		(void)send(c, text, strlen(text), MSG_NOSIGNAL);
		while (stays && recv(c, ignored, sizeof(ignored), 0) > 0)
			; /* the rest of the question, and then its end */
		_exit(0);
	}
	close_fd(fd);
	return pid;
}

static int ask(const char *answer, bool stays, uint64_t timeout_us, struct err *reterr)
{
	CLEANUP(ctl_client_free) struct ctl_client *c = NULL;
	CLEANUP(json_decref) json_t *data = NULL;
	struct fix f = {.dir = "/tmp/mesh-ctl-XXXXXX"};
	pid_t pid;
	int r;

	cr_assert_not_null(mkdtemp(f.dir));
	(void)snprintf(f.path, sizeof(f.path), "%s/s", f.dir);
	pid = peer(&f, answer, stays);
	cr_assert_eq(ctl_client_new(f.path, timeout_us, &c, reterr), 0, "%s", reterr->text);
	r = ctl_client_call(c, "status", NULL, &data, reterr);
	ctl_client_free(TAKE_PTR(c));
	(void)waitpid(pid, NULL, 0);
	(void)unlink(f.path);
	(void)rmdir(f.dir);
	return r;
}

Test(ctl_client, answers)
{
	static const struct {
		const char *text;
		bool stays;
		int r;
	} cases[] = {
		{"{\"ok\":true,\"data\":{}}\n", true, 0},
		{"{\"ok\":true}\n", true, -EPROTO},
		{"{\"ok\":1,\"data\":{}}\n", true, -EPROTO},
		{"nonsense\n", true, -EPROTO},
		{"\n", true, -EPROTO},
		{"", false, -EPIPE},
		{"{\"ok\":true", false, -EPIPE},
		{"{\"ok\":true", true, -ETIMEDOUT},
		{"{\"ok\":false,\"code\":\"denied\",\"error\":\"x\"}\n", true, -EPERM},
		{"{\"ok\":false,\"code\":\"not-found\",\"error\":\"x\"}\n", true, -ENOENT},
		{"{\"ok\":false,\"code\":\"not-joined\",\"error\":\"x\"}\n", true, -ENOTCONN},
		{"{\"ok\":false,\"code\":\"busy\",\"error\":\"x\"}\n", true, -EBUSY},
		{"{\"ok\":false,\"code\":\"bad-request\",\"error\":\"x\"}\n", true, -EINVAL},
		{"{\"ok\":false,\"code\":\"failed\",\"error\":\"x\"}\n", true, -EREMOTEIO},
		{"{\"ok\":false,\"code\":\"later-version\"}\n", true, -EREMOTEIO},
		{"{\"ok\":false}\n", true, -EREMOTEIO},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* The peer is a process that may be slow to begin: only who says nothing more is waited for briefly. */
		uint64_t timeout_us = cases[i].r == -ETIMEDOUT ? 300000 : 60000000;
		struct err err = {0};
		int r = ask(cases[i].text, cases[i].stays, timeout_us, &err);

		cr_assert_eq(r, cases[i].r, "%s: %d %s", cases[i].text, r, err.text);
		cr_assert(r == 0 || err.text[0], "%s", cases[i].text);
	}
}

Test(ctl_client, no_daemon)
{
	struct ctl_client *c = NULL;
	struct err err = {0};

	cr_assert_eq(ctl_client_new("/tmp/mesh-no-such-socket", 1000000, &c, &err), -ENOENT);
	cr_assert_eq(ctl_client_new("/dev/null", 1000000, &c, &err), -ECONNREFUSED);
}
