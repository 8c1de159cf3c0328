/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API servers and the resolvers are: given, learned and read, each once, and of the learned ones not more than may be. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "agentd/failsafe.h"
#include "agentd/resolv_conf.h"
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

static bool has_dns(const struct failsafe_list *l, const char *text, uint8_t protocol)
{
	struct cidr c;

	cr_assert_eq(cidr_parse(text, false, &c), 0);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].port == 53 && l->v[i].protocol == protocol && l->v[i].dir == MESH_EGRESS && cidr_cmp(&l->v[i].cidr, &c) == 0)
			return true;
	return false;
}

/* Resolvers of clouds have link-local addresses: they are no more on this host than others. */
Test(failsafe, resolvers)
{
	static const char text[] = "dns: { upstreams = [ \"169.254.169.254\", \"192.0.2.53\", \"127.0.0.1\" ]; };";
	CLEANUP(conf_free) struct conf *conf = NULL;
	struct failsafe_list l = {0};
	struct err err = {0};

	cr_assert_eq(conf_parse(text, sizeof(text) - 1, "test", &conf, &err), 0, "%s", err.text);
	cr_assert_eq(failsafe_build(conf, NULL, NULL, 0, &l), 0);
	cr_expect(has_dns(&l, "169.254.169.254/32", IPPROTO_UDP));
	cr_expect(has_dns(&l, "169.254.169.254/32", IPPROTO_TCP));
	cr_expect(has_dns(&l, "192.0.2.53/32", IPPROTO_UDP));
	cr_expect_not(has_dns(&l, "127.0.0.1/32", IPPROTO_UDP));
	free(l.v);
}

static int collect(const struct ip *ip, void *arg)
{
	char text[IP_STRLEN];
	struct buf *all = arg;

	return buf_addf(all, "%s%s", all->len ? " " : "", ip_str(ip, text));
}

Test(resolv_conf, servers)
{
	static const char text[] = "search example\nnameserver 192.0.2.53\n  nameserver fe80::1%eth0\nnameserver fe80::2%enp0s31f6.4000 # x\n"
				   "nameserver no-address\nnameserver\n#nameserver 192.0.2.54\nnameserver 2001:db8::53\n";
	CLEANUP(buf_done) struct buf all = {0};
	char path[] = "/tmp/test-resolv-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	cr_assert_eq(close(fd), 0);
	cr_expect_eq(resolv_conf_each_in(path, collect, &all), 0);
	cr_expect_str_eq(all.data, "192.0.2.53 fe80::1 fe80::2 2001:db8::53");
	cr_expect_eq(unlink(path), 0);
}
