/* SPDX-License-Identifier: Apache-2.0 */
/* A new set of backends is there before its frontend, and an old one goes after it: a connection meets one or the other. */
#include <errno.h>

#include "base/cleanup.h"
#include "recon/map_batch.h"
#include "recon/recon_service_internal.h"

/* At once: few calls, and not many more slots than there will be. */
enum { CHANGES_MAX = 256, SLOTS_MAX = 1024 };

void svc_entry_free(struct recon_service *r, struct svc_entry *e)
{
	HASH_DEL(r->entries, e); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	free(e->numbers);
	free(e);
}

void svc_queue_clear(struct recon_service *r)
{
	for (size_t i = 0; i < r->queue.n; i++)
		plan_service_done(&r->queue.v[i].p);
	r->queue.n = r->queued_slots = 0;
}

/* The end of a batch, of which collecting ended with `e`: it is written unless that failed, and counted. The first failure. */
static int finish(struct recon_service *r, struct map_batch *b, int e)
{
	if (e == 0)
		e = map_batch_flush(b);
	r->stats.writes += b->n_put;
	r->stats.deletes += b->n_del;
	map_batch_done(b);
	return e;
}

/* The backends of the changes, of which nobody knows yet. */
static int write_slots(struct recon_service *r, const struct svc_change *c, size_t n)
{
	struct map_batch b;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC_SLOT);
	for (size_t i = 0; e == 0 && i < n; i++)
		for (size_t k = 0; e == 0 && k < c[i].p.n_slots; k++) {
			struct mesh_svc_slot_key key = {.set = c[i].p.value.set, .slot = c[i].p.numbers[k]};

			e = map_batch_put(&b, &key, &c[i].p.slots[k]);
		}
	return finish(r, &b, e);
}

static int put_frontends(struct recon_service *r, struct svc_change *c, size_t n)
{
	struct map_batch b;
	uint64_t done = 0;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC);
	for (size_t i = 0; e == 0 && i < n; i++)
		if (!c[i].is_removal)
			e = map_batch_put(&b, &c[i].p.key, &c[i].p.value);
	e = finish(r, &b, e);
	for (size_t i = 0; i < n; i++)
		if (!c[i].is_removal)
			c[i].is_done = done++ < b.n_put;
	return e;
}

/* All of them or, after a failure, none that is noted as such: to delete one again does no harm. */
static int delete_frontends(struct recon_service *r, struct svc_change *c, size_t n)
{
	struct map_batch b;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC);
	for (size_t i = 0; e == 0 && i < n; i++)
		if (c[i].is_removal)
			e = map_batch_del(&b, &c[i].e->key);
	e = finish(r, &b, e);
	for (size_t i = 0; i < n; i++)
		c[i].is_done |= c[i].is_removal && e == 0;
	return e;
}

/* Sets that no frontend names: those of before or, of a change that failed, the new ones. */
static int delete_slots(struct recon_service *r, const struct svc_change *c, size_t n)
{
	struct map_batch b;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC_SLOT);
	for (size_t i = 0; i < n; i++) {
		uint32_t set = c[i].is_done ? c[i].e->value.set : c[i].p.value.set;
		const uint32_t *numbers = c[i].is_done ? c[i].e->numbers : c[i].p.numbers;
		size_t n_slots = c[i].is_done ? c[i].e->n_slots : c[i].p.n_slots;

		for (size_t k = 0; e == 0 && k < n_slots; k++)
			e = map_batch_del(&b, &(struct mesh_svc_slot_key){.set = set, .slot = numbers[k]});
	}
	return finish(r, &b, e);
}

/* The entry becomes what the maps have. */
static void settle(struct recon_service *r, struct svc_change *c, bool is_clean)
{
	c->e->is_queued = false;
	if (!c->is_done)
		return;
	if (c->is_removal) {
		if (is_clean) /* else it keeps the numbers of its slots for the next attempt */
			svc_entry_free(r, c->e);
		return;
	}
	free(c->e->numbers);
	c->e->value = c->p.value;
	c->e->numbers = TAKE_PTR(c->p.numbers);
	c->e->n_slots = c->p.n_slots;
	c->e->is_claimed = true;
}

static int write_changes(struct recon_service *r, struct svc_change *c, size_t n)
{
	int rc = write_slots(r, c, n), e;

	if (rc == 0)
		rc = delete_frontends(r, c, n);
	if (rc == 0)
		rc = put_frontends(r, c, n);
	e = delete_slots(r, c, n);
	for (size_t i = 0; i < n; i++)
		settle(r, &c[i], e == 0);
	return rc < 0 ? rc : e; /* the first failure counts */
}

int svc_queue_write(struct recon_service *r)
{
	struct svc_change *c = r->queue.v;
	size_t n = r->queue.n;
	int rc = n ? write_changes(r, c, n) : 0;

	if (rc == -E2BIG && n > 1) { /* where all together find no room, one after the other may */
		rc = 0;
		for (size_t i = 0; i < n; i++) {
			int e = c[i].is_done ? 0 : write_changes(r, &c[i], 1);

			rc = rc < 0 ? rc : e;
		}
	}
	svc_queue_clear(r);
	return rc;
}

int svc_queue_add(struct recon_service *r, struct svc_entry *e, struct plan_service *p, bool is_removal)
{
	int rc = ARRAY_ADD(&r->queue, (struct svc_change){.e = e, .p = *p, .is_removal = is_removal});

	if (rc < 0)
		return rc;
	r->queued_slots += p->n_slots;
	*p = (struct plan_service){0};
	e->is_queued = true;
	return r->queue.n >= CHANGES_MAX || r->queued_slots >= SLOTS_MAX ? svc_queue_write(r) : 0;
}
