/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: lets allocations of a process fail, those of its libraries, too. $NOMEM_FILE is a file of four
 * 64-bit numbers, which may be written while the process runs: allocations so far, the number of the first that
 * fails (0 = none), how many fail from there on, and how many have failed. The file has to be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What glibc has under these names, whatever malloc() is. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

struct control {
	uint64_t count, first, n, failed;
};
static struct control *control;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("NOMEM_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		(void)close(fd);
	if (p != MAP_FAILED)
		control = p;
}

static bool must_fail(void)
{
	uint64_t i, first;

	if (!control)
		return false;
	i = __atomic_add_fetch(&control->count, 1, __ATOMIC_RELAXED);
	first = __atomic_load_n(&control->first, __ATOMIC_RELAXED);
	if (!first || i < first || i - first >= control->n)
		return false;
	__atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(p, size);
}
