/* SPDX-License-Identifier: Apache-2.0 */
/* A resolv.conf with the agent in front, and the way back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/resolver_file.h"
#include "agentd/resolver_host.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

static char root[] = "/tmp/test-resolver-file.XXXXXX";
static char conf[64], backup[96];
static struct ip server;

static void begin(void)
{
	char dir[64];

	cr_assert_not_null(mkdtemp(root));
	(void)snprintf(dir, sizeof(dir), "%s/etc", root);
	(void)snprintf(conf, sizeof(conf), "%s" RESOLVER_CONF, root);
	(void)snprintf(backup, sizeof(backup), "%s" RESOLVER_BACKUP, root);
	cr_assert_eq(mkdir(dir, 0700), 0);
	cr_assert_eq(ip_parse("127.18.53.53", &server), 0);
}

static void end(void)
{
	char dir[64];

	(void)unlink(conf); /* if it is there, as the next */
	(void)unlink(backup);
	(void)snprintf(dir, sizeof(dir), "%s/etc", root);
	cr_expect_eq(rmdir(dir), 0, "something was left there");
	cr_expect_eq(rmdir(root), 0);
}

static void write_conf(const char *text)
{
	cr_assert_eq(file_replace(conf, text, strlen(text), 0640), 0);
}

/* All but the note in front. */
static void expect(const char *path, const char *want)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *text;

	cr_assert_eq(file_read(path, 4096, &b), 0, "%s", path);
	text = b.data ? b.data : "";
	while (*text == '#')
		text += strcspn(text, "\n") + 1;
	cr_expect_str_eq(text, want, "%s: %s", path, text);
}

static void take(int want)
{
	struct err err = {0};

	cr_expect_eq(resolver_file_take(root, &server, &err), want, "%s", err.text);
}

static void give_back(int want)
{
	struct err err = {0};

	cr_expect_eq(resolver_file_give_back(root, &err), want, "%s", err.text);
}

TestSuite(resolver_file, .init = begin, .fini = end);

Test(resolver_file, the_agent_comes_first_and_all_is_given_back)
{
	static const char before[] = "; by hand\nsearch a b\noptions rotate ndots:2\trotate timeout:1\nnameserver 10.0.0.1\nnameserver 10.0.0.2";
	struct stat then, now;
	CLEANUP(buf_done) struct buf b = {0};

	write_conf(before);
	cr_assert_eq(chmod(conf, 0640), 0);
	cr_assert_eq(stat(conf, &then), 0);
	take(1);
	expect(conf, "nameserver 127.18.53.53\n; by hand\nsearch a b\noptions ndots:2 timeout:1\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n");
	cr_assert_eq(stat(conf, &now), 0);
	cr_expect_eq(now.st_mode, then.st_mode);
	take(0); /* again: nothing to do */
	give_back(1);
	cr_assert_eq(stat(conf, &now), 0);
	cr_expect_eq(now.st_ino, then.st_ino, "it is another file");
	cr_expect_eq(now.st_mtim.tv_nsec, then.st_mtim.tv_nsec);
	cr_expect_eq(now.st_nlink, 1);
	cr_assert_eq(file_read(conf, 4096, &b), 0);
	cr_expect_str_eq(b.data, before);
	give_back(0);
}

Test(resolver_file, who_writes_it_anew_has_the_last_word)
{
	write_conf("nameserver 10.0.0.1\n");
	take(1);
	write_conf("nameserver 10.0.0.9\n");
	take(1);
	expect(conf, "nameserver 127.18.53.53\nnameserver 10.0.0.9\n");
	expect(backup, "nameserver 10.0.0.9\n");
	write_conf("nameserver 10.0.0.7\n");
	give_back(0);
	expect(conf, "nameserver 10.0.0.7\n");
}

Test(resolver_file, what_is_there_already_stays)
{
	write_conf("nameserver 127.18.53.53\nnameserver 10.0.0.1\n");
	take(0);
	cr_expect_eq(access(backup, F_OK), -1);
	write_conf("options x\n");
	take(1);
	expect(conf, "nameserver 127.18.53.53\noptions x\n");
	give_back(1);
	write_conf("");
	take(1);
	expect(conf, "nameserver 127.18.53.53\n");
	give_back(1);
	expect(conf, "");
}

Test(resolver_file, without_the_file_of_before)
{
	write_conf("search a\nnameserver 10.0.0.1\n");
	take(1);
	cr_assert_eq(unlink(backup), 0);
	take(0);
	give_back(1);
	expect(conf, "search a\nnameserver 10.0.0.1\n");
	write_conf("nameserver 10.0.0.1\n");
	take(1);
	cr_assert_eq(unlink(conf), 0); /* somebody took ours away */
	give_back(1);
	expect(conf, "nameserver 10.0.0.1\n");
}

/* Ended while it wrote: ours goes, and only ours. */
Test(resolver_file, a_write_that_was_cut_short)
{
	char unfinished[80];

	(void)snprintf(unfinished, sizeof(unfinished), "%s.new", conf);
	write_conf("nameserver 10.0.0.1\n");
	take(1);
	cr_assert_eq(rename(conf, unfinished), 0);
	cr_assert_eq(link(backup, conf), 0);
	give_back(0);
	expect(conf, "nameserver 10.0.0.1\n");
	cr_expect_eq(access(unfinished, F_OK), -1);
	cr_expect_eq(access(backup, F_OK), -1);
	cr_assert_eq(file_replace(unfinished, "nameserver 10.0.0.2\n", 20, 0644), 0);
	take(-EEXIST);
	give_back(0);
	expect(conf, "nameserver 10.0.0.1\n");
	expect(unfinished, "nameserver 10.0.0.2\n");
	cr_assert_eq(file_replace(unfinished, "", 0, 0644), 0); /* nothing had reached the disk */
	take(1);
	give_back(1);
	cr_expect_eq(access(unfinished, F_OK), -1);
}

Test(resolver_file, a_link_is_left_alone)
{
	cr_assert_eq(symlink("/run/elsewhere", conf), 0);
	take(-EINVAL);
	give_back(0);
	cr_assert_eq(unlink(conf), 0);
	take(-ENOENT);
	give_back(0);
}
