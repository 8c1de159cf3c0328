/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/preflight.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "netlink/nl_driver.h"

/*
 * The datapath needs the ring buffer, bpf_ktime_get_boot_ns() and the getpeername hooks, which are of
 * 5.8; links on cgroups and cookies of network namespaces are of 5.7. tcx is of 6.6.
 */
enum { KERNEL_MIN = 5 << 8 | 8, KERNEL_TCX = 6 << 8 | 6 };

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

int preflight_kernel_release(json_t *rows, const char *release)
{
	unsigned major, minor;
	/* NOLINTNEXTLINE(cert-err34-c): a number that does not fit is no version either */
	bool is_known = sscanf(release, "%u.%u", &major, &minor) == 2 && major < 256 && minor < 256;
	unsigned version = is_known ? major << 8 | minor : 0;

	if (version < KERNEL_MIN)
		return preflight_add(rows, "kernel", PREFLIGHT_FAIL, "%s; %d.%d or newer is needed", release, KERNEL_MIN >> 8,
				     KERNEL_MIN & 0xff);
	return preflight_add(rows, "kernel", PREFLIGHT_OK, "%s, attaching by %s", release, version >= KERNEL_TCX ? "tcx" : "clsact");
}

static int add_probe(json_t *rows, const char *what, int supported)
{
	if (supported > 0)
		return preflight_add(rows, what, PREFLIGHT_OK, "supported");
	if (supported == -EPERM && geteuid() != 0)
		return preflight_add(rows, what, PREFLIGHT_WARN, "not checked: only root may (sudo mesh-join --dry-run)");
	if (supported == -EPERM)
		return preflight_add(rows, what, PREFLIGHT_FAIL, "not permitted to root: a container, a locked-down kernel, or no CAP_BPF");
	return preflight_add(rows, what, PREFLIGHT_FAIL, "this kernel has no %s", what);
}

int preflight_tunnel_driver(json_t *rows, const char *kind)
{
	int supported = nl_driver_is_there(kind);

	if (supported == 0)
		return preflight_add(rows, "tunnel driver", PREFLIGHT_FAIL,
				     "this kernel has no %s, which the cluster's tunnel is: boot one that has, or install its package for more modules",
				     kind);
	if (supported < 0 && supported != -EPERM)
		return preflight_add(rows, "tunnel driver", PREFLIGHT_WARN, "not checked: %s", err_name(supported));
	return supported < 0 ? add_probe(rows, "tunnel driver", supported) :
			       preflight_add(rows, "tunnel driver", PREFLIGHT_OK, "%s", kind);
}

/* Loads the smallest program for a hook; what is not there is refused with -EINVAL. 1, 0, or -errno. */
static int probe_hook(enum bpf_attach_type type)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	CLEANUP(close_fd) int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, NULL, "GPL", insns, sizeof(insns) / sizeof(insns[0]), &opts);

	return fd >= 0 ? 1 : fd == -EPERM ? -EPERM : 0;
}

/* libbpf does not tell what may not be asked from what there is not. */
static int may_probe(int supported, int hook)
{
	return hook == -EPERM ? -EPERM : supported;
}

static int add_bpf(json_t *rows)
{
	libbpf_print_fn_t old = libbpf_set_print(quiet);
	int hook = probe_hook(BPF_CGROUP_INET4_GETPEERNAME);
	const struct {
		const char *what;
		int supported;
	} probes[] = {
		{"BPF tc programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL)},
		{"BPF socket programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, NULL)},
		{"BPF prefix maps", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, NULL)},
		{"BPF ring buffer", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL)},
		{"BPF boot clock", libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_boot_ns, NULL)},
		{"BPF netns cookies", libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_netns_cookie, NULL)},
		{"BPF getpeername hook", hook},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && r == 0; i++)
		r = add_probe(rows, probes[i].what, may_probe(probes[i].supported, hook));
	(void)libbpf_set_print(old);
	return r;
}

/* The file system that `path` is on or, while it does not exist or only root can see it, its parent. */
static int file_system_of(const char *path, unsigned long *ret)
{
	CLEANUP(free) char *at = strdup(path);
	struct statfs fs;

	while (at && *at) {
		char *slash;

		if (statfs(at, &fs) == 0) {
			*ret = (unsigned long)fs.f_type;
			return 0;
		}
		slash = strrchr(at, '/');
		if ((errno != ENOENT && errno != EACCES) || !slash)
			return -errno;
		slash[slash == at && slash[1] ? 1 : 0] = '\0';
	}
	return -ENOENT;
}

static int add_mount(json_t *rows, const char *what, const char *key, const char *path, unsigned long magic, const char *hint)
{
	unsigned long have = 0;
	int r = file_system_of(path, &have);

	if (r == 0 && have == magic)
		return preflight_add(rows, what, PREFLIGHT_OK, "at %s", path);
	return preflight_add(rows, what, PREFLIGHT_FAIL, "%s, the %s of the configuration, is no %s: %s", path, key, what, hint);
}

int preflight_kernel(json_t *rows, const struct conf *conf)
{
	bool is_hybrid = access("/sys/fs/cgroup/unified", F_OK) == 0;
	struct utsname u = {.release = "?"};
	int r;

	(void)uname(&u); /* only fails for a bad pointer */
	r = preflight_kernel_release(rows, u.release);
	if (r == 0)
		r = add_bpf(rows);
	if (r == 0)
		r = add_mount(rows, "bpffs", "bpf-root", conf->bpf_root, BPF_FS_MAGIC, "mount -t bpf bpf /sys/fs/bpf");
	if (r == 0)
		r = add_mount(rows, "cgroup2", "cgroup-root", conf->cgroup_root, CGROUP2_SUPER_MAGIC,
			      is_hybrid ? "set cgroup-root = \"/sys/fs/cgroup/unified\", or boot with systemd.unified_cgroup_hierarchy=1" :
					  "boot with systemd.unified_cgroup_hierarchy=1");
	return r;
}
