/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/port_claims.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <netinet/in.h>

#include "identity/named_port.h"
#include "identity/node_labels.h"

enum { ID = 1000 };

static const struct kube_endpoint_port http = {.name = "http", .proto = IPPROTO_TCP, .port = 8080},
				       other_http = {.name = "http", .proto = IPPROTO_TCP, .port = 80},
				       syslog = {.name = "syslog", .proto = IPPROTO_UDP, .port = 7000};

static struct label_set *labels(struct identity_table *ids, const char *gen)
{
	struct label_builder b = {.table = identity_labels(ids)};
	struct label_set *set;

	cr_assert_eq(label_builder_add_text(&b, "k8s:app=a"), 0);
	if (gen)
		cr_assert_eq(label_builder_add_text(&b, gen), 0);
	cr_assert_eq(label_builder_take(&b, &set), 0);
	return set;
}

static uint32_t intern(struct port_claims *c, const struct kube_endpoint_port *v, size_t n)
{
	uint32_t set;

	cr_assert_eq(port_claims_intern(c, v, n, &set), 0);
	return set;
}

static int port_of(struct identity_table *ids, const char *name, uint8_t proto)
{
	struct intern *strings = label_table_strings(identity_labels(ids));
	uint32_t number;
	int port;

	cr_assert_eq(intern_get(strings, name, strlen(name), &number), 0);
	port = named_ports_find(identity_get(ids, ID)->ports, number, proto);
	intern_put(strings, number);
	return port;
}

static void tell(struct port_claims *c, struct identity_table *ids)
{
	cr_assert_eq(port_claims_apply(c), 0);
	identity_changes_clear(ids);
}

Test(port_claims, endpoints_say_what_names_stand_for)
{
	const struct kube_endpoint_port one[] = {http, syslog}, same[] = {syslog, http};
	struct identity_table *ids;
	struct port_claims *c;
	uint32_t a, b;

	cr_assert_eq(identity_table_new(&ids), 0);
	cr_assert_eq(port_claims_new(ids, &c), 0);
	cr_expect_eq(intern(c, NULL, 0), 0);
	a = intern(c, one, 2);
	cr_expect_eq(intern(c, same, 2), a, "the order does not count");
	b = intern(c, &other_http, 1);
	cr_expect_neq(a, b);
	/* the endpoint comes before its identity */
	cr_assert_eq(port_claims_add(c, ID, a), 0);
	tell(c, ids);
	cr_assert_eq(identity_upsert(ids, ID, labels(ids, NULL)), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), 8080);
	cr_expect_eq(port_of(ids, "syslog", IPPROTO_UDP), 7000);
	cr_expect_eq(port_of(ids, "syslog", IPPROTO_TCP), -1);
	/* two endpoints disagree: the name stands for nothing, until one of them goes */
	cr_assert_eq(port_claims_add(c, ID, b), 0);
	cr_assert_eq(port_claims_add(c, ID, b), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), -1);
	cr_expect_eq(port_of(ids, "syslog", IPPROTO_UDP), 7000);
	port_claims_drop(c, ID, b);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), -1);
	port_claims_drop(c, ID, b);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), 8080);
	port_claims_drop(c, ID, a);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), -1);
	/* sets are freed with their last user, and their numbers are used again */
	port_claims_put(c, a);
	cr_expect(port_claims_hold(c, a));
	port_claims_put(c, a);
	cr_expect(port_claims_hold(c, a));
	port_claims_put(c, a);
	port_claims_put(c, a);
	cr_expect_not(port_claims_hold(c, a));
	cr_expect_eq(intern(c, &syslog, 1), a);
	port_claims_free(c);
	identity_table_free(ids);
}

Test(port_claims, labels_that_say_the_same_are_enough)
{
	struct identity_table *ids;
	struct port_claims *c;

	cr_assert_eq(identity_table_new(&ids), 0);
	cr_assert_eq(port_claims_new(ids, &c), 0);
	cr_assert_eq(identity_upsert(ids, ID, labels(ids, "gen:io.cilium.k8s.named-ports=http.TCP.8080")), 0);
	cr_assert_eq(port_claims_add(c, ID, intern(c, &http, 1)), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), 8080);
	cr_expect_eq(identity_get(ids, ID)->ports->n_told, 0);
	port_claims_free(c);
	identity_table_free(ids);
}

static size_t memory_in_use(void)
{
	struct mallinfo2 info = mallinfo2(); /* small pieces, and large ones that are mapped */

	return info.uordblks + info.hblkhd;
}

/* While nobody is told, an endpoint that comes and goes takes no memory each time; who lost its ports meanwhile learns of it. */
Test(port_claims, telling_may_be_held_off)
{
	struct identity_table *ids;
	struct port_claims *c;
	size_t before;
	uint32_t a;

	cr_assert_eq(identity_table_new(&ids), 0);
	cr_assert_eq(port_claims_new(ids, &c), 0);
	cr_assert_eq(identity_upsert(ids, ID, labels(ids, NULL)), 0);
	a = intern(c, &http, 1);
	cr_assert_eq(port_claims_add(c, ID, a), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), 8080);
	port_claims_drop(c, ID, a);
	before = memory_in_use();
	for (uint32_t i = 0; i < 500000; i++) {
		cr_assert_eq(port_claims_add(c, ID + 1 + i % 1000, a), 0);
		port_claims_drop(c, ID + 1 + i % 1000, a);
	}
	cr_expect_leq(memory_in_use(), before + 64 * 1024);
	cr_assert_eq(port_claims_add(c, ID + 1, a), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), -1);
	/* and what changes after that is told again */
	cr_assert_eq(port_claims_add(c, ID, a), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "http", IPPROTO_TCP), 8080);
	port_claims_free(c);
	identity_table_free(ids);
}

/*
 * A pod whose labels and whose endpoint disagree, with as many ports as either may have: what it says is taken in, and
 * holds up nobody else's.
 */
Test(port_claims, a_pod_of_many_names_that_disagree)
{
	enum { ON_LABEL = 3, LABELS = LIMIT_NAMED_PORTS / ON_LABEL };
	struct kube_endpoint_port ports[LIMIT_NAMED_PORTS] = {0};
	struct label_builder b = {0};
	struct identity_table *ids;
	struct port_claims *c;
	struct label_set *set;
	char text[160];

	cr_assert_eq(identity_table_new(&ids), 0);
	cr_assert_eq(port_claims_new(ids, &c), 0);
	b.table = identity_labels(ids);
	for (unsigned i = 0; i < LABELS; i++) {
		(void)snprintf(text, sizeof(text), "gen:io.cilium.k8s.named-ports-%u=g%ua.TCP.%u_g%ub.TCP.%u_g%uc.TCP.%u", i, i,
			       1000 + i, i, 2000 + i, i, 3000 + i);
		cr_assert_eq(label_builder_add_text(&b, text), 0);
	}
	cr_assert_eq(label_builder_take(&b, &set), 0);
	cr_assert_eq(identity_upsert(ids, ID, set), 0);
	for (unsigned i = 0; i < LIMIT_NAMED_PORTS; i++) {
		(void)snprintf(ports[i].name, sizeof(ports[i].name), "e%u", i);
		ports[i].proto = IPPROTO_TCP;
		ports[i].port = (uint16_t)(4000 + i);
	}
	cr_assert_eq(port_claims_add(c, ID, intern(c, ports, LIMIT_NAMED_PORTS)), 0);
	tell(c, ids);
	cr_expect_eq(port_of(ids, "g0a", IPPROTO_TCP), 1000);
	cr_expect_eq(port_of(ids, "e0", IPPROTO_TCP), 4000);
	cr_expect_eq(port_of(ids, "e63", IPPROTO_TCP), 4063);
	port_claims_free(c);
	identity_table_free(ids);
}

Test(node_labels, by_address)
{
	struct label_table *t;
	struct node_labels *n;
	const struct label_set *set;
	struct strv v = {0};
	struct ip ip;

	cr_assert_eq(label_table_new(&t), 0);
	cr_assert_eq(node_labels_new(t, &n), 0);
	cr_assert_eq(ip_parse("172.19.0.11", &ip), 0);
	cr_expect_null(node_labels_get(n, &ip));
	node_labels_remove(n, &ip, 1);
	cr_assert_eq(strv_add(&v, "zone=one"), 0);
	cr_assert_eq(node_labels_set(n, &ip, 1, &v, "c1"), 0);
	set = node_labels_get(n, &ip);
	cr_assert(set);
	cr_expect_eq(set->n, 2);
	for (uint32_t i = 0; i < set->n; i++)
		cr_expect_eq(set->v[i].source,
			     strcmp(intern_str(label_table_strings(t), set->v[i].key), "zone") == 0 ? LABEL_NODE : LABEL_K8S);
	node_labels_remove(n, &ip, 1);
	cr_expect_null(node_labels_get(n, &ip));
	cr_assert_eq(node_labels_set(n, &ip, 1, &v, "c1"), 0);
	strv_done(&v);
	node_labels_free(n);
	label_table_free(t);
}

static const char *zone_of(const struct label_table *t, const struct node_labels *n, const struct ip *ip)
{
	const struct label_set *set = node_labels_get(n, ip);
	struct intern *strings = label_table_strings((struct label_table *)t);

	for (uint32_t i = 0; set && i < set->n; i++)
		if (strcmp(intern_str(strings, set->v[i].key), "zone") == 0)
			return intern_str(strings, set->v[i].value);
	return "none";
}

static void set_zone(struct node_labels *n, const struct ip *ip, uint32_t owner, const char *label)
{
	struct strv v = {0};

	cr_assert_eq(strv_add(&v, label), 0);
	cr_assert_eq(node_labels_set(n, ip, owner, &v, "c1"), 0);
	strv_done(&v);
}

/* The last to get an address has it; whatever is said later by one that had it before. */
Test(node_labels, of_nodes_with_the_same_address)
{
	struct label_table *t;
	struct node_labels *n;
	struct ip ip;

	cr_assert_eq(label_table_new(&t), 0);
	cr_assert_eq(node_labels_new(t, &n), 0);
	cr_assert_eq(ip_parse("172.19.0.11", &ip), 0);
	set_zone(n, &ip, 1, "zone=one");
	set_zone(n, &ip, 2, "zone=two");
	cr_expect_str_eq(zone_of(t, n, &ip), "two");
	set_zone(n, &ip, 1, "zone=uno");
	cr_expect_str_eq(zone_of(t, n, &ip), "two");
	node_labels_remove(n, &ip, 3);
	node_labels_remove(n, &ip, 2);
	cr_expect_str_eq(zone_of(t, n, &ip), "uno");
	set_zone(n, &ip, 2, "zone=two");
	node_labels_remove(n, &ip, 1);
	cr_expect_str_eq(zone_of(t, n, &ip), "two");
	node_labels_free(n);
	label_table_free(t);
}
