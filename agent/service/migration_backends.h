/* SPDX-License-Identifier: Apache-2.0 */
/* Who is behind a Service beside this host, and with what both are checked alike. Pure. */
#pragma once

#include "base/array.h"
#include "conf/conf.h"
#include "service/service.h"

struct migration_backend {
	struct ip ip;
	uint16_t port;
};

struct migration_backends {
	struct migration_backend *v; /* sorted, no address twice */
	size_t n, cap;
};
static inline void migration_backends_done(struct migration_backends *b)
{
	ARRAY_DONE(b);
}
DEFINE_CLEANUP_DONE(struct migration_backends, migration_backends_done)

/* How a backend is asked whether it is well. */
struct migration_check {
	const struct kube_service_port *port; /* of the Service; NULL: it has no port */
	uint16_t host_port;		      /* the same on this host */
	bool is_blind;			      /* no way to ask: it is not TCP */
	const struct conf_probe *probe;	      /* http, or tcp; NULL = whether TCP connects */
};

/*
 * The first health probe of the Service that is http or tcp and asks a port of it; else, whether the first TCP port
 * connects. All that is returned is borrowed.
 */
struct migration_check migration_check_of(const struct kube_service *s, const struct conf *conf);

/* The family that shares are counted in: the first of the Service. */
uint8_t migration_family(const struct kube_service *s);

/*
 * Adds the ready endpoints that are not this host's, with their number of the port; other external hosts are among
 * them. 0 or -ENOMEM.
 */
int migration_backends_of(const struct service_view *v, const struct kube_service_port *port, const struct ip *own,
			  size_t n_own, struct migration_backends *ret);
