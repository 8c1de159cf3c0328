/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoints of one port of a Service, and which of them a frontend takes for new connections. */
#pragma once

#include "base/cleanup.h"
#include "service/service_select.h"

/* Mirrored from other clusters, by Cilium's cluster mesh. */
#define SLICE_MANAGED_BY_MESH "endpointslice-mesh-controller.cilium.io"

/* How good an endpoint is for new connections; the greater wins where two slices hold one address. */
enum rank { RANK_NONE, RANK_TERMINATING, RANK_READY };

struct candidate {
	struct backend b;
	enum rank rank;
	const struct kube_slice *slice;
	const struct kube_slice_endpoint *ep;
};

struct candidates {
	struct candidate *v;
	size_t n, cap;
};

/*
 * All endpoints of one port and family, sorted by address and port, each once; without those of our cluster or the
 * others, if the Service's annotations say so. 0 or -ENOMEM. They point into `slices`.
 */
int candidates_collect(const struct kube_service *service, const struct kube_service_port *p, uint8_t family,
		       const struct kube_slice *const *slices, size_t n_slices, const struct service_options *opt,
		       struct candidates *ret);
void candidates_done(struct candidates *c);
DEFINE_CLEANUP_DONE(struct candidates, candidates_done)

enum topology { TOPOLOGY_ALL, TOPOLOGY_NODE, TOPOLOGY_ZONE };

/* What a frontend takes from the candidates. */
struct choice {
	enum rank rank;
	bool local_only;
	enum topology topology;
	uint8_t flags;
};

/* With `local_only` those of this host alone; else as topology hints say, if all have such and one names us. */
struct choice candidates_choose(const struct candidates *c, bool local_only, const struct service_options *opt);
bool candidate_is_chosen(const struct candidate *c, const struct choice *ch, const struct service_options *opt);
