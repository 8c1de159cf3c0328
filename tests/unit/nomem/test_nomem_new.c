/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon is put together from begins as a whole, or not at all. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agentd/servers.h"
#include "base/macro.h"
#include "conf/conf.h"
#include "dns/dns_server.h"
#include "forward/forward.h"
#include "join/lease.h"
#include "join/publish.h"
#include "join/register.h"
#include "join/renew.h"
#include "join/service_events.h"
#include "nomem.h"
#include "probe/probes.h"
#include "unit/crypto/certs.h"

static const char text[] = "health-probes = ( { service = \"a\"; type = \"tcp\"; port = 80; }, { service = \"b\"; type = \"http\"; port = 81; } );\n"
			   "forwards = ( { address = \"127.0.0.1\"; port = 1; service = \"a\"; service-port = 80; } );\n";

struct parts {
	struct loop *loop;
	struct kube_client *client;
	struct conf *conf;
	struct servers servers;
};

static void *parts_begin(const void *arg)
{
	const char *server = "https://127.0.0.1:1";
	const struct kube_conf kube = {.servers = &server, .n_servers = 1, .ca_pem = CA_A, .token = "t"};
	struct parts *p = calloc(1, sizeof(*p));
	CLEANUP(strv_done) struct strv urls = {0};

	(void)arg;
	NOMEM_NEED(p);
	cr_assert_eq(loop_new(&p->loop), 0);
	cr_assert_eq(kube_client_new(p->loop, &kube, &p->client, NULL), 0);
	cr_assert_eq(conf_parse(text, strlen(text), "t.conf", &p->conf, NULL), 0);
	cr_assert_eq(strv_add(&urls, "https://192.0.2.1:6443"), 0);
	cr_assert_eq(servers_give(&p->servers, &urls), 0);
	return p;
}

static void parts_end(void *state)
{
	struct parts *p = state;

	kube_client_free(p->client);
	loop_free(p->loop);
	conf_free(p->conf);
	servers_done(&p->servers);
	free(p);
}

static int a_client(void *state)
{
	struct parts *p = state;
	const char *servers[] = {"https://192.0.2.1:6443", "https://192.0.2.2:6443"};
	const struct kube_conf conf = {.servers = servers, .n_servers = 2, .ca_pem = CA_A, .token = "t"};
	CLEANUP(kube_client_free) struct kube_client *c = NULL;
	struct err err;
	int r = kube_client_new(p->loop, &conf, &c, &err);

	return r < 0 ? r : kube_client_set_token(c, "another");
}

static int a_server(void *state)
{
	struct parts *p = state;
	const struct dns_upstream up = {.ip = {.family = AF_INET, .b = {192, 0, 2, 53}}, .port = 53};
	const struct dns_server_options o = {.cache_entries = 10, .forward = {.upstreams = &up, .n_upstreams = 1}};
	/* nobody else's: with any free port the number of tries, and so of allocations, would be a matter of luck */
	const struct ip ip = {.family = AF_INET, .b = {127, 53, (uint8_t)(getpid() >> 8), (uint8_t)getpid()}};
	enum { PORT = 15353 };
	CLEANUP(dns_server_free) struct dns_server *s = NULL;
	struct err err;
	int r = dns_server_new(p->loop, &o, &s);

	return r < 0 ? r : dns_server_listen(s, &ip, PORT, NULL, &err);
}

static bool pick(const struct conf_forward *f, struct ip *ret_ip, uint16_t *ret_port, void *arg)
{
	(void)f;
	(void)ret_ip;
	(void)ret_port;
	(void)arg;
	return false;
}

static int forwards(void *state)
{
	struct parts *p = state;
	const struct forwards_conf fc = {.pick = pick};
	CLEANUP(forwards_free) struct forwards *f = NULL;
	int r = forwards_new(p->loop, p->conf, &fc, &f);

	return r < 0 ? r : forwards_reload(f);
}

static void ignore(void *arg)
{
	(void)arg;
}

static int probes(void *state)
{
	struct parts *p = state;
	struct probes *x = NULL;
	int r = probes_new(p->loop, p->conf, ignore, NULL, &x);

	probes_free(x);
	return r;
}

static int registration_and_lease(void *state)
{
	struct parts *p = state;
	const struct registration_conf rc = {.host = "h", .namespace = "n", .identity = 300};
	const struct lease_conf lc = {.host = "h", .holder = "h/1"};
	const struct renewal_conf nc = {.host = "h"};
	CLEANUP(registration_free) struct registration *r = NULL;
	CLEANUP(lease_free) struct lease *l = NULL;
	struct renewal *n = NULL;
	int e = registration_new(p->loop, p->client, &rc, &r);

	if (e == 0)
		e = lease_new(p->loop, p->client, &lc, &l);
	if (e == 0)
		e = renewal_new(p->loop, p->client, &nc, "t", &n);
	renewal_free(n);
	return e;
}

static int publish_and_events(void *state)
{
	struct parts *p = state;
	const struct publish_conf pc = {.host = "h", .ns = "n", .addresses = "192.0.2.1/32"};
	CLEANUP(publish_free) struct publish *x = NULL;
	struct service_events *e = NULL;
	int r = publish_new(p->loop, p->client, &pc, &x);

	if (r == 0)
		r = service_events_new(p->loop, p->client, "h", "n", &e);
	service_events_free(e);
	return r;
}

/* Addresses that the datapath always lets through. */
static int servers(void *state)
{
	struct parts *p = state;
	CLEANUP(strv_done) struct strv urls = {0};
	int r = strv_add(&urls, "https://192.0.2.1:6443");

	for (unsigned i = 0; i < 3 && r == 0; i++)
		r = strv_add(&urls, i ? "https://[fd00::1]:443" : "https://name.example:1");
	if (r == 0)
		r = servers_give(&p->servers, &urls);
	for (uint8_t i = 0; i < 12 && r >= 0; i++)
		r = servers_learn(&p->servers, &(struct ip){.family = AF_INET, .b = {198, 51, 100, i}}, 6443);
	return r < 0 ? r : 0;
}

static void parts_dump(void *state, FILE *out)
{
	struct parts *p = state;
	char ip[IP_STRLEN];

	for (size_t i = 0; i < p->servers.all.ips.n; i++)
		(void)fprintf(out, "%s %u\n", ip_str(&p->servers.all.ips.v[i], ip), p->servers.all.ports.v[i]);
}

Test(nomem_new, parts)
{
	const struct nomem all[] = {
		{.name = "a client", .run = a_client, .is_atomic = true},
		{.name = "a DNS server", .run = a_server, .is_atomic = true},
		{.name = "forwards", .run = forwards, .is_atomic = true},
		{.name = "probes", .run = probes, .is_atomic = true},
		{.name = "registration, lease and renewal", .run = registration_and_lease, .is_atomic = true},
		{.name = "publish and events", .run = publish_and_events, .is_atomic = true},
		{.name = "addresses of API servers", .run = servers},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = parts_begin;
		n.dump = parts_dump;
		n.end = parts_end;
		nomem_try(&n);
	}
}
