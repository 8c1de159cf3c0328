/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_events.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bpfevents {
	struct ring_buffer *ring;
	struct source *source;
	bpfevents_fn fn;
	void *arg;
};

static int on_sample(void *arg, void *data, size_t size)
{
	struct bpfevents *e = arg;
	struct mesh_event ev;

	if (size < sizeof(ev))
		return 0;
	memcpy(&ev, data, sizeof(ev));
	e->fn(&ev, e->arg);
	return 0;
}

int bpfevents_drain(struct bpfevents *e)
{
	return ring_buffer__consume(e->ring);
}

static void on_ready(uint32_t events, void *arg)
{
	(void)events;
	(void)bpfevents_drain(arg); /* the next wake-up tries again */
}

int bpfevents_open(const struct bpfobj *o, struct loop *l, bpfevents_fn fn, void *arg,
		   struct bpfevents **ret)
{
	CLEANUP(bpfevents_free) struct bpfevents *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->fn = fn;
	e->arg = arg;
	e->ring = ring_buffer__new(bpfobj_map_fd(o, BPFOBJ_EVENTS), on_sample, e, NULL);
	if (!e->ring)
		return -errno;
	r = loop_add_io(l, ring_buffer__epoll_fd(e->ring), EPOLLIN, on_ready, e, &e->source);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

void bpfevents_free(struct bpfevents *e)
{
	if (!e)
		return;
	source_free(e->source);
	ring_buffer__free(e->ring);
	free(e);
}
