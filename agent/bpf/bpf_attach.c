/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"
#include "bpf/bpf_clsact.h"
#include "bpf/bpf_dir.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"

/* Of <linux/bpf.h> since 6.6; the headers we build with may be older. */
enum { ATTACH_TCX_INGRESS = 46, ATTACH_TCX_EGRESS = 47, FLAG_BEFORE = 1 << 3 };

/* Of <linux/if_arp.h>, which does not go with <net/if.h>. */
enum { TYPE_IP6GRE = 823 };

static const char *const dir_names[2] = {"ingress", "egress"};

/* Interfaces that carry IP packets: wireguard, tun, xfrm; ppp; modems; ipip, vti, ip6tnl, sit, gre. */
static bool has_only_ip(int type)
{
	switch (type) {
	case ARPHRD_NONE:
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case TYPE_IP6GRE:
		return true;
	}
	return false;
}

/* The program for an interface of that ARPHRD_* type. -1: there is none for such frames. */
static int prog_of(enum bpfattach_kind kind, int type, unsigned dir)
{
	if (kind == BPFATTACH_NIC && has_only_ip(type))
		return dir == MESH_INGRESS ? BPFOBJ_L3_INGRESS : BPFOBJ_L3_EGRESS;
	if (type != ARPHRD_ETHER)
		return -1;
	if (kind == BPFATTACH_NIC)
		return dir == MESH_INGRESS ? BPFOBJ_NIC_INGRESS : BPFOBJ_NIC_EGRESS;
	return dir == MESH_INGRESS ? BPFOBJ_TUN_INGRESS : BPFOBJ_TUN_EGRESS;
}

static int tcx_pin_path(const struct bpfobj *o, int ifindex, unsigned dir, char path[PATH_MAX])
{
	char name[64];

	(void)snprintf(name, sizeof(name), "link-%d-%s", ifindex, dir_names[dir]); /* fits */
	return bpfobj_pin_path(o, name, path, PATH_MAX);
}

int bpfattach_link_open(const char *path, struct bpf_link_info *ret)
{
	CLEANUP(close_fd) int fd = bpf_obj_get(path);
	uint32_t len = sizeof(*ret);
	int r;

	if (fd < 0)
		return fd;
	memset(ret, 0, sizeof(*ret));
	r = bpf_obj_get_info_by_fd(fd, ret, &len);
	return r < 0 ? r : TAKE_FD(fd);
}

uint32_t bpfattach_prog_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

/* bpf_link_info.tcx begins as .xdp does: with the index, which is 0 once the interface is gone. */
static bool tcx_is_on(const struct bpf_link_info *info, int ifindex)
{
	return info->xdp.ifindex == (uint32_t)ifindex;
}

static uint32_t tcx_hook(unsigned dir)
{
	return dir == MESH_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
}

static int tcx_create(int prog_fd, int ifindex, unsigned dir)
{
	struct {
		uint32_t prog_fd, ifindex, attach_type, flags;
		uint32_t relative, pad;
		uint64_t revision;
		uint8_t rest[32];
	} attr = {
		.prog_fd = (uint32_t)prog_fd,
		.ifindex = (uint32_t)ifindex,
		.attach_type = tcx_hook(dir),
		.flags = FLAG_BEFORE,
	};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* Puts the program into the link that an earlier process left. -ENOENT if there is no usable one. */
static int tcx_adopt(const char *path, int prog_fd, int ifindex)
{
	struct bpf_link_info info;
	CLEANUP(close_fd) int fd = bpfattach_link_open(path, &info);

	if (fd < 0)
		return fd;
	if (!tcx_is_on(&info, ifindex))
		return -ENOENT;
	return bpf_link_update(fd, prog_fd, NULL);
}

static int tcx_attach(const struct bpfobj *o, int ifindex, unsigned dir, int prog_fd,
		      enum bpfattach_how *ret_how)
{
	CLEANUP(close_fd) int fd = -1;
	char path[PATH_MAX];
	int r = tcx_pin_path(o, ifindex, dir, path);

	if (r < 0)
		return r;
	r = tcx_adopt(path, prog_fd, ifindex);
	if (r == 0) {
		*ret_how = BPFATTACH_UPDATED_TCX;
		return 0;
	}
	fd = tcx_create(prog_fd, ifindex, dir);
	if (fd < 0)
		return fd;
	/* what was pinned there belonged to an interface that is gone */
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	r = bpf_obj_pin(fd, path);
	if (r < 0)
		return r;
	*ret_how = BPFATTACH_NEW_TCX;
	return 0;
}

static int filter_attach(int ifindex, unsigned dir, int prog_fd, enum bpfattach_how *ret_how)
{
	bool was_there;
	int r = clsact_attach(ifindex, dir, prog_fd, &was_there);

	if (r == 0)
		*ret_how = was_there ? BPFATTACH_UPDATED_CLSACT : BPFATTACH_NEW_CLSACT;
	return r;
}

/* ARPHRD_*, or -errno with a text. */
static int link_type(int ifindex, struct err *reterr)
{
	struct ifreq req = {0};
	CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(reterr, errno, "socket: %s", err_name(errno));
	req.ifr_ifindex = ifindex;
	if (ioctl(fd, SIOCGIFNAME, &req) < 0 || ioctl(fd, SIOCGIFHWADDR, &req) < 0)
		return err_set(reterr, errno, "interface %d: %s", ifindex, err_name(errno));
	if (prog_of(BPFATTACH_NIC, req.ifr_hwaddr.sa_family, MESH_INGRESS) < 0)
		return err_set(reterr, EOPNOTSUPP, "interface %s: frames of its type (%d) cannot be read",
			       req.ifr_name, req.ifr_hwaddr.sa_family);
	return req.ifr_hwaddr.sa_family;
}

int bpfattach_if(struct bpfobj *o, int ifindex, enum bpfattach_kind kind,
		 enum bpfattach_how *ret_how, struct err *reterr)
{
	enum bpfattach_how how = BPFATTACH_NEW_TCX, first = how;
	int r, type;

	if (o->is_remote)
		return bpfremote_attach_if(ifindex, kind, ret_how, reterr);
	type = link_type(ifindex, reterr);
	if (type < 0)
		return type;
	r = has_only_ip(type) ? bpfobj_load_l3(o, reterr) : 0;
	if (r < 0)
		return r;
	for (unsigned dir = 0; dir < 2; dir++) {
		int prog = prog_of(kind, type, dir), fd;

		if (prog < 0)
			return err_set(reterr, EOPNOTSUPP, "interface %d: not Ethernet", ifindex);
		fd = bpfobj_prog_fd(o, (enum bpfobj_prog)prog);

		/* a link lives as long as its pin: without a pin directory a filter is what stays */
		if (bpfobj_features(o)->has_tcx && bpfobj_pin_dir(o)[0])
			r = tcx_attach(o, ifindex, dir, fd, &how);
		else
			r = filter_attach(ifindex, dir, fd, &how);
		if (r < 0)
			return err_set(reterr, -r, "interface %d: attaching the %s program: %s",
				       ifindex, dir_names[dir], err_name(r));
		if (dir == 0)
			first = how;
	}
	if (ret_how)
		*ret_how = first;
	return 0;
}

int bpfattach_remove_link(const char *path)
{
	CLEANUP(close_fd) int fd = bpf_obj_get(path);

	if (fd == -ENOENT)
		return 0;
	if (fd >= 0)
		(void)bpf_link_detach(fd); /* it goes with its pin anyway, unless someone holds it */
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int bpfattach_if_detach(const struct bpfobj *o, int ifindex, struct err *reterr)
{
	bool had_filter = false;
	char path[PATH_MAX];
	int r, first = 0;

	if (o->is_remote)
		return bpfremote_if_detach(ifindex, reterr);
	for (unsigned dir = 0; dir < 2; dir++) {
		r = tcx_pin_path(o, ifindex, dir, path);
		if (r == 0)
			r = bpfattach_remove_link(path);
		else if (r == -ENOENT)
			r = 0;
		if (r == 0)
			r = clsact_detach(ifindex, dir);
		had_filter = had_filter || r > 0;
		if (r < 0 && !first)
			first = err_set(reterr, -r, "interface %d: detaching the %s program: %s",
					ifindex, dir_names[dir], err_name(r));
	}
	r = had_filter && !first ? clsact_remove_if_empty(ifindex) : 0;
	return r < 0 ? err_set(reterr, -r, "interface %d: removing the empty clsact: %s", ifindex,
			       err_name(r)) : first;
}

/* The program that our link has there; 0 if there is no such link. */
static uint32_t tcx_prog_id(const struct bpfobj *o, int ifindex, unsigned dir)
{
	CLEANUP(close_fd) int fd = -1;
	struct bpf_link_info info;
	char path[PATH_MAX];

	if (tcx_pin_path(o, ifindex, dir, path) < 0)
		return 0;
	fd = bpfattach_link_open(path, &info);
	return fd >= 0 && tcx_is_on(&info, ifindex) ? info.prog_id : 0;
}

bool bpfattach_if_is_ok(const struct bpfobj *o, int ifindex, enum bpfattach_kind kind)
{
	int type;

	if (o->is_remote)
		return bpfremote_if_is_ok(ifindex, kind);
	type = link_type(ifindex, NULL);
	if (type < 0)
		return false;
	for (unsigned dir = 0; dir < 2; dir++) {
		int prog = prog_of(kind, type, dir);
		uint32_t id = prog < 0 ? 0 : bpfattach_prog_id(bpfobj_prog_fd(o, (enum bpfobj_prog)prog));

		if (!id || (tcx_prog_id(o, ifindex, dir) != id && !clsact_is_ok(ifindex, dir, id)))
			return false;
	}
	return true;
}

bool bpfattach_if_is_held(const struct bpfobj *o, int ifindex)
{
	if (o->is_remote)
		return bpfremote_if_is_held(ifindex);
	return tcx_prog_id(o, ifindex, MESH_INGRESS) && tcx_prog_id(o, ifindex, MESH_EGRESS);
}

/* The first program of the hook, unless it is ours. */
static uint32_t tcx_before(const struct bpfobj *o, int ifindex, unsigned dir)
{
	uint32_t first = 0;
	struct {
		uint32_t ifindex, attach_type, query_flags, attach_flags;
		uint64_t prog_ids;
		uint32_t count, pad;
		uint64_t prog_attach_flags, link_ids, link_attach_flags, revision;
	} attr = {
		.ifindex = (uint32_t)ifindex,
		.attach_type = tcx_hook(dir),
		.prog_ids = (uintptr_t)&first,
		.count = 1,
	};

	if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0 && errno != ENOSPC) /* which says that there are more */
		return 0;
	return first == tcx_prog_id(o, ifindex, dir) ? 0 : first;
}

uint32_t bpfattach_if_before(const struct bpfobj *o, int ifindex)
{
	uint32_t id;

	if (o->is_remote)
		return bpfremote_if_before(ifindex);
	id = tcx_before(o, ifindex, MESH_INGRESS);
	return id ? id : tcx_before(o, ifindex, MESH_EGRESS);
}

static int int_cmp(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* "link-7-ingress" -> 7; others -> 0. */
static int parse_link_name(const char *name)
{
	const char *digits = name + strlen("link-");
	char number[16];
	uint64_t n;
	size_t len;

	if (!str_has_prefix(name, "link-"))
		return 0;
	len = strcspn(digits, "-");
	if (len >= sizeof(number) || !str_eq(digits + len, "-ingress"))
		return 0;
	memcpy(number, digits, len);
	number[len] = '\0';
	return str_to_u64(number, INT_MAX, &n) < 0 ? 0 : (int)n;
}

int bpfattach_if_list(const struct bpfobj *o, int *ifindexes, size_t max)
{
	struct dirent *e;
	size_t n = 0;
	DIR *d;
	int r;

	if (o->is_remote)
		return bpfremote_if_list(ifindexes, max);
	if (!bpfobj_pin_dir(o)[0])
		return 0;
	r = bpfdir_open(bpfobj_pin_dir(o), &d);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while (n < max && (e = readdir(d))) {
		int ifindex = parse_link_name(e->d_name);

		if (ifindex > 0)
			ifindexes[n++] = ifindex;
	}
	(void)closedir(d); /* only fails for a bad stream */
	if (n > 1)
		qsort(ifindexes, n, sizeof(*ifindexes), int_cmp);
	return (int)n;
}

int bpfattach_detach_all(const struct bpfobj *o, struct err *reterr)
{
	CLEANUP(free) int *ifs = calloc(BPFATTACH_INTERFACES_MAX, sizeof(*ifs));
	struct if_nameindex *names;
	int n, r, first;

	if (o->is_remote)
		return bpfremote_detach_all(reterr);
	if (!ifs)
		return -ENOMEM;
	first = bpfattach_backstop_detach(o, reterr);
	r = bpfattach_cgroup_detach(o, first ? NULL : reterr);
	first = first ? first : r;
	n = bpfattach_if_list(o, ifs, BPFATTACH_INTERFACES_MAX);
	for (int i = 0; i < n; i++) {
		r = bpfattach_if_detach(o, ifs[i], first ? NULL : reterr);
		if (r < 0 && !first)
			first = r;
	}
	/* filters leave no pin: every interface is asked */
	names = if_nameindex();
	if (!names)
		return first ? first : -errno;
	for (const struct if_nameindex *i = names; i->if_index; i++) {
		r = bpfattach_if_detach(o, (int)i->if_index, first ? NULL : reterr);
		if (r < 0 && !first)
			first = r;
	}
	if_freenameindex(names);
	return !first && n < 0 ? n : first;
}
