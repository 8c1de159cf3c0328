/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_rows.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/macro.h"

enum { PORTS = 65536 };

static const uint16_t slot_protos[POLICY_SLOTS] = {
	[POLICY_SLOT_OTHER] = POLICY_PROTO_ANY, [POLICY_SLOT_TCP] = IPPROTO_TCP,
	[POLICY_SLOT_UDP] = IPPROTO_UDP,	[POLICY_SLOT_SCTP] = IPPROTO_SCTP,
	[POLICY_SLOT_ICMP] = IPPROTO_ICMP,	[POLICY_SLOT_ICMPV6] = IPPROTO_ICMPV6,
};

enum policy_slot policy_slot_of(uint8_t proto)
{
	for (unsigned s = POLICY_SLOT_TCP; s < POLICY_SLOTS; s++)
		if (slot_protos[s] == proto)
			return (enum policy_slot)s;
	return POLICY_SLOT_OTHER;
}

const char *policy_action_str(enum policy_action action)
{
	static const char *const names[] = {[POLICY_ALLOW] = "allow",
					    [POLICY_DENY_DEFAULT] = "default-deny",
					    [POLICY_DENY_RULE] = "deny",
					    [POLICY_DENY_AUTH] = "auth-required"};

	return (unsigned)action < ARRAY_LEN(names) ? names[action] : "?";
}

static bool verdict_eq(struct policy_verdict a, struct policy_verdict b)
{
	return a.action == b.action && a.rule == b.rule;
}

/* Denies first, then the widest: fewer different rules in the rows; at last by number, to be the
 * same each time. */
static int item_cmp(const void *pa, const void *pb)
{
	const struct policy_item *a = pa, *b = pb;
	int wa, wb;

	if (a->is_deny != b->is_deny)
		return a->is_deny ? -1 : 1;
	if (a->is_restricted != b->is_restricted)
		return a->is_restricted ? 1 : -1;
	wa = a->proto == POLICY_PROTO_ANY ? PORTS + 1 : a->is_all ? PORTS : a->hi - a->lo;
	wb = b->proto == POLICY_PROTO_ANY ? PORTS + 1 : b->is_all ? PORTS : b->hi - b->lo;
	if (wa != wb)
		return wa > wb ? -1 : 1;
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

unsigned policy_block_bits(uint16_t lo, uint16_t hi, uint16_t port)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		unsigned start = port & (0xffffU << (16 - bits)) & 0xffffU,
			 end = start | (0xffffU >> bits);

		if (start >= lo && end <= hi)
			return bits;
	}
	return 16;
}

/* The bits in the mask of the largest aligned block that begins at `at` and ends at `end` or before. */
static unsigned block_bits(uint32_t at, uint32_t end)
{
	unsigned room = 31 - (unsigned)__builtin_clz(end - at), aligned = at ? (unsigned)__builtin_ctz(at) : 16;

	return 16 - MIN(room, aligned);
}

/*
 * How specific keys are at a port: 0 = those of any protocol, 1 = of each port of one, else of a block of ports, by the bits
 * of its mask and one more. Cilium's prefixes are as long and 7 longer.
 */
enum { DEPTHS = 18 };

/* What the items of one identity (the peer's, or the wildcard) say at one depth. */
struct side {
	bool is_open, is_open_auth; /* some grants something; some of these says what authentication it wants */
	uint8_t auth;		    /* the strictest that is said */
};

/* The items that have the same ports as their key. */
struct level {
	bool is_used;
	struct side sides[2];		/* by policy_item.is_any_peer */
	const struct policy_item *need; /* the first that needs authentication */
};

static void level_add(struct level *l, const struct policy_item *it)
{
	struct side *side = &l->sides[it->is_any_peer];

	l->is_used = true;
	side->is_open |= !it->is_restricted;
	side->is_open_auth |= !it->is_restricted && it->auth != POLICY_AUTH_UNSET;
	if (it->auth > side->auth)
		side->auth = it->auth;
	if (it->auth >= POLICY_AUTH_REQUIRED && (!l->need || it < l->need))
		l->need = it;
}

struct best {
	bool is_there, is_explicit;
	unsigned depth;
	uint8_t auth;
};

/* What the lookup with one identity finds, with inherited authentication. */
static struct best best_of(const struct level *const levels[DEPTHS], bool is_any_peer)
{
	struct best b = {0};

	for (unsigned depth = DEPTHS; depth-- > 0;) {
		const struct side *side = levels[depth] ? &levels[depth]->sides[is_any_peer] : NULL;

		if (!side)
			continue;
		if (!b.is_there && side->is_open)
			b = (struct best){.is_there = true, .depth = depth};
		if (!b.is_there || side->auth == POLICY_AUTH_UNSET)
			continue;
		b.auth = side->auth;
		b.is_explicit = depth == b.depth && side->is_open_auth;
		break;
	}
	return b;
}

/* Cilium pkg/policy/mapstate.go and bpf/lib/policy.h: which of two found entries decides, and what
 * it inherits. */
static uint8_t auth_of(const struct level *const levels[DEPTHS])
{
	struct best own = best_of(levels, false), any = best_of(levels, true);
	struct best *chosen =
		own.is_there && (!any.is_there || own.depth >= any.depth) ? &own : &any;
	struct best *other = chosen == &own ? &any : &own;

	if (chosen->is_explicit || !other->is_there)
		return chosen->auth;
	return chosen->auth > other->auth ? chosen->auth : other->auth;
}

/* What a verdict from the items alone comes to with the authentication that is needed there. */
static void apply_auth(const struct level *const levels[DEPTHS], struct policy_verdict *v)
{
	const struct policy_item *need = NULL;

	if (v->action != POLICY_ALLOW || auth_of(levels) < POLICY_AUTH_REQUIRED)
		return;
	for (unsigned i = 0; i < DEPTHS; i++)
		if (levels[i] && levels[i]->need && (!need || levels[i]->need < need))
			need = levels[i]->need;
	*v = (struct policy_verdict){.action = POLICY_DENY_AUTH, .rule = need ? need->rule : v->rule};
}

struct slot_work {
	const struct policy_item *const *items; /* of the slot, in order; all in one array, in that order too */
	size_t n;
	struct policy_verdict none;
	bool has_auth;
};

static bool is_whole(const struct policy_item *it)
{
	return it->is_all || it->proto == POLICY_PROTO_ANY;
}

static bool names_ports(const struct slot_work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!is_whole(w->items[i]))
			return true;
	return false;
}

/* The verdict at a port that no item names. */
static struct policy_verdict verdict_of_rest(const struct slot_work *w)
{
	struct level any = {0}, all = {0};
	const struct level *const levels[DEPTHS] = {&any, &all};
	const struct policy_item *first = NULL;
	struct policy_verdict v;

	for (size_t i = 0; i < w->n; i++) {
		const struct policy_item *it = w->items[i];

		if (!is_whole(it))
			continue;
		first = first ? first : it;
		if (!it->is_deny)
			level_add(it->proto == POLICY_PROTO_ANY ? &any : &all, it);
	}
	if (!first || first->is_restricted)
		return w->none;
	v = (struct policy_verdict){.action = first->is_deny ? POLICY_DENY_RULE : POLICY_ALLOW, .rule = first->rule};
	apply_auth(levels, &v);
	return v;
}

struct bounds {
	uint32_t *v; /* starts of segments, the last one is PORTS */
	size_t n, cap;
};

static int bound_cmp(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

static int bounds_add(struct bounds *b, uint32_t start, uint32_t end)
{
	int r = ARRAY_RESERVE(b, 2);

	if (r < 0)
		return r;
	b->v[b->n++] = start;
	b->v[b->n++] = end;
	return 0;
}

/*
 * The levels of all blocks of ports there can be: any protocol first, then by the bits of the mask, then by port. Of memory it
 * takes what is used; two blocks are apart, or one is in the other.
 */
enum { LEVELS = 2 * PORTS };

static size_t level_at(unsigned depth, uint32_t port)
{
	return depth ? (UINT32_C(1) << (depth - 1)) + (port >> (DEPTHS - 1 - depth)) : 0;
}

/* Puts an item into the blocks that make up its ports, which bound segments: authentication depends on the block that a port is in. */
static int levels_add(struct level *levels, struct bounds *b, const struct policy_item *it)
{
	uint32_t at = is_whole(it) ? 0 : it->lo, end = is_whole(it) ? PORTS : it->hi + 1U;
	int r = 0;

	while (r == 0 && at < end) {
		unsigned bits = block_bits(at, end);
		struct level *l = &levels[level_at(it->proto == POLICY_PROTO_ANY ? 0 : bits + 1, at)];
		uint32_t next = at + (UINT32_C(1) << (16 - bits));

		if (!l->is_used)
			r = bounds_add(b, at, next);
		level_add(l, it);
		at = next;
	}
	return r;
}

/* `levels` NULL: no item says anything of authentication, or of ports. */
static int bounds_make(const struct slot_work *w, struct level *levels, struct bounds *b)
{
	size_t out = 0;
	int r = bounds_add(b, 0, PORTS);

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		const struct policy_item *it = w->items[i];

		if (levels && !it->is_deny)
			r = levels_add(levels, b, it);
		else if (!is_whole(it))
			r = bounds_add(b, it->lo, it->hi + 1U);
	}
	if (r < 0)
		return r;
	qsort(b->v, b->n, sizeof(*b->v), bound_cmp);
	for (size_t i = 0; i < b->n; i++)
		if (out == 0 || b->v[out - 1] != b->v[i])
			b->v[out++] = b->v[i];
	b->n = out;
	return 0;
}

static void require_auth(const struct level *levels, const struct bounds *b, struct policy_verdict *verdicts)
{
	const struct level *around[DEPTHS];

	for (size_t s = 0; s + 1 < b->n; s++) {
		for (unsigned depth = 0; depth < DEPTHS; depth++) {
			const struct level *l = &levels[level_at(depth, b->v[s])];

			around[depth] = l->is_used ? l : NULL;
		}
		apply_auth(around, &verdicts[s]);
	}
}

/* The first segment at or after `i` that has no verdict yet; shortens the way for the next one. */
static size_t next_unset(size_t *next, size_t i)
{
	size_t root = i;

	while (next[root] != root)
		root = next[root];
	while (next[i] != root) {
		size_t up = next[i];

		next[i] = root;
		i = up;
	}
	return root;
}

/* Paints the items in order of precedence onto what is still unset: near linear in segments and
 * items. */
static int paint(const struct slot_work *w, const struct bounds *b, struct policy_verdict *verdicts)
{
	size_t n_seg = b->n - 1;
	size_t *next = malloc((n_seg + 1) * sizeof(*next));

	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i <= n_seg; i++)
		next[i] = i;
	for (size_t i = 0; i < w->n; i++) {
		const struct policy_item *it = w->items[i];
		uint32_t lo = is_whole(it) ? 0 : it->lo, end = is_whole(it) ? PORTS : it->hi + 1U;
		uint32_t *at;

		if (it->is_restricted)
			continue;
		at = bsearch(&lo, b->v, b->n, sizeof(lo), bound_cmp);
		for (size_t s = next_unset(next, (size_t)(at - b->v)); s < n_seg && b->v[s] < end;
		     s = next_unset(next, s)) {
			verdicts[s] = (struct policy_verdict){
				.action = it->is_deny ? POLICY_DENY_RULE : POLICY_ALLOW,
				.rule = it->rule};
			next[s] = s + 1;
		}
	}
	for (size_t s = next_unset(next, 0); s < n_seg; s = next_unset(next, s + 1))
		verdicts[s] = w->none;
	free(next);
	return 0;
}

struct port_list {
	struct policy_ports *v;
	size_t n, cap;
};

static int emit_blocks(struct port_list *out, uint32_t lo, uint32_t end, struct policy_verdict v)
{
	while (lo < end) {
		unsigned bits = block_bits(lo, end);
		int r = ARRAY_ADD(out,
				  (struct policy_ports){.port = (uint16_t)lo,
							.mask = (uint16_t)(0xffffU << (16 - bits)),
							.verdict = v});

		if (r < 0)
			return r;
		lo += UINT32_C(1) << (16 - bits);
	}
	return 0;
}

static int emit_segments(const struct bounds *b, const struct policy_verdict *verdicts,
			 struct policy_slot_rows *ret)
{
	struct port_list out = {0};
	size_t n_seg = b->n - 1;
	int r = 0;

	for (size_t i = 0, k; r == 0 && i < n_seg; i = k) {
		for (k = i + 1; k < n_seg && verdict_eq(verdicts[i], verdicts[k]); k++)
			;
		if (!verdict_eq(verdicts[i], ret->dflt))
			r = emit_blocks(&out, b->v[i], b->v[k], verdicts[i]);
	}
	if (r < 0) {
		ARRAY_DONE(&out);
		return r;
	}
	ret->ports = out.v;
	ret->n_ports = (uint32_t)out.n;
	return 0;
}

static int build_slot(const struct slot_work *w, struct policy_slot_rows *ret)
{
	bool is_by_block = w->has_auth && names_ports(w);
	CLEANUP(free) struct level *levels = is_by_block ? calloc(LEVELS, sizeof(*levels)) : NULL;
	struct bounds b = {0};
	struct policy_verdict *verdicts = NULL;
	int r = is_by_block && !levels ? -ENOMEM : bounds_make(w, levels, &b);

	ret->dflt = verdict_of_rest(w);
	if (r == 0 && b.n > 2) {
		verdicts = calloc(b.n, sizeof(*verdicts));
		r = verdicts ? paint(w, &b, verdicts) : -ENOMEM;
		if (r == 0 && levels)
			require_auth(levels, &b, verdicts);
		if (r == 0)
			r = emit_segments(&b, verdicts, ret);
	}
	free(verdicts);
	ARRAY_DONE(&b);
	return r;
}

/* Verdicts of the protocols that have no slot of their own but are named by some item. */
static int build_protos(struct slot_work *w, const struct policy_item *items, size_t n,
			const struct policy_item **scratch, struct policy_rows *ret)
{
	bool is_named[256] = {false};
	size_t n_named = 0;

	for (size_t i = 0; i < n; i++)
		if (items[i].proto < 256 &&
		    policy_slot_of((uint8_t)items[i].proto) == POLICY_SLOT_OTHER &&
		    !is_named[items[i].proto]) {
			is_named[items[i].proto] = true;
			n_named++;
		}
	if (n_named == 0)
		return 0;
	ret->protos = calloc(n_named, sizeof(*ret->protos));
	if (!ret->protos)
		return -ENOMEM;
	for (unsigned p = 0; p < 256; p++) {
		struct policy_proto *row = &ret->protos[ret->n_protos];

		if (!is_named[p])
			continue;
		w->n = 0;
		for (size_t i = 0; i < n; i++)
			if (items[i].proto == p || items[i].proto == POLICY_PROTO_ANY)
				scratch[w->n++] = &items[i];
		row->proto = (uint8_t)p;
		row->verdict = verdict_of_rest(w);
		if (!verdict_eq(row->verdict, ret->slot[POLICY_SLOT_OTHER].dflt))
			ret->n_protos++;
	}
	return 0;
}

int policy_rows_build(struct policy_item *items, size_t n, struct policy_verdict verdict_if_none,
		      struct policy_rows *ret)
{
	const struct policy_item **scratch = calloc(n + 1, sizeof(*scratch));
	struct slot_work w = {.items = scratch, .none = verdict_if_none};
	struct policy_rows rows = {0};
	int r = 0;

	if (!scratch)
		return -ENOMEM;
	if (n > 1)
		qsort(items, n, sizeof(*items), item_cmp);
	for (size_t i = 0; i < n; i++)
		w.has_auth = w.has_auth || items[i].auth >= POLICY_AUTH_REQUIRED;
	for (unsigned s = 0; r == 0 && s < POLICY_SLOTS; s++) {
		w.n = 0;
		for (size_t i = 0; i < n; i++)
			if (items[i].proto == slot_protos[s] || items[i].proto == POLICY_PROTO_ANY)
				scratch[w.n++] = &items[i];
		r = build_slot(&w, &rows.slot[s]);
	}
	if (r == 0)
		r = build_protos(&w, items, n, scratch, &rows);
	free(scratch);
	if (r < 0)
		policy_rows_done(&rows);
	else
		*ret = rows;
	return r;
}

void policy_rows_done(struct policy_rows *rows)
{
	for (unsigned s = 0; s < POLICY_SLOTS; s++)
		free(rows->slot[s].ports);
	free(rows->protos);
	*rows = (struct policy_rows){0};
}

bool policy_rows_eq(const struct policy_rows *a, const struct policy_rows *b)
{
	if (a->n_protos != b->n_protos)
		return false;
	for (size_t i = 0; i < a->n_protos; i++)
		if (a->protos[i].proto != b->protos[i].proto ||
		    !verdict_eq(a->protos[i].verdict, b->protos[i].verdict))
			return false;
	for (unsigned s = 0; s < POLICY_SLOTS; s++) {
		const struct policy_slot_rows *x = &a->slot[s], *y = &b->slot[s];

		if (x->n_ports != y->n_ports || !verdict_eq(x->dflt, y->dflt))
			return false;
		for (size_t i = 0; i < x->n_ports; i++)
			if (x->ports[i].port != y->ports[i].port ||
			    x->ports[i].mask != y->ports[i].mask ||
			    !verdict_eq(x->ports[i].verdict, y->ports[i].verdict))
				return false;
	}
	return true;
}

/* Words that are hashed together: a chain of hashes costs more. */
struct words {
	uint64_t v[32];
	size_t n;
};

static void words_add(struct words *w, uint32_t what, struct policy_verdict v)
{
	if (w->n == ARRAY_LEN(w->v)) {
		w->v[0] = hash_bytes(w->v, sizeof(w->v));
		w->n = 1;
	}
	w->v[w->n++] = (uint64_t)v.rule << 32 | (uint64_t)v.action << 24 | what;
}

uint64_t policy_rows_digest(const struct policy_rows *rows)
{
	struct words w = {0};

	for (unsigned s = 0; s < POLICY_SLOTS; s++) {
		const struct policy_slot_rows *slot = &rows->slot[s];

		words_add(&w, slot->n_ports, slot->dflt);
		for (uint32_t i = 0; i < slot->n_ports; i++)
			words_add(&w, slot->ports[i].port | (uint32_t)__builtin_popcount(slot->ports[i].mask) << 16,
				  slot->ports[i].verdict);
	}
	for (uint32_t i = 0; i < rows->n_protos; i++)
		words_add(&w, rows->protos[i].proto, rows->protos[i].verdict);
	return hash_bytes(w.v, w.n * sizeof(w.v[0]));
}

struct policy_verdict policy_rows_lookup(const struct policy_rows *rows, uint8_t proto,
					 uint16_t port)
{
	enum policy_slot slot = policy_slot_of(proto);
	const struct policy_slot_rows *s = &rows->slot[slot];
	size_t lo = 0, hi = s->n_ports;

	if (slot == POLICY_SLOT_OTHER) {
		for (size_t i = 0; i < rows->n_protos; i++)
			if (rows->protos[i].proto == proto)
				return rows->protos[i].verdict;
		return s->dflt;
	}
	while (lo < hi) { /* the last block that starts at or before the port */
		size_t mid = lo + (hi - lo) / 2;

		if (s->ports[mid].port <= port)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0 && (port & s->ports[lo - 1].mask) == s->ports[lo - 1].port)
		return s->ports[lo - 1].verdict;
	return s->dflt;
}
