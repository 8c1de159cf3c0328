/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_route.h"

#include "base/array.h"

/* By prefix; then by the rest, so that of doubles always the same one counts. */
static int by_prefix(const void *a, const void *b)
{
	const struct nl_route *x = a, *y = b;
	int c = cidr_cmp(&x->dst, &y->dst);

	if (c == 0)
		c = ip_cmp(&x->via, &y->via);
	if (c == 0)
		c = ip_cmp(&x->src, &y->src);
	return c;
}

/* The equal prefixes from `i` on end before the result. */
static size_t group_end(const struct routes *t, size_t i)
{
	size_t end = i;

	while (end < t->n && cidr_cmp(&t->v[end].dst, &t->v[i].dst) == 0)
		end++;
	return end;
}

/* One prefix: at most one wanted route against all that are there. */
static int diff_prefix(const struct nl_route *want, const struct nl_route *have, size_t n, struct route_ops *ops,
		       struct route_ops *dels)
{
	size_t i, keep = n, replace = n;
	int r = 0;

	for (i = 0; want && i < n; i++) {
		if (nl_route_same(want, &have[i]))
			keep = i;
		else if (have[i].metric == nl_route_metric(have[i].dst.ip.family))
			replace = i; /* the kernel replaces what has the same prefix and metric */
	}
	if (keep < n)
		replace = n;
	else if (want)
		r = ARRAY_ADD(ops, (struct route_op){replace < n ? ROUTE_REPLACE : ROUTE_ADD, *want});
	for (i = 0; r == 0 && i < n; i++)
		if (i != keep && i != replace)
			r = ARRAY_ADD(dels, (struct route_op){ROUTE_DEL, have[i]});
	return r;
}

int route_diff(struct routes *want, struct routes *have, struct route_ops *ret)
{
	struct route_ops dels = {0};
	size_t w = 0, h = 0, k;
	int r = 0;

	ret->n = 0;
	ARRAY_SORT(want, by_prefix);
	ARRAY_SORT(have, by_prefix);
	while (r == 0 && (w < want->n || h < have->n)) {
		int c = w == want->n   ? 1
			: h == have->n ? -1
				       : cidr_cmp(&want->v[w].dst, &have->v[h].dst);
		size_t w_end = c <= 0 ? group_end(want, w) : w;
		size_t h_end = c >= 0 ? group_end(have, h) : h;

		r = diff_prefix(c <= 0 ? &want->v[w] : NULL, have->v + h, h_end - h, ret, &dels);
		w = w_end;
		h = h_end;
	}
	for (k = 0; r == 0 && k < dels.n; k++)
		r = ARRAY_ADD(ret, dels.v[k]);
	ARRAY_DONE(&dels);
	return r;
}
