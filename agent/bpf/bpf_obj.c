/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_obj.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "bpf/bpf_config.h"
#include "bpf/bpf_dir.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_prog_pins.h"
#include "bpf/bpf_remote.h"
#include "priv/priv.h"

enum { AT_IFINDEX = 64 }; /* of struct bpf_sk_lookup since 5.17; the headers we build with may be older */

int bpfobj_pin_path(const struct bpfobj *o, const char *name, char *buf, size_t size)
{
	int n;

	if (!o->pin_dir[0])
		return -ENOENT;
	n = snprintf(buf, size, "%s/%s", o->pin_dir, name);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int find_all(const struct bpfobj *o, struct err *reterr)
{
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++)
		if (o->map_fds[i] < 0)
			return err_set(reterr, ENOENT, "the BPF objects lack map %s",
				       bpfobj_map_name((enum bpfobj_map)i));
	for (unsigned i = 0; i < BPFOBJ_PROGS; i++) {
		if (i == BPFOBJ_L3_INGRESS || i == BPFOBJ_L3_EGRESS || (i == BPFOBJ_SOCK_RELEASE && !o->features.has_sock_release) ||
		    (i == BPFOBJ_BACKSTOP && !o->features.has_backstop))
			continue;
		if (o->prog_fds[i] < 0)
			return err_set(reterr, ENOENT, "the BPF objects lack program %s",
				       bpfobj_prog_name((enum bpfobj_prog)i));
	}
	return 0;
}

/* The smallest program, which lets everything be. */
static const struct bpf_insn nothing[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
	{.code = BPF_JMP | BPF_EXIT},
};

/* A kernel that knows tcx looks for the interface, an older one does not know the attach type. */
static bool probe_tcx(void)
{
	CLEANUP(close_fd) int prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", nothing, ARRAY_LEN(nothing), NULL);
	struct {
		uint32_t prog_fd, ifindex, attach_type, flags;
		uint8_t rest[48];
	} attr = {.prog_fd = (uint32_t)prog_fd, .ifindex = INT32_MAX, .attach_type = 46};
	CLEANUP(close_fd) int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd >= 0 || errno == ENODEV;
}

/* Since 5.9. A program for the hook is refused before. */
static bool probe_sock_release(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET_SOCK_RELEASE);
	CLEANUP(close_fd) int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK, NULL, "GPL", nothing, ARRAY_LEN(nothing), &opts);

	return fd >= 0;
}

/* Since 5.17: before, the program that is asked for a socket is not told by which interface the packet came. */
static bool probe_backstop(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1, .off = AT_IFINDEX},
		nothing[0],
		nothing[1],
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_SK_LOOKUP);
	CLEANUP(close_fd) int fd = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, NULL, "GPL", insns, ARRAY_LEN(insns), &opts);

	return fd >= 0;
}

/* An empty batch is accepted where the command exists for hash tables. */
static bool probe_batch(int map_fd)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = 0, key = 0;
	struct mesh_ipinfo value = {0};

	return bpf_map_update_batch(map_fd, &key, &value, &n, &opts) == 0;
}

static struct bpfobj *obj_new(const char *pin_dir)
{
	CLEANUP(bpfobj_free) struct bpfobj *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	memset(o->map_fds, 0xff, sizeof(o->map_fds)); /* -1 */
	memset(o->prog_fds, 0xff, sizeof(o->prog_fds));
	o->remote_fds[0] = o->remote_fds[1] = -1;
	o->pin_dir = str_printf("%s", pin_dir);
	o->write_errors = calloc(BPFOBJ_MAPS, sizeof(*o->write_errors));
	bpfload_begin();
	return o->pin_dir && o->write_errors ? TAKE_PTR(o) : NULL;
}

static void learn_maps(struct bpfobj *o)
{
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++) {
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);

		/* on failure all stays zero, which callers refuse */
		if (bpf_obj_get_info_by_fd(o->map_fds[i], &info, &len) < 0)
			continue;
		o->infos[i].type = info.type;
		o->infos[i].key_size = info.key_size;
		o->infos[i].value_size = info.value_size;
		o->infos[i].max_entries = info.max_entries;
	}
}

static int open_here(const struct bpfobj_options *opt, const char *dir, struct bpfobj **ret, struct err *reterr)
{
	CLEANUP(bpfobj_free) struct bpfobj *o = obj_new(dir);
	int r;

	if (!o)
		return -ENOMEM;
	if (dir[0]) {
		r = file_mkdirs(dir, 0700);
		if (r < 0)
			return err_set(reterr, -r, "%s: %s", dir, err_name(r));
	}
	o->features.has_set_retval =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval,
					NULL) == 1;
	o->features.has_sock_release = probe_sock_release();
	o->features.has_tcx = !opt->no_tcx && probe_tcx();
	o->features.has_backstop = !opt->no_backstop && o->features.has_sock_release && probe_backstop();
	r = bpfload_tc(o, &opt->sizes, reterr);
	if (r < 0)
		return r;
	r = bpfload_sock(o, &opt->sizes, reterr);
	if (r < 0)
		return r;
	r = find_all(o, reterr);
	if (r < 0)
		return r;
	bpfpins_drop_others(o, (const char (*)[BPFPINS_KEY_LEN])o->prog_keys, BPFPINS_KEYS);
	learn_maps(o);
	o->features.has_batch = probe_batch(bpfobj_map_fd(o, BPFOBJ_IPCACHE4));
	*ret = TAKE_PTR(o);
	return 0;
}

/* Maps that were made and pinned before the one for which there was no memory would be taken up as they are. */
static void drop_unused(const char *dir)
{
	CLEANUP(bpfobj_free) struct bpfobj *o = obj_new(dir);

	if (o)
		(void)bpfobj_unpin(o); /* what stays is taken up */
}

/*
 * A host that boots must not be without policy because its tables were made too large for it: then they are smaller. Where a
 * policy is in force it stays so, in the tables that are there.
 */
static int open_smaller(const struct bpfobj_options *opt, const char *dir, struct bpfobj **ret, struct err *reterr)
{
	enum { TIMES = 10, LEAST = 1024 };
	struct bpfobj_options less = *opt;
	struct bpfobj_sizes *s = &less.sizes;
	uint32_t *const sizes[] = {&s->ct4, &s->ct6, &s->ipcache, &s->rows, &s->ports, &s->ranges, &s->services, &s->slots, &s->affinity};
	int r = -ENOMEM;

	for (uint32_t i = 1; i <= TIMES && r == -ENOMEM && !(bpfconfig_pinned_flags(dir) & MESH_STATE_ACTIVE); i++) {
		drop_unused(dir);
		for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
			*sizes[k] = MIN(*sizes[k], MAX(*sizes[k] / 2, (uint32_t)LEAST));
		r = open_here(&less, dir, ret, reterr);
		if (r == 0)
			(*ret)->features.halvings = i;
	}
	return r;
}

int bpfobj_open(const struct bpfobj_options *opt, struct bpfobj **ret, struct err *reterr)
{
	const char *dir = opt->pin_dir ? opt->pin_dir : BPFOBJ_PIN_DIR;
	CLEANUP(bpfobj_free) struct bpfobj *o = NULL;
	int r;

	if (!priv_is_split()) {
		r = open_here(opt, dir, ret, reterr);
		return r == -ENOMEM && dir[0] ? open_smaller(opt, dir, ret, reterr) : r;
	}
	o = obj_new(dir);
	if (!o)
		return -ENOMEM;
	o->is_remote = true;
	r = bpfremote_open(o, reterr);
	if (r == 0)
		*ret = TAKE_PTR(o);
	return r;
}

void bpfobj_free(struct bpfobj *o)
{
	if (!o)
		return;
	if (o->is_remote)
		bpfremote_close(o);
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++)
		close_fd(o->map_fds[i]);
	for (unsigned i = 0; i < BPFOBJ_PROGS; i++)
		close_fd(o->prog_fds[i]);
	free(o->pin_dir);
	free(o->write_errors);
	free(o);
}

int bpfobj_map_fd(const struct bpfobj *o, enum bpfobj_map map)
{
	if (!o->is_remote)
		return o->map_fds[map];
	return map == BPFOBJ_CONFIG ? o->remote_fds[0] : map == BPFOBJ_EVENTS ? o->remote_fds[1] : -1;
}

int bpfobj_prog_fd(const struct bpfobj *o, enum bpfobj_prog prog)
{
	return o->prog_fds[prog];
}

const char *bpfobj_pin_dir(const struct bpfobj *o)
{
	return o->pin_dir;
}

const struct bpfobj_features *bpfobj_features(const struct bpfobj *o)
{
	return &o->features;
}

bool bpfobj_kept_size(const struct bpfobj *o, enum bpfobj_map map, uint32_t *ret_has, uint32_t *ret_wanted)
{
	*ret_has = o->infos[map].has;
	*ret_wanted = o->infos[map].wanted;
	return *ret_has != *ret_wanted;
}

int bpfobj_prog_stats(const struct bpfobj *o, enum bpfobj_prog prog, uint32_t *ret_verified_insns,
		      uint32_t *ret_jited_bytes)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int r = bpf_obj_get_info_by_fd(bpfobj_prog_fd(o, prog), &info, &len);

	if (r < 0)
		return r;
	*ret_verified_insns = info.verified_insns;
	*ret_jited_bytes = info.jited_prog_len;
	return 0;
}

int bpfobj_open_pins(const char *pin_dir, struct bpfobj **ret)
{
	*ret = obj_new(pin_dir);
	return *ret ? 0 : -ENOMEM;
}

int bpfobj_unpin(struct bpfobj *o)
{
	struct dirent *e;
	int first;
	DIR *d;

	if (o->is_remote)
		return bpfremote_unpin();
	if (!o->pin_dir[0])
		return 0;
	first = bpfdir_open(o->pin_dir, &d);
	if (first < 0)
		return first == -ENOENT ? 0 : first;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT && !first)
			first = -errno;
	(void)closedir(d); /* only fails for a bad stream */
	if (rmdir(o->pin_dir) < 0 && errno != ENOENT && !first)
		first = -errno;
	return first;
}
