/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the process with the rights and the one without, and what the latter cannot do any more. Needs no rights. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "lib/result.h"
#include "priv/priv_filter.h"
#include "priv/priv_sock.h"
#include "priv/priv_wire.h"

struct number {
	uint32_t n;
};

static int last_fd;

static int twice(struct priv_request *q, void *arg)
{
	const struct number *in = q->in;
	struct number *out = q->out;

	if (in->n > *(uint32_t *)arg)
		return err_set(&q->err, ERANGE, "%u is too much", in->n);
	out->n = in->n * 2;
	q->out_len = sizeof(*out);
	q->value = in->n;
	return 7;
}

/* The bytes come back; the sum is the number. */
static int echo(struct priv_request *q, void *arg)
{
	(void)arg;
	memcpy(q->out, q->in, q->in_len);
	q->out_len = q->in_len;
	for (size_t i = 0; i < q->in_len; i++)
		q->value += ((const unsigned char *)q->in)[i];
	return 0;
}

static int keep_fd(struct priv_request *q, void *arg)
{
	(void)arg;
	last_fd = q->fd;
	return fcntl(q->fd, F_GETFD) >= 0 ? 0 : -EBADF;
}

static int lend_fds(struct priv_request *q, void *arg)
{
	(void)arg;
	q->fds[0] = STDERR_FILENO;
	q->fds[1] = STDIN_FILENO;
	return 0;
}

static uint32_t limit = 1000;
static const struct priv_op ops[] = {
	{.code = PRIV_BPF_GET, .size = sizeof(struct number), .fn = twice},
	{.code = PRIV_BPF_PUT, .has_tail = true, .size = 4, .fn = echo},
	{.code = PRIV_SOCK_BIND, .has_fd = true, .fn = keep_fd},
	{.code = PRIV_BPF_OPEN, .fn = lend_fds},
};
static const struct priv_table tables[] = {{.ops = ops, .n = ARRAY_LEN(ops), .arg = &limit}};

static int handle(uint32_t code, size_t len, int fd, struct priv_request *q)
{
	static const char zeros[64];
	static char out[PRIV_BYTES];

	*q = (struct priv_request){.in = zeros, .in_len = len, .fd = fd, .out = out, .fds = {-1, -1}};
	return priv_handle(tables, ARRAY_LEN(tables), code, q);
}

Test(priv, refuses_what_is_no_question)
{
	struct priv_request q;
	int fd = dup(0);

	cr_expect_eq(handle(PRIV_BPF_GET, 4, -1, &q), 7);
	cr_expect_eq(handle(PRIV_BPF_GET, 3, -1, &q), -EBADMSG);
	cr_expect_eq(handle(PRIV_BPF_GET, 5, -1, &q), -EBADMSG);
	cr_expect_eq(handle(PRIV_BPF_PUT, 3, -1, &q), -EBADMSG);
	cr_expect_eq(handle(PRIV_BPF_PUT, 5, -1, &q), 0);
	cr_expect_eq(handle(PRIV_NL_CHANGE, 0, -1, &q), -EOPNOTSUPP);
	cr_expect_eq(handle(UINT32_MAX, 0, -1, &q), -EOPNOTSUPP);
	cr_expect_eq(handle(PRIV_SOCK_BIND, 0, -1, &q), -EBADMSG, "a descriptor is needed");
	cr_expect_eq(handle(PRIV_SOCK_BIND, 0, fd, &q), 0);
	cr_expect_eq(last_fd, fd);
	cr_expect_eq(fcntl(fd, F_GETFD), -1, "and closed after the call");
	fd = dup(0);
	cr_expect_eq(handle(PRIV_BPF_GET, 4, fd, &q), -EBADMSG, "no descriptor is wanted");
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

/* The other process is one that is started by the test. */
static void start(void)
{
	static char arg[] = "test_priv and room for a title", *argv[] = {arg, NULL};

	cr_assert_eq(priv_start(tables, ARRAY_LEN(tables), argv, "privileged"), 0);
	cr_assert(priv_is_split());
}

Test(priv, asks_and_is_answered)
{
	static unsigned char big[PRIV_BYTES], back[PRIV_BYTES];
	struct number in = {.n = 21}, out = {0};
	struct iovec all[] = {{big, 1000}, {big + 1000, sizeof(big) - 1000}};
	struct priv_answer a = {.out = back, .out_max = sizeof(back)};
	struct err err = {0};
	uint32_t sum = 0;

	start();
	cr_expect_eq(priv_ask(PRIV_BPF_GET, &in, sizeof(in), &out, sizeof(out), &err), 7);
	cr_expect_eq(out.n, 42);
	in.n = 1001;
	cr_expect_eq(priv_ask(PRIV_BPF_GET, &in, sizeof(in), &out, sizeof(out), &err), -ERANGE);
	cr_expect_str_eq(err.text, "1001 is too much");
	in.n = 1;
	cr_expect_eq(priv_ask(PRIV_BPF_GET, &in, sizeof(in), NULL, 0, &err), -EPROTO, "an answer that is too long");
	cr_expect_eq(priv_ask(PRIV_BPF_OPEN, NULL, 0, &out, sizeof(out), &err), -EPROTO, "too short");
	cr_expect_eq(priv_ask(PRIV_BPF_GET, &in, sizeof(in), &out, sizeof(out), &err), 7, "the next is answered in order");
	cr_expect_eq(out.n, 2);

	for (size_t i = 0; i < sizeof(big); i++)
		sum += big[i] = (unsigned char)(i * 7 + i / 256);
	cr_expect_eq(priv_call(PRIV_BPF_PUT, all, 2, -1, &a), 0);
	cr_expect_eq(a.out_len, sizeof(big));
	cr_expect_eq(a.value, sum);
	cr_expect_eq(memcmp(big, back, sizeof(big)), 0);
	all[0].iov_len = 1001;
	cr_expect_eq(priv_call(PRIV_BPF_PUT, all, 2, -1, &a), -EMSGSIZE, "not even sent");
	all[0].iov_len = 1000;
	cr_expect_eq(priv_call(PRIV_BPF_PUT, all, 2, -1, &a), 0);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

Test(priv, hands_over_descriptors)
{
	int fd = memfd_create("lent", MFD_CLOEXEC);
	struct priv_answer a = {.out = NULL};

	start();
	cr_expect_eq(priv_call(PRIV_SOCK_BIND, NULL, 0, fd, &a), 0);
	cr_expect_geq(fcntl(fd, F_GETFD), 0, "it stays the caller's");
	cr_expect_eq(priv_call(PRIV_BPF_OPEN, NULL, 0, -1, &a), 0);
	cr_expect_eq(inode_of(a.fds[0]), inode_of(STDERR_FILENO));
	cr_expect_eq(inode_of(a.fds[1]), inode_of(STDIN_FILENO));
	cr_expect_eq(fcntl(a.fds[0], F_GETFD), FD_CLOEXEC);
}

Test(priv, a_message_that_is_none)
{
	struct iovec body = {(char[]){"x"}, 1};
	int ends[2], fds[PRIV_FDS];
	char head[8], bytes[16];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_expect_eq(priv_send(ends[0], "head", 4, &body, 1, NULL), 0);
	cr_expect_eq(priv_recv(ends[1], head, 8, bytes, sizeof(bytes), fds), -EBADMSG, "half a head");
	cr_expect_eq(priv_send(ends[0], "headhead", 8, &body, 1, (int[]){dup(0), dup(0)}), 0);
	cr_expect_eq(priv_recv(ends[1], head, 8, bytes, 0, fds), -EBADMSG, "a cut body");
	cr_expect_eq(fds[0], -1);
	cr_expect_eq(priv_send(ends[0], "headhead", 8, &body, 1, NULL), 0);
	cr_expect_eq(priv_recv(ends[1], head, 8, bytes, sizeof(bytes), fds), 1);
	(void)close(ends[0]);
	cr_expect_eq(priv_recv(ends[1], head, 8, bytes, sizeof(bytes), fds), -EPIPE);
	cr_expect_eq(priv_send(ends[1], "headhead", 8, &body, 1, NULL), -EPIPE);
}

/* A question and its answer are one datagram each, which has to fit, whatever the host's default is (net.core.wmem_default). */
Test(priv, has_room_for_the_longest_message)
{
	int size = 0;
	socklen_t len = sizeof(size);

	start();
	cr_expect_eq(getsockopt(priv_fd(), SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	cr_expect_geq(size, 4 * PRIV_BYTES);
}

/* Who waits for an answer that cannot be sent learns that there is none. */
Test(priv, ends_when_it_cannot_answer, .timeout = 30)
{
	static unsigned char big[PRIV_BYTES / 2], back[PRIV_BYTES];
	const struct priv_question question = {.code = PRIV_BPF_PUT};
	const struct iovec body = {big, sizeof(big)};
	int ends[2], fds[PRIV_FDS], size = 1, status = -1;
	struct priv_reply head;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	pid = fork();
	if (pid == 0) {
		close_fd(ends[0]);
		priv_serve(ends[1], tables, ARRAY_LEN(tables));
		_exit(0);
	}
	close_fd(ends[1]);
	cr_expect_eq(priv_send(ends[0], &question, sizeof(question), &body, 1, NULL), 0);
	cr_expect_eq(priv_recv(ends[0], &head, sizeof(head), back, sizeof(back), fds), -EPIPE);
	cr_expect_eq(waitpid(pid, &status, 0), pid);
	close_fd(ends[0]);
}

/* The test ends with the status that the daemon would have. */
Test(priv, ends_with_the_other_process, .exit_code = 1)
{
	static const struct priv_op dies[] = {{.code = PRIV_BPF_CLOSE, .fn = (priv_fn)(void *)_exit}};
	static const struct priv_table only[] = {{.ops = dies, .n = 1}};
	static char arg[] = "test_priv", *argv[] = {arg, NULL};

	cr_assert_eq(priv_start(only, 1, argv, "privileged"), 0);
	(void)priv_ask(PRIV_BPF_CLOSE, NULL, 0, NULL, 0, NULL);
}

/* In a process of its own, whose filter stays with it: 0 if all of it is as it should be, else the line. */
static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

#define WANT(cond)                                                                                                             \
	do {                                                                                                                   \
		if (!(cond))                                                                                                   \
			return __LINE__ % 251 + 1;                                                                             \
	} while (0)

static bool is_refused(long r, int code)
{
	return r < 0 && errno == code;
}

static void *note(void *arg)
{
	*(bool *)arg = true;
	return NULL;
}

/* Processes and threads, as libcurl has one for names. */
static bool starts_others(void)
{
	bool is_noted = false;
	int status = -1;
	pthread_t thread;
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		return false;
	return pthread_create(&thread, NULL, note, &is_noted) == 0 && pthread_join(thread, NULL) == 0 && is_noted;
}

static int without_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	struct err err;

	WANT(priv_drop(&err) == 0);
	WANT(syscall(SYS_capget, &head, caps) == 0);
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		WANT(!caps[i].permitted && !caps[i].effective && !caps[i].inheritable);
	WANT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	WANT(is_refused(syscall(SYS_bpf, 0, NULL, 0), EPERM));
	WANT(is_refused(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), EPERM));
	WANT(is_refused(syscall(SYS_unshare, 0), EPERM));
	WANT(is_refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM));
	WANT(is_refused(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0), EPERM));
	WANT(is_refused(syscall(435, NULL, 0), ENOSYS)); /* clone3, whose flags a filter cannot see: the C library takes the other */
	WANT(starts_others());
	WANT(is_refused(syscall(SYS_keyctl, 0, 0, 0), EPERM));
#ifdef __x86_64__
	WANT(is_refused(syscall(0x40000000L + SYS_bpf, 0, NULL, 0), EPERM));
#endif
	WANT(is_refused(socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT));
	WANT(is_refused(socket(AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT));
	WANT(is_refused(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), EPERM));
	WANT(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0);
	WANT(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG) >= 0);
	WANT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	WANT(socket(AF_UNIX, SOCK_DGRAM, 0) >= 0);
	WANT(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	return 0;
}

static int with_rights(void)
{
	struct err err;
	pid_t pid = getppid();

	WANT(priv_filter_privileged(&err) == 0);
	WANT(!is_refused(syscall(SYS_bpf, -1, NULL, 0), ENOSYS)); /* whether it is allowed is not the filter's doing */
	WANT(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0);
	WANT(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
	WANT(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	WANT(is_refused(socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT));
	WANT(is_refused(socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT));
	WANT(memfd_create("libbpf-placeholder-fd", MFD_CLOEXEC) >= 0); /* from libbpf 1.4 on no object is opened without it */
	WANT(faccessat(AT_FDCWD, "/dev/null", R_OK, AT_EACCESS) == 0);
	WANT(is_refused(syscall(SYS_execve, "/bin/true", NULL, NULL), ENOSYS));
	WANT(is_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), ENOSYS));
	WANT(is_refused(syscall(SYS_kill, pid, 0), ENOSYS));
	WANT(is_refused(syscall(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0), ENOSYS));
	WANT(is_refused(syscall(SYS_capset, NULL, NULL), ENOSYS));
	WANT(is_refused(syscall(SYS_listen, 0, 1), ENOSYS));
	WANT(is_refused(syscall(SYS_mount, "a", "b", "c", 0, NULL), ENOSYS));
	return 0;
}

Test(priv, the_daemon_gives_up_what_it_does_not_need)
{
	cr_expect_eq(in_child(without_rights), 0);
}

Test(priv, the_other_one_can_do_nothing_else)
{
	cr_expect_eq(in_child(with_rights), 0);
}

/* Whether a process with this filter gets as far as the call, with arguments that are none. */
static bool lets_through(int (*filter)(struct err *), int refusal, long call)
{
	int status = -1;
	pid_t pid = fork();
	struct err err;

	if (pid == 0) {
		(void)alarm(2); /* some calls wait */
		if (filter(&err) < 0)
			_exit(99);
		_exit(syscall(call, -1L, -1L, -1L, -1L, -1L, -1L) == -1 && errno == refusal ? 1 : 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 99);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 1;
}

/* Every number that a call has: what is not named in the filter of the one with the rights is refused there. */
Test(priv, of_all_calls_few_are_left, .timeout = 120)
{
	enum { CALLS = 470, FEW = 80 };
	unsigned privileged = 0, unprivileged = 0;

	for (long call = 0; call < CALLS; call++) {
		privileged += lets_through(priv_filter_privileged, ENOSYS, call);
		unprivileged += lets_through(priv_filter_unprivileged, EPERM, call);
	}
	(void)fprintf(stderr, "%u of %d calls are left to the process with the rights, %u to the daemon\n", privileged, CALLS, unprivileged);
	result_add("calls", json_pack("{s:i, s:I, s:I}", "tried", (int)CALLS, "privileged", (json_int_t)privileged,
				       "unprivileged", (json_int_t)unprivileged));
	cr_expect_leq(privileged, FEW);
	cr_expect_gt(unprivileged, privileged);
	cr_expect_lt(unprivileged, CALLS);
}

/* By number, as what was built with newer headers than we were makes them. */
Test(priv, newer_calls_are_known)
{
	static const struct {
		long number;
		const char *name;
	} refused[] = {
		{425, "io_uring_setup"}, {426, "io_uring_enter"}, {427, "io_uring_register"}, {428, "open_tree"}, {429, "move_mount"},
		{430, "fsopen"}, {431, "fsconfig"}, {432, "fsmount"}, {433, "fspick"}, {438, "pidfd_getfd"}, {442, "mount_setattr"},
		{443, "quotactl_fd"}, {467, "open_tree_attr"},
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		cr_expect(!lets_through(priv_filter_unprivileged, EPERM, refused[i].number), "%s", refused[i].name);
	cr_expect(!lets_through(priv_filter_unprivileged, ENOSYS, 435), "clone3");
	cr_expect(lets_through(priv_filter_privileged, ENOSYS, 439), "faccessat2");
}

/* What is done with a descriptor that the daemon lends: asked for through the table, as the other process would. */
static int with_fd(enum priv_code code, const void *in, size_t len, int fd)
{
	struct priv_request q = {.in = in, .in_len = len, .fd = dup(fd), .fds = {-1, -1}};

	return priv_handle(&priv_sock_table, 1, (uint32_t)code, &q);
}

Test(priv, lends_sockets)
{
	struct sockaddr_storage own = {0};
	struct {
		struct sockaddr_storage sa;
		uint32_t len;
	} q = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&q.sa;
	socklen_t len = sizeof(own);
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = 4096, too_much = PRIV_RCVBUF_MAX + 1, unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	uint32_t mark = 0x100;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_expect_eq(with_fd(PRIV_SOCK_BIND, &q, sizeof(q), fd), 0);
	cr_expect_eq(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	cr_expect_neq(((struct sockaddr_in *)&own)->sin_port, 0);
	q.len++;
	cr_expect_eq(with_fd(PRIV_SOCK_BIND, &q, sizeof(q), fd), -EINVAL, "a length that is not its own");
	q.sa.ss_family = AF_UNIX;
	cr_expect_eq(with_fd(PRIV_SOCK_BIND, &q, sizeof(q), unix_fd), -EINVAL, "not of this kind");
	cr_expect_eq(with_fd(PRIV_SOCK_MARK, &mark, sizeof(mark), fd), -EACCES, "marks of others");
	cr_expect_eq(with_fd(PRIV_SOCK_RCVBUF, &too_much, sizeof(too_much), fd), -EINVAL);
	cr_expect_neq(with_fd(PRIV_SOCK_RCVBUF, &size, sizeof(size), fd), -EINVAL);
}
