/* SPDX-License-Identifier: Apache-2.0 */
/* What a member has in files and texts: its state, tokens, kubeconfig, the guard's file, what was in force, resolv.conf. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/resolver_file.h"
#include "agentd/resolver_host.h"
#include "base/file.h"
#include "base/macro.h"
#include "crypto/secret.h"
#include "join/cluster_info.h"
#include "join/enrol_identity.h"
#include "join/enrol_objects.h"
#include "join/guard_file.h"
#include "join/join_state.h"
#include "join/join_token.h"
#include "join/manifests.h"
#include "join/state_file.h"
#include "json/json.h"
#include "kube/kubeconfig.h"
#include "nomem.h"
#include "recon/snapshot.h"
#include "unit/crypto/certs.h"

/* {"exp":2000000000,"sub":"system:serviceaccount:mesh-hosts:ahch-to"} */
#define JWT                                                                                                                    \
	"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjIwMDAwMDAwMDAsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDptZXNoLWhv"                         \
	"c3RzOmFoY2gtdG8ifQ.c2ln"

/* What is read or written lies in `dir`; what was read last, as text. */
struct filed {
	char dir[NOMEM_DIR_MAX];
	struct join_state state;
	struct join_token token;
	json_t *object;
	struct guard guard;
	char *text;
};

static void keep(struct filed *f, char *text)
{
	free(f->text);
	f->text = text;
}

static void put(const struct filed *f, const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	cr_assert_eq(file_replace(path, text, strlen(text), 0600), 0);
}

static void state_make(struct join_state *s, const char *host)
{
	*s = (struct join_state){.identity = 51000, .is_complete = true};
	cr_assert_eq(strv_add(&s->servers, "https://192.0.2.1:6443"), 0);
	cr_assert_eq(strv_add(&s->servers, "https://192.0.2.2:6443"), 0);
	cr_assert_eq(strv_add(&s->addresses, "172.19.100.2/32"), 0);
	cr_assert_eq(strv_add(&s->services, "web"), 0);
	s->ca_pem = strdup(CA_A);
	s->host = strdup(host);
	s->namespace = strdup("legacy");
	s->cluster = strdup("default");
	s->cluster_uid = strdup("8b1d");
	s->cilium_namespace = strdup("cilium");
	s->labels = json_pack("{s:s, s:s}", "jedi", "luke", "tier", "old");
}

static void *filed_begin(const void *arg)
{
	struct filed *f = calloc(1, sizeof(*f));
	struct join_state before;
	struct err err = {0};

	(void)arg;
	NOMEM_NEED(f);
	nomem_dir_make(f->dir);
	state_make(&before, "before");
	cr_assert_eq(join_state_save(f->dir, &before, &err), 0);
	cr_assert_eq(join_state_save_token(f->dir, JWT, &err), 0);
	join_state_done(&before);
	state_make(&f->state, "ahch-to");
	f->token = (struct join_token){.identity = 7};
	cr_assert_eq(strv_add(&f->token.servers, "https://192.0.2.1:6443"), 0);
	cr_assert_eq(strv_add(&f->token.addresses, "172.19.100.2/32"), 0);
	cr_assert_eq(strv_add(&f->token.services, "web"), 0);
	f->token.ca_pem = strdup(CA_A);
	f->token.jwt = strdup(JWT);
	f->token.host = strdup("ahch-to");
	f->token.namespace = strdup("legacy");
	f->token.cluster = strdup("default");
	f->token.cluster_uid = strdup("8b1d");
	f->token.labels = json_pack("{s:s}", "jedi", "luke");
	f->object = json_pack("{s:[i,s], s:{s:b}}", "list", 1, "two", "o", "yes", 1);
	cr_assert_eq(guard_arm(&f->guard, 60000000, 77, json_pack("[{s:s}]", "kind", "k"), NULL), 0);
	put(f, "ca.crt", CA_A);
	put(f, "config",
	    "apiVersion: v1\nkind: Config\ncurrent-context: one\ncontexts:\n- name: one\n  context: {cluster: c, user: u, namespace: ns}\n"
	    "- name: two\n  context: {cluster: d, user: u}\nclusters:\n- name: c\n  cluster: {server: 'https://192.0.2.1:6443/', "
	    "certificate-authority: ca.crt}\nusers:\n- name: u\n  user: {token: abc}\n");
	return f;
}

static void filed_dump(void *state, FILE *out)
{
	struct filed *f = state;

	nomem_dir_dump(f->dir, out);
	(void)fprintf(out, "read: %s\n", f->text ? f->text : "nothing");
}

static void filed_end(void *state)
{
	struct filed *f = state;

	nomem_dir_remove(f->dir);
	join_state_done(&f->state);
	join_token_done(&f->token);
	guard_done(&f->guard);
	json_decref(f->object);
	free(f->text);
	free(f);
}

static int save_state(void *state)
{
	struct filed *f = state;
	struct err err;

	return join_state_save(f->dir, &f->state, &err);
}

static char *state_text(const struct join_state *s)
{
	char *labels = json_text(s->labels), *text;

	text = str_printf("%s %s %s %s %s %u %d, %zu servers %s %s, %zu addresses %zu services, %zu bytes of CA", s->host, s->namespace,
			  s->cluster, s->cluster_uid, labels, s->identity, s->is_complete, s->servers.n, s->servers.v[0],
			  s->servers.v[s->servers.n - 1], s->addresses.n, s->services.n, strlen(s->ca_pem));
	free(labels);
	return text;
}

static int load_state(void *state)
{
	struct filed *f = state;
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err;
	int r = join_state_load(f->dir, &s, &err);

	nomem_pause();
	if (r == 0)
		keep(f, state_text(&s));
	nomem_resume();
	return r;
}

static int spare(void *state)
{
	struct filed *f = state;
	CLEANUP(join_state_done) struct join_state s = {0};
	struct err err;
	int r = join_state_keep_spare(f->dir, &f->state, &err);

	return r < 0 ? r : join_state_load_spare(f->dir, &s, &err);
}

static int credential(void *state)
{
	struct filed *f = state;
	CLEANUP(secret_free) char *token = NULL;
	struct err err;

	return join_state_load_token(f->dir, &token, &err);
}

static int leave(void *state)
{
	struct filed *f = state;
	struct err err;
	int r = join_state_remove(f->dir, &err);

	/* what was begun is done the next time */
	return r < 0 ? r : join_state_finish_removal(f->dir, &err);
}

static int object(void *state)
{
	struct filed *f = state;
	CLEANUP(json_decref) json_t *back = NULL;
	struct err err;
	int r = state_file_save(f->dir, "object.json", f->object, &err);
	char *text;

	if (r == 0)
		r = state_file_load(f->dir, "object.json", &back, &err);
	if (r < 0)
		return r;
	nomem_pause();
	text = json_text(back);
	keep(f, text);
	nomem_resume();
	return 0;
}

static int guard(void *state)
{
	struct filed *f = state;
	CLEANUP(guard_done) struct guard back = {0};
	struct err err;
	int r = guard_file_save(f->dir, &f->guard, &err);

	r = r < 0 ? r : guard_file_load(f->dir, 1, &back, &err);
	if (r < 0)
		return r;
	nomem_pause();
	keep(f, str_printf("%s, %zu", guard_state_str(back.state), json_array_size(back.confirmed)));
	nomem_resume();
	return 0;
}

static int token(void *state)
{
	struct filed *f = state;
	CLEANUP(secret_free) char *text = NULL;
	CLEANUP(join_token_done) struct join_token t = {0};
	struct err err;
	int r = join_token_build(&f->token, &text, &err);

	r = r < 0 ? r : join_token_parse(text, &t, &err);
	if (r < 0)
		return r;
	nomem_pause();
	keep(f, str_printf("%s %s %s %zu %zu %zu %zu %zu %s %s", text, t.host, t.namespace, t.servers.n, t.addresses.n, t.services.n,
			   json_object_size(t.labels), strlen(t.ca_pem), t.cluster, t.cluster_uid));
	nomem_resume();
	return 0;
}

static int admin(void *state)
{
	struct filed *f = state;
	CLEANUP(kubeconfig_done) struct kubeconfig k = {0};
	struct err err;
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "%s/config", f->dir);
	r = kubeconfig_load(path, NULL, &k, &err);
	if (r < 0)
		return r;
	nomem_pause();
	keep(f, str_printf("%s %s %s %s %zu", k.context, k.server, k.token, k.namespace, strlen(k.ca_pem)));
	nomem_resume();
	return 0;
}

Test(nomem_join, files)
{
	const struct nomem all[] = {
		{.name = "joined.json", .run = save_state, .is_atomic = true},
		{.name = "joined.json read", .run = load_state, .is_atomic = true},
		{.name = "joined.spare", .run = spare},
		{.name = "the credential", .run = credential, .is_atomic = true},
		{.name = "leaving", .run = leave},
		{.name = "a state file", .run = object},
		{.name = "the guard's file", .run = guard},
		{.name = "a join token", .run = token, .is_atomic = true},
		{.name = "kubeconfig", .run = admin, .is_atomic = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = filed_begin;
		n.dump = filed_dump;
		n.end = filed_end;
		n.has_no_order = true;
		nomem_try(&n);
	}
}

/* --- objects of an enrolment --- */

static int keep_object(struct filed *f, json_t *o)
{
	char *text;

	if (!o)
		return -ENOMEM;
	nomem_pause();
	text = json_text(o);
	keep(f, text);
	nomem_resume();
	json_decref(o);
	return 0;
}

static int enrolled(void *state)
{
	struct filed *f = state;
	CLEANUP(strv_done) struct strv services = {0};
	CLEANUP(json_decref) json_t *ns = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", "legacy", "labels", "team", "blue");
	CLEANUP(json_decref) json_t *labels = ns ? enrol_security_labels(f->token.labels, ns, "c1", "ahch-to") : NULL;
	const struct enrol_spec spec = {.host = "ahch-to",
					.namespace = "legacy",
					.addresses = "172.19.100.2/32",
					.labels = "jedi=luke",
					.services = &services,
					.may_weigh = true,
					.zone = "eu-1a",
					.identity = 51000,
					.security_labels = labels,
					.anchor_uid = "u1",
					.node_uid = "u2"};
	CLEANUP(json_decref) json_t *all = json_array();
	int r = !labels || !all ? -ENOMEM : strv_add(&services, "web");

	if (r < 0)
		return r;
	if (json_array_append_new(all, enrol_node_object(&spec)) < 0 || json_array_append_new(all, enrol_endpoint_object(&spec)) < 0 ||
	    json_array_append_new(all, enrol_access_objects(&spec)) < 0 || json_array_append_new(all, enrol_secret_object(&spec)) < 0)
		return -ENOMEM;
	return keep_object(f, json_incref(all));
}

static int manifests(void *state)
{
	const struct manifests_options o = {.cilium_namespace = "cilium"};
	json_t *all = NULL;
	struct err err;
	int r = manifests_read(&o, &all, &err);

	return r < 0 ? r : keep_object(state, all);
}

static int info(void *state)
{
	CLEANUP(json_decref) json_t *map = NULL;
	CLEANUP(cluster_info_done) struct cluster_info c = {0};
	struct cidr range;
	struct err err;
	int r;

	nomem_pause();
	map = json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", "data", "cluster-name", "c1", "enable-ipv4", "true", "enable-ipv4-masquerade", "true",
			"cluster-pool-ipv4-cidr", "10.244.0.0/16", "policy-audit-mode", "true");
	nomem_resume();
	cr_assert_eq(cidr_parse("172.19.100.2", true, &range), 0);
	r = cluster_info_read(map, &c, &err);
	if (r == 0)
		r = cluster_info_warn_addresses(&c, &range, 1);
	if (r < 0)
		return r;
	nomem_pause();
	keep(state, str_printf("%zu ranges, %zu warnings, the last: %s", c.pod_ranges.n, c.warnings.n,
			       c.warnings.n ? c.warnings.v[c.warnings.n - 1] : ""));
	nomem_resume();
	return 0;
}

Test(nomem_join, objects)
{
	const struct nomem all[] = {
		{.name = "objects of a host", .run = enrolled},
		{.name = "manifests", .run = manifests, .places = 100},
		{.name = "the cluster", .run = info},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = filed_begin;
		n.dump = filed_dump;
		n.end = filed_end;
		n.is_atomic = true;
		n.has_no_order = true;
		nomem_try(&n);
	}
}

/* --- what was in force --- */

struct forced {
	struct buf b;
	struct snapshot s;
};

static void *forced_begin(const void *arg)
{
	struct forced *f = calloc(1, sizeof(*f));

	(void)arg;
	NOMEM_NEED(f);
	return f;
}

static int forced_run(void *state)
{
	static const uint32_t ids[] = {3001, 3002, 16777217};
	static const struct mesh_class classes[] = {{{1, 2}}, {{0, 3}}, {{4, 0}}};
	struct forced *f = state;
	CLEANUP(snapshot_done) struct snapshot s = {.owner = "legacy/ahch-to", .saved_s = 1795000000, .bank = 1, .n_targets = 1};
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(snapshot_done) struct snapshot back = {0};
	struct err err;
	int r = 0;

	cr_assert_eq(ip_parse("172.19.100.11", &s.targets[0]), 0);
	for (unsigned i = 0; i < 20 && r == 0; i++) {
		struct net_route x = {.mtu = i};

		cr_assert_eq(cidr_parse("10.244.1.0/24", false, &x.dst), 0);
		r = ARRAY_ADD(&s.routes, x);
	}
	r = r < 0 ? r : snapshot_begin(&b, &s);
	for (unsigned i = 0; i < 10 && r == 0; i++)
		r = snapshot_add(&b, BPFOBJ_CLASS, ids, classes, 3);
	r = r < 0 ? r : snapshot_end(&b);
	r = r < 0 ? r : snapshot_open(b.data, b.len, "legacy/ahch-to", &back, &err);
	if (r < 0)
		return r;
	buf_done(&f->b);
	snapshot_done(&f->s);
	f->b = b;
	f->s = back;
	b = (struct buf){0};
	back = (struct snapshot){0};
	return 0;
}

static void forced_dump(void *state, FILE *out)
{
	struct forced *f = state;
	struct snapshot s = f->s;
	struct snapshot_portion p;

	(void)fprintf(out, "%zu bytes, %zu routes, %zu targets\n", f->b.len, s.routes.n, s.n_targets);
	while (f->b.data && snapshot_next(&s, &p))
		(void)fprintf(out, "%d: %u\n", (int)p.map, p.n);
}

static void forced_end(void *state)
{
	struct forced *f = state;

	buf_done(&f->b);
	snapshot_done(&f->s);
	free(f);
}

Test(nomem_join, in_force)
{
	const struct nomem n = {.name = "what was in force",
				.begin = forced_begin,
				.run = forced_run,
				.dump = forced_dump,
				.end = forced_end,
				.is_atomic = true};

	nomem_try(&n);
}

/* --- resolv.conf --- */

static void *resolver_begin(const void *arg)
{
	struct filed *f = calloc(1, sizeof(*f));
	char dir[64];

	(void)arg;
	NOMEM_NEED(f);
	nomem_dir_make(f->dir);
	(void)snprintf(dir, sizeof(dir), "%s/etc", f->dir);
	cr_assert_eq(mkdir(dir, 0700), 0);
	put(f, "etc/resolv.conf", "# by hand\nsearch example.org\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:2\n");
	return f;
}

static void *taken_begin(const void *arg)
{
	struct filed *f = resolver_begin(arg);
	struct ip server;

	cr_assert_eq(ip_parse("127.18.53.53", &server), 0);
	cr_assert_eq(resolver_file_take(f->dir, &server, NULL), 1);
	return f;
}

static int take(void *state)
{
	struct filed *f = state;
	struct ip server;
	struct err err;

	cr_assert_eq(ip_parse("127.18.53.53", &server), 0);
	return resolver_file_take(f->dir, &server, &err);
}

static int give_back(void *state)
{
	struct filed *f = state;
	struct err err;

	return resolver_file_give_back(f->dir, &err);
}

Test(nomem_join, resolver)
{
	const struct nomem all[] = {
		{.name = "the agent in resolv.conf", .begin = resolver_begin, .run = take},
		{.name = "resolv.conf of before", .begin = taken_begin, .run = give_back},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.dump = filed_dump;
		n.end = filed_end;
		n.is_atomic = true;
		n.has_no_order = true;
		nomem_try(&n);
	}
}
