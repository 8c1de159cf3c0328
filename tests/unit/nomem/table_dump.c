/* SPDX-License-Identifier: Apache-2.0 */
#include "table_dump.h"

#include <criterion/criterion.h>

#include "base/macro.h"
#include "policy/policy_explain.h"
#include "policy/policy_verdict.h"

static int dump_status(const struct policy_status *s, void *arg)
{
	FILE *out = arg;

	(void)fprintf(out, "%s %s/%s %s %s, generation %lld, %zu rules%s%s%s\n", policy_kind_str(s->kind), s->ns, s->name,
		      policy_state_str(s->state), s->reason, (long long)s->generation, s->n_rules, s->has_ingress ? ", in" : "",
		      s->has_egress ? ", out" : "", s->is_marked ? ", marked" : "");
	return 0;
}

static void dump_why(struct fixture *f, const char *name, const struct policy_peer *peer, FILE *out)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
	} packets[] = {{6, 22}, {6, 80}, {17, 53}, {1, 8}, {47, 0}};

	for (size_t i = 0; i < ARRAY_LEN(packets) * POLICY_DIRS; i++) {
		enum policy_dir dir = (enum policy_dir)(i % POLICY_DIRS);
		struct policy_why why;
		json_t *words;
		char *text;

		cr_assert_eq(policy_why(f->repo, peer, dir, packets[i / POLICY_DIRS].proto, packets[i / POLICY_DIRS].port, &why),
			     0);
		cr_assert_eq(policy_explain(f->repo, &why, dir, &words), 0);
		text = json_dumps(words, JSON_COMPACT | JSON_SORT_KEYS);
		(void)fprintf(out, "%s %d %u/%u: %s\n", name, (int)dir, packets[i / POLICY_DIRS].proto,
			      packets[i / POLICY_DIRS].port, text);
		free(text);
		json_decref(words);
		policy_why_done(&why);
	}
}

void policies_dump(struct fixture *f, FILE *out)
{
	static const char *const names[] = {"A", "B", "W"};
	struct policy_peer peer = {.ip.family = 0};

	cr_assert_eq(policy_each(f->repo, dump_status, out), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct fixture_peer p = fixture_peer(names[i]);
		const struct identity *id = identity_get(f->ids, p.identity);

		if (!id)
			continue;
		peer.labels = id->labels;
		dump_why(f, names[i], &peer, out);
	}
	peer.labels = NULL;
	cr_assert_eq(ip_parse("10.1.2.3", &peer.ip), 0);
	dump_why(f, "10.1.2.3", &peer, out);
}

static void dump_verdict(struct fixture *f, const struct policy_verdict *v, FILE *out)
{
	struct policy_origin o;

	(void)fputs(policy_action_str((enum policy_action)v->action), out);
	if (v->rule && policy_origin(f->repo, v->rule, &o) == 0)
		(void)fprintf(out, " by %s %s/%s %s %s %s", policy_kind_str(o.kind), o.ns, o.name, o.path, o.labels, o.log);
	else if (v->rule)
		(void)fputs(" by what is gone", out);
}

static void dump_rows(struct fixture *f, const struct policy_rows *r, FILE *out)
{
	for (unsigned s = 0; s < POLICY_SLOTS; s++) {
		(void)fprintf(out, " [%u: ", s);
		dump_verdict(f, &r->slot[s].dflt, out);
		for (uint32_t i = 0; i < r->slot[s].n_ports; i++) {
			(void)fprintf(out, ", %u/%x ", r->slot[s].ports[i].port, r->slot[s].ports[i].mask);
			dump_verdict(f, &r->slot[s].ports[i].verdict, out);
		}
		(void)fputc(']', out);
	}
	for (uint32_t i = 0; i < r->n_protos; i++) {
		(void)fprintf(out, " proto %u ", r->protos[i].proto);
		dump_verdict(f, &r->protos[i].verdict, out);
	}
}

static void dump_class(struct fixture *f, uint32_t identity, FILE *out)
{
	const struct policy_class *c = policy_table_class(f->table, policy_class_of(f->table, identity));

	if (!c) {
		(void)fputs(" no class\n", out);
		return;
	}
	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		(void)fprintf(out, " %s", d == POLICY_INGRESS ? "in" : "out");
		if (policy_table_enforced(f->table, (enum policy_dir)d))
			dump_rows(f, &c->rows[d], out);
		if (policy_table_shadowed(f->table, (enum policy_dir)d))
			dump_rows(f, &c->shadow[d], out);
	}
	(void)fputc('\n', out);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void table_dump(struct fixture *f, FILE *out)
{
	const struct policy_prefix *prefixes;
	uint32_t numbers[256];
	size_t n = 0, n_prefixes;

	policies_dump(f, out);
	for (unsigned d = 0; d < POLICY_DIRS; d++)
		(void)fprintf(out, "%u%s%s\n", d, policy_table_enforced(f->table, (enum policy_dir)d) ? " enforced" : "",
			      policy_table_shadowed(f->table, (enum policy_dir)d) ? " shadowed" : "");
	for (size_t i = 0; i < identity_count(f->ids); i++) {
		uint32_t number = identity_at(f->ids, i)->number;

		/* those of prefixes have numbers as they come */
		if (identity_is_local(number, IDENTITY_LOCAL_CIDR) || identity_is_local(number, IDENTITY_LOCAL_NODE))
			continue;
		cr_assert(n < ARRAY_LEN(numbers));
		numbers[n++] = number;
	}
	qsort(numbers, n, sizeof(*numbers), by_number);
	for (size_t i = 0; i < n; i++) {
		(void)fprintf(out, "%u", numbers[i]);
		dump_class(f, numbers[i], out);
	}
	(void)fputs("unknown", out);
	dump_class(f, IDENTITY_UNKNOWN, out);
	n_prefixes = policy_table_prefixes(f->table, &prefixes);
	for (size_t i = 0; i < n_prefixes; i++) {
		const struct identity *id = identity_get(f->ids, prefixes[i].identity);
		char text[CIDR_STRLEN];
		struct buf labels = {0};

		(void)fputs(cidr_str(&prefixes[i].prefix, text), out);
		if (id)
			cr_assert_eq(label_set_print(identity_labels(f->ids), id->labels, &labels), 0);
		(void)fprintf(out, " %s", labels.data ? labels.data : "no identity");
		buf_done(&labels);
		dump_class(f, prefixes[i].identity, out);
	}
}
