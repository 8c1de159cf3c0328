/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_obj.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"
#include "priv/priv.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "mesh_sock.skel.h"
#include "mesh_tc.skel.h"
#pragma GCC diagnostic pop

/* Maps are at the same place in both tables; a name is the one of the BPF object. */
static const struct map_desc {
	const char *name;
	size_t size_offset; /* in struct bpfobj_sizes; SIZE_MAX = fixed */
	uint32_t size;
} map_descs[BPFOBJ_MAPS] = {
#define SIZED(field, n) offsetof(struct bpfobj_sizes, field), (n)
#define FIXED		SIZE_MAX, 0
	[BPFOBJ_CONFIG] = {"mesh_config", FIXED},
	[BPFOBJ_IPCACHE4] = {"mesh_ipcache4", SIZED(ipcache, 262144)},
	[BPFOBJ_IPCACHE6] = {"mesh_ipcache6", SIZED(ipcache, 262144)},
	[BPFOBJ_CIDR4] = {"mesh_cidr4", SIZED(cidr, 65536)},
	[BPFOBJ_CIDR6] = {"mesh_cidr6", SIZED(cidr, 65536)},
	[BPFOBJ_NODES] = {"mesh_nodes", SIZED(nodes, 65536)},
	[BPFOBJ_CLASS] = {"mesh_class", SIZED(classes, 131072)},
	[BPFOBJ_POLICY_ROW] = {"mesh_policy_row", SIZED(rows, 131072)},
	[BPFOBJ_POLICY_PORT] = {"mesh_policy_port", SIZED(ports, 524288)},
	[BPFOBJ_POLICY_RANGE] = {"mesh_policy_range", SIZED(ranges, 131072)},
	[BPFOBJ_SHADOW] = {"mesh_shadow", SIZED(shadow, 8192)},
	[BPFOBJ_SHADOW_FLOWS] = {"mesh_shadow_flows", FIXED},
	[BPFOBJ_FAILSAFE] = {"mesh_failsafe", FIXED},
	[BPFOBJ_FAILSAFE_HITS] = {"mesh_failsafe_hits", FIXED},
	[BPFOBJ_CT4] = {"mesh_ct4", SIZED(ct4, 65536)},
	[BPFOBJ_CT6] = {"mesh_ct6", SIZED(ct6, 16384)},
	[BPFOBJ_FRAGS] = {"mesh_frags", SIZED(frags, 8192)},
	[BPFOBJ_COUNTERS] = {"mesh_counters", FIXED},
	[BPFOBJ_EVENTS] = {"mesh_events", SIZED(events_bytes, 262144)},
	[BPFOBJ_EVENT_RATE] = {"mesh_event_rate", FIXED},
	[BPFOBJ_SVC] = {"mesh_svc", SIZED(services, 65536)},
	[BPFOBJ_SVC_SLOT] = {"mesh_svc_slot", SIZED(slots, 524288)},
	[BPFOBJ_SOCK_REV] = {"mesh_sock_rev", SIZED(sock_rev, 65536)},
	[BPFOBJ_DNS] = {"mesh_dns", FIXED},
	[BPFOBJ_AFFINITY] = {"mesh_affinity", SIZED(affinity, 16384)},
};

static const char *const prog_names[BPFOBJ_PROGS] = {
	[BPFOBJ_NIC_INGRESS] = "mesh_nic_ingress",
	[BPFOBJ_NIC_EGRESS] = "mesh_nic_egress",
	[BPFOBJ_TUN_INGRESS] = "mesh_tun_ingress",
	[BPFOBJ_TUN_EGRESS] = "mesh_tun_egress",
	[BPFOBJ_L3_INGRESS] = "mesh_nic_ingress", /* of the second copy */
	[BPFOBJ_L3_EGRESS] = "mesh_nic_egress",
	[BPFOBJ_CONNECT4] = "mesh_connect4",
	[BPFOBJ_CONNECT6] = "mesh_connect6",
	[BPFOBJ_SENDMSG4] = "mesh_sendmsg4",
	[BPFOBJ_SENDMSG6] = "mesh_sendmsg6",
	[BPFOBJ_RECVMSG4] = "mesh_recvmsg4",
	[BPFOBJ_RECVMSG6] = "mesh_recvmsg6",
	[BPFOBJ_GETPEERNAME4] = "mesh_getpeername4",
	[BPFOBJ_GETPEERNAME6] = "mesh_getpeername6",
	[BPFOBJ_SOCK_RELEASE] = "mesh_sock_release",
};

DEFINE_CLEANUP(struct mesh_tc_bpf *, mesh_tc_bpf__destroy)
DEFINE_CLEANUP(struct mesh_sock_bpf *, mesh_sock_bpf__destroy)

/* libbpf has one print function per process and no argument for it. */
static char last_warning[384];

PRINTF_LIKE(2, 0) static int keep_warning(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char text[sizeof(last_warning)];

	if (level == LIBBPF_WARN) {
		(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
		text[strcspn(text, "\n")] = '\0';
		if (text[0])
			memcpy(last_warning, text, sizeof(text));
	}
	return 0;
}

int bpfobj_pin_path(const struct bpfobj *o, const char *name, char *buf, size_t size)
{
	int n;

	if (!o->pin_dir[0])
		return -ENOENT;
	n = snprintf(buf, size, "%s/%s", o->pin_dir, name);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static uint32_t wanted_size(const struct bpfobj_sizes *sizes, const struct map_desc *d)
{
	uint32_t size;

	memcpy(&size, (const char *)sizes + d->size_offset, sizeof(size));
	return size ? size : d->size;
}

static bool is_same_layout(const struct bpf_map *map, const struct bpf_map_info *info)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->map_flags == bpf_map__map_flags(map);
}

/* Takes up the pinned map, or arranges that libbpf pins the one it makes. */
static int map_prepare(struct bpfobj *o, struct bpf_map *map, const struct map_desc *d,
		       const struct bpfobj_sizes *sizes, struct err *reterr)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	CLEANUP(close_fd) int fd = -1;
	int r;

	if (d->size_offset != SIZE_MAX) {
		r = bpf_map__set_max_entries(map, wanted_size(sizes, d));
		if (r < 0)
			return err_set(reterr, -r, "%s: size: %s", d->name, err_name(r));
	}
	r = bpfobj_pin_path(o, d->name, path, sizeof(path));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(reterr, -r, "%s: path too long", o->pin_dir);
	fd = bpf_obj_get(path);
	if (fd == -ENOENT) {
		r = bpf_map__set_pin_path(map, path);
		return r < 0 ? err_set(reterr, -r, "%s: %s", path, err_name(r)) : 0;
	}
	if (fd < 0)
		return err_set(reterr, -fd, "%s: %s", path, err_name(fd));
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", path, err_name(r));
	if (!is_same_layout(map, &info))
		return err_set(reterr, EEXIST, "%s: pinned by something else: another layout", path);
	r = bpf_map__reuse_fd(map, fd);
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", path, err_name(r));
	if (d->size_offset != SIZE_MAX) {
		o->infos[d - map_descs].has = info.max_entries;
		o->infos[d - map_descs].wanted = wanted_size(sizes, d);
	}
	o->features.adopted++;
	return 0;
}

static int keep(int fd, int *ret)
{
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *ret < 0 ? -errno : 0;
}

/* All that is kept of a loaded object: libbpf's copy of it is as large as the rest of the process. */
static int keep_fds(struct bpfobj *o, const struct bpf_object *object, struct err *reterr)
{
	int r = 0;

	for (unsigned i = 0; i < BPFOBJ_MAPS && r == 0; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(object, map_descs[i].name);

		if (map && o->map_fds[i] < 0)
			r = keep(bpf_map__fd(map), &o->map_fds[i]);
	}
	for (unsigned i = 0; i < BPFOBJ_PROGS && r == 0; i++) {
		const struct bpf_program *prog = bpf_object__find_program_by_name(object, prog_names[i]);

		if (prog && bpf_program__fd(prog) >= 0 && i != BPFOBJ_L3_INGRESS && i != BPFOBJ_L3_EGRESS)
			r = keep(bpf_program__fd(prog), &o->prog_fds[i]);
	}
	return r < 0 ? err_set(reterr, -r, "descriptors: %s", err_name(r)) : 0;
}

/* Maps that another object has made are used, the others made or taken up. */
static int prepare_maps(struct bpfobj *o, const struct bpf_object *object, const struct bpfobj_sizes *sizes, struct err *reterr)
{
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_descs[i].name);
		int r = 0;

		if (map && o->map_fds[i] >= 0) {
			r = bpf_map__reuse_fd(map, o->map_fds[i]);
			if (r < 0)
				return err_set(reterr, -r, "%s: %s", map_descs[i].name, err_name(r));
		} else if (map) {
			r = map_prepare(o, map, &map_descs[i], sizes, reterr);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int tc_load(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr)
{
	CLEANUP(mesh_tc_bpf__destroy) struct mesh_tc_bpf *tc = mesh_tc_bpf__open();
	int r;

	if (!tc)
		return err_set(reterr, errno, "opening the tc programs: %s", last_warning);
	r = prepare_maps(o, tc->obj, sizes, reterr);
	if (r < 0)
		return r;
	r = mesh_tc_bpf__load(tc);
	if (r < 0)
		return err_set(reterr, -r, "loading the tc programs: %s (%s)", err_name(r), last_warning);
	return keep_fds(o, tc->obj, reterr);
}

static int sock_load(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr)
{
	CLEANUP(mesh_sock_bpf__destroy) struct mesh_sock_bpf *sock = mesh_sock_bpf__open();
	int r;

	if (!sock)
		return err_set(reterr, errno, "opening the socket programs: %s", last_warning);
	sock->rodata->has_set_retval = o->features.has_set_retval;
	r = bpf_program__set_autoload(sock->progs.mesh_sock_release, o->features.has_sock_release);
	if (r < 0)
		return err_set(reterr, -r, "choosing the socket programs: %s", err_name(r));
	r = prepare_maps(o, sock->obj, sizes, reterr);
	if (r < 0)
		return r;
	r = mesh_sock_bpf__load(sock);
	if (r < 0)
		return err_set(reterr, -r, "loading the socket programs: %s (%s)", err_name(r), last_warning);
	return keep_fds(o, sock->obj, reterr);
}

static int find_all(const struct bpfobj *o, struct err *reterr)
{
	for (unsigned i = 0; i < BPFOBJ_MAPS; i++)
		if (o->map_fds[i] < 0)
			return err_set(reterr, ENOENT, "the BPF objects lack map %s",
				       map_descs[i].name);
	for (unsigned i = 0; i < BPFOBJ_PROGS; i++) {
		if (i == BPFOBJ_L3_INGRESS || i == BPFOBJ_L3_EGRESS || (i == BPFOBJ_SOCK_RELEASE && !o->features.has_sock_release))
			continue;
		if (o->prog_fds[i] < 0)
			return err_set(reterr, ENOENT, "the BPF objects lack program %s",
				       prog_names[i]);
	}
	return 0;
}

/* A kernel that knows tcx looks for the interface, an older one does not know the attach type. */
static bool probe_tcx(int prog_fd)
{
	struct {
		uint32_t prog_fd, ifindex, attach_type, flags;
		uint8_t rest[48];
	} attr = {.prog_fd = (uint32_t)prog_fd, .ifindex = INT32_MAX, .attach_type = 46};
	CLEANUP(close_fd) int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd >= 0 || errno == ENODEV;
}

/* Since 5.9. The smallest program for the hook is refused before. */
static bool probe_sock_release(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET_SOCK_RELEASE);
	CLEANUP(close_fd) int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK, NULL, "GPL", insns, ARRAY_LEN(insns), &opts);

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
	libbpf_set_print(keep_warning);
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

int bpfobj_open(const struct bpfobj_options *opt, struct bpfobj **ret, struct err *reterr)
{
	const char *dir = opt->pin_dir ? opt->pin_dir : BPFOBJ_PIN_DIR;
	CLEANUP(bpfobj_free) struct bpfobj *o = obj_new(dir);
	int r;

	if (!o)
		return -ENOMEM;
	o->is_remote = priv_is_split();
	if (o->is_remote) {
		r = bpfremote_open(o, reterr);
		if (r == 0)
			*ret = TAKE_PTR(o);
		return r;
	}
	if (dir[0]) {
		r = file_mkdirs(dir, 0700);
		if (r < 0)
			return err_set(reterr, -r, "%s: %s", dir, err_name(r));
	}
	last_warning[0] = '\0';
	o->features.has_set_retval =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval,
					NULL) == 1;
	o->features.has_sock_release = probe_sock_release();
	r = tc_load(o, &opt->sizes, reterr);
	if (r < 0)
		return r;
	r = sock_load(o, &opt->sizes, reterr);
	if (r < 0)
		return r;
	r = find_all(o, reterr);
	if (r < 0)
		return r;
	learn_maps(o);
	o->features.has_tcx = !opt->no_tcx && probe_tcx(bpfobj_prog_fd(o, BPFOBJ_NIC_INGRESS));
	o->features.has_batch = probe_batch(bpfobj_map_fd(o, BPFOBJ_IPCACHE4));
	*ret = TAKE_PTR(o);
	return 0;
}

int bpfobj_load_l3(struct bpfobj *o, struct err *reterr)
{
	CLEANUP(mesh_tc_bpf__destroy) struct mesh_tc_bpf *tc = NULL;
	const struct bpf_program *progs[2];
	int r;

	if (o->is_remote)
		return bpfremote_load_l3(reterr);
	if (o->prog_fds[BPFOBJ_L3_EGRESS] >= 0)
		return 0;
	tc = mesh_tc_bpf__open();
	if (!tc)
		return err_set(reterr, errno, "opening the tc programs: %s", last_warning);
	progs[MESH_INGRESS] = tc->progs.mesh_nic_ingress;
	progs[MESH_EGRESS] = tc->progs.mesh_nic_egress;
	tc->rodata->has_link_header = false;
	r = bpf_program__set_autoload(tc->progs.mesh_tun_ingress, false);
	if (r == 0)
		r = bpf_program__set_autoload(tc->progs.mesh_tun_egress, false);
	for (unsigned i = 0; i < BPFOBJ_MAPS && r == 0; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(tc->obj, map_descs[i].name);

		if (map)
			r = bpf_map__reuse_fd(map, o->map_fds[i]);
	}
	if (r == 0)
		r = mesh_tc_bpf__load(tc);
	for (unsigned dir = 0; dir < 2 && r == 0; dir++) {
		close_fd(o->prog_fds[BPFOBJ_L3_INGRESS + dir]); /* of a try that failed halfway */
		r = keep(bpf_program__fd(progs[dir]), &o->prog_fds[BPFOBJ_L3_INGRESS + dir]);
	}
	return r < 0 ? err_set(reterr, -r, "loading the tc programs without link header: %s (%s)", err_name(r),
			       last_warning) : 0;
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

const char *bpfobj_map_name(enum bpfobj_map map)
{
	return map_descs[map].name;
}

const char *bpfobj_prog_name(enum bpfobj_prog prog)
{
	return prog_names[prog];
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
	int first = 0;
	DIR *d;

	if (o->is_remote)
		return bpfremote_unpin();
	if (!o->pin_dir[0])
		return 0;
	d = opendir(o->pin_dir);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT && !first)
			first = -errno;
	(void)closedir(d); /* only fails for a bad stream */
	if (rmdir(o->pin_dir) < 0 && errno != ENOENT && !first)
		first = -errno;
	return first;
}
