/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[256];

static void remove_dir(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0); /* nothing is lost if it stays */
	if (d)
		(void)closedir(d); /* only read from */
	(void)rmdir(dir);	   /* as above */
}

const char *scratch_dir(void)
{
	const char *base = getenv("TMPDIR");
	int n;

	if (dir[0])
		return dir;
	if (!base || !*base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* memory is faster than a disk */
	n = snprintf(dir, sizeof(dir), "%s/mesh-fuzz-XXXXXX", base);
	CHECK(n > 0 && (size_t)n < sizeof(dir) && mkdtemp(dir) && atexit(remove_dir) == 0);
	return dir;
}

const char *scratch_path(const char *name)
{
	static char path[512];
	int n = snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);

	CHECK(n > 0 && (size_t)n < sizeof(path));
	return path;
}

void scratch_write(const char *name, const void *data, size_t len)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && close(fd) == 0);
}
