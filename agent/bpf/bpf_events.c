/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_events.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/bpf_map.h"

/*
 * The ring is read here and not with libbpf, whose functions ask the kernel for more than this process may
 * (priv_filter.h). Its layout is BPF_MAP_TYPE_RINGBUF of the kernel's Documentation/bpf/ringbuf.rst: a page with the position
 * of the reader, one with that of the writer, then the data, mapped twice in a row so that no record is torn.
 */
struct bpfevents {
	unsigned long *read_at;	      /* what we have read, in bytes since the ring was made */
	const unsigned long *written; /* what is there */
	const char *data;
	size_t page, size; /* of the data */
	struct source *source;
	bpfevents_fn fn;
	void *arg;
};

/* A record's head: its length, with two flags, and where it stands. */
static uint32_t head_of(const struct bpfevents *e, unsigned long at)
{
	return __atomic_load_n((const uint32_t *)(const void *)(e->data + (at & (e->size - 1))), __ATOMIC_ACQUIRE);
}

int bpfevents_drain(struct bpfevents *e)
{
	unsigned long at = __atomic_load_n(e->read_at, __ATOMIC_ACQUIRE);
	int n = 0;

	while (at < __atomic_load_n(e->written, __ATOMIC_ACQUIRE)) {
		uint32_t head = head_of(e, at), len = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		struct mesh_event ev;

		if (head & BPF_RINGBUF_BUSY_BIT) /* is being written; the kernel wakes us after that */
			break;
		if (!(head & BPF_RINGBUF_DISCARD_BIT) && len >= sizeof(ev) && len <= e->size) {
			memcpy(&ev, e->data + (at & (e->size - 1)) + BPF_RINGBUF_HDR_SZ, sizeof(ev));
			e->fn(&ev, e->arg);
			n++;
		}
		at += (len + BPF_RINGBUF_HDR_SZ + 7UL) & ~7UL;
		__atomic_store_n(e->read_at, at, __ATOMIC_RELEASE);
	}
	return n;
}

static void on_ready(uint32_t events, void *arg)
{
	(void)events;
	(void)bpfevents_drain(arg); /* how many there were matters to tests only */
}

static int map_ring(struct bpfevents *e, int fd)
{
	void *p = mmap(NULL, e->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	e->read_at = p;
	p = mmap(NULL, e->page + 2 * e->size, PROT_READ, MAP_SHARED, fd, (off_t)e->page);
	if (p == MAP_FAILED)
		return -errno;
	e->written = p;
	e->data = (const char *)p + e->page;
	return 0;
}

int bpfevents_open(const struct bpfobj *o, struct loop *l, bpfevents_fn fn, void *arg,
		   struct bpfevents **ret)
{
	CLEANUP(bpfevents_free) struct bpfevents *e = calloc(1, sizeof(*e));
	int fd = bpfobj_map_fd(o, BPFOBJ_EVENTS), r;

	if (!e)
		return -ENOMEM;
	e->page = (size_t)sysconf(_SC_PAGESIZE);
	e->size = bpfmap_max_entries(o, BPFOBJ_EVENTS);
	e->fn = fn;
	e->arg = arg;
	r = e->size ? map_ring(e, fd) : -EBADF;
	if (r == 0)
		r = loop_add_io(l, fd, EPOLLIN, on_ready, e, &e->source);
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
	/* they fail for bad arguments only */
	if (e->read_at)
		(void)munmap(e->read_at, e->page);
	if (e->written)
		(void)munmap((void *)(uintptr_t)e->written, e->page + 2 * e->size);
	free(e);
}
