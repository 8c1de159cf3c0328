/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_service_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/u32map.h"
#include "recon/map_batch.h"

void recon_service_free(struct recon_service *r)
{
	struct svc_entry *e, *tmp;

	if (!r)
		return;
	svc_queue_clear(r);
	ARRAY_DONE(&r->queue);
	HASH_ITER (hh, r->entries, e, tmp)
		svc_entry_free(r, e);
	free(r);
}

static struct svc_entry *entry_find(struct recon_service *r, const struct mesh_svc_key *key)
{
	struct svc_entry *e;

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

static struct svc_entry *entry_new(struct recon_service *r, const struct mesh_svc_key *key)
{
	struct svc_entry *e = calloc(1, sizeof(*e));

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
	struct svc_entry *e = entry_new(r, key);
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
	struct svc_entry *e;
	uint32_t *v;

	if (!k->set || !u32map_get(&l->by_set, k->set, &found))
		return map_batch_del(&l->orphans, key);
	e = (struct svc_entry *)(uintptr_t)found;
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
	struct svc_entry *e, *tmp;
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

/* The entry, after the change of it that was queued before; NULL: there is none. */
static int find_settled(struct recon_service *r, const struct mesh_svc_key *key, struct svc_entry **ret)
{
	struct svc_entry *e = entry_find(r, key);
	int rc = 0;

	if (e && e->is_queued) {
		rc = svc_queue_write(r);
		e = entry_find(r, key);
	}
	*ret = e;
	return rc;
}

static int remove_entry(struct recon_service *r, struct svc_entry *e)
{
	return svc_queue_add(r, e, &(struct plan_service){0}, true);
}

static int set_entry(struct recon_service *r, const struct frontend *f)
{
	CLEANUP(plan_service_done) struct plan_service p = {0};
	struct svc_entry *e = NULL;
	int rc = plan_service_make(f, &p);

	if (rc == 0)
		rc = find_settled(r, &p.key, &e);
	if (rc < 0)
		return rc;
	if (!e)
		e = entry_new(r, &p.key);
	if (!e)
		return -ENOMEM;
	p.value.set = ++r->last_set;
	return svc_queue_add(r, e, &p, false);
}

static void note_failure(struct recon_service *r, int rc)
{
	if (rc < 0 && r->failed == 0)
		r->failed = rc;
}

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	struct recon_service *r = arg;
	struct mesh_svc_key key;
	struct svc_entry *e;
	int rc = 0;

	if (now) {
		rc = set_entry(r, now);
	} else {
		key = plan_service_key(&old->ip, old->port, old->proto);
		rc = find_settled(r, &key, &e);
		if (rc == 0 && e)
			rc = remove_entry(r, e);
	}
	note_failure(r, rc);
}

/* Marks a frontend of the table as wanted. */
static int claim(const struct frontend *f, void *arg)
{
	struct recon_service *r = arg;
	struct mesh_svc_key key = plan_service_key(&f->ip, f->port, f->proto);
	struct svc_entry *e = entry_find(r, &key);

	if (e)
		e->is_claimed = true;
	return 0;
}

/* Removes what no frontend claims. Nothing is queued. Returns the number of them, or the first -errno. */
static int remove_unclaimed(struct recon_service *r)
{
	struct svc_entry *e, *tmp;
	int n = 0, rc = 0, last;

	HASH_ITER (hh, r->entries, e, tmp) {
		if (rc < 0 || e->is_claimed)
			continue;
		rc = remove_entry(r, e);
		n++;
	}
	last = svc_queue_write(r);
	rc = rc < 0 ? rc : last;
	return rc < 0 ? rc : n;
}

/* After a failure: takes out what failed to go, and leftovers, first, as a full map has room only then. */
static int repair(struct recon_service *r)
{
	struct svc_entry *e, *tmp;
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
	note_failure(r, svc_queue_write(r));
	if (rc == 0 && r->write_all) {
		r->failed = 0; /* all of it is tried again here */
		rc = repair(r);
	}
	if (rc >= 0 && r->write_all)
		rc = service_table_each(r->table, rewrite, r);
	note_failure(r, svc_queue_write(r));
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
