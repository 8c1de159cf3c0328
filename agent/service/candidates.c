/* SPDX-License-Identifier: Apache-2.0 */
#include "service/candidates.h"

#include <errno.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"

/* KEP-1669: ready endpoints take connections; terminating ones that serve do if there is no other. */
static enum rank rank_of(const struct kube_slice *s, uint8_t conditions)
{
	if (s->is_paused)
		return RANK_NONE;
	if (conditions & KUBE_EP_READY)
		return RANK_READY;
	if ((conditions & KUBE_EP_SERVING) && (conditions & KUBE_EP_TERMINATING))
		return RANK_TERMINATING;
	return RANK_NONE;
}

/* Orders by address and port; of equal ones the better comes first. */
static int candidate_cmp(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	int r = ip_cmp(&a->b.ip, &b->b.ip);

	if (r == 0)
		r = (a->b.port > b->b.port) - (a->b.port < b->b.port);
	if (r == 0)
		r = (a->rank < b->rank) - (a->rank > b->rank);
	if (r == 0)
		r = (a->b.is_local < b->b.is_local) - (a->b.is_local > b->b.is_local);
	return r;
}

static void drop_duplicates(struct candidates *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (n == 0 || !ip_eq(&c->v[n - 1].b.ip, &c->v[i].b.ip) ||
		    c->v[n - 1].b.port != c->v[i].b.port)
			c->v[n++] = c->v[i];
	c->n = n;
}

static int add_slice(struct candidates *c, const struct kube_slice *s, uint16_t port,
		     const struct service_options *opt)
{
	int r = ARRAY_RESERVE(c, s->n_endpoints);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct kube_slice_endpoint *ep = &s->endpoints[i];
		const char *node = kube_slice_text(s, ep->node);

		/* the first address only, as kube-proxy: others would count one pod twice */
		c->v[c->n++] = (struct candidate){
			.b = {.ip = s->addrs[ep->first_addr].ip,
			      .port = port,
			      .conditions = ep->conditions,
			      /* an endpoint without a node is nowhere local, unlike in Cilium */
			      .is_local = opt->node && *node && str_eq(node, opt->node)},
			.rank = rank_of(s, ep->conditions),
			.slice = s,
			.ep = ep,
		};
	}
	return 0;
}

static bool is_remote(const struct candidate *c)
{
	return str_eq(kube_slice_text(c->slice, c->slice->managed_by), SLICE_MANAGED_BY_MESH);
}

/* What a set of clusters, ours or the others, has for new connections. */
struct side {
	size_t active;	/* ready */
	size_t healthy; /* ready, or terminating and serving */
};

static struct side side_of(const struct candidates *c, bool remote)
{
	struct side s = {0};

	for (size_t i = 0; i < c->n; i++) {
		if (is_remote(&c->v[i]) != remote)
			continue;
		s.active += c->v[i].rank == RANK_READY;
		s.healthy += c->v[i].rank != RANK_NONE;
	}
	return s;
}

static void drop_side(struct candidates *c, bool remote)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (is_remote(&c->v[i]) != remote)
			c->v[n++] = c->v[i];
	c->n = n;
}

static const char *annotation(const struct kube_service *s, const char *name, const char *old_name)
{
	const char *v = kube_pairs_get(&s->annotations, name);

	return v ? v : kube_pairs_get(&s->annotations, old_name);
}

/* Cilium's annotations of global services, over backends that a cluster mesh mirrors into the API server. */
static void prefer_side(struct candidates *c, const struct kube_service *s)
{
	const char *global = annotation(s, "service.cilium.io/global", "io.cilium/global-service");
	const char *affinity = annotation(s, "service.cilium.io/affinity", "io.cilium/service-affinity");
	struct side ours = side_of(c, false), others = side_of(c, true);

	if (global && !str_eq(global, "true"))
		drop_side(c, true);
	else if (affinity && str_eq(affinity, "local") && (ours.active > 0 || others.healthy == 0))
		drop_side(c, true);
	else if (affinity && str_eq(affinity, "remote") && (others.healthy > 0 || ours.healthy == 0))
		drop_side(c, false);
}

int candidates_collect(const struct kube_service *service, const struct kube_service_port *p, uint8_t family,
		       const struct kube_slice *const *slices, size_t n_slices, const struct service_options *opt,
		       struct candidates *ret)
{
	int r;

	for (size_t i = 0; i < n_slices; i++) {
		const struct kube_slice *s = slices[i];

		if (s->family != family || !service_slice_counts(s, opt))
			continue;
		for (size_t j = 0; j < s->n_ports; j++) {
			if (s->ports[j].port == 0 || s->ports[j].proto != p->proto ||
			    !str_eq(kube_slice_text(s, s->ports[j].name), p->name))
				continue;
			r = add_slice(ret, s, s->ports[j].port, opt);
			if (r < 0)
				return r;
		}
	}
	ARRAY_SORT(ret, candidate_cmp);
	drop_duplicates(ret);
	prefer_side(ret, service);
	return 0;
}

static bool has_hint(const struct candidate *c, bool for_node, const char *own)
{
	size_t first = c->ep->first_hint + (for_node ? c->ep->n_zones : 0);
	size_t n = for_node ? c->ep->n_nodes : c->ep->n_zones;

	for (size_t i = 0; i < n; i++)
		if (str_eq(kube_slice_text(c->slice, c->slice->hints[first + i]), own))
			return true;
	return false;
}

/* True if every ready endpoint has hints of the kind and at least one names us. */
static bool hints_apply(const struct candidates *c, bool for_node, const char *own)
{
	bool is_named = false;

	if (!own || *own == '\0')
		return false;
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].rank != RANK_READY)
			continue;
		if ((for_node ? c->v[i].ep->n_nodes : c->v[i].ep->n_zones) == 0)
			return false;
		is_named = is_named || has_hint(&c->v[i], for_node, own);
	}
	return is_named;
}

static size_t count_rank(const struct candidates *c, enum rank rank, bool local_only)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->v[i].rank == rank && (!local_only || c->v[i].b.is_local);
	return n;
}

struct choice candidates_choose(const struct candidates *c, bool local_only, const struct service_options *opt)
{
	struct choice ch = {.rank = RANK_READY, .local_only = local_only};

	if (count_rank(c, RANK_READY, local_only) == 0) {
		if (count_rank(c, RANK_TERMINATING, local_only) > 0) {
			ch.rank = RANK_TERMINATING;
			ch.flags = FRONTEND_TERMINATING;
		} else if (local_only && (count_rank(c, RANK_READY, false) > 0 ||
					  count_rank(c, RANK_TERMINATING, false) > 0)) {
			ch.flags = FRONTEND_FILTERED;
		}
		return ch; /* topology never applies to the fall-back */
	}
	if (local_only)
		return ch;
	if (hints_apply(c, true, opt->node))
		ch.topology = TOPOLOGY_NODE;
	else if (hints_apply(c, false, opt->zone))
		ch.topology = TOPOLOGY_ZONE;
	return ch;
}

bool candidate_is_chosen(const struct candidate *c, const struct choice *ch, const struct service_options *opt)
{
	if (c->rank != ch->rank || (ch->local_only && !c->b.is_local))
		return false;
	switch (ch->topology) {
	case TOPOLOGY_NODE:
		return has_hint(c, true, opt->node);
	case TOPOLOGY_ZONE:
		return has_hint(c, false, opt->zone);
	default:
		return true;
	}
}

void candidates_done(struct candidates *c)
{
	ARRAY_DONE(c);
}
