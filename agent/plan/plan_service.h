/* SPDX-License-Identifier: Apache-2.0 */
/* A frontend with its backends as map entries. Pure. */
#pragma once

#include "base/cleanup.h"
#include "mesh_abi.h"
#include "service/service_select.h"

/* One set of backends, immutable in the maps once written. */
struct plan_service {
	struct mesh_svc_key key;
	struct mesh_svc value; /* set is filled in when it is written */
	struct mesh_svc_slot *slots;
	uint32_t *numbers; /* slot numbers, of the same length */
	size_t n_slots;
};

/* 0 or -ENOMEM. Backends of another family than the frontend are left out. */
int plan_service_make(const struct frontend *f, struct plan_service *ret);
void plan_service_done(struct plan_service *p);
DEFINE_CLEANUP_DONE(struct plan_service, plan_service_done)

/* The key under which a frontend is found; the unspecified address is that of node ports. */
struct mesh_svc_key plan_service_key(const struct ip *ip, uint16_t port, uint8_t proto);
