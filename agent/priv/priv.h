/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privilege separation. The process that reads what the network sends has no rights: it asks a small one, which was
 * started before and reads nothing else, for each change of the kernel. Where priv_start() was not called, as in
 * mesh-agentd --stand-down, a process makes the same changes itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

/* All that can be asked for. What each does is said at its struct: priv_sock.h, bpf_wire.h, nl_change.h. */
enum priv_code {
	PRIV_SOCK_BIND,
	PRIV_SOCK_MARK,
	PRIV_SOCK_RCVBUF,

	PRIV_BPF_OPEN,
	PRIV_BPF_CLOSE,
	PRIV_BPF_GET,
	PRIV_BPF_PUT,
	PRIV_BPF_DEL,
	PRIV_BPF_READ,
	PRIV_BPF_LOAD_L3,
	PRIV_BPF_ATTACH,
	PRIV_BPF_DETACH,
	PRIV_BPF_IS_ATTACHED,
	PRIV_BPF_IS_HELD,
	PRIV_BPF_BEFORE,
	PRIV_BPF_ATTACHED,
	PRIV_BPF_CGROUP_ATTACH,
	PRIV_BPF_CGROUP_IS_ATTACHED,
	PRIV_BPF_BACKSTOP_ATTACH,
	PRIV_BPF_BACKSTOP_IS_ATTACHED,
	PRIV_BPF_DETACH_ALL,
	PRIV_BPF_UNPIN,
	PRIV_BPF_REMOVE_OTHERS,
	PRIV_BPF_ADOPT,
	PRIV_BPF_OTHERS_IN_FORCE,

	PRIV_NL_PORT,
	PRIV_NL_CHANGE,
	PRIV_NL_DUMMY_MAKE,
	PRIV_NL_DUMMY_REMOVE,

	PRIV_CODES
};

enum {
	PRIV_BYTES = 64 * 1024, /* of a message, without its head */
	PRIV_FDS = 2,
};

/* Asking */

/* What comes back, besides the result. */
struct priv_answer {
	void *out; /* room for `out_max` bytes */
	size_t out_max, out_len;
	uint32_t value;	   /* a number beside the result, where the call has one */
	int fds[PRIV_FDS]; /* descriptors, owned by the caller; -1 = none */
	struct err err;	   /* the reason of a failure */
};

/* True in a process that has to ask. */
bool priv_is_split(void);

/*
 * Asks, with the bytes of `in` and, unless it is -1, a descriptor that stays the caller's, and waits. The result of the
 * call, 0 or more, or -errno: -EPROTO for an answer that makes no sense, -EMSGSIZE for too long a question. If the other
 * process is gone, this one ends: it could not keep up what it is there for, and is started anew.
 */
int priv_call(enum priv_code code, const struct iovec *in, size_t n, int fd, struct priv_answer *ret);

/*
 * The same for a question and an answer of fixed size, each of which may be NULL with 0; an answer of another size is
 * -EPROTO. reterr may be NULL.
 */
int priv_ask(enum priv_code code, const void *in, size_t in_len, void *out, size_t out_len, struct err *reterr);

/* Answering */

/* A question. What a function writes to `out`, `value`, `fds` and `err` is what the other one gets. */
struct priv_request {
	const void *in;
	size_t in_len;
	int fd; /* -1 = none; closed after the call */
	void *out;	/* room for PRIV_BYTES, which a function sees to itself */
	size_t out_len; /* 0 at first */
	uint32_t value;
	int fds[PRIV_FDS]; /* lent; -1 = none */
	struct err err;
};

typedef int (*priv_fn)(struct priv_request *q, void *arg);

struct priv_op {
	enum priv_code code;
	bool has_tail; /* `size` bytes or more; else exactly as many */
	bool has_fd;   /* needs a descriptor; others may not have one */
	size_t size;
	priv_fn fn;
};

struct priv_table {
	const struct priv_op *ops;
	size_t n;
	void *arg;
};

/*
 * Answers one message: finds its function, checks the size and calls it. The result for the answer; -EBADMSG and
 * -EOPNOTSUPP for a message that is none. Closes q->fd.
 */
int priv_handle(const struct priv_table *tables, size_t n, uint32_t code, struct priv_request *q);

/* Starting */

/*
 * Starts the process that holds the rights, which then answers by `tables` (all of it lent for good) for as long as this
 * one lives. Before anything else of the loop, threads or the network. `title` is what ps shows, in the memory of argv.
 * 0; errno of socketpair(2) and fork(2); -EALREADY.
 */
int priv_start(const struct priv_table *tables, size_t n, char **argv, const char *title);

/*
 * Gives up every capability of this process, for good and for all that it starts, and lets it make no system call that
 * only the other one needs (priv_filter.h). 0 or -errno with text.
 */
int priv_drop(struct err *reterr);

/* The descriptor to watch for the end of the other process (EPOLLHUP), and what to do then; -1 = there is none. */
int priv_fd(void);
/* Says that it is gone, and ends this process, as priv_call() does. */
_Noreturn void priv_gone(void);
