/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat against the in-tree API server: cheap, and it tells a copy of this machine from its admin. */
#include "../lib/helpers.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/lease.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases"
#define LEASE  LEASES "/h1"

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct lease *lease;
static unsigned n_conflicts, n_ends;
static char other_holder[64];

static void on_conflict(const char *other, void *arg)
{
	(void)arg;
	if (!other)
		n_ends++;
	else
		n_conflicts++;
	(void)snprintf(other_holder, sizeof(other_holder), "%s", other ? other : "");
}

static void setup(void)
{
	CLEANUP(buf_done) struct buf ca = {0};
	const struct lease_conf lc = {.host = "h1", .holder = "h1/boot-1", .on_conflict = on_conflict};
	struct kube_conf conf = {.n_servers = 1};
	const char *servers[1];
	struct err err = {0};

	world_start(&w, NULL);
	servers[0] = w.api->url;
	conf.servers = servers;
	conf.token = w.api->token;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(file_read(w.api->ca_path, 1 << 20, &ca), 0);
	conf.ca_pem = ca.data;
	cr_assert_eq(kube_client_new(loop, &conf, &client, &err), 0, "%s", err.text);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "mesh-hosts"), "/api/v1/namespaces");
	want_code(&w, 201, "POST", json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "h1", "spec", "holderIdentity", "h1"), LEASES);
	cr_assert_eq(lease_new(loop, client, &lc, &lease), 0);
}

static void teardown(void)
{
	lease_free(lease);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

/* How often the host itself asked: the tests read and write as the admin, through their own connection. */
static unsigned asked(const char *verb)
{
	CLEANUP(json) json_t *stats = want(&w, 200, "GET", NULL, "/test/stats");
	CLEANUP(free) char *key = str_printf("%s leases", verb);

	return (unsigned)json_integer_value(json_object_get(json_object_get(stats, "requests"), key));
}

static unsigned version_of(const json_t *doc)
{
	return (unsigned)strtoul(text_at(doc, "metadata", "resourceVersion", NULL), NULL, 10);
}

static unsigned version(void)
{
	CLEANUP(json) json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	return version_of(doc);
}

/* Renews once, however long that takes. */
static void renew(void)
{
	unsigned before = version();
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;

	lease_kick(lease);
	while (clock_boot_us() < end) {
		(void)loop_once(loop, 20000);
		if (version() != before)
			break;
	}
	for (unsigned i = 0; i < 5; i++)
		(void)loop_once(loop, 10000); /* the answer, too */
	cr_assert_neq(version(), before);
}

static void written_by(const char *holder)
{
	json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	(void)json_object_set_new(json_object_get(doc, "spec"), "holderIdentity", json_string(holder));
	want_code(&w, 200, "PUT", doc, LEASE);
}

Test(lease, one_request_each_time, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;
	unsigned updates;

	renew();
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-1");
	updates = asked("update");
	for (unsigned i = 0; i < 3; i++) {
		/* What the host does between these two is one PUT. */
		unsigned gets;

		gets = asked("get");
		lease_kick(lease);
		for (uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC; asked("update") == updates && clock_boot_us() < end;)
			(void)loop_once(loop, 20000);
		for (unsigned j = 0; j < 5; j++)
			(void)loop_once(loop, 10000);
		cr_expect_eq(asked("update"), ++updates);
		cr_expect_eq(asked("get"), gets, "it knows the version from its last write");
	}
	cr_expect_eq(n_conflicts, 0);
}

/* `meshctl host add` for a host that runs writes its name only. */
Test(lease, an_admin_is_no_clone, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;

	renew();
	written_by("h1");
	renew();
	renew();
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-1");
	cr_expect_eq(n_conflicts, 0);
}

Test(lease, a_clone_is_noticed_and_forgotten, .init = setup, .fini = teardown)
{
	renew();
	written_by("h1/boot-2");
	renew();
	cr_expect_eq(n_conflicts, 1);
	cr_expect_str_eq(other_holder, "h1/boot-2");
	for (unsigned i = 0; i < 4; i++)
		renew();
	cr_expect_eq(n_ends, 0);
	renew();
	cr_expect_eq(n_ends, 1, "alone for five renewals");
	cr_expect_eq(n_conflicts, 1);
}

/* The boot before is no clone. */
Test(lease, an_earlier_boot_is_no_clone, .init = setup, .fini = teardown)
{
	written_by("h1/boot-0");
	renew();
	cr_expect_eq(n_conflicts, 0);
}
