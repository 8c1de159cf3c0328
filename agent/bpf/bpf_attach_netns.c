/* SPDX-License-Identifier: Apache-2.0 */
/* The backstop on the network namespace. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "bpf/bpf_attach.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"

#define PIN_NAME "netns-mesh_backstop"

/* Of the process. A link tells its namespace by the inode of this. */
static const char own_netns[] = "/proc/self/ns/net";

/* Puts the program into the link that an earlier process left. -ENOENT if there is no usable one. */
static int adopt(const char *path, int prog_fd, ino_t netns)
{
	struct bpf_link_info info;
	CLEANUP(close_fd) int fd = bpfattach_link_open(path, &info);

	if (fd < 0)
		return fd;
	return info.netns.netns_ino == netns ? bpf_link_update(fd, prog_fd, NULL) : -ENOENT;
}

static int attach(const char *path, int prog_fd)
{
	CLEANUP(close_fd) int netns_fd = open(own_netns, O_RDONLY | O_CLOEXEC), fd = -1;
	struct stat st;
	int r;

	if (netns_fd < 0 || fstat(netns_fd, &st) < 0)
		return -errno;
	if (adopt(path, prog_fd, st.st_ino) == 0)
		return 0;
	fd = bpf_link_create(prog_fd, netns_fd, BPF_SK_LOOKUP, NULL);
	if (fd < 0)
		return fd;
	r = bpfattach_remove_link(path);
	return r < 0 ? r : bpf_obj_pin(fd, path);
}

int bpfattach_backstop(const struct bpfobj *o, struct err *reterr)
{
	char path[PATH_MAX];
	int r;

	if (o->is_remote)
		return bpfremote_backstop(reterr);
	if (!o->features.has_backstop)
		return bpfattach_backstop_detach(o, reterr);
	r = bpfobj_pin_path(o, PIN_NAME, path, sizeof(path));
	if (r == 0)
		r = attach(path, bpfobj_prog_fd(o, BPFOBJ_BACKSTOP));
	return r < 0 ? err_set(reterr, -r, "attaching the backstop: %s", err_name(r)) : 0;
}

bool bpfattach_backstop_is_ok(const struct bpfobj *o)
{
	CLEANUP(close_fd) int fd = -1;
	struct bpf_link_info info;
	char path[PATH_MAX];
	struct stat st;

	if (o->is_remote)
		return bpfremote_backstop_is_ok();
	if (bpfobj_pin_path(o, PIN_NAME, path, sizeof(path)) < 0 || stat(own_netns, &st) < 0)
		return false;
	fd = bpfattach_link_open(path, &info);
	if (!o->features.has_backstop)
		return fd == -ENOENT;
	return fd >= 0 && info.netns.netns_ino == st.st_ino && info.prog_id == bpfattach_prog_id(bpfobj_prog_fd(o, BPFOBJ_BACKSTOP));
}

int bpfattach_backstop_detach(const struct bpfobj *o, struct err *reterr)
{
	char path[PATH_MAX];
	int r = bpfobj_pin_path(o, PIN_NAME, path, sizeof(path));

	if (r == 0)
		r = bpfattach_remove_link(path);
	return r < 0 && r != -ENOENT ? err_set(reterr, -r, "detaching the backstop: %s", err_name(r)) : 0;
}
