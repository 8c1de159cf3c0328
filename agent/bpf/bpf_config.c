/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_config.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct bpfconfig {
	struct mesh_config *live;
	size_t len;
};

int bpfconfig_open(const struct bpfobj *o, struct bpfconfig **ret)
{
	CLEANUP(bpfconfig_free) struct bpfconfig *c = calloc(1, sizeof(*c));
	void *p;

	if (!c)
		return -ENOMEM;
	c->len = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, c->len, PROT_READ | PROT_WRITE, MAP_SHARED,
		 bpfobj_map_fd(o, BPFOBJ_CONFIG), 0);
	if (p == MAP_FAILED)
		return -errno;
	c->live = p;
	*ret = TAKE_PTR(c);
	return 0;
}

void bpfconfig_free(struct bpfconfig *c)
{
	if (!c)
		return;
	if (c->live)
		(void)munmap(c->live, c->len); /* fails for bad arguments only */
	free(c);
}

struct mesh_config *bpfconfig_get(struct bpfconfig *c)
{
	return c->live;
}

/* 0 where the kernel cannot tell (before 5.14): the programs then take the first namespace's. */
static uint64_t own_netns_cookie(void)
{
	CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

/* The coarse clock moves once a tick. */
static int find_ticks_per_s(uint32_t *ret)
{
	struct timespec res;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &res) < 0)
		return -errno;
	if (res.tv_sec || res.tv_nsec < 100000)
		return -ERANGE;
	*ret = (uint32_t)((1000000000L + res.tv_nsec / 2) / res.tv_nsec);
	return 0;
}

int bpfconfig_init(struct bpfconfig *c)
{
	struct mesh_config *m = c->live;
	uint32_t hz = 0;
	int r;

	r = find_ticks_per_s(&hz);
	if (r < 0)
		return r;
	m->netns_cookie = own_netns_cookie();
	if (m->ticks_per_s)
		return 0;
	m->world_v4 = 2;
	m->world_v6 = 2;
	m->overlay_mark = 0x4d000000;
	m->overlay_mask = 0xff000000;
	for (unsigned bank = 0; bank < 2; bank++)
		for (unsigned dir = 0; dir < 2; dir++)
			m->default_verdict[bank][dir] = MESH_ALLOW;
	/* Cilium's defaults */
	m->ct_tcp_ticks = 8000 * hz;
	m->ct_syn_ticks = 60 * hz;
	m->ct_closing_ticks = 10 * hz;
	m->ct_other_ticks = 60 * hz;
	m->event_rate = 200;
	m->event_burst = 400;
	m->ticks_per_s = hz;
	return 0;
}

uint64_t bpfconfig_ticks_now(uint32_t ticks_per_s)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)(uint32_t)-(300 * ticks_per_s) + (uint64_t)t.tv_sec * ticks_per_s +
	       (uint64_t)t.tv_nsec * ticks_per_s / 1000000000;
}

static uint64_t state_load(const struct bpfconfig *c)
{
	return __atomic_load_n(&c->live->state, __ATOMIC_ACQUIRE);
}

uint32_t bpfconfig_generation(const struct bpfconfig *c)
{
	return (uint32_t)state_load(c);
}

unsigned bpfconfig_bank(const struct bpfconfig *c)
{
	return (state_load(c) >> MESH_STATE_BANK_SHIFT) & 1;
}

uint64_t bpfconfig_flags(const struct bpfconfig *c)
{
	return state_load(c) & ~((UINT64_C(1) << (MESH_STATE_BANK_SHIFT + 1)) - 1);
}

void bpfconfig_commit(struct bpfconfig *c, unsigned bank, uint64_t flags)
{
	uint64_t generation = (uint32_t)(bpfconfig_generation(c) + 1);

	__atomic_store_n(&c->live->state,
			 flags | (uint64_t)(bank & 1) << MESH_STATE_BANK_SHIFT | generation,
			 __ATOMIC_RELEASE);
}

void bpfconfig_bump(struct bpfconfig *c)
{
	bpfconfig_commit(c, bpfconfig_bank(c), bpfconfig_flags(c));
}

/* Reads it, too. The descriptor; -ENOENT, -EMEDIUMTYPE if it is something else, or another -errno. */
static int open_pinned(const char *pin_dir, struct mesh_config *ret)
{
	CLEANUP(free) char *path = str_printf("%s/%s", pin_dir, bpfobj_map_name(BPFOBJ_CONFIG));
	CLEANUP(close_fd) int fd = path ? bpf_obj_get(path) : -ENOMEM;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), zero = 0;
	int r;

	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r < 0)
		return r;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != sizeof(*ret))
		return -EMEDIUMTYPE;
	r = bpf_map_lookup_elem(fd, &zero, ret);
	return r < 0 ? r : TAKE_FD(fd);
}

uint64_t bpfconfig_pinned_flags(const char *pin_dir)
{
	struct mesh_config config;
	CLEANUP(close_fd) int fd = open_pinned(pin_dir, &config);

	return fd < 0 ? 0 : config.state;
}

int bpfconfig_end_flags(const char *pin_dir, uint64_t flags)
{
	struct mesh_config config;
	CLEANUP(close_fd) int fd = open_pinned(pin_dir, &config);
	uint32_t zero = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (!(config.state & flags))
		return 0;
	config.state &= ~flags;
	return bpf_map_update_elem(fd, &zero, &config, BPF_ANY);
}
