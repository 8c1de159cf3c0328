/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API servers are: given and learned, each once, and of the learned ones not more than may be. */
#include <criterion/criterion.h>

#include "agentd/servers.h"

static struct servers s;

static void teardown(void)
{
	servers_done(&s);
}

static int learn(const char *text, uint16_t port)
{
	struct ip ip;

	cr_assert_eq(ip_parse(text, &ip), 0);
	return servers_learn(&s, &ip, port);
}

/* As "address:port address:port". */
static void expect_all(const char *want)
{
	CLEANUP(free) char *have = strdup("");

	cr_assert_eq(s.all.ips.n, s.all.ports.n);
	for (size_t i = 0; i < s.all.ips.n; i++) {
		char text[IP_STRLEN];
		char *more = str_printf("%s%s%s:%u", have, i ? " " : "", ip_str(&s.all.ips.v[i], text), s.all.ports.v[i]);

		free(have);
		have = more;
	}
	cr_expect_str_eq(have, want);
}

static void give(const char *url)
{
	CLEANUP(strv_done) struct strv urls = {0};

	cr_assert_eq(strv_add(&urls, url), 0);
	cr_assert_eq(servers_give(&s, &urls), 0);
}

Test(servers, each_once, .fini = teardown)
{
	give("https://api.example:6443"); /* nobody is asked for it */
	expect_all("");
	give("https://192.0.2.1:6443");
	cr_expect(s.is_stale);
	expect_all("192.0.2.1:6443");
	s.is_stale = false;
	cr_expect_eq(learn("192.0.2.1", 6443), 0, "it was given");
	cr_expect_not(s.is_stale);
	cr_expect_eq(learn("192.0.2.1", 443), 1);
	cr_expect_eq(learn("192.0.2.2", 6443), 1, "the name has another address now");
	cr_expect(s.is_stale);
	s.is_stale = false;
	cr_expect_eq(learn("192.0.2.2", 6443), 0);
	cr_expect_not(s.is_stale);
	expect_all("192.0.2.1:6443 192.0.2.1:443 192.0.2.2:6443");
}

/* A name server that answers with ever new addresses gets no more than these past policy. */
Test(servers, what_is_learned_is_bounded, .fini = teardown)
{
	char text[IP_STRLEN];

	give("https://192.0.2.1:6443");
	for (unsigned i = 0; i < 3 * SERVERS_LEARNED_MAX; i++) {
		(void)snprintf(text, sizeof(text), "198.51.100.%u", i);
		cr_expect_eq(learn(text, 6443), 1);
		cr_expect_eq(learn("203.0.113.1", 6443), i == 0, "the one that is used stays");
	}
	cr_expect_eq(s.all.ips.n, 1 + SERVERS_LEARNED_MAX);
	cr_expect_str_eq(ip_str(&s.all.ips.v[0], text), "192.0.2.1");
	cr_expect_eq(learn("198.51.100.0", 6443), 1, "the oldest is gone");
	cr_expect_eq(s.all.ips.n, 1 + SERVERS_LEARNED_MAX);
}
