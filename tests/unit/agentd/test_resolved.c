/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd-resolved is told of our link, and what becomes of it when that goes wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agentd/resolved.h"
#include "base/clock.h"
#include "base/macro.h"
#include "fake_resolved.h"

static const char all[] = "SetLinkDomains 7 cluster.local:1 clusterset.local:1 96.10.in-addr.arpa:1\nSetLinkDefaultRoute 7 0\nSetLinkLLMNR 7 no\n"
			  "SetLinkMulticastDNS 7 no\nSetLinkDNSOverTLS 7 no\nSetLinkDNSSEC 7 no\nSetLinkDNS 7 198.18.53.53\n";

struct lab {
	struct loop *loop;
	struct health *health;
	struct fake_resolved *fake;
	struct resolved *resolved;
	char path[64];
	bool is_asking;
	int *refused; /* counts; NULL = nobody does */
};

static void lab_init(struct lab *l)
{
	char address[96];

	*l = (struct lab){0};
	(void)snprintf(l->path, sizeof(l->path), "/tmp/test-resolved.%d", getpid());
	(void)snprintf(address, sizeof(address), "unix:path=%s", l->path);
	cr_assert_eq(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
	cr_assert_eq(loop_new(&l->loop), 0);
	cr_assert_eq(health_new(&l->health), 0);
}

static void serve(struct lab *l)
{
	cr_assert_eq(fake_resolved_new(l->path, &l->fake), 0);
}

static void note_refused(void *arg)
{
	++*(int *)arg;
}

static void start(struct lab *l)
{
	static char *names[] = {(char *)"cluster.local", (char *)"clusterset.local", (char *)"96.10.in-addr.arpa"};
	static const struct strv domains = {names, ARRAY_LEN(names)};
	struct resolved_setup s = {.loop = l->loop, .health = l->health, .domains = &domains, .ifindex = 7,
				    .is_asking = l->is_asking,
				    .on_refused = l->refused ? note_refused : NULL, .arg = l->refused};

	cr_assert_eq(ip_parse(RESOLVED_ADDRESS, &s.ip), 0);
	cr_assert_eq(resolved_new(&s, &l->resolved), 0);
}

static void lab_done(struct lab *l)
{
	resolved_free(l->resolved);
	cr_expect(!health_has(l->health, "dns.resolved"));
	fake_resolved_free(l->fake);
	health_free(l->health);
	loop_free(l->loop);
	(void)unlink(l->path);
}

static void step(struct lab *l)
{
	fake_resolved_run(l->fake, 5);
	cr_assert(loop_once(l->loop, 5000) >= 0);
}

/* Waits until all of it was said, at most ten seconds. */
static void expect_told(struct lab *l, const char *want)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	char text[4096] = "";

	while (strlen(text) < strlen(want) && clock_boot_us() < end) {
		size_t len = strlen(text);

		step(l);
		(void)snprintf(text + len, sizeof(text) - len, "%s", fake_resolved_take(l->fake));
	}
	cr_expect_str_eq(text, want, "%s", text);
}

static void expect_condition(struct lab *l, bool is_there)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;

	while (health_has(l->health, "dns.resolved") != is_there && clock_boot_us() < end)
		step(l);
	cr_expect_eq(health_has(l->health, "dns.resolved"), is_there);
}

Test(resolved, is_told_and_told_again)
{
	struct lab l;

	lab_init(&l);
	serve(&l);
	start(&l);
	expect_told(&l, all);
	expect_condition(&l, false);
	fake_resolved_announce(l.fake, 0); /* it restarts */
	fake_resolved_announce(l.fake, 1);
	expect_told(&l, all);
	lab_done(&l);
}

Test(resolved, a_refusal_is_a_condition_until_it_is_taken_back)
{
	struct lab l;

	lab_init(&l);
	serve(&l);
	fake_resolved_refuse(l.fake, "Link mesh_dns is managed.");
	start(&l);
	expect_told(&l, all);
	expect_condition(&l, true);
	fake_resolved_refuse(l.fake, NULL);
	fake_resolved_announce(l.fake, 1);
	expect_told(&l, all);
	expect_condition(&l, false);
	lab_done(&l);
}

Test(resolved, who_may_not_tell_it_finds_out_whether_another_has)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	struct lab l;
	int refused = 0;

	lab_init(&l);
	serve(&l);
	l.refused = &refused;
	fake_resolved_forbid(l.fake, 0);
	start(&l);
	while (!refused && clock_boot_us() < end)
		step(&l);
	cr_expect_eq(refused, 1);
	cr_expect(!health_has(l.health, "dns.resolved"), "another has some time");
	cr_expect(!resolved_is_told(l.resolved));
	fake_resolved_forbid(l.fake, 1);
	while (!resolved_is_told(l.resolved) && clock_boot_us() < end)
		step(&l);
	cr_expect(resolved_is_told(l.resolved));
	cr_expect_eq(refused, 1);
	fake_resolved_forbid(l.fake, 0);
	fake_resolved_announce(l.fake, 1); /* started anew, and knows nothing */
	expect_condition(&l, true);
	cr_expect_eq(refused, 2);
	lab_done(&l);
}

Test(resolved, what_it_knows_is_not_told_again)
{
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;
	struct lab l;

	lab_init(&l);
	serve(&l);
	l.is_asking = true;
	fake_resolved_forbid(l.fake, 1); /* somebody has told it */
	start(&l);
	while (!resolved_is_told(l.resolved) && clock_boot_us() < end)
		step(&l);
	cr_expect(resolved_is_told(l.resolved));
	cr_expect_str_eq(fake_resolved_take(l.fake), "");
	resolved_free(l.resolved);
	fake_resolved_free(l.fake);
	serve(&l); /* another, that knows nothing */
	start(&l);
	expect_told(&l, all);
	lab_done(&l);
}

Test(resolved, no_bus_is_a_condition)
{
	struct lab l;

	lab_init(&l);
	start(&l);
	cr_expect(health_has(l.health, "dns.resolved"));
	lab_done(&l);
}
