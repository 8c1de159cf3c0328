/* SPDX-License-Identifier: Apache-2.0 */
/* From the BPF objects, which are part of this program, to maps and programs in the kernel. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/macro.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_prog_pins.h"
#include "bpf/bpf_remote.h"

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
	[BPFOBJ_CIDR4] = {"mesh_cidr4", SIZED(cidr, 2 * LIMIT_PREFIXES)},
	[BPFOBJ_CIDR6] = {"mesh_cidr6", SIZED(cidr, 2 * LIMIT_PREFIXES)},
	[BPFOBJ_NODES] = {"mesh_nodes", SIZED(nodes, 65536)},
	[BPFOBJ_CLASS] = {"mesh_class", SIZED(classes, 262144)},
	[BPFOBJ_POLICY_ROW] = {"mesh_policy_row", SIZED(rows, 262144)},
	[BPFOBJ_POLICY_PORT] = {"mesh_policy_port", SIZED(ports, 524288)},
	[BPFOBJ_POLICY_RANGE] = {"mesh_policy_range", SIZED(ranges, 262144)},
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
	[BPFOBJ_COVERED] = {"mesh_covered", FIXED},
	[BPFOBJ_OWN] = {"mesh_own", FIXED},
	[BPFOBJ_NOTES] = {"mesh_notes", FIXED},
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
	[BPFOBJ_BACKSTOP] = "mesh_backstop",
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

void bpfload_begin(void)
{
	last_warning[0] = '\0';
	libbpf_set_print(keep_warning);
}

const char *bpfobj_map_name(enum bpfobj_map map)
{
	return map_descs[map].name;
}

const char *bpfobj_prog_name(enum bpfobj_prog prog)
{
	return prog_names[prog];
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

static const enum bpfobj_prog tc_progs[] = {BPFOBJ_NIC_INGRESS, BPFOBJ_NIC_EGRESS, BPFOBJ_TUN_INGRESS, BPFOBJ_TUN_EGRESS};
static const enum bpfobj_prog l3_progs[] = {BPFOBJ_L3_INGRESS, BPFOBJ_L3_EGRESS};
static const struct bpfpins_group tc_group = {tc_progs, ARRAY_LEN(tc_progs)}, l3_group = {l3_progs, ARRAY_LEN(l3_progs)};
static const enum bpfobj_prog sock_progs[] = {BPFOBJ_CONNECT4, BPFOBJ_CONNECT6, BPFOBJ_SENDMSG4, BPFOBJ_SENDMSG6, BPFOBJ_RECVMSG4,
					      BPFOBJ_RECVMSG6, BPFOBJ_GETPEERNAME4, BPFOBJ_GETPEERNAME6,
					      /* the last two may not be there; each kernel that can have the second has the first */
					      BPFOBJ_SOCK_RELEASE, BPFOBJ_BACKSTOP};

/*
 * Takes up the programs of an object that is open, with its options chosen, or loads them; with its maps. `which` is the object's
 * place among the keys, `options` are those that change what is loaded.
 */
static int load(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct bpf_object_skeleton *s, unsigned which, uint32_t options,
		const struct bpfpins_group *g, struct err *reterr)
{
	char *key = o->prog_keys[which];
	int r = prepare_maps(o, *s->obj, sizes, reterr);
	bool is_taken;

	if (r < 0)
		return r;
	is_taken = bpfpins_key(o, s, options, key) == 0 && bpfpins_take_up(o, g, key);
	if (!is_taken) {
		r = bpf_object__load_skeleton(s);
		if (r < 0)
			return err_set(reterr, -r, "loading the %s programs: %s (%s)", which == BPFPINS_TC ? "tc" : "socket", err_name(r),
				       last_warning);
	}
	r = keep_fds(o, *s->obj, reterr);
	if (r == 0 && !is_taken && bpfpins_key(o, s, options, key) == 0)
		bpfpins_keep(o, g, key);
	return r;
}

/* Where filters can be taken off an interface, the backstop has to know for each packet that one was there. */
static bool leaves_notes(const struct bpfobj_features *f)
{
	return f->has_backstop && !f->has_tcx;
}

int bpfload_tc(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr)
{
	CLEANUP(mesh_tc_bpf__destroy) struct mesh_tc_bpf *tc = mesh_tc_bpf__open();

	if (!tc)
		return err_set(reterr, errno, "opening the tc programs: %s", last_warning);
	tc->rodata->has_notes = leaves_notes(&o->features);
	return load(o, sizes, tc->skeleton, BPFPINS_TC, tc->rodata->has_notes, &tc_group, reterr);
}

int bpfload_sock(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr)
{
	CLEANUP(mesh_sock_bpf__destroy) struct mesh_sock_bpf *sock = mesh_sock_bpf__open();
	const struct bpfobj_features *f = &o->features;
	const struct bpfpins_group g = {sock_progs, ARRAY_LEN(sock_progs) - !f->has_sock_release - !f->has_backstop};
	int r;

	if (!sock)
		return err_set(reterr, errno, "opening the socket programs: %s", last_warning);
	sock->rodata->has_set_retval = f->has_set_retval;
	r = bpf_program__set_autoload(sock->progs.mesh_sock_release, f->has_sock_release);
	if (r == 0)
		r = bpf_program__set_autoload(sock->progs.mesh_backstop, f->has_backstop);
	if (r < 0)
		return err_set(reterr, -r, "choosing the socket programs: %s", err_name(r));
	return load(o, sizes, sock->skeleton, BPFPINS_SOCK,
		    f->has_set_retval | (uint32_t)f->has_sock_release << 1 | (uint32_t)f->has_backstop << 2, &g, reterr);
}

/* Under the key of the tc object: what is pinned is told from the programs for Ethernet by its slot. */
int bpfobj_load_l3(struct bpfobj *o, struct err *reterr)
{
	CLEANUP(mesh_tc_bpf__destroy) struct mesh_tc_bpf *tc = NULL;
	const struct bpf_program *progs[2];
	int r;

	if (o->is_remote)
		return bpfremote_load_l3(reterr);
	if (o->prog_fds[BPFOBJ_L3_EGRESS] >= 0 || bpfpins_take_up(o, &l3_group, o->prog_keys[BPFPINS_TC]))
		return 0;
	tc = mesh_tc_bpf__open();
	if (!tc)
		return err_set(reterr, errno, "opening the tc programs: %s", last_warning);
	progs[MESH_INGRESS] = tc->progs.mesh_nic_ingress;
	progs[MESH_EGRESS] = tc->progs.mesh_nic_egress;
	tc->rodata->has_link_header = false;
	tc->rodata->has_notes = leaves_notes(&o->features);
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
	if (r < 0)
		return err_set(reterr, -r, "loading the tc programs without link header: %s (%s)", err_name(r), last_warning);
	bpfpins_keep(o, &l3_group, o->prog_keys[BPFPINS_TC]);
	return 0;
}
