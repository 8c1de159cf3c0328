/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolver_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"

enum { LOOK_MS = 50 };

/* Somebody else who can open it could keep us out for as long as he likes. */
static bool is_ours_alone(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

int resolver_lock(const char *runtime_dir, uint64_t wait_us, struct err *reterr)
{
	size_t len = strlen(runtime_dir);
	CLEANUP(free) char *path = NULL;
	uint64_t end_us = clock_boot_us() + wait_us;
	CLEANUP(close_fd) int fd = -1;

	while (len > 1 && runtime_dir[len - 1] == '/')
		len--; /* beside it, not in it */
	path = str_printf("%.*s" RESOLVER_LOCK, (int)len, runtime_dir);
	if (!path)
		return err_set(reterr, ENOMEM, "out of memory");
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(reterr, errno, "%s: %s", path, err_name(errno));
	if (!is_ours_alone(fd))
		return err_set(reterr, EPERM, "%s is no file that is root's alone: delete it", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_set(reterr, errno, "%s: %s", path, err_name(errno));
		if (clock_boot_us() >= end_us)
			return err_set(reterr, EBUSY, "another mesh-agentd is changing the host's resolver, and does not end (fuser %s)", path);
		(void)poll(NULL, 0, LOOK_MS); /* only time passes */
	}
	return TAKE_FD(fd);
}
