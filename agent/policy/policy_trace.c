/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_trace.h"

#include "base/hash.h"
#include "base/macro.h"

void policy_trace_done(struct policy_trace *t)
{
	u32map_done(&t->places);
	ARRAY_DONE(&t->peers);
	*t = (struct policy_trace){0};
}

int policy_trace_add(struct policy_trace *t, uint32_t selector, uint64_t digest)
{
	int r = u32map_put(&t->places, selector, t->peers.n);

	return r < 0 ? r : ARRAY_ADD(&t->peers, digest);
}

bool policy_trace_has(const struct policy_trace *t, uint32_t selector)
{
	uint64_t place;

	return u32map_get(&t->places, selector, &place);
}

int policy_trace_hits(const struct policy_trace *t, const struct policy_selection *e, struct policy_hits *ret)
{
	int r = ARRAY_RESERVE(ret, e->n_sig);

	ret->n = 0;
	for (size_t i = 0; r == 0 && i < e->n_sig && e->sig[i] < POLICY_SIG_PORT; i++) {
		uint64_t place;

		if (u32map_get(&t->places, (uint32_t)e->sig[i], &place))
			ret->v[ret->n++] = (uint32_t)place;
	}
	return r;
}

enum policy_touch policy_trace_compare(const struct policy_trace *before, const struct policy_trace *now,
				       const struct policy_selection *e)
{
	enum policy_touch touch = POLICY_TOUCH_NONE;

	for (size_t i = 0; i < e->n_sig && e->sig[i] < POLICY_SIG_PORT; i++) {
		uint32_t selector = (uint32_t)e->sig[i];
		uint64_t was, is;

		if (!u32map_get(&before->places, selector, &was) || !u32map_get(&now->places, selector, &is))
			return POLICY_TOUCH_MEMBERS;
		if (before->peers.v[was] != now->peers.v[is])
			touch = POLICY_TOUCH_ROWS;
	}
	return touch;
}

/* Words that are hashed together: a chain of hashes costs more. */
struct words {
	uint64_t v[32];
	size_t n;
};

static void words_add(struct words *w, uint64_t word)
{
	if (w->n == ARRAY_LEN(w->v)) {
		w->v[0] = hash_bytes(w->v, sizeof(w->v));
		w->n = 1;
	}
	w->v[w->n++] = word;
}

uint64_t policy_entry_digest(const struct policy_entry *e, const struct policy_item *items, size_t n)
{
	struct words w = {0};

	words_add(&w, (uint64_t)e->number << 32 | n);
	words_add(&w, (uint64_t)e->dir | (uint64_t)e->auth << 8 | (uint64_t)e->is_deny << 16 | (uint64_t)e->has_any_peer << 17 |
			      (uint64_t)policy_entry_is_shadow(e) << 18);
	for (size_t i = 0; i < n; i++)
		words_add(&w, (uint64_t)items[i].proto | (uint64_t)items[i].lo << 16 | (uint64_t)items[i].hi << 32 |
				      (uint64_t)items[i].is_all << 48 | (uint64_t)items[i].is_restricted << 49);
	/* those with a name in egress are made into items for each peer */
	for (size_t i = 0; i < e->l4.n; i++) {
		const struct policy_l4 *l4 = &e->l4.v[i];

		if (l4->name)
			words_add(&w, (uint64_t)l4->name | (uint64_t)l4->proto << 32 | (uint64_t)l4->is_all << 48 |
					      (uint64_t)l4->is_restricted << 49);
	}
	return hash_bytes(w.v, w.n * sizeof(w.v[0]));
}
