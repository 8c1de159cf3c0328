/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side: what it wants, and what it says when nobody does it. Here the test plays root. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/resolver.h"
#include "agentd/resolver_file.h"
#include "agentd/resolver_wire.h"
#include "base/file.h"
#include "base/str.h"

static char root[] = "/tmp/test-resolver.XXXXXX";

struct lab {
	struct loop *loop;
	struct health *health;
	struct conf *conf;
	struct resolver *resolver;
	char dir[64], file[96], wish[96];
};

static void put(const char *path, const char *text)
{
	cr_assert_eq(file_replace(path, text, strlen(text), 0600), 0);
}

static void lab_init(struct lab *l, const char *mode)
{
	CLEANUP(free) char *text = NULL;
	char path[96];
	struct err err = {0};

	*l = (struct lab){0};
	cr_assert_not_null(mkdtemp(root));
	(void)snprintf(l->dir, sizeof(l->dir), "%s/etc", root);
	(void)snprintf(l->file, sizeof(l->file), "%s" RESOLVER_CONF, root);
	(void)snprintf(l->wish, sizeof(l->wish), "%s/" RESOLVER_WISH, root);
	(void)snprintf(path, sizeof(path), "%s/agent.conf", root);
	cr_assert_eq(file_mkdirs(l->dir, 0700), 0);
	put(l->file, "nameserver 10.0.0.1\n");
	text = str_printf("runtime-dir = \"%s\"; dns: { host-resolver = \"%s\"; };\n", root, mode);
	put(path, text);
	cr_assert_eq(conf_load(path, &l->conf, &err), 0, "%s", err.text);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(loop_new(&l->loop), 0);
	cr_assert_eq(health_new(&l->health), 0);
}

static void make(struct lab *l)
{
	const struct resolver_setup setup = {.loop = l->loop, .health = l->health, .conf = l->conf, .root = root};

	cr_assert_eq(resolver_new(&setup, &l->resolver), 0);
}

static void start(struct lab *l)
{
	make(l);
	cr_assert_eq(resolver_start(l->resolver), 0);
}

static bool is_wanted(const struct lab *l)
{
	return access(l->wish, F_OK) == 0;
}

static void lab_done(struct lab *l)
{
	struct err err;

	resolver_free(l->resolver);
	cr_expect(!is_wanted(l));
	cr_expect(!health_has(l->health, "dns.host-resolver"));
	cr_expect_geq(resolver_file_give_back(root, &err), 0);
	cr_expect_eq(unlink(l->file), 0);
	cr_expect_eq(rmdir(l->dir), 0);
	cr_expect_eq(rmdir(root), 0);
	health_free(l->health);
	loop_free(l->loop);
	conf_free(l->conf);
}

Test(resolver, it_is_wanted_until_it_is_done)
{
	struct resolver_host host;
	struct err err = {0};
	struct lab l;
	const char *why;

	lab_init(&l, "auto");
	start(&l);
	cr_expect(is_wanted(&l));
	cr_expect_eq(resolver_state(l.resolver, &host, &why), RESOLVER_BY_FILE);
	cr_expect_null(why);
	resolver_look(l.resolver);
	cr_expect(!health_has(l.health, "dns.host-resolver"), "too early to complain");
	cr_expect_eq(unlink(l.wish), 0);
	resolver_look(l.resolver);
	cr_expect(health_has(l.health, "dns.host-resolver"), "nobody does it");
	cr_expect(is_wanted(&l), "and it is wanted anew");
	cr_expect_eq(resolver_file_take(root, &l.conf->dns.listen.v[0], &err), 1, "%s", err.text);
	resolver_look(l.resolver);
	cr_expect(!health_has(l.health, "dns.host-resolver"), "it is done");
	put(l.file, "nameserver 10.0.0.2\n"); /* somebody has undone it */
	cr_expect_eq(unlink(l.wish), 0);
	resolver_look(l.resolver);
	cr_expect(is_wanted(&l));
	cr_expect(!health_has(l.health, "dns.host-resolver"));
	lab_done(&l);
}

Test(resolver, what_failed_is_done_when_it_can_be)
{
	struct lab l;

	lab_init(&l, "auto");
	cr_assert_eq(mkdir(l.wish, 0700), 0); /* no file can be there */
	make(&l);
	cr_expect_lt(resolver_start(l.resolver), 0);
	cr_expect(health_has(l.health, "dns.host-resolver"));
	cr_expect_lt(resolver_start(l.resolver), 0, "nor now");
	cr_assert_eq(rmdir(l.wish), 0);
	cr_expect_eq(resolver_start(l.resolver), 0);
	cr_expect(is_wanted(&l));
	cr_expect(!health_has(l.health, "dns.host-resolver"));
	cr_expect_eq(unlink(l.wish), 0);
	cr_expect_eq(resolver_start(l.resolver), 0);
	cr_expect(!is_wanted(&l), "it is done already");
	lab_done(&l);
}

Test(resolver, what_cannot_split_is_left_alone)
{
	struct resolver_host host;
	struct lab l;
	const char *why;

	lab_init(&l, "split");
	put(l.wish, "of an earlier run\n");
	start(&l);
	cr_expect(!is_wanted(&l));
	cr_expect_eq(resolver_state(l.resolver, &host, &why), RESOLVER_LEAVE);
	cr_expect(why && strstr(why, "auto"), "%s", why ? why : "no reason");
	resolver_look(l.resolver);
	resolver_look(l.resolver);
	cr_expect(!is_wanted(&l));
	cr_expect(!health_has(l.health, "dns.host-resolver"));
	lab_done(&l);
}

Test(resolver, another_file_another_way)
{
	struct resolver_host host;
	struct lab l;
	const char *why;

	lab_init(&l, "auto");
	put(l.file, "nameserver 127.0.0.1\n");
	start(&l);
	cr_expect(!is_wanted(&l));
	cr_expect_eq(resolver_state(l.resolver, &host, &why), RESOLVER_LEAVE);
	put(l.file, "nameserver 10.0.0.1\n");
	resolver_look(l.resolver);
	cr_expect(is_wanted(&l));
	cr_expect_eq(resolver_state(l.resolver, &host, &why), RESOLVER_BY_FILE);
	put(l.file, "nameserver 127.0.0.1\n");
	resolver_look(l.resolver);
	cr_expect(!is_wanted(&l));
	lab_done(&l);
}
