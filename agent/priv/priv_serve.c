/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "priv/priv_wire.h"

static const struct priv_op *find_op(const struct priv_table *tables, size_t n, uint32_t code, void **ret_arg)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < tables[i].n; k++)
			if ((uint32_t)tables[i].ops[k].code == code) {
				*ret_arg = tables[i].arg;
				return &tables[i].ops[k];
			}
	return NULL;
}

int priv_handle(const struct priv_table *tables, size_t n, uint32_t code, struct priv_request *q)
{
	CLEANUP(close_fd) int fd = q->fd;
	void *arg;
	const struct priv_op *op = find_op(tables, n, code, &arg);

	if (!op)
		return err_set(&q->err, EOPNOTSUPP, "no such call: %u", code);
	if (op->has_tail ? q->in_len < op->size : q->in_len != op->size)
		return err_set(&q->err, EBADMSG, "call %u with %zu bytes, not %zu", code, q->in_len, op->size);
	if (op->has_fd != (fd >= 0))
		return err_set(&q->err, EBADMSG, "call %u %s a descriptor", code, op->has_fd ? "needs" : "takes no");
	return op->fn(q, arg);
}

static int answer(int fd, const struct priv_request *q, int result)
{
	const struct priv_reply head = {.result = result, .value = q->value, .err = q->err};
	const struct iovec body = {.iov_base = q->out, .iov_len = q->out_len};

	return priv_send(fd, &head, sizeof(head), &body, 1, q->fds);
}

void priv_serve(int fd, const struct priv_table *tables, size_t n)
{
	static char in[PRIV_BYTES] __attribute__((aligned(16))), out[PRIV_BYTES] __attribute__((aligned(16)));

	for (;;) {
		struct priv_request q = {.in = in, .out = out, .fds = {-1, -1}};
		struct priv_question head = {.code = PRIV_CODES};
		int fds[PRIV_FDS], r = priv_recv(fd, &head, sizeof(head), in, sizeof(in), fds);

		if (r < 0 && r != -EBADMSG)
			return;
		q.in_len = r < 0 ? 0 : (size_t)r;
		q.fd = fds[0];
		close_fd(fds[1]); /* no call takes two */
		r = r < 0 ? err_set(&q.err, EBADMSG, "a cut message") : priv_handle(tables, n, head.code, &q);
		if (answer(fd, &q, r) < 0) /* closed, or out of memory: the other one would wait for ever */
			return;
	}
}
