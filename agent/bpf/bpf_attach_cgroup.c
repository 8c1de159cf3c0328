/* SPDX-License-Identifier: Apache-2.0 */
/* The socket programs on a cgroup. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "bpf/bpf_attach.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"

static const struct {
	enum bpfobj_prog prog;
	enum bpf_attach_type type;
} cgroup_hooks[] = {
	/* the reverse side first, so that nothing is translated one way only */
	{BPFOBJ_RECVMSG4, BPF_CGROUP_UDP4_RECVMSG},
	{BPFOBJ_RECVMSG6, BPF_CGROUP_UDP6_RECVMSG},
	{BPFOBJ_GETPEERNAME4, BPF_CGROUP_INET4_GETPEERNAME},
	{BPFOBJ_GETPEERNAME6, BPF_CGROUP_INET6_GETPEERNAME},
	{BPFOBJ_SOCK_RELEASE, BPF_CGROUP_INET_SOCK_RELEASE},
	{BPFOBJ_CONNECT4, BPF_CGROUP_INET4_CONNECT},
	{BPFOBJ_CONNECT6, BPF_CGROUP_INET6_CONNECT},
	{BPFOBJ_SENDMSG4, BPF_CGROUP_UDP4_SENDMSG},
	{BPFOBJ_SENDMSG6, BPF_CGROUP_UDP6_SENDMSG},
};

/* Kernels before 5.9 do not tell that a socket is closed; all else is required. */
static bool has_hook(const struct bpfobj *o, unsigned i)
{
	return cgroup_hooks[i].prog != BPFOBJ_SOCK_RELEASE || bpfobj_features(o)->has_sock_release;
}

static int cgroup_pin_path(const struct bpfobj *o, enum bpfobj_prog prog, char path[PATH_MAX])
{
	char name[64];

	(void)snprintf(name, sizeof(name), "cgroup-%s", bpfobj_prog_name(prog)); /* fits */
	return bpfobj_pin_path(o, name, path, PATH_MAX);
}

/* The cgroup's number is the inode of its directory. */
static int cgroup_adopt(const char *path, int prog_fd, uint64_t cgroup_id)
{
	struct bpf_link_info info;
	CLEANUP(close_fd) int fd = bpfattach_link_open(path, &info);

	if (fd < 0)
		return fd;
	if (info.cgroup.cgroup_id != cgroup_id)
		return -ENOENT;
	return bpf_link_update(fd, prog_fd, NULL);
}

static int cgroup_attach_one(const struct bpfobj *o, unsigned i, int cgroup_fd, uint64_t cgroup_id)
{
	int prog_fd = bpfobj_prog_fd(o, cgroup_hooks[i].prog);
	CLEANUP(close_fd) int fd = -1;
	char path[PATH_MAX];
	int r = cgroup_pin_path(o, cgroup_hooks[i].prog, path);

	if (r < 0)
		return r;
	if (cgroup_adopt(path, prog_fd, cgroup_id) == 0)
		return 0;
	fd = bpf_link_create(prog_fd, cgroup_fd, cgroup_hooks[i].type, NULL);
	if (fd < 0)
		return fd;
	r = bpfattach_remove_link(path);
	return r < 0 ? r : bpf_obj_pin(fd, path);
}

int bpfattach_cgroup(const struct bpfobj *o, const char *cgroup_path, struct err *reterr)
{
	CLEANUP(close_fd) int fd = -1;
	struct stat st;
	int r;

	if (o->is_remote)
		return bpfremote_cgroup(reterr);
	fd = open(cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(reterr, errno, "%s: %s", cgroup_path, err_name(errno));
	if (!bpfobj_pin_dir(o)[0])
		return err_set(reterr, EINVAL, "socket programs need a pin directory");
	for (unsigned i = 0; i < ARRAY_LEN(cgroup_hooks); i++) {
		if (!has_hook(o, i))
			continue;
		r = cgroup_attach_one(o, i, fd, st.st_ino);
		if (r < 0)
			return err_set(reterr, -r, "%s: attaching %s: %s%s", cgroup_path,
				       bpfobj_prog_name(cgroup_hooks[i].prog), err_name(r),
				       r == -EBADF ? " (not a cgroup2 directory)" : "");
	}
	return 0;
}

static bool cgroup_one_is_ok(const struct bpfobj *o, unsigned i, uint64_t cgroup_id)
{
	uint32_t id = bpfattach_prog_id(bpfobj_prog_fd(o, cgroup_hooks[i].prog));
	CLEANUP(close_fd) int fd = -1;
	struct bpf_link_info info;
	char path[PATH_MAX];

	if (!id || cgroup_pin_path(o, cgroup_hooks[i].prog, path) < 0)
		return false;
	fd = bpfattach_link_open(path, &info);
	return fd >= 0 && info.cgroup.cgroup_id == cgroup_id && info.prog_id == id;
}

bool bpfattach_cgroup_is_ok(const struct bpfobj *o, const char *cgroup_path)
{
	struct stat st;

	if (o->is_remote)
		return bpfremote_cgroup_is_ok();
	if (stat(cgroup_path, &st) < 0)
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(cgroup_hooks); i++)
		if (has_hook(o, i) && !cgroup_one_is_ok(o, i, st.st_ino))
			return false;
	return true;
}

int bpfattach_cgroup_detach(const struct bpfobj *o, struct err *reterr)
{
	char path[PATH_MAX];
	int r, first = 0;

	/* backwards: the translating side goes first */
	for (unsigned i = ARRAY_LEN(cgroup_hooks); i-- > 0;) {
		r = cgroup_pin_path(o, cgroup_hooks[i].prog, path);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = bpfattach_remove_link(path);
		if (r < 0 && !first)
			first = err_set(reterr, -r, "detaching %s: %s",
					bpfobj_prog_name(cgroup_hooks[i].prog), err_name(r));
	}
	return first;
}
