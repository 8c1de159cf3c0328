/* SPDX-License-Identifier: Apache-2.0 */
#include "priv/priv.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "priv/priv_filter.h"
#include "priv/priv_wire.h"

/* A process has its rights itself or not: that is one thing for all of it. */
static int channel = -1;

bool priv_is_split(void)
{
	return channel >= 0;
}

int priv_fd(void)
{
	return channel;
}

void priv_gone(void)
{
	log_event(LOG_ERR, "agent.privileged",
		  "the process that writes to the kernel is gone: starting anew, what is in force stays");
	_exit(1);
}

int priv_call(enum priv_code code, const struct iovec *in, size_t n, int fd, struct priv_answer *ret)
{
	const struct priv_question question = {.code = (uint32_t)code};
	const int fds[PRIV_FDS] = {fd, -1};
	struct priv_reply head;
	int r;

	ret->fds[0] = ret->fds[1] = -1;
	ret->out_len = 0;
	ret->err.text[0] = '\0';
	r = priv_send(channel, &question, sizeof(question), in, n, fds);
	if (r == -EMSGSIZE)
		return r;
	if (r == 0)
		r = priv_recv(channel, &head, sizeof(head), ret->out, ret->out_max, ret->fds);
	if (r == -EBADMSG)
		return -EPROTO;
	if (r < 0)
		priv_gone();
	ret->out_len = (size_t)r;
	ret->value = head.value;
	ret->err = head.err;
	ret->err.text[sizeof(ret->err.text) - 1] = '\0';
	return head.result;
}

int priv_ask(enum priv_code code, const void *in, size_t in_len, void *out, size_t out_len, struct err *reterr)
{
	const struct iovec question = {.iov_base = (void *)(uintptr_t)in, .iov_len = in_len};
	struct priv_answer a = {.out = out, .out_max = out_len};
	int r = priv_call(code, &question, 1, -1, &a);

	close_fd(a.fds[0]);
	close_fd(a.fds[1]);
	if (r >= 0 && a.out_len != out_len)
		r = -EPROTO;
	if (r < 0 && reterr)
		*reterr = a.err;
	return r;
}

/* Starting */

/* The arguments lie in one piece; what is not used is cleared. */
static void set_title(char **argv, const char *title)
{
	char *begin = argv[0], *last = argv[0];

	(void)prctl(PR_SET_NAME, title); /* for people only */
	if (!begin)
		return;
	for (; *argv; argv++)
		last = *argv + strlen(*argv);
	memset(begin, 0, (size_t)(last - begin));
	(void)snprintf(begin, (size_t)(last - begin) + 1, "%s", title); /* cut if need be */
}

/* Keeps those capabilities that are in `mask` and are there, for good and for everything that is started. */
static int limit_caps(uint64_t mask, struct err *reterr)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	/* Without new privileges, a program of the superuser's does not get the rights back that it is started with. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capget, &head, caps) < 0)
		return err_set(reterr, errno, "cannot read the rights of the process: %s", err_name(errno));
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		caps[i].permitted &= (uint32_t)(mask >> (32 * i));
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, caps) < 0)
		return err_set(reterr, errno, "cannot give up the rights of an administrator: %s", err_name(errno));
	return 0;
}

/* What the unit gives; whoever starts the daemon by hand has more. */
#define CAPS_NEEDED                                                                                                    \
	(UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_PERFMON | UINT64_C(1) << CAP_NET_ADMIN |                          \
	 UINT64_C(1) << CAP_NET_BIND_SERVICE)

/*
 * The daemon decides when this ends: it needs it until its own last step. What the daemon could not do before, it shall
 * not do by tracing us, though the kernel refuses that, too, for as long as we hold more rights.
 */
static _Noreturn void serve(int fd, const struct priv_table *tables, size_t n, char **argv, const char *title)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct err err = {0};

	(void)setrlimit(RLIMIT_MEMLOCK, &all); /* kernels before 5.11 charge maps to it; the unit has done so, and we may not */
	(void)sigaction(SIGTERM, &ignore, NULL); /* known signals */
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	set_title(argv, title);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || limit_caps(CAPS_NEEDED, &err) < 0 || priv_filter_privileged(&err) < 0) {
		log_event(LOG_ERR, "agent.privileged", "cannot lock up the process that writes to the kernel",
			  F_STR("reason", err.text[0] ? err.text : err_name(errno)));
		_exit(1);
	}
	priv_serve(fd, tables, n);
	_exit(0);
}

/*
 * One datagram of the longest kind fits, with what the kernel adds, also where net.core.wmem_default is small. A host
 * whose net.core.wmem_max is small, too, needs the right that we still have.
 */
static int open_channel(int ret_ends[2])
{
	const int size = 2 * PRIV_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++)
		if (setsockopt(ret_ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(ret_ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* cut to what is allowed */
	return 0;
}

int priv_start(const struct priv_table *tables, size_t n, char **argv, const char *title)
{
	int ends[2], r;
	pid_t pid;

	if (channel >= 0)
		return -EALREADY;
	r = open_channel(ends);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close_fd(ends[0]);
		close_fd(ends[1]);
		return r;
	}
	if (pid == 0) {
		close_fd(ends[0]);
		serve(ends[1], tables, n, argv, title);
	}
	close_fd(ends[1]);
	channel = ends[0];
	return 0;
}

int priv_drop(struct err *reterr)
{
	int r = limit_caps(0, reterr);

	return r < 0 ? r : priv_filter_unprivileged(reterr);
}
