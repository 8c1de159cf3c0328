/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: the kernel refuses what a process asks of it, as it does for want of memory. $REFUSE_FILE is a file of
 * four 64-bit numbers, which may be written while the process runs: the errno that writes to maps end with (0 = they
 * go through), the errno for questions about sockets, and how often each has happened. The file has to be there. There is no
 * memory for maps of more than $REFUSE_ENTRIES, if that is set.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAPS, SOCKETS, KINDS };

struct control {
	uint64_t error[KINDS], refused[KINDS];
};
static struct control *control;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("REFUSE_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		(void)close(fd);
	if (p != MAP_FAILED)
		control = p;
}

static bool is_refused(unsigned kind)
{
	uint64_t error = control ? __atomic_load_n(&control->error[kind], __ATOMIC_RELAXED) : 0;

	if (!error)
		return false;
	__atomic_add_fetch(&control->refused[kind], 1, __ATOMIC_RELAXED);
	errno = (int)error;
	return true;
}

static bool writes_to_map(long command)
{
	return command == BPF_MAP_UPDATE_ELEM || command == BPF_MAP_DELETE_ELEM || command == BPF_MAP_UPDATE_BATCH ||
	       command == BPF_MAP_DELETE_BATCH;
}

static bool is_too_large(long command, long attr)
{
	static long most = -1;

	if (command != BPF_MAP_CREATE)
		return false;
	if (most < 0)
		most = getenv("REFUSE_ENTRIES") ? atol(getenv("REFUSE_ENTRIES")) : 0;
	if (!most || ((const union bpf_attr *)attr)->max_entries <= (uint32_t)most)
		return false;
	errno = ENOMEM;
	return true;
}

/* How libbpf calls the kernel. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long v[6];
	va_list ap;

	va_start(ap, number);
	for (unsigned i = 0; i < 6; i++)
		v[i] = va_arg(ap, long);
	va_end(ap);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf && ((writes_to_map(v[0]) && is_refused(MAPS)) || is_too_large(v[0], v[1])))
		return -1;
	return real(number, v[0], v[1], v[2], v[3], v[4], v[5]);
}

static bool asks_for_sockets(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == NETLINK_SOCK_DIAG;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);

	if (!real)
		real = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
	if (control && __atomic_load_n(&control->error[SOCKETS], __ATOMIC_RELAXED) && asks_for_sockets(fd) && is_refused(SOCKETS))
		return -1;
	return real(fd, data, len, flags);
}
