/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "json/json.h"

enum { ARGS_MAX = 256 };

/* Until there is something to read at `fd`. 0; -ETIMEDOUT. */
static int wait_for(int fd, uint64_t deadline_us)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now_us;

	while ((now_us = clock_boot_us()) < deadline_us) {
		int r = poll(&p, 1, (int)((deadline_us - now_us) / USEC_PER_MSEC) + 1);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

/* Collects what the plugin prints until it closes its end. */
static int read_all(int fd, uint64_t deadline_us, struct buf *out)
{
	for (;;) {
		int r = wait_for(fd, deadline_us);
		char chunk[4096];
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		r = n > 0 ? buf_add(out, chunk, (size_t)n) : 0;
		if (r < 0)
			return r;
	}
}

/* In the child: never returns. */
static void run_plugin(const json_t *exec, const char *command, const char *info, int out)
{
	const json_t *args = json_object_get(exec, "args"), *env = json_object_get(exec, "env");
	const char *argv[ARGS_MAX + 2] = {command};
	const json_t *v;
	size_t i;

	json_array_foreach((json_t *)args, i, v)
		argv[i + 1] = json_string_value(v);
	json_array_foreach((json_t *)env, i, v)
		if (setenv(json_str(v, "name", ""), json_str(v, "value", ""), 1) < 0)
			_exit(126);
	if (setenv("KUBERNETES_EXEC_INFO", info, 1) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	(void)execvp(command, (char *const *)argv);
	_exit(errno == ENOENT ? 127 : 126);
}

static int check_exec(const json_t *exec, const char **ret_command, struct err *reterr)
{
	const json_t *args = json_object_get(exec, "args"), *v;
	const char *version = json_str(exec, "apiVersion", "");
	size_t i;

	*ret_command = json_str(exec, "command", "");
	if (!**ret_command)
		return err_set(reterr, EINVAL, "the exec plugin of this user has no command");
	if (!str_eq(version, "client.authentication.k8s.io/v1") && !str_eq(version, "client.authentication.k8s.io/v1beta1"))
		return err_set(reterr, EINVAL, "exec plugin %.80s: apiVersion %.80s is not known", *ret_command, version);
	if (str_eq(json_str(exec, "interactiveMode", ""), "Always"))
		return err_set(reterr, EINVAL, "exec plugin %.80s: interactiveMode Always is not supported", *ret_command);
	if (json_array_size(args) > ARGS_MAX)
		return err_set(reterr, EINVAL, "exec plugin %.80s: more than %d arguments", *ret_command, ARGS_MAX);
	json_array_foreach((json_t *)args, i, v)
		if (!json_is_string(v))
			return err_set(reterr, EINVAL, "exec plugin %.80s: an argument is no string", *ret_command);
	return 0;
}

/* Until it has ended: one that has closed its output may still run. */
static int wait_for_end(pid_t pid, uint64_t deadline_us)
{
	CLEANUP(close_fd) int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* glibc before 2.36 has no name for it */

	return fd < 0 ? -errno : wait_for(fd, deadline_us);
}

/* Ends the child if it still runs and tells how it ended. */
static int reap(pid_t pid, bool kill_it, int *ret_status)
{
	if (kill_it)
		(void)kill(pid, SIGKILL); /* it may have ended already */
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int start(const json_t *exec, const char *command, pid_t *ret_pid, int *ret_fd)
{
	CLEANUP(json_decref) json_t *info = json_pack("{s:s, s:s, s:{s:b}}", "apiVersion", json_str(exec, "apiVersion", ""), "kind",
						      "ExecCredential", "spec", "interactive", 0);
	CLEANUP(free) char *text = info ? json_text(info) : NULL;
	int fds[2];
	pid_t pid;

	if (!text)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_plugin(exec, command, text, fds[1]);
	close_fd(fds[1]);
	if (pid < 0) {
		int r = -errno;

		close_fd(fds[0]);
		return r;
	}
	*ret_pid = pid;
	*ret_fd = fds[0];
	return 0;
}

int kubeconfig_exec(const json_t *exec, const char *dir, unsigned timeout_s, json_t **ret_status, struct err *reterr)
{
	uint64_t deadline_us = clock_boot_us() + timeout_s * USEC_PER_SEC;
	CLEANUP(buf_done) struct buf out = {.max = LIMIT_CONFIG_BYTES};
	CLEANUP(json_decref) json_t *credential = NULL;
	CLEANUP(close_fd) int fd = -1;
	char path[4096];
	const char *command;
	pid_t pid = -1;
	int r = check_exec(exec, &command, reterr), status;

	if (r < 0)
		return r;
	if (command[0] != '/' && strchr(command, '/')) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, command) >= sizeof(path))
			return err_set(reterr, EINVAL, "exec plugin %.80s: the path is too long", command);
		command = path;
	}
	r = start(exec, command, &pid, &fd);
	if (r < 0)
		return err_set(reterr, -r, "exec plugin %.80s cannot be started: %s", command, err_name(r));
	r = read_all(fd, deadline_us, &out);
	if (r == 0)
		r = wait_for_end(pid, deadline_us);
	if (reap(pid, r < 0, &status) < 0)
		status = -1;
	if (r == -ETIMEDOUT)
		return err_set(reterr, ETIMEDOUT, "exec plugin %.80s did not end within %u s", command, timeout_s);
	if (r < 0)
		return err_set(reterr, -r, "exec plugin %.80s: %s", command, err_name(r));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(reterr, ENOENT, "exec plugin %.80s is not installed%s%.200s", command,
			       *json_str(exec, "installHint", "") ? ": " : "", json_str(exec, "installHint", ""));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(reterr, EINVAL, "exec plugin %.80s failed", command);
	credential = out.data ? json_parse(out.data, out.len) : NULL;
	if (out.data && !credential && errno == ENOMEM)
		return err_set(reterr, ENOMEM, "out of memory");
	if (!str_eq(json_str(credential, "kind", ""), "ExecCredential") || !json_is_object(json_object_get(credential, "status")))
		return err_set(reterr, EINVAL, "exec plugin %.80s printed no ExecCredential with a status", command);
	*ret_status = json_incref(json_object_get(credential, "status"));
	return 0;
}
