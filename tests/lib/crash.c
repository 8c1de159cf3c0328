/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a process at the n-th of its system calls that change something, before that call happens:
 *
 *	crash [-n N] [-o FILE] -p PID
 *	crash [-n N] [-o FILE] COMMAND [ARGUMENT...]
 *
 * Counts from its own start. With N 0, or until it is ended by SIGTERM, it only counts. FILE gets one line: the count, and
 * "killed" (with the number of the call), "ended" or "detached". As -p it ends with 0 once the process is gone; else
 * with the command's status, or 137.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 137, SETUP_FAILED = 126 };

static const long calls[] = {
	SYS_bpf, SYS_write, SYS_pwrite64, SYS_writev, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_renameat2, SYS_unlinkat,
	SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_mkdirat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat,
	SYS_linkat, SYS_symlinkat, SYS_connect,
#ifdef SYS_rename
	SYS_rename, SYS_unlink, SYS_mkdir, SYS_rmdir, SYS_chmod, SYS_link, SYS_symlink,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
};

static volatile sig_atomic_t must_detach;
static volatile pid_t traced;

/* It stops here, wherever the wait for it is: it may make no call for a long time. */
static void on_term(int signo)
{
	int kept = errno;

	(void)signo;
	must_detach = 1;
	(void)ptrace(PTRACE_INTERRUPT, traced, NULL, NULL); /* gone: then that is what the wait tells */
	errno = kept;
}

static bool changes_something(const struct __ptrace_syscall_info *i)
{
	if (i->entry.nr == SYS_openat)
		return i->entry.args[2] & O_CREAT;
	for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++)
		if ((long)i->entry.nr == calls[k])
			return true;
	return false;
}

static void tell(const char *path, unsigned long count, const char *how, long call)
{
	FILE *f = path ? fopen(path, "we") : NULL;

	if (!f)
		return;
	(void)fprintf(f, "%lu %s %ld\n", count, how, call);
	(void)fclose(f); /* who waits for the file sees what is missing */
}

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)raise(SIGSTOP); /* until it is traced */
		(void)execvp(argv[0], argv);
		perror(argv[0]);
		_exit(SETUP_FAILED);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, WUNTRACED);
	return pid;
}

static int seize(pid_t pid)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

	if (ptrace(PTRACE_SEIZE, pid, NULL, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		return -errno;
	return 0;
}

/* What to do with a stopped thread: go on to the next system call, with its signal if it got one. */
static void go_on(pid_t tid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80) || event)
		sig = 0;
	if (event == PTRACE_EVENT_STOP && WSTOPSIG(status) == SIGSTOP)
		sig = 0;
	(void)ptrace(PTRACE_SYSCALL, tid, NULL, (long)sig); /* it may have died meanwhile */
}

int main(int argc, char **argv)
{
	struct sigaction term = {.sa_handler = on_term};
	unsigned long n = 0, count = 0;
	const char *path = NULL;
	struct __ptrace_syscall_info info;
	pid_t pid = 0, tid;
	bool is_ours;
	int c, status, r;

	while ((c = getopt(argc, argv, "+n:o:p:")) != -1) {
		if (c == 'n')
			n = strtoul(optarg, NULL, 10);
		else if (c == 'o')
			path = optarg;
		else if (c == 'p')
			pid = (pid_t)strtol(optarg, NULL, 10);
		else
			return SETUP_FAILED;
	}
	is_ours = pid == 0;
	if (is_ours && optind == argc)
		return SETUP_FAILED;
	if (is_ours)
		pid = start(argv + optind);
	r = seize(pid);
	if (r < 0) {
		(void)fprintf(stderr, "crash: %d: %s\n", (int)pid, strerror(-r));
		return SETUP_FAILED;
	}
	if (is_ours)
		(void)kill(pid, SIGCONT);
	traced = pid;
	(void)sigaction(SIGTERM, &term, NULL);
	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (tid != pid)
				continue;
			tell(path, count, "ended", 0);
			return !is_ours ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
		if (must_detach && tid == pid) {
			(void)ptrace(PTRACE_DETACH, pid, NULL, NULL); /* the other threads go with us */
			tell(path, count, "detached", 0);
			return 0;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 &&
		    info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_something(&info) && ++count == n) {
			(void)kill(pid, SIGKILL);
			while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
				;
			tell(path, count, "killed", (long)info.entry.nr);
			return is_ours ? KILLED : 0;
		}
		go_on(tid, status);
	}
	return SETUP_FAILED;
}
