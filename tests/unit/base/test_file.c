/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/no_fsync.h"
#include "base/file.h"
#include "base/str.h"

static char dir[64];

static void setup(void)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%.40s/mesh-test-XXXXXX", base ? base : "/tmp");
	cr_assert(mkdtemp(dir));
}

static void teardown(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0); /* "." and ".." and directories stay */
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

static size_t entries(void)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

/* Ends the process where it would wait for the disk. */
static void remove_without_fsync(const char *path)
{
	die_at_fsync();
	_exit(file_remove(path) == 0 ? 0 : 2);
}

/* What is removed does not come back with the next boot, if the power goes; nor does what a cut write has left stay. */
Test(file, removal_lasts, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/f", dir), *unfinished = str_printf("%s/f.new", dir);
	int status = -1;
	pid_t pid;

	cr_assert_eq(file_replace(path, "x", 1, 0600), 0);
	cr_assert_eq(file_replace(unfinished, "x", 1, 0600), 0);
	cr_expect_eq(file_remove(path), 0);
	cr_expect_eq(entries(), 0);
	cr_expect_eq(file_remove(path), 0, "there is none");
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_expect_lt(file_remove(path), 0);
	cr_assert_eq(rmdir(path), 0);

	cr_assert_eq(file_replace(path, "x", 1, 0600), 0);
	for (int round = 0; round < 2; round++) {
		pid = fork();
		if (pid == 0)
			remove_without_fsync(path);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect_eq(WIFSIGNALED(status), round == 0, "%d: %x", round, status); /* there is nothing to wait for then */
		cr_expect_eq(entries(), 0);
	}
}

Test(file, replace_is_whole_too, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/f", dir);
	CLEANUP(buf_done) struct buf b = {0};
	struct stat st;

	cr_assert_eq(file_replace(path, "one", 3, 0644), 0);
	cr_assert_eq(file_replace(path, "two!", 4, 0600), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(file_read(path, 100, &b), 0);
	cr_expect_str_eq(b.data, "two!");
	cr_expect_eq(entries(), 1);
}

Test(file, write_atomic_replaces_content_and_mode, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/f", dir);
	CLEANUP(free) char *tmp = str_printf("%s/f.new", dir);
	CLEANUP(buf_done) struct buf b = {0};
	struct stat st;

	(void)umask(077);
	cr_assert_eq(file_write_atomic(path, "one", 3, 0644), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0644, "the umask does not count");
	cr_assert_eq(symlink("/nonexistent/elsewhere", tmp), 0);
	cr_assert_eq(file_write_atomic(path, "two!", 4, 0600), 0, "a leftover is in no way");
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(file_read(path, 100, &b), 0);
	cr_expect_str_eq(b.data, "two!");
	cr_expect_eq(entries(), 1, "no temporary file is left");
}

Test(file, write_atomic_fails_whole, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/d", dir);
	CLEANUP(free) char *inside = str_printf("%s/d/x", dir);
	CLEANUP(free) char *missing = str_printf("%s/no/x", dir);

	cr_assert_eq(file_mkdirs(inside, 0700), 0);
	cr_expect_lt(file_write_atomic(path, "x", 1, 0600), 0, "a directory cannot be replaced");
	cr_expect_eq(entries(), 1, "no temporary file is left");
	cr_expect_eq(file_write_atomic(missing, "x", 1, 0600), -ENOENT);
	cr_expect_eq(file_mkdirs(inside, 0700), 0, "it is there already");
	(void)rmdir(inside);
	(void)rmdir(path);
}

/* As on a disk that is full: what was there stays, and nothing else is left. */
Test(file, write_atomic_without_room, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/f", dir);
	CLEANUP(buf_done) struct buf b = {0};
	struct rlimit before, little;
	int r;

	cr_assert_eq(file_write_atomic(path, "one", 3, 0600), 0);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = (struct rlimit){.rlim_cur = 2, .rlim_max = before.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	r = file_write_atomic(path, "two!", 4, 0600);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	cr_expect_lt(r, 0);
	cr_assert_eq(file_read(path, 100, &b), 0);
	cr_expect_str_eq(b.data, "one");
	cr_expect_eq(entries(), 1, "no temporary file is left");
}

Test(file, read_has_a_limit, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *path = str_printf("%s/f", dir);
	char data[20000];

	memset(data, 'x', sizeof(data));
	cr_assert_eq(file_write_atomic(path, data, sizeof(data), 0600), 0);
	for (size_t max = sizeof(data) - 1; max <= sizeof(data) + 1; max++) {
		CLEANUP(buf_done) struct buf b = {0};

		cr_expect_eq(file_read(path, max, &b), max < sizeof(data) ? -E2BIG : 0);
		cr_expect_eq(b.len, max < sizeof(data) ? 0 : sizeof(data));
	}
	CLEANUP(buf_done) struct buf b = {0};
	cr_assert_eq(file_write_atomic(path, "", 0, 0600), 0);
	cr_assert_eq(file_read(path, 10, &b), 0);
	cr_expect_eq(b.len, 0);
	cr_expect_str_eq(b.data, "", "an empty file is an empty text");
	cr_expect_eq(file_read("/nonexistent", 10, &b), -ENOENT);
}
