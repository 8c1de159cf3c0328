/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/check_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

enum { TEXT_MAX = 160, READS_MAX = 16, NOBODY = 65534, NOT_STARTED = 127 };

struct check_exec {
	pid_t pid; /* also its process group; 0 once it is reaped */
	int pidfd, out;
	struct source *end, *output;
	char text[TEXT_MAX]; /* the beginning of the output */
	size_t len;
	check_fn fn;
	void *arg;
};

/* In the child, between fork() and execve(): system calls only, for another thread may have held a lock. */

static bool drop_rights(void)
{
	/* Ambient capabilities of the daemon's unit would pass to the command. Kernels without them have none. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	if (geteuid() != 0)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static void run(char *const *argv, int in, int out)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char *const env[] = {path, NULL};
	const struct rlimit no_core = {0};
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)sigemptyset(&none); /* cannot fail */
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* likewise */
	(void)sigaction(SIGPIPE, &usual, NULL); /* ignored by the daemon, which execve() would pass on */
	if (setsid() < 0 || chdir("/") < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(NOT_STARTED);
	if (!drop_rights()) {
		static const char why[] = "the daemon runs as root and not by its unit: it starts no commands";

		(void)!write(STDERR_FILENO, why, sizeof(why) - 1); /* then the number has to do */
		_exit(NOT_STARTED);
	}
#ifdef __NR_close_range
	(void)syscall(__NR_close_range, STDERR_FILENO + 1, ~0U, 0); /* what was handed to us; ours close by themselves */
#endif
	(void)execve(argv[0], argv, env);
	_exit(NOT_STARTED);
}

/* In the daemon */

static void check_exec_free(struct check_exec *c)
{
	source_free(c->end);
	source_free(c->output);
	close_fd(c->pidfd);
	close_fd(c->out);
	free(c);
}

void check_exec_cancel(struct check_exec *c)
{
	if (!c)
		return;
	if (c->pid > 0) {
		(void)kill(-c->pid, SIGKILL); /* gone already, at best */
		(void)kill(c->pid, SIGKILL);  /* before its setsid() there is no group */
		/* One that hangs in the kernel is not waited for; it stays a zombie until the daemon ends. */
		(void)waitpid(c->pid, NULL, WNOHANG);
	}
	check_exec_free(c);
}

/* Keeps the beginning, throws the rest away, so that the command is never held up. True while more may come. */
static bool read_output(struct check_exec *c)
{
	for (int i = 0; i < READS_MAX; i++) {
		char chunk[4096];
		ssize_t n = read(c->out, chunk, sizeof(chunk));
		size_t keep;

		if (n == 0)
			return false;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		keep = MIN((size_t)n, sizeof(c->text) - 1 - c->len);
		memcpy(c->text + c->len, chunk, keep);
		c->len += keep;
	}
	return true; /* one that prints without end must not hold up the loop: later */
}

static void on_output(uint32_t events, void *arg)
{
	struct check_exec *c = arg;

	(void)events; /* end and error read as 0 */
	if (!read_output(c)) {
		source_free(c->output);
		c->output = NULL;
	}
}

/* One line that can be shown anywhere. */
static void clean(char *text)
{
	text[strcspn(text, "\r\n")] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static void on_end(uint32_t events, void *arg)
{
	struct check_exec *c = arg;
	check_fn fn = c->fn;
	void *fn_arg = c->arg;
	char text[TEXT_MAX + 64];
	siginfo_t info = {0};
	int r;

	(void)events; /* there is one */
	(void)kill(-c->pid, SIGKILL); /* what it left behind; its own number is not free before it is reaped */
	r = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG);
	if (r == 0 && info.si_pid == 0)
		return; /* not yet, against what the kernel said */
	c->pid = 0;
	(void)read_output(c);
	c->text[c->len] = '\0';
	clean(c->text);
	if (r < 0)
		(void)snprintf(text, sizeof(text), "cannot learn how it ended");
	else if (info.si_code != CLD_EXITED)
		(void)snprintf(text, sizeof(text), "killed by signal %d", info.si_status);
	else if (info.si_status == NOT_STARTED && !c->len)
		(void)snprintf(text, sizeof(text), "cannot be run");
	else if (info.si_status)
		(void)snprintf(text, sizeof(text), "exit code %d%s%s", info.si_status, c->len ? ": " : "", c->text);
	else
		text[0] = '\0';
	check_exec_free(c);
	fn(text[0] ? CHECK_FAILED : CHECK_OK, text, fn_arg);
}

/* `argv` and the ends for the child are the caller's. */
static int start(struct loop *loop, struct check_exec *c, char *const *argv, int in, int out)
{
	int r;

	c->pid = fork();
	if (c->pid == 0)
		run(argv, in, out);
	if (c->pid < 0) {
		r = -errno;
		c->pid = 0;
		return r;
	}
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0); /* glibc before 2.36 has no name for it */
	if (c->pidfd < 0)
		return -errno;
	r = loop_add_io(loop, c->pidfd, EPOLLIN, on_end, c, &c->end);
	return r < 0 ? r : loop_add_io(loop, c->out, EPOLLIN, on_output, c, &c->output);
}

int check_exec_start(struct loop *loop, const struct strv *command, check_fn fn, void *arg, struct check_exec **ret)
{
	CLEANUP(free) char **argv = calloc(command->n + 1, sizeof(*argv));
	CLEANUP(close_fd) int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct check_exec *c = calloc(1, sizeof(*c));
	int fds[2] = {-1, -1}, r = 0;

	if (!c || !argv || command->n == 0) {
		free(c);
		return command->n ? -ENOMEM : -EINVAL;
	}
	for (size_t i = 0; i < command->n; i++)
		argv[i] = command->v[i];
	c->pidfd = c->out = -1;
	c->fn = fn;
	c->arg = arg;
	if (in < 0 || pipe2(fds, O_CLOEXEC) < 0)
		r = -errno;
	c->out = fds[0];
	if (r == 0 && fcntl(c->out, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = start(loop, c, argv, in, fds[1]);
	close_fd(fds[1]);
	if (r < 0) {
		check_exec_cancel(c);
		return r;
	}
	*ret = c;
	return 0;
}
