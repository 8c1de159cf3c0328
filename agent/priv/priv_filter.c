/* SPDX-License-Identifier: Apache-2.0 */
#include "priv/priv_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef ARCH

/*
 * Any program can make a call by its number, also where neither the C library nor the kernel's headers had a name for it when
 * this one was built. From 424 on the numbers are the same for each architecture above.
 */
enum newer_call {
	CALL_IO_URING_SETUP = 425,
	CALL_IO_URING_ENTER,
	CALL_IO_URING_REGISTER,
	CALL_OPEN_TREE,
	CALL_MOVE_MOUNT,
	CALL_FSOPEN,
	CALL_FSCONFIG,
	CALL_FSMOUNT,
	CALL_FSPICK,
	CALL_CLONE3 = 435,
	CALL_PIDFD_GETFD = 438,
	CALL_FACCESSAT2,
	CALL_MOUNT_SETATTR = 442,
	CALL_QUOTACTL_FD,
	CALL_OPEN_TREE_ATTR = 467,
};

/* What is not here is allowed. An architecture may have none of the calls that are behind a condition. */
static const unsigned denied[] = {
	SYS_bpf, SYS_perf_event_open, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_unshare, SYS_setns,
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_add_key, SYS_keyctl, SYS_request_key, SYS_init_module,
	SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
	SYS_syslog, SYS_personality, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname,
	SYS_setdomainname, SYS_open_by_handle_at, SYS_fanotify_init, SYS_mknodat, SYS_vhangup,
#ifdef SYS_mknod
	SYS_mknod,
#endif
#if defined(__aarch64__) || defined(__riscv)
	294, /* kexec_file_load, which headers before Linux 5.0 have for the others only */
#else
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
	SYS_userfaultfd, CALL_IO_URING_SETUP, CALL_IO_URING_ENTER, CALL_IO_URING_REGISTER, CALL_OPEN_TREE, CALL_MOVE_MOUNT,
	CALL_FSOPEN, CALL_FSCONFIG, CALL_FSMOUNT, CALL_FSPICK, CALL_MOUNT_SETATTR, CALL_OPEN_TREE_ATTR, CALL_QUOTACTL_FD,
	CALL_PIDFD_GETFD,
};

/* What is not here is answered as a call that the kernel does not have. */
static const unsigned allowed[] = {
	/* the channel, maps and programs, routes and links */
	SYS_recvmsg, SYS_sendmsg, SYS_bpf, SYS_bind, SYS_connect, SYS_sendto, SYS_recvfrom, SYS_getsockname, SYS_setsockopt,
	SYS_getsockopt, SYS_ioctl,
	/* pins, and what the kernel tells of itself in files */
	SYS_openat, SYS_close, SYS_read, SYS_pread64, SYS_lseek, SYS_getdents64, SYS_unlinkat, SYS_mkdirat, SYS_fstat,
	SYS_newfstatat, SYS_statfs, SYS_fstatfs, SYS_readlinkat, SYS_faccessat, SYS_fcntl, SYS_dup, SYS_dup3, SYS_uname,
	SYS_sysinfo, SYS_sched_getaffinity, SYS_prlimit64, SYS_getrlimit, SYS_setrlimit,
	/* the C library */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_getrandom, SYS_clock_gettime,
	SYS_clock_getres, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_getpid, SYS_gettid, SYS_geteuid,
	SYS_restart_syscall, SYS_write, SYS_writev, SYS_exit, SYS_exit_group, SYS_statx, CALL_FACCESSAT2,
	/* libbpf, from 1.4 on, for maps that it has not made yet */
	SYS_memfd_create,
#ifdef SYS_open
	SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_dup2,
#endif
};

enum {
	AT_ARCH = offsetof(struct seccomp_data, arch),
	AT_CALL = offsetof(struct seccomp_data, nr),
	/* the low half of an argument */
	AT_LOW = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : sizeof(uint32_t),
	AT_DOMAIN = offsetof(struct seccomp_data, args[0]) + AT_LOW,
	AT_PROTOCOL = offsetof(struct seccomp_data, args[2]) + AT_LOW,
#ifdef __s390x__
	AT_CLONE_FLAGS = offsetof(struct seccomp_data, args[1]) + AT_LOW,
#else
	AT_CLONE_FLAGS = offsetof(struct seccomp_data, args[0]) + AT_LOW,
#endif
	NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
	X32 = 0x40000000, /* calls of the other calling convention of x86, with numbers of their own */
	OTHER_PARTS = 32,
};

static const unsigned refuse = SECCOMP_RET_ERRNO | EPERM, unknown = SECCOMP_RET_ERRNO | ENOSYS;

struct program {
	struct sock_filter v[ARRAY_LEN(allowed) * 2 + ARRAY_LEN(denied) * 2 + OTHER_PARTS];
	unsigned short n;
};

static void add(struct program *p, struct sock_filter f)
{
	p->v[p->n++] = f;
}

static void add_load(struct program *p, unsigned offset)
{
	add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

/* Ends with `action` if the loaded word is `value`. */
static void add_case(struct program *p, unsigned value, unsigned action)
{
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* socket(2): no families but ours, and of netlink only the two that we speak. */
static void add_socket(struct program *p, bool has_unix)
{
	/* for any other call the rest is left out */
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 14));
	add_load(p, AT_DOMAIN);
	add_case(p, has_unix ? AF_UNIX : AF_INET, SECCOMP_RET_ALLOW);
	add_case(p, AF_INET, SECCOMP_RET_ALLOW);
	add_case(p, AF_INET6, SECCOMP_RET_ALLOW);
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT));
	add_load(p, AT_PROTOCOL);
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_ROUTE, 1, 0));
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_SOCK_DIAG, 0, 1));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
}

/* No namespaces by clone(2) either. What clone3(2) is told lies in memory; without it the C library takes the other one. */
static void add_clone(struct program *p)
{
	add_case(p, CALL_CLONE3, unknown);
	/* for any other call the rest is left out */
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
	add_load(p, AT_CLONE_FLAGS);
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static int install(const unsigned *calls, size_t n, unsigned action, unsigned otherwise, struct err *reterr)
{
	struct program p = {.n = 0};
	struct sock_fprog prog = {.filter = p.v};

	add_load(&p, AT_ARCH);
	add(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	add(&p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	add_load(&p, AT_CALL);
#ifdef __x86_64__
	add(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
	add(&p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
#endif
	for (size_t i = 0; i < n; i++)
		add_case(&p, calls[i], action);
	if (otherwise == SECCOMP_RET_ALLOW)
		add_clone(&p);
	add_socket(&p, otherwise == SECCOMP_RET_ALLOW);
	add(&p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
	prog.len = p.n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return err_set(reterr, errno, "cannot limit the system calls of the process: %s", err_name(errno));
	return 0;
}

int priv_filter_unprivileged(struct err *reterr)
{
	return install(denied, ARRAY_LEN(denied), refuse, SECCOMP_RET_ALLOW, reterr);
}

int priv_filter_privileged(struct err *reterr)
{
	return install(allowed, ARRAY_LEN(allowed), SECCOMP_RET_ALLOW, unknown, reterr);
}

#else

int priv_filter_unprivileged(struct err *reterr)
{
	(void)reterr;
	return 0;
}

int priv_filter_privileged(struct err *reterr)
{
	(void)reterr;
	return 0;
}

#endif
