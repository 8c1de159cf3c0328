/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever changes the host's resolver is the only one, and nobody who is not root keeps it from doing so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/resolver_lock.h"
#include "base/cleanup.h"

static char root[] = "/tmp/test-resolver-lock.XXXXXX";
static char dir[64], path[96];
static struct err err;

static void begin(void)
{
	cr_assert_not_null(mkdtemp(root));
	(void)snprintf(dir, sizeof(dir), "%s/run", root);
	(void)snprintf(path, sizeof(path), "%s" RESOLVER_LOCK, dir);
}

static void end(void)
{
	(void)unlink(path); /* if it is there */
	cr_expect_eq(rmdir(root), 0, "something was left there");
}

TestSuite(resolver_lock, .init = begin, .fini = end);

Test(resolver_lock, one_has_it_and_the_next_is_told)
{
	int fd = resolver_lock(dir, 0, &err);

	cr_assert_geq(fd, 0, "%s", err.text);
	cr_expect_eq(resolver_lock(dir, 0, &err), -EBUSY);
	cr_expect_eq(resolver_lock(strcat(dir, "/"), 0, &err), -EBUSY, "another one for the same directory");
	cr_expect_not_null(strstr(err.text, path), "%s", err.text);
	(void)close(fd);
	fd = resolver_lock(dir, 0, &err);
	cr_assert_geq(fd, 0, "%s", err.text);
	(void)close(fd);
}

Test(resolver_lock, nobody_else_can_open_it)
{
	CLEANUP(close_fd) int fd = -1;
	struct stat st;

	(void)umask(0);
	fd = resolver_lock(dir, 0, &err);
	cr_assert_geq(fd, 0, "%s", err.text);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(st.st_uid, geteuid());
}

Test(resolver_lock, what_others_can_open_is_no_lock)
{
	CLEANUP(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fchmod(fd, 0644), 0);
	cr_expect_eq(resolver_lock(dir, 0, &err), -EPERM);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("elsewhere", path), 0);
	cr_expect_eq(resolver_lock(dir, 0, &err), -ELOOP);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(resolver_lock(dir, 0, &err), -EPERM);
}
