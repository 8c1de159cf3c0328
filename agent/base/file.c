/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int file_read(const char *path, size_t max, struct buf *ret)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_done) struct buf b = {.max = max};
	char chunk[8192];

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = buf_add(&b, chunk, (size_t)n);
		if (r < 0)
			return r;
		if (n == 0)
			break;
	}
	explicit_bzero(chunk, sizeof(chunk));
	*ret = b;
	b = (struct buf){0};
	return 0;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_sync_dir(const char *path)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, n);
	dir[n] = '\0';
	return file_sync_dir(n ? dir : (slash ? "/" : "."));
}

static int name_unfinished(const char *path, char ret[PATH_MAX])
{
	return (size_t)snprintf(ret, PATH_MAX, "%s" FILE_UNFINISHED, path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* How a file is to be; an owner of -1 is that of the process. */
struct looks {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

static int give_looks(int fd, const struct looks *l)
{
	if (l->uid != (uid_t)-1 && fchown(fd, l->uid, l->gid) < 0)
		return -errno;
	return fchmod(fd, l->mode) < 0 ? -errno : 0;
}

static int replace(const char *path, const void *data, size_t len, const struct looks *looks, bool is_synced)
{
	char tmp[PATH_MAX];
	int r = name_unfinished(path, tmp);

	if (r < 0)
		return r;
	(void)unlink(tmp); /* a leftover of an interrupted write; the open below reports other errors */
	CLEANUP(close_fd) int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, looks->mode);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (r == 0)
		r = give_looks(fd, looks);
	if (r == 0 && is_synced && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp); /* the error that counts is the first one */
		return r;
	}
	return is_synced ? sync_parent(path) : 0;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
	return file_write_atomic_for(path, data, len, mode, (uid_t)-1, (gid_t)-1);
}

int file_keep(const char *path, const void *data, size_t len, mode_t mode)
{
	CLEANUP(buf_done) struct buf is = {0};

	if (file_read(path, len, &is) == 0 && is.len == len && (!len || memcmp(is.data, data, len) == 0))
		return 0;
	return file_write_atomic(path, data, len, mode);
}

int file_write_atomic_for(const char *path, const void *data, size_t len, mode_t mode, uid_t uid, gid_t gid)
{
	return replace(path, data, len, &(struct looks){.mode = mode, .uid = uid, .gid = gid}, true);
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode)
{
	return replace(path, data, len, &(struct looks){.mode = mode, .uid = (uid_t)-1}, false);
}

/* 1, or 0 if there is none. */
static int remove_name(const char *path)
{
	return unlink(path) == 0 ? 1 : errno == ENOENT ? 0 : -errno;
}

int file_unlink(const char *path)
{
	char tmp[PATH_MAX];
	int r = name_unfinished(path, tmp), unfinished;

	if (r == 0)
		r = remove_name(path);
	if (r < 0)
		return r;
	unfinished = remove_name(tmp);
	return unfinished < 0 ? unfinished : r || unfinished;
}

int file_remove(const char *path)
{
	int r = file_unlink(path);

	return r > 0 ? sync_parent(path) : r;
}

int file_mkdirs(const char *path, mode_t mode)
{
	char dir[PATH_MAX];

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, strlen(path) + 1);
	for (char *p = dir + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(dir, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(dir, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}
