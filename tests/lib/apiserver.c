/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "apiserver_util.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

enum { READY_MS = 20000, ARGS_MAX = 40 };

static char *find_program(void)
{
	const char *env = getenv("MESH_TEST_APISERVER"), *builddir = getenv("builddir");
	char self[4096];
	ssize_t n;
	char *path;

	if (env)
		return must_strdup(env);
	path = must_printf("%s/tests/lib/mesh-test-apiserver", builddir ? builddir : ".");
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1); /* build/tests/unit/lib/test_x */
	self[n > 0 ? n : 0] = '\0';
	for (int up = 0; up < 4; up++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			break;
		*slash = '\0';
		path = must_printf("%s/tests/lib/mesh-test-apiserver", self);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* Waits for the line "ready URL". */
static int wait_ready(int fd, char **ret_url, struct err *reterr)
{
	uint64_t end = clock_boot_us() + READY_MS * USEC_PER_MSEC;
	char line[512];
	size_t len = 0;

	while (len < sizeof(line) - 1) {
		uint64_t now = clock_boot_us();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (now >= end || poll(&p, 1, (int)((end - now) / USEC_PER_MSEC) + 1) == 0)
			return err_set(reterr, ETIMEDOUT, "the API server did not get ready");
		n = read(fd, line + len, sizeof(line) - 1 - len);
		if (n <= 0)
			return err_set(reterr, EIO, "the API server ended at once");
		len += (size_t)n;
		line[len] = '\0';
		if (strchr(line, '\n'))
			break;
	}
	if (!str_has_prefix(line, "ready "))
		return err_set(reterr, EPROTO, "unexpected first line: %s", line);
	*strchrnul(line, '\n') = '\0';
	*ret_url = must_strdup(line + strlen("ready "));
	return 0;
}

static _Noreturn void child_run(const char *program, char *const *argv, int out_fd)
{
	sigset_t none;

	/* a test that was aborted leaves no server behind */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)sigemptyset(&none); /* cannot fail with a valid set */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(out_fd, STDOUT_FILENO) >= 0)
		(void)execv(program, argv); /* returns only when it failed */
	_exit(127);
}

static int spawn(struct api *a, const char *program, const char *const *args, struct err *reterr)
{
	CLEANUP(free) char *token_path = must_printf("%s/admin.token", a->state_dir);
	CLEANUP(buf_done) struct buf token = {.max = 4096};
	char *argv[ARGS_MAX] = {(char *)program, "--print-ready", "--state", a->state_dir};
	CLEANUP(close_fd) int rd = -1;
	CLEANUP(close_fd) int wr = -1;
	size_t n = 4;
	int fds[2], r;

	for (; args && *args && n < ARGS_MAX - 1; args++)
		argv[n++] = (char *)*args;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(reterr, errno, "no pipe: %s", err_name(errno));
	rd = fds[0];
	wr = fds[1];
	a->pid = fork();
	if (a->pid < 0)
		return err_set(reterr, errno, "cannot fork: %s", err_name(errno));
	if (a->pid == 0)
		child_run(program, argv, wr);
	close_fd(TAKE_FD(wr));
	r = wait_ready(rd, &a->url, reterr);
	if (r < 0)
		return r;
	r = file_read(token_path, 4096, &token);
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", token_path, err_name(r));
	a->token = must(strndup(token.data, token.len));
	return 0;
}

/* The server that the environment names; false if it names none. */
static bool use_foreign(struct api *a)
{
	const char *url = getenv("MESH_TEST_APISERVER_URL"), *ca = getenv("MESH_TEST_APISERVER_CA");
	const char *token = getenv("MESH_TEST_APISERVER_TOKEN");

	if (!url || !ca || !token)
		return false;
	a->is_foreign = true;
	a->url = must_strdup(url);
	a->ca_path = must_strdup(ca);
	a->token = must_strdup(token);
	return true;
}

int api_start(const char *const *args, struct api **ret, struct err *reterr)
{
	CLEANUP(api_free) struct api *a = must(calloc(1, sizeof(*a)));
	CLEANUP(free) char *program = NULL;
	const char *tmp = getenv("TMPDIR");
	int r;

	if (use_foreign(a)) {
		*ret = TAKE_PTR(a);
		return 0;
	}
	program = find_program();
	if (!program)
		return err_set(reterr, ENOENT,
			       "mesh-test-apiserver was not built: libmicrohttpd is missing");
	a->state_dir = must_printf("%s/mesh-api-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(a->state_dir)) {
		r = err_set(reterr, errno, "cannot make %s: %s", a->state_dir, err_name(errno));
		free(TAKE_PTR(a->state_dir));
		return r;
	}
	a->ca_path = must_printf("%s/ca.crt", a->state_dir);
	r = spawn(a, program, args, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

static void remove_state(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		CLEANUP(free) char *path = must_printf("%s/%s", dir, e->d_name);

		(void)unlink(path); /* "." and ".." stay; rmdir then tells of anything else */
	}
	if (d)
		(void)closedir(d);
	if (rmdir(dir) < 0)
		perror(dir);
}

int api_stop(struct api *a)
{
	int status = 0, r = 0;

	if (a && a->pid > 0) {
		if (kill(a->pid, SIGTERM) < 0)
			r = -errno;
		while (waitpid(a->pid, &status, 0) < 0)
			if (errno != EINTR)
				break;
		a->pid = 0;
		if (r == 0)
			r = WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
	}
	if (a && a->state_dir)
		remove_state(a->state_dir);
	if (a) {
		free(a->url);
		free(a->state_dir);
		free(a->ca_path);
		free(a->token);
	}
	free(a);
	return r;
}

void api_free(struct api *a)
{
	(void)api_stop(a); /* who wants to know calls api_stop() */
}
