/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl_listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

enum { BACKLOG = 16 };

/* -EADDRINUSE if somebody listens at the address, else 0 after removing what is left of a dead one. */
static int remove_stale(const struct sockaddr_un *sa, struct err *reterr)
{
	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(sa->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(reterr, errno, "%s: %s", sa->sun_path, err_name(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(reterr, EEXIST, "%s is no socket: remove it or set control-socket", sa->sun_path);
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
		return err_set(reterr, EADDRINUSE, "%s: another daemon answers there", sa->sun_path);
	if (unlink(sa->sun_path) < 0 && errno != ENOENT)
		return err_set(reterr, errno, "%s: %s", sa->sun_path, err_name(errno));
	return 0;
}

int ctl_listen(const char *path, bool is_for_all, int *ret_fd, struct err *reterr)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	CLEANUP(close_fd) int fd = -1;
	mode_t old;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(reterr, ENAMETOOLONG, "%s: longer than a socket's path may be", path);
	memcpy(sa.sun_path, path, strlen(path));
	r = remove_stale(&sa, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(reterr, errno, "socket: %s", err_name(errno));
	old = umask(0177);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	(void)umask(old); /* cannot fail */
	if (r < 0)
		return err_set(reterr, -r, "%s: %s", path, err_name(r));
	/* The daemon may not give files away: everyone may knock, and is looked at then. */
	if (is_for_all && chmod(path, 0666) < 0)
		return err_set(reterr, errno, "%s: mode: %s", path, err_name(errno));
	if (listen(fd, BACKLOG) < 0)
		return err_set(reterr, errno, "%s: %s", path, err_name(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}
