/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a datagram of answers to three requests, and of notifications. Each request ends once, and a cut
 * datagram ends all that wait.
 */
#include <linux/rtnetlink.h>
#include <string.h>

#include "event/loop.h"
#include "fuzz.h"
#include "netlink/nl_private.h"

const unsigned replay_runs = 20000;

enum { REQUESTS = 3 };

static unsigned done[REQUESTS];
static struct nl *nl;

static int on_part(const struct nlmsghdr *msg, void *arg)
{
	CHECK(msg->nlmsg_len >= NLMSG_HDRLEN);
	return arg == &done[1] ? -1 : 0; /* one of them refuses what it gets */
}

static void on_done(int r, const struct err *why, void *arg)
{
	unsigned *n = arg;

	CHECK(r <= 0 && r >= -4095);
	CHECK((r < 0) == (why->text[0] != '\0') && strnlen(why->text, sizeof(why->text)) < sizeof(why->text));
	++*n;
}

static void on_notified(const struct nlmsghdr *msg, bool is_own, void *arg)
{
	(void)is_own;
	(void)arg;
	CHECK(!msg || msg->nlmsg_len >= NLMSG_HDRLEN);
}

static void ask(size_t i)
{
	struct nlmsghdr h = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = RTM_GETLINK};
	const struct nl_reply reply = {.part = on_part, .done = on_done, .arg = &done[i]};
	struct nl_queued *q;

	done[i] = 0;
	CHECK(nl_request(nl, &h, &reply) == 0);
	for (q = nl->first; q->next; q = q->next)
		;
	q->is_sent = true; /* nothing of this goes to a kernel */
	q->msg->nlmsg_seq = (uint32_t)i + 1;
	nl->n_sent++;
}

static void start(void)
{
	struct loop *loop;

	CHECK(loop_new(&loop) == 0 && nl_new(loop, &nl) == 0);
	nl->port = 0;
	nl->monitor = on_notified;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!nl)
		start();
	if (size > NL_RECV_BYTES)
		return 0;
	for (size_t i = 0; i < REQUESTS; i++)
		ask(i);
	if (size)
		memcpy(nl->buf, data, size);
	nl_take_replies(nl, size);
	(void)nl_take_notifications(nl, size); /* cut or not */
	nl_take_replies(nl, 1);
	CHECK(!nl->first && nl_pending(nl) == 0 && nl->n_sent == 0 && nl->tail == &nl->first);
	for (size_t i = 0; i < REQUESTS; i++)
		CHECK(done[i] == 1);
	return 0;
}
