/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/u32map.h"
#include "plan/plan_service.h"
#include "recon/map_batch.h"

/* A frontend as it is in the maps. */
struct entry {
	struct mesh_svc_key key;
	struct mesh_svc value;
	uint32_t *numbers; /* its slots */
	size_t n_slots;
	bool is_claimed; /* by the table; false for a leftover */
	UT_hash_handle hh;
};

struct recon_service {
	const struct bpfobj *obj;
	struct service_table *table;
	struct entry *entries;
	uint32_t last_set;
	int failed; /* of the flush under way */
	bool write_all; /* the maps may differ from `entries` */
	uint16_t node_port_min, node_port_max;
	struct recon_service_stats stats;
};

static void entry_free(struct recon_service *r, struct entry *e)
{
	HASH_DEL(r->entries, e);
	free(e->numbers);
	free(e);
}

void recon_service_free(struct recon_service *r)
{
	struct entry *e, *tmp;

	if (!r)
		return;
	HASH_ITER (hh, r->entries, e, tmp)
		entry_free(r, e);
	free(r);
}

static struct entry *entry_find(struct recon_service *r, const struct mesh_svc_key *key)
{
	struct entry *e;

	HASH_FIND(hh, r->entries, key, sizeof(*key), e);
	return e;
}

static void note_node_port(struct recon_service *r, const struct mesh_svc_key *key)
{
	uint16_t port = ntohs(key->port);

	if (key->scope != MESH_SVC_NODE_PORT)
		return;
	if (!r->node_port_max || port < r->node_port_min)
		r->node_port_min = port;
	if (port > r->node_port_max)
		r->node_port_max = port;
}

static struct entry *entry_new(struct recon_service *r, const struct mesh_svc_key *key)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = *key;
	hash_oom = false;
	HASH_ADD(hh, r->entries, key, sizeof(e->key), e);
	if (hash_oom) {
		free(e);
		return NULL;
	}
	note_node_port(r, key);
	return e;
}

/* Reading back */

static int read_service(const void *key, const void *value, void *arg)
{
	struct recon_service *r = arg;
	struct entry *e = entry_new(r, key);
	struct ip ip;

	if (!e)
		return -ENOMEM;
	e->value = *(const struct mesh_svc *)value;
	if (e->value.set > r->last_set)
		r->last_set = e->value.set;
	ip = ip_unmapped(e->key.addr);
	/* A number that is taken or out of range only means that the frontend gets another one. */
	(void)service_table_restore_frontend(r->table, &ip, ntohs(e->key.port), e->key.proto, e->value.service_id);
	return 0;
}

struct slot_list {
	struct recon_service *r;
	struct u32map by_set; /* set number -> entry */
	struct map_batch orphans;
};

static int read_slot(const void *key, const void *value, void *arg)
{
	struct slot_list *l = arg;
	const struct mesh_svc_slot_key *k = key;
	const struct mesh_svc_slot *s = value;
	struct ip ip = ip_unmapped(s->addr);
	uint64_t found;
	struct entry *e;
	uint32_t *v;

	if (!k->set || !u32map_get(&l->by_set, k->set, &found))
		return map_batch_del(&l->orphans, key);
	e = (struct entry *)(uintptr_t)found;
	v = reallocarray(e->numbers, e->n_slots + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	e->numbers = v;
	v[e->n_slots++] = k->slot;
	(void)service_table_restore_backend(l->r->table, &ip, ntohs(s->port), e->key.proto,
					    s->backend_id); /* as above */
	return 0;
}

static int read_slots(struct recon_service *r)
{
	struct slot_list l = {.r = r};
	struct entry *e, *tmp;
	int rc = 0;

	HASH_ITER (hh, r->entries, e, tmp)
		if (rc == 0 && e->value.set)
			rc = u32map_put(&l.by_set, e->value.set, (uintptr_t)e);
	map_batch_init(&l.orphans, r->obj, BPFOBJ_SVC_SLOT);
	if (rc == 0)
		rc = bpfmap_each(r->obj, BPFOBJ_SVC_SLOT, read_slot, &l);
	if (rc == 0)
		rc = map_batch_flush(&l.orphans);
	map_batch_done(&l.orphans);
	u32map_done(&l.by_set);
	return rc;
}

int recon_service_new(const struct bpfobj *o, struct service_table *t, struct recon_service **ret)
{
	CLEANUP(recon_service_free) struct recon_service *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->obj = o;
	r->table = t;
	e = bpfmap_each(o, BPFOBJ_SVC, read_service, r);
	if (e == 0)
		e = read_slots(r);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

/* Writing */

static int write_slots(struct recon_service *r, const struct plan_service *p, uint32_t set)
{
	struct map_batch b;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC_SLOT);
	for (size_t i = 0; e == 0 && i < p->n_slots; i++) {
		struct mesh_svc_slot_key key = {.set = set, .slot = p->numbers[i]};

		e = map_batch_put(&b, &key, &p->slots[i]);
	}
	if (e == 0)
		e = map_batch_flush(&b);
	r->stats.writes += b.n_put;
	map_batch_done(&b);
	return e;
}

static int delete_slots(struct recon_service *r, uint32_t set, const uint32_t *numbers, size_t n)
{
	struct map_batch b;
	int e = 0;

	map_batch_init(&b, r->obj, BPFOBJ_SVC_SLOT);
	for (size_t i = 0; e == 0 && i < n; i++) {
		struct mesh_svc_slot_key key = {.set = set, .slot = numbers[i]};

		e = map_batch_del(&b, &key);
	}
	if (e == 0)
		e = map_batch_flush(&b);
	r->stats.deletes += b.n_del;
	map_batch_done(&b);
	return e;
}

static int remove_entry(struct recon_service *r, struct entry *e)
{
	int rc = bpfmap_del(r->obj, BPFOBJ_SVC, &e->key);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	r->stats.deletes++;
	rc = delete_slots(r, e->value.set, e->numbers, e->n_slots);
	if (rc < 0)
		return rc; /* the entry keeps their numbers for the next attempt */
	entry_free(r, e);
	return 0;
}

static int set_entry(struct recon_service *r, const struct frontend *f)
{
	CLEANUP(plan_service_done) struct plan_service p = {0};
	struct entry *e, old;
	int rc = plan_service_make(f, &p);

	if (rc < 0)
		return rc;
	e = entry_find(r, &p.key);
	if (!e)
		e = entry_new(r, &p.key);
	if (!e)
		return -ENOMEM;
	p.value.set = ++r->last_set;
	rc = write_slots(r, &p, p.value.set);
	if (rc == 0)
		rc = bpfmap_put(r->obj, BPFOBJ_SVC, &p.key, &p.value);
	if (rc < 0) {
		(void)delete_slots(r, p.value.set, p.numbers, p.n_slots); /* the first failure counts */
		return rc;
	}
	r->stats.writes++;
	old = *e;
	e->value = p.value;
	e->numbers = p.numbers;
	e->n_slots = p.n_slots;
	e->is_claimed = true;
	p.numbers = NULL;
	rc = old.value.set ? delete_slots(r, old.value.set, old.numbers, old.n_slots) : 0;
	free(old.numbers);
	return rc;
}

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	struct recon_service *r = arg;
	struct mesh_svc_key key;
	struct entry *e;
	int rc = 0;

	if (now) {
		rc = set_entry(r, now);
	} else {
		key = plan_service_key(&old->ip, old->port, old->proto);
		e = entry_find(r, &key);
		if (e)
			rc = remove_entry(r, e);
	}
	if (rc < 0 && r->failed == 0)
		r->failed = rc;
}

/* Marks a frontend of the table as wanted. */
static int claim(const struct frontend *f, void *arg)
{
	struct recon_service *r = arg;
	struct mesh_svc_key key = plan_service_key(&f->ip, f->port, f->proto);
	struct entry *e = entry_find(r, &key);

	if (e)
		e->is_claimed = true;
	return 0;
}

/* Removes what no frontend claims. Returns the number of them, or the first -errno. */
static int remove_unclaimed(struct recon_service *r)
{
	struct entry *e, *tmp;
	int n = 0;

	HASH_ITER (hh, r->entries, e, tmp) {
		int rc;

		if (e->is_claimed)
			continue;
		rc = remove_entry(r, e);
		if (rc < 0)
			return rc;
		n++;
	}
	return n;
}

/* After a failure: takes out what failed to go, and leftovers, first, as a full map has room only then. */
static int repair(struct recon_service *r)
{
	struct entry *e, *tmp;
	int rc;

	HASH_ITER (hh, r->entries, e, tmp)
		e->is_claimed = false;
	rc = service_table_each(r->table, claim, r);
	return rc < 0 ? rc : remove_unclaimed(r);
}

static int rewrite(const struct frontend *f, void *arg)
{
	struct recon_service *r = arg;

	return set_entry(r, f);
}

int recon_service_apply(struct recon_service *r)
{
	int rc;

	r->failed = 0;
	rc = service_table_flush(r->table, on_change, r);
	if (rc == 0 && r->write_all) {
		r->failed = 0; /* all of it is tried again here */
		rc = repair(r);
	}
	if (rc >= 0 && r->write_all)
		rc = service_table_each(r->table, rewrite, r);
	if (rc == 0)
		rc = r->failed;
	r->write_all = rc < 0;
	return rc;
}

int recon_service_sweep(struct recon_service *r)
{
	int n = remove_unclaimed(r);

	if (n >= 0)
		service_table_forget_unused(r->table);
	return n;
}

void recon_service_node_ports(const struct recon_service *r, uint16_t *ret_min, uint16_t *ret_max)
{
	*ret_min = r->node_port_min;
	*ret_max = r->node_port_max;
}

struct recon_service_stats recon_service_get_stats(const struct recon_service *r)
{
	return r->stats;
}
