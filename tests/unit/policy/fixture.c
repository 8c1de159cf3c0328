/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/str.h"
#include "identity/named_port.h"
#include "policy/policy_shadow.h"

#define NS	"k8s:io.kubernetes.pod.namespace="
#define CLUSTER "k8s:io.cilium.k8s.policy.cluster="

/* R is of a cluster with another number, as the upper bits of its identity say. */
enum { ID_A = 300, ID_B, ID_P, ID_Q, ID_R = 2 << 16 | 300 };

static const struct {
	const char *name;
	uint32_t identity;
	const char *ip;
	const char *labels[5];
} peers[] = {
	{"A", ID_A, "10.244.1.5", {"k8s:app=a", NS "ext", CLUSTER "c1"}},
	{"B",
	 ID_B,
	 "10.244.2.6",
	 {"k8s:app=b", NS "web", "k8s:io.cilium.k8s.namespace.labels.team=blue", CLUSTER "c1"}},
	{"R", ID_R, "10.245.1.5", {"k8s:app=a", NS "ext", CLUSTER "c2"}},
	{"P",
	 ID_P,
	 NULL,
	 {"k8s:app=p", NS "ports", CLUSTER "c1",
	  "gen:io.cilium.k8s.named-ports=web.TCP.8080_bad.TCP.666"}},
	{"Q",
	 ID_Q,
	 NULL,
	 {"k8s:app=q", NS "ports", CLUSTER "c1",
	  "gen:io.cilium.k8s.named-ports-1=web.TCP.9090_bad.TCP.1_bad.TCP.2_junk"}},
	{"N", IDENTITY_REMOTE_NODE, "172.18.0.3", {NULL}},
	{"K", IDENTITY_KUBE_APISERVER, "172.18.0.2", {NULL}},
	{"L", IDENTITY_HOST, NULL, {NULL}},
	{"W", IDENTITY_WORLD, NULL, {NULL}},
	{"W4", IDENTITY_WORLD_IPV4, NULL, {NULL}},
	{"W6", IDENTITY_WORLD_IPV6, NULL, {NULL}},
	{"X", IDENTITY_UNKNOWN, "198.51.100.77", {NULL}},
};

json_t *fixture_json(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;
	json_t *j;

	cr_assert(copy);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, JSON_DECODE_ANY, &error);
	cr_assert(j, "%s: %s", error.text, text);
	free(copy);
	return j;
}

json_t *fixture_object(const char *ns, const char *name, json_t *spec)
{
	return json_pack("{s:{s:s,s:s},s:O?}", "metadata", "name", name, "namespace", ns ? ns : "",
			 "spec", spec);
}

struct label_set *fixture_labels(struct fixture *f, const char *const *texts, size_t n)
{
	struct label_builder b = {.table = identity_labels(f->ids)};
	struct label_set *set;

	for (size_t i = 0; i < n && texts[i]; i++)
		cr_assert_eq(label_builder_add_text(&b, texts[i]), 0);
	cr_assert_eq(label_builder_take(&b, &set), 0);
	return set;
}

json_t *fixture_label_texts(const struct fixture *f, const struct label_set *set)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < set->n; i++) {
		CLEANUP(buf_done) struct buf b = {0};

		cr_assert_eq(label_print(identity_labels(f->ids), &set->v[i], &b), 0);
		cr_assert_eq(json_array_append_new(list, json_stringn(b.data, b.len)), 0);
	}
	return list;
}

static int each_service(void *ctx, const char *ns, const char *name, policy_service_fn fn,
			void *arg)
{
	struct fixture *f = ctx;
	size_t i;
	json_t *s;
	int r;

	json_array_foreach(f->services, i, s)
	{
		const json_t *list = json_object_get(s, "backends");
		struct ip backends[8];
		struct policy_service svc = {
			.ns = json_string_value(json_object_get(s, "ns")),
			.name = json_string_value(json_object_get(s, "name")),
			.labels = json_object_get(s, "labels"),
			.selector = json_object_get(s, "selector"),
			.backends = backends,
		};

		if ((ns && !str_eq(ns, svc.ns)) || (name && !str_eq(name, svc.name)))
			continue;
		for (;
		     svc.n_backends < json_array_size(list) && svc.n_backends < ARRAY_LEN(backends);
		     svc.n_backends++)
			cr_assert_eq(
				ip_parse(json_string_value(json_array_get(list, svc.n_backends)),
					 &backends[svc.n_backends]),
				0);
		r = fn(&svc, arg);
		if (r < 0)
			return r;
	}
	return 0;
}

static void set_subject(struct fixture *f, const json_t *subject, const json_t *ports)
{
	static const char *const h[] = {"k8s:app=vm", NS "ext", CLUSTER "c1"};
	struct named_port own[8];
	const char *texts[8], *name;
	size_t n = 0, n_ports = 0;
	json_t *v;

	for (; n < json_array_size(subject); n++)
		texts[n] = json_string_value(json_array_get(subject, n));
	json_object_foreach((json_t *)ports, name, v)
	{
		const char *s = json_string_value(v), *slash = strchr(s, '/');
		uint64_t port;

		cr_assert(slash && str_to_u64(slash + 1, 65535, &port) == 0);
		own[n_ports].proto = str_has_prefix(s, "TCP") ? 6 : 17;
		own[n_ports].port = (uint16_t)port;
		cr_assert_eq(intern_get(label_table_strings(identity_labels(f->ids)), name,
					strlen(name), &own[n_ports].name),
			     0);
		n_ports++;
	}
	cr_assert_eq(policy_set_subject(f->repo, fixture_labels(f, n ? texts : h, n ? n : ARRAY_LEN(h)), own, n_ports), 0);
	for (size_t i = 0; i < n_ports; i++)
		intern_put(label_table_strings(identity_labels(f->ids)), own[i].name);
}

void fixture_init(struct fixture *f, const struct policy_options *options, const json_t *subject,
		  const json_t *ports, json_t *services)
{
	struct policy_service_view view = {.each = each_service, .ctx = f};

	*f = (struct fixture){.services = services};
	if (options)
		f->options = *options;
	else
		f->options = policy_options_default();
	f->options.cluster = "c1";
	cr_assert_eq(identity_table_new(&f->ids), 0);
	cr_assert_eq(policy_repo_new(f->ids, &f->options, &view, &f->repo), 0);
	cr_assert_eq(policy_table_new(f->repo, &f->table), 0);
	set_subject(f, subject, ports);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++)
		if (peers[i].labels[0])
			cr_assert_eq(identity_upsert(f->ids, peers[i].identity,
						     fixture_labels(f, peers[i].labels,
								    ARRAY_LEN(peers[i].labels))),
				     0);
}

void fixture_done(struct fixture *f)
{
	policy_table_free(f->table);
	policy_repo_free(f->repo);
	identity_table_free(f->ids);
	json_decref(f->services);
}

struct fixture_peer fixture_peer(const char *name)
{
	struct fixture_peer p = {.has_identity = true};
	uint64_t number;

	if (str_eq(name, "unknown"))
		return p;
	if (str_has_prefix(name, "ip ")) {
		cr_assert_eq(ip_parse(name + 3, &p.ip), 0, "%s", name);
		p.has_identity = false;
		return p;
	}
	if (str_has_prefix(name, "id ")) {
		cr_assert_eq(str_to_u64(name + 3, UINT32_MAX, &number), 0, "%s", name);
		p.identity = (uint32_t)number;
		return p;
	}
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		if (!str_eq(name, peers[i].name))
			continue;
		p.identity = peers[i].identity;
		p.has_identity = p.identity != IDENTITY_UNKNOWN;
		if (peers[i].ip)
			cr_assert_eq(ip_parse(peers[i].ip, &p.ip), 0);
		return p;
	}
	cr_assert_fail("no peer %s", name);
	return p;
}

static const struct policy_class *class_of_peer(struct fixture *f, const struct fixture_peer *p)
{
	uint32_t identity =
		p->has_identity ? p->identity : policy_table_identity_of(f->table, &p->ip);

	if (p->has_identity && p->ip.family)
		cr_assert_eq(policy_table_overlay(f->table, identity, &p->ip, NULL, &identity), 0);
	return policy_table_class(f->table, policy_class_of(f->table, identity));
}

struct policy_verdict fixture_table_verdict(struct fixture *f, const struct fixture_peer *p,
					    enum policy_dir dir, uint8_t proto, uint16_t port)
{
	const struct policy_class *c = class_of_peer(f, p);

	if (!policy_table_enforced(f->table, dir))
		return (struct policy_verdict){.action = POLICY_ALLOW};
	return policy_rows_lookup(&c->rows[dir], proto, port);
}

struct policy_verdict fixture_table_shadow(struct fixture *f, const struct fixture_peer *p, enum policy_dir dir,
					   uint8_t proto, uint16_t port)
{
	const struct policy_class *c = class_of_peer(f, p);

	cr_assert(policy_table_shadowed(f->table, dir));
	return policy_rows_lookup(&c->shadow[dir], proto, port);
}

typedef int (*why_fn)(struct policy_repo *r, const struct policy_peer *peer, enum policy_dir dir, uint8_t proto,
		      uint16_t port, struct policy_why *ret);

static struct policy_verdict ask_model(struct fixture *f, const struct fixture_peer *p, enum policy_dir dir,
				       uint8_t proto, uint16_t port, why_fn fn)
{
	const struct identity *id = p->has_identity ? identity_get(f->ids, p->identity) : NULL;
	struct policy_peer peer = {.ip = p->ip,
				   .labels = id ? id->labels : NULL,
				   .is_unknown = p->has_identity && !id};
	struct policy_why why;
	struct policy_verdict v;

	if (id && id->ports) {
		peer.ports = id->ports->told;
		peer.n_ports = id->ports->n_told;
	}
	cr_assert_eq(fn(f->repo, &peer, dir, proto, port, &why), 0);
	v = why.verdict;
	policy_why_done(&why);
	return v;
}

bool fixture_has_changed(const struct fixture *f, uint32_t identity)
{
	const uint32_t *v;
	size_t n = policy_table_changed(f->table, &v);

	for (size_t i = 0; i < n; i++)
		if (v[i] == identity)
			return true;
	return policy_table_all_changed(f->table);
}

struct policy_verdict fixture_model_verdict(struct fixture *f, const struct fixture_peer *p,
					    enum policy_dir dir, uint8_t proto, uint16_t port)
{
	return ask_model(f, p, dir, proto, port, policy_why);
}

struct policy_verdict fixture_model_shadow(struct fixture *f, const struct fixture_peer *p, enum policy_dir dir,
					   uint8_t proto, uint16_t port)
{
	return ask_model(f, p, dir, proto, port, policy_why_shadow);
}
