/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/preflight.h"

/* The oldest kernel that the datapath is tested on, and the one that brought tcx. */
enum { KERNEL_MIN = 5 << 8 | 4, KERNEL_TCX = 6 << 8 | 6 };

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static int kernel_version(char name[65])
{
	struct utsname u;
	unsigned major, minor;

	if (uname(&u) < 0)
		return 0;
	(void)snprintf(name, 65, "%s", u.release);
	return sscanf(u.release, "%u.%u", &major, &minor) == 2 && major < 256 && minor < 256 ? (int)(major << 8 | minor) : 0;
}

static int add_version(json_t *rows)
{
	char name[65] = "?";
	int version = kernel_version(name);

	if (version < KERNEL_MIN)
		return preflight_add(rows, "kernel", PREFLIGHT_FAIL, "%s; 5.4 or newer is needed", name);
	return preflight_add(rows, "kernel", PREFLIGHT_OK, "%s, attaching by %s", name, version >= KERNEL_TCX ? "tcx" : "clsact");
}

static int add_probe(json_t *rows, const char *what, int supported)
{
	if (supported > 0)
		return preflight_add(rows, what, PREFLIGHT_OK, "supported");
	if (supported == -EPERM)
		return preflight_add(rows, what, geteuid() == 0 ? PREFLIGHT_FAIL : PREFLIGHT_WARN, "not permitted; run as root to check");
	return preflight_add(rows, what, PREFLIGHT_FAIL, "this kernel has no %s", what);
}

static int add_bpf(json_t *rows)
{
	libbpf_print_fn_t old = libbpf_set_print(quiet);
	int r = add_probe(rows, "BPF tc programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL));

	if (r == 0)
		r = add_probe(rows, "BPF socket programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, NULL));
	if (r == 0)
		r = add_probe(rows, "BPF prefix maps", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, NULL));
	(void)libbpf_set_print(old);
	return r;
}

static int add_mount(json_t *rows, const char *what, const char *path, long magic, const char *hint)
{
	struct statfs fs;

	if (statfs(path, &fs) == 0 && (unsigned long)fs.f_type == (unsigned long)magic)
		return preflight_add(rows, what, PREFLIGHT_OK, "mounted at %s", path);
	return preflight_add(rows, what, PREFLIGHT_FAIL, "not mounted at %s: %s", path, hint);
}

int preflight_kernel(json_t *rows)
{
	int r = add_version(rows);

	if (r == 0)
		r = add_bpf(rows);
	if (r == 0)
		r = add_mount(rows, "bpffs", "/sys/fs/bpf", BPF_FS_MAGIC, "mount -t bpf bpf /sys/fs/bpf");
	if (r == 0)
		r = add_mount(rows, "cgroup2", access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup",
			      CGROUP2_SUPER_MAGIC, "boot with systemd.unified_cgroup_hierarchy=1");
	return r;
}
