/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan_service.h"

#include <errno.h>
#include <stdlib.h>

struct mesh_svc_key plan_service_key(const struct ip *ip, uint16_t port, uint8_t proto)
{
	struct mesh_svc_key key = {.port = htons(port), .proto = proto};
	const struct ip unspecified = {.family = ip->family};

	key.scope = ip_eq(ip, &unspecified) ? MESH_SVC_NODE_PORT : MESH_SVC_ADDRESS;
	ip_mapped(ip, key.addr);
	return key;
}

void plan_service_done(struct plan_service *p)
{
	free(p->slots);
	free(p->numbers);
	*p = (struct plan_service){0};
}

static void add_slot(struct plan_service *p, uint32_t number, const struct backend *b)
{
	struct mesh_svc_slot *s = &p->slots[p->n_slots];

	*s = (struct mesh_svc_slot){.port = htons(b->port), .backend_id = b->id};
	ip_mapped(&b->ip, s->addr);
	p->numbers[p->n_slots++] = number;
}

int plan_service_make(const struct frontend *f, struct plan_service *ret)
{
	CLEANUP(plan_service_done) struct plan_service p = {.key = plan_service_key(&f->ip, f->port, f->proto)};
	size_t room = f->n_backends * (f->affinity_s ? 2 : 1) + 1;

	p.slots = calloc(room, sizeof(*p.slots));
	p.numbers = calloc(room, sizeof(*p.numbers));
	if (!p.slots || !p.numbers)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_backends; i++)
		if (f->backends[i].ip.family == f->ip.family)
			add_slot(&p, p.value.count++, &f->backends[i]);
	for (size_t i = 0; f->affinity_s && i < f->n_backends; i++)
		if (f->backends[i].ip.family == f->ip.family)
			add_slot(&p, MESH_SLOT_BACKEND | f->backends[i].id, &f->backends[i]);
	p.value.service_id = f->id;
	p.value.affinity_s = f->affinity_s;
	p.value.flags = f->affinity_s ? MESH_SVC_AFFINITY : 0;
	*ret = p;
	p = (struct plan_service){0};
	return 0;
}
