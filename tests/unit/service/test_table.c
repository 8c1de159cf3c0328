/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/limits.h"
#include "objects.h"
#include "service/service.h"

/* What a flush reported, as text: "+10.0.0.1=web " new, "~" changed, "-" gone. */
struct log {
	char text[4096];
	size_t n;
};

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	struct log *l = arg;
	const struct frontend *f = now ? now : old;
	char ip[IP_STRLEN];
	size_t len = strlen(l->text);

	l->n++;
	(void)snprintf(l->text + len, sizeof(l->text) - len, "%s%s=%s/%zu ", !old ? "+" : now ? "~" : "-",
		       ip_str(&f->ip, ip), f->name, f->n_backends);
}

static void expect_flush(struct service_table *t, const char *want)
{
	struct log l = {0};

	cr_assert(service_table_flush(t, on_change, &l) == 0);
	cr_expect_str_eq(l.text, want, "flush said '%s', not '%s'", l.text, want);
	cr_expect(!service_table_is_dirty(t));
}

static struct service_table *new_table(void)
{
	struct service_table *t;

	cr_assert(service_table_new(NULL, &t) == 0);
	return t;
}

Test(table, slices_before_and_after_their_service)
{
	struct service_table *t = new_table();

	cr_assert(service_table_upsert_slice(t, simple_slice("web-1", "web", "10.1.0.1")) == 0);
	expect_flush(t, "");
	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.1", 1)) == 0);
	expect_flush(t, "+10.96.0.1=web/1 ");
	cr_assert(service_table_upsert_slice(t, simple_slice("web-2", "web", "10.1.0.2")) == 0);
	expect_flush(t, "~10.96.0.1=web/2 ");
	cr_assert(service_table_upsert_slice(t, simple_slice("web-2", "web", "10.1.0.2")) == 0);
	expect_flush(t, ""); /* nothing that a client could notice */
	cr_assert(service_table_upsert_slice(t, simple_slice("web-2", "other", "10.1.0.2")) == 0);
	expect_flush(t, "~10.96.0.1=web/1 "); /* the slice was moved away */
	service_table_remove_slice(t, "prod", "web-1");
	expect_flush(t, "~10.96.0.1=web/0 ");
	service_table_remove(t, "prod", "web");
	service_table_remove(t, "prod", "web");
	service_table_remove(t, "prod", "unknown");
	service_table_remove_slice(t, "prod", "unknown");
	expect_flush(t, "-10.96.0.1=web/0 ");
	service_table_free(t);
}

Test(table, a_changed_address_is_a_new_frontend)
{
	struct service_table *t = new_table();

	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.1", 1)) == 0);
	expect_flush(t, "+10.96.0.1=web/0 ");
	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.3", 1)) == 0);
	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.2", 1)) == 0);
	expect_flush(t, "-10.96.0.1=web/0 +10.96.0.2=web/0 ");
	service_table_free(t);
}

static int find_frontend(const struct frontend *f, void *arg)
{
	struct frontend *ret = arg;

	*ret = *f;
	return 1;
}

Test(table, the_oldest_service_has_a_contested_frontend)
{
	struct service_table *t = new_table();
	struct service_counts c;

	cr_assert(service_table_upsert(t, simple_service("young", "10.96.0.1", 20)) == 0);
	expect_flush(t, "+10.96.0.1=young/0 ");
	cr_assert(service_table_upsert(t, simple_service("old", "10.96.0.1", 10)) == 0);
	expect_flush(t, "~10.96.0.1=old/0 ");
	cr_assert(service_table_upsert(t, simple_service("newest", "10.96.0.1", 30)) == 0);
	expect_flush(t, "");
	service_table_counts(t, &c);
	cr_expect_eq(c.conflicts, 2);
	cr_expect_eq(c.frontends, 1);
	cr_assert(service_table_upsert_slice(t, simple_slice("young-1", "young", "10.1.0.1")) == 0);
	expect_flush(t, ""); /* a change of who does not have it */
	service_table_remove(t, "prod", "old");
	expect_flush(t, "~10.96.0.1=young/1 ");
	cr_assert(service_table_upsert(t, simple_service("young", "10.96.0.1", 40)) == 0);
	expect_flush(t, "~10.96.0.1=newest/0 "); /* made anew, it is the younger now */
	service_table_remove(t, "prod", "young");
	service_table_remove(t, "prod", "newest");
	expect_flush(t, "-10.96.0.1=newest/0 ");
	service_table_counts(t, &c);
	cr_expect_eq(c.conflicts, 0);
	cr_expect_eq(c.frontends, 0);
	cr_expect_eq(c.backends, 0);
	service_table_free(t);
}

/* What found no place leaves nothing behind: others find one when there is one again. */
Test(table, more_services_than_it_takes, .timeout = 300)
{
	struct service_table *t = new_table();
	char name[32];

	for (unsigned i = 0; i < 2 * LIMIT_SERVICES; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		cr_assert_eq(service_table_upsert(t, simple_service(name, "None", 1)), i < LIMIT_SERVICES ? 0 : -E2BIG, "%u", i);
	}
	cr_expect_eq(service_table_upsert_slice(t, simple_slice("late-1", "late", "10.1.0.1")), 0);
	service_table_remove(t, "prod", "s0");
	cr_expect_eq(service_table_upsert(t, simple_service("late", "10.96.0.1", 1)), 0);
	expect_flush(t, "+10.96.0.1=late/1 ");
	service_table_free(t);
}

Test(table, equal_age_is_decided_by_name)
{
	struct service_table *t = new_table();
	struct frontend f;

	cr_assert(service_table_upsert(t, simple_service("b", "10.96.0.1", 10)) == 0);
	cr_assert(service_table_upsert(t, simple_service("a", "10.96.0.1", 10)) == 0);
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	cr_assert(service_table_each(t, find_frontend, &f) == 1);
	cr_expect_str_eq(f.name, "a");
	cr_expect_str_eq(service_table_by_cluster_ip(t, &f.ip)->name, "a");
	service_table_free(t);
}

struct ids {
	uint32_t frontend, backend[4];
	size_t n;
};

static int take_ids(const struct frontend *f, void *arg)
{
	struct ids *ids = arg;

	ids->frontend = f->id;
	ids->n = f->n_backends;
	for (size_t i = 0; i < f->n_backends && i < 4; i++)
		ids->backend[i] = f->backends[i].id;
	return 0;
}

Test(table, ids_are_stable_and_survive_a_restart)
{
	struct service_table *t = new_table();
	struct ip ip = ip_of("10.1.0.2"), vip = ip_of("10.96.0.1"), gone = ip_of("10.9.9.9");
	struct ids a = {0}, b = {0};
	struct service_counts c;

	cr_assert(service_table_restore_backend(t, &ip, 8080, IPPROTO_TCP, 77) == 0);
	cr_expect_eq(service_table_restore_backend(t, &ip, 8080, IPPROTO_TCP, 78), -EEXIST);
	cr_expect_eq(service_table_restore_backend(t, &gone, 8080, IPPROTO_TCP, 77), -EEXIST);
	cr_expect_eq(service_table_restore_backend(t, &gone, 1, IPPROTO_TCP, 0), -ERANGE);
	cr_expect_eq(service_table_restore_backend(t, &gone, 1, IPPROTO_TCP, LIMIT_BACKENDS + 1), -ERANGE);
	cr_assert(service_table_restore_backend(t, &gone, 8080, IPPROTO_TCP, 5) == 0);
	cr_assert(service_table_restore_frontend(t, &vip, 80, IPPROTO_TCP, 9) == 0);
	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.1", 1)) == 0);
	cr_assert(service_table_upsert_slice(t, simple_slice("web-2", "web", "10.1.0.2")) == 0);
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	service_table_forget_unused(t);
	service_table_counts(t, &c);
	cr_expect_eq(c.backends, 1);
	(void)service_table_each(t, take_ids, &a);
	cr_expect_eq(a.frontend, 9);
	cr_expect_eq(a.backend[0], 77);
	cr_assert(service_table_upsert_slice(t, simple_slice("web-1", "web", "10.1.0.1")) == 0);
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	(void)service_table_each(t, take_ids, &b);
	cr_assert_eq(b.n, 2);
	cr_expect_eq(b.backend[1], 77); /* sorted: 10.1.0.1 first */
	cr_expect_neq(b.backend[0], 77);
	cr_expect_eq(b.frontend, 9);
	service_table_free(t);
}

Test(table, options_recompute_everything)
{
	struct service_table *t = new_table();
	const struct service_options with_node_ports = {.has_node_ports = true};
	struct kube_service *s = simple_service("web", "10.96.0.1", 1);

	s->ports[0].node_port = 30080;
	cr_assert(service_table_upsert(t, s) == 0);
	expect_flush(t, "+10.96.0.1=web/0 ");
	cr_assert(service_table_set_options(t, &with_node_ports) == 0);
	expect_flush(t, "+0.0.0.0=web/0 ");
	cr_assert(service_table_set_options(t, &with_node_ports) == 0);
	cr_expect(!service_table_is_dirty(t), "the same once more is no change");
	cr_assert(service_table_set_options(t, NULL) == 0);
	expect_flush(t, "-0.0.0.0=web/0 ");
	service_table_free(t);
}

/* Labels of the host's node come and go while a Service waits for one. */
Test(table, node_labels_are_copied)
{
	struct service_table *t = new_table();
	struct kube_service *s = service_of("{'metadata':{'namespace':'prod','name':'edge','annotations':"
					    "{'service.cilium.io/node-selector':'edge'}},'spec':{'clusterIP':'10.96.0.1',"
					    "'ports':[{'port':80}]}}");
	struct strv labels = {0};
	const struct service_options opt = {.node_labels = &labels};

	cr_assert(service_table_upsert(t, s) == 0);
	expect_flush(t, "");
	cr_assert(strv_add(&labels, "edge=true") == 0);
	cr_assert(service_table_set_options(t, &opt) == 0);
	labels.v[0][0] = 'x';
	expect_flush(t, "+10.96.0.1=edge/0 ");
	cr_assert(service_table_set_options(t, &opt) == 0);
	expect_flush(t, "-10.96.0.1=edge/0 ");
	strv_done(&labels);
	cr_assert(service_table_set_options(t, &opt) == 0);
	expect_flush(t, "");
	service_table_free(t);
}

static void count_unused(const struct ip *ip, uint16_t port, uint8_t proto, void *arg)
{
	struct ip want = ip_of("10.1.0.1");

	cr_expect(ip_eq(ip, &want));
	cr_expect_eq(port, 8080);
	cr_expect_eq(proto, IPPROTO_TCP);
	++*(unsigned *)arg;
}

static enum service_use use_of(const struct service_table *t, uint16_t port, uint8_t proto)
{
	struct ip ip = ip_of("10.1.0.1");

	return service_table_backend_use(t, &ip, port, proto);
}

Test(table, backends_go_out_of_use)
{
	struct service_table *t = new_table();
	struct kube_slice *s = simple_slice("web-1", "web", "10.1.0.1");
	unsigned n = 0;

	service_table_on_unused(t, count_unused, &n);
	cr_assert(service_table_upsert(t, simple_service("web", "10.96.0.1", 1)) == 0);
	cr_assert(service_table_upsert(t, simple_service("also", "10.96.0.2", 1)) == 0);
	cr_assert(service_table_upsert_slice(t, s) == 0);
	cr_assert(service_table_upsert_slice(t, simple_slice("also-1", "also", "10.1.0.1")) == 0);
	cr_expect_eq(use_of(t, 8080, IPPROTO_TCP), SERVICE_USE_LISTED, "before the flush");
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	cr_expect_eq(use_of(t, 8080, IPPROTO_TCP), SERVICE_USE_ACTIVE);
	cr_expect_eq(use_of(t, 8081, IPPROTO_TCP), SERVICE_USE_NONE);
	cr_expect_eq(use_of(t, 8080, IPPROTO_UDP), SERVICE_USE_NONE);
	/* the other Service still has it */
	service_table_remove_slice(t, "prod", "also-1");
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	cr_expect_eq(use_of(t, 8080, IPPROTO_TCP), SERVICE_USE_ACTIVE);
	cr_expect_eq(n, 0);
	/* not ready, but known */
	s = simple_slice("web-1", "web", "10.1.0.1");
	s->endpoints[0].conditions = KUBE_EP_SERVING;
	cr_assert(service_table_upsert_slice(t, s) == 0);
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	cr_expect_eq(use_of(t, 8080, IPPROTO_TCP), SERVICE_USE_LISTED);
	cr_expect_eq(n, 1);
	service_table_remove_slice(t, "prod", "web-1");
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	cr_expect_eq(use_of(t, 8080, IPPROTO_TCP), SERVICE_USE_NONE);
	cr_expect_eq(n, 1, "it was out of use already");
	service_table_on_unused(t, NULL, NULL);
	service_table_free(t);
}

static int count_addr(const struct kube_slice *s, const struct kube_slice_endpoint *ep,
		      const struct kube_slice_addr *addr, void *arg)
{
	cr_expect(addr >= s->addrs + ep->first_addr && addr < s->addrs + ep->first_addr + ep->n_addrs);
	++*(size_t *)arg;
	return 0;
}

Test(table, addresses_are_indexed_through_churn)
{
	struct service_table *t = new_table();
	struct service_counts c;
	struct ip ip;
	size_t n;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 400; i++) {
			CLEANUP(free) char *name = str_printf("s-%d", i);
			CLEANUP(free) char *addr = str_printf("10.1.%d.%d", i / 40, i % 20);

			cr_assert(service_table_upsert_slice(t, simple_slice(name, "web", addr)) == 0);
		}
		for (int i = round; i < 400; i += 3) {
			CLEANUP(free) char *name = str_printf("s-%d", i);

			service_table_remove_slice(t, "prod", name);
		}
	}
	service_table_counts(t, &c);
	cr_expect_eq(c.addresses, 400 - 133);
	ip = ip_of("10.1.0.0"); /* s-0 and s-20; the last round took 2, 5, 8 ... 20 */
	n = 0;
	(void)service_table_by_addr(t, &ip, count_addr, &n);
	cr_expect_eq(n, 1);
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	for (int i = 0; i < 400; i++) {
		CLEANUP(free) char *name = str_printf("s-%d", i);

		service_table_remove_slice(t, "prod", name);
	}
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
	service_table_counts(t, &c);
	cr_expect_eq(c.addresses, 0);
	cr_expect_eq(c.slices, 0);
	service_table_free(t);
}

/* A model beside the table: after random changes the reports add up to what iteration shows. */
struct model {
	struct {
		bool is_there;
		char name[16];
		size_t n;
	} vip[64];
};

static void on_model(const struct frontend *old, const struct frontend *now, void *arg)
{
	struct model *m = arg;
	unsigned at = (now ? now : old)->ip.b[3];

	cr_assert(m->vip[at].is_there == (old != NULL));
	if (old)
		cr_assert_str_eq(m->vip[at].name, old->name);
	m->vip[at].is_there = now != NULL;
	if (now) {
		(void)snprintf(m->vip[at].name, sizeof(m->vip[at].name), "%s", now->name);
		m->vip[at].n = now->n_backends;
	}
}

static int check_model(const struct frontend *f, void *arg)
{
	struct model *m = arg;
	unsigned at = f->ip.b[3];

	cr_assert(m->vip[at].is_there);
	cr_assert_str_eq(m->vip[at].name, f->name);
	cr_assert_eq(m->vip[at].n, f->n_backends);
	m->vip[at].is_there = false; /* seen; what is left over at the end was never removed */
	return 0;
}

Test(table, random_changes_report_exactly_the_difference)
{
	struct service_table *t = new_table();
	struct model m = {0};
	uint32_t x = 12345;

	for (int i = 0; i < 20000; i++) {
		char name[16], ip[16], slice[16];

		x = x * 1664525 + 1013904223;
		(void)snprintf(name, sizeof(name), "s%u", (x >> 8) % 40);
		(void)snprintf(ip, sizeof(ip), "10.96.0.%u", (x >> 14) % 64);
		(void)snprintf(slice, sizeof(slice), "%s-%u", name, (x >> 20) % 3);
		switch ((x >> 24) % 4) {
		case 0:
			cr_assert(service_table_upsert(t, simple_service(name, ip, (x >> 26) % 5)) == 0);
			break;
		case 1:
			service_table_remove(t, "prod", name);
			break;
		case 2:
			cr_assert(service_table_upsert_slice(t, simple_slice(slice, name, ip)) == 0);
			break;
		default:
			service_table_remove_slice(t, "prod", slice);
		}
		if ((x >> 28) % 3 == 0)
			cr_assert(service_table_flush(t, on_model, &m) == 0);
	}
	cr_assert(service_table_flush(t, on_model, &m) == 0);
	(void)service_table_each(t, check_model, &m);
	for (size_t i = 0; i < 64; i++)
		cr_expect(!m.vip[i].is_there);
	service_table_free(t);
}
