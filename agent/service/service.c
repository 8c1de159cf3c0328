/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "service/service_private.h"

enum {
	MAX_FRONTENDS = 4 * LIMIT_SERVICES, /* two families, two ports on average */
	KEY_MAX = 2 * LIMIT_NAME + 2,	    /* "namespace/name" with NUL */
};

static const struct ip *slice_addr_key(const void *owner, uint32_t n)
{
	return &((const struct kube_slice *)owner)->addrs[n].ip;
}

static const struct ip *cluster_ip_key(const void *owner, uint32_t n)
{
	return &((const struct kube_service *)owner)->cluster_ips[n];
}

int service_table_new(const struct service_options *opt, struct service_table **ret)
{
	struct service_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (service_options_copy(opt, &t->opt) < 0) {
		free(t);
		return -ENOMEM;
	}
	t->opt.o.node_labels = &t->opt.node_labels;
	t->backend_ids.max = LIMIT_BACKENDS;
	t->frontend_ids.max = MAX_FRONTENDS;
	t->by_addr.key = slice_addr_key;
	t->by_cluster_ip.key = cluster_ip_key;
	*ret = t;
	return 0;
}

static void service_entry_free(struct service_entry *e)
{
	for (size_t i = 0; i < e->claims.n; i++) {
		frontend_done(&e->claims.v[i]->f);
		free(e->claims.v[i]);
	}
	ARRAY_DONE(&e->claims);
	ARRAY_DONE(&e->slices);
	if (e->shown != e->s)
		kube_service_free(e->shown);
	kube_service_free(e->s);
	free(e);
}

void service_table_free(struct service_table *t)
{
	struct service_entry *e, *e_next;
	struct slice_entry *s, *s_next;
	struct frontend_slot *f, *f_next;

	if (!t)
		return;
	HASH_ITER (hh, t->services, e, e_next) {
		HASH_DEL(t->services, e);
		service_entry_free(e);
	}
	HASH_ITER (hh, t->slices, s, s_next) {
		HASH_DEL(t->slices, s);
		kube_slice_free(s->s);
		free(s);
	}
	HASH_ITER (hh, t->slots, f, f_next) {
		HASH_DEL(t->slots, f);
		free(f);
	}
	id_table_done(&t->backend_ids);
	id_table_done(&t->frontend_ids);
	addr_index_done(&t->by_addr);
	addr_index_done(&t->by_cluster_ip);
	service_options_done(&t->opt);
	free(t);
}

void service_mark_dirty(struct service_table *t, struct service_entry *e)
{
	if (e->is_dirty)
		return;
	e->is_dirty = true;
	e->next_dirty = NULL;
	if (t->dirty_last)
		t->dirty_last->next_dirty = e;
	else
		t->dirty_first = e;
	t->dirty_last = e;
}

static void note_change(struct service_table *t)
{
	t->generation++;
	t->changed_s = clock_wall_s();
}

int service_table_set_options(struct service_table *t, const struct service_options *opt)
{
	static const struct service_options none;
	struct options_copy fresh;
	struct service_entry *e, *next;
	int r;

	if (service_options_same(&t->opt.o, opt ? opt : &none))
		return 0;
	r = service_options_copy(opt, &fresh);
	if (r < 0)
		return r;
	service_options_done(&t->opt);
	t->opt = fresh;
	t->opt.o.node_labels = &t->opt.node_labels;
	HASH_ITER (hh, t->services, e, next)
		service_mark_dirty(t, e);
	return 0;
}

/* Writes "ns/name" and returns its length; 0 if it does not fit, as no known key would. */
static size_t key_make(char key[KEY_MAX], const char *ns, size_t ns_len, const char *name,
		       size_t name_len)
{
	if (ns_len + name_len + 2 > KEY_MAX)
		return 0;
	memcpy(key, ns, ns_len);
	key[ns_len] = '/';
	memcpy(key + ns_len + 1, name, name_len);
	key[ns_len + 1 + name_len] = '\0';
	return ns_len + 1 + name_len;
}

static struct service_entry *service_find(const struct service_table *t, const char *ns,
					  size_t ns_len,
					  const char *name, size_t name_len)
{
	struct service_entry *e = NULL;
	char key[KEY_MAX];
	size_t len = key_make(key, ns, ns_len, name, name_len);

	if (len)
		HASH_FIND(hh, t->services, key, len, e);
	return e;
}

static int service_get(struct service_table *t, const char *ns, const char *name,
		       struct service_entry **ret)
{
	struct service_entry *e = service_find(t, ns, strlen(ns), name, strlen(name));
	char key[KEY_MAX];
	size_t len = key_make(key, ns, strlen(ns), name, strlen(name));

	if (!e) {
		if (HASH_COUNT(t->services) >= 2 * LIMIT_SERVICES)
			return -E2BIG;
		e = calloc(1, sizeof(*e) + len + 1);
		if (!e)
			return -ENOMEM;
		memcpy(e->key, key, len + 1);
		hash_oom = false;
		HASH_ADD(hh, t->services, key[0], len, e);
		if (hash_oom) {
			free(e);
			return -ENOMEM;
		}
	}
	*ret = e;
	return 0;
}

void service_release(struct service_table *t, struct service_entry *e)
{
	if (e->s || e->shown || e->slices.n || e->claims.n || e->is_dirty)
		return;
	HASH_DEL(t->services, e);
	service_entry_free(e);
}

/* Replaces the object of an entry by another or by NULL; what the claims show stays until the flush. */
static void service_set(struct service_table *t, struct service_entry *e, struct kube_service *s)
{
	if (e->s) {
		for (uint32_t i = 0; i < e->s->n_cluster_ips; i++)
			addr_index_remove(&t->by_cluster_ip, e->s, i);
		t->n_services--;
		if (e->s != e->shown)
			kube_service_free(e->s);
	}
	e->s = s;
	if (s) {
		for (uint32_t i = 0; i < s->n_cluster_ips; i++)
			addr_index_add(&t->by_cluster_ip, s, i);
		t->n_services++;
	}
	service_mark_dirty(t, e);
	note_change(t);
}

int service_table_upsert(struct service_table *t, struct kube_service *s)
{
	struct service_entry *e = NULL;
	int r = service_get(t, s->ns, s->name, &e);

	if (r >= 0 && !e->s && t->n_services >= LIMIT_SERVICES)
		r = -E2BIG;
	if (r >= 0)
		r = addr_index_reserve(&t->by_cluster_ip, s->n_cluster_ips);
	if (r < 0) {
		if (e)
			service_release(t, e); /* if it is new */
		kube_service_free(s);
		return r;
	}
	service_set(t, e, s);
	return 0;
}

void service_table_remove(struct service_table *t, const char *ns, const char *name)
{
	struct service_entry *e = service_find(t, ns, strlen(ns), name, strlen(name));

	if (e && e->s)
		service_set(t, e, NULL);
}

static struct slice_entry *slice_find(const struct service_table *t, const char *ns,
				      const char *name)
{
	struct slice_entry *e = NULL;
	char key[KEY_MAX];
	size_t len = key_make(key, ns, strlen(ns), name, strlen(name));

	if (len)
		HASH_FIND(hh, t->slices, key, len, e);
	return e;
}

/* Takes the slice out of its Service and of the index, and frees it. */
static void slice_detach(struct service_table *t, struct slice_entry *e)
{
	struct service_entry *svc = e->service;

	if (!e->s)
		return;
	for (size_t i = 0; i < svc->slices.n; i++)
		if (svc->slices.v[i] == e->s) {
			svc->slices.v[i] = svc->slices.v[--svc->slices.n];
			break;
		}
	for (uint32_t i = 0; i < e->s->n_addrs; i++)
		addr_index_remove(&t->by_addr, e->s, i);
	t->n_addresses -= e->s->n_addrs;
	service_mark_dirty(t, svc);
	kube_slice_free(e->s);
	e->s = NULL;
	note_change(t);
}

void service_table_remove_slice(struct service_table *t, const char *ns, const char *name)
{
	struct slice_entry *e = slice_find(t, ns, name);

	if (!e)
		return;
	slice_detach(t, e);
	HASH_DEL(t->slices, e);
	free(e);
}

/* Finds or makes the entry of a slice; a new one has no object yet. */
static int slice_get(struct service_table *t, const char *ns, const char *name,
		     struct slice_entry **ret)
{
	struct slice_entry *e = slice_find(t, ns, name);
	char key[KEY_MAX];
	size_t len = key_make(key, ns, strlen(ns), name, strlen(name));

	if (!e) {
		if (HASH_COUNT(t->slices) >= LIMIT_BACKENDS)
			return -E2BIG;
		e = calloc(1, sizeof(*e) + len + 1);
		if (!e)
			return -ENOMEM;
		memcpy(e->key, key, len + 1);
		hash_oom = false;
		HASH_ADD(hh, t->slices, key[0], len, e);
		if (hash_oom) {
			free(e);
			return -ENOMEM;
		}
	}
	*ret = e;
	return 0;
}

static int slice_attach(struct service_table *t, struct kube_slice *s, struct service_entry *svc)
{
	struct slice_entry *e;
	int r = ARRAY_RESERVE(&svc->slices, 1);

	if (r >= 0)
		r = addr_index_reserve(&t->by_addr, s->n_addrs);
	if (r >= 0)
		r = slice_get(t, kube_slice_text(s, s->ns), kube_slice_text(s, s->name), &e);
	if (r < 0)
		return r;
	slice_detach(t, e);
	e->s = s;
	e->service = svc;
	svc->slices.v[svc->slices.n++] = s;
	for (uint32_t i = 0; i < s->n_addrs; i++)
		addr_index_add(&t->by_addr, s, i);
	t->n_addresses += s->n_addrs;
	service_mark_dirty(t, svc);
	note_change(t);
	return 0;
}

int service_table_upsert_slice(struct service_table *t, struct kube_slice *s)
{
	CLEANUP(kube_slice_free) struct kube_slice *own = s;
	const char *ns = kube_slice_text(s, s->ns), *name = kube_slice_text(s, s->name);
	struct slice_entry *old = slice_find(t, ns, name);
	size_t n_before = old && old->s ? old->s->n_addrs : 0;
	struct service_entry *svc;
	int r;

	if (s->service == 0 || s->family == 0) { /* bound to no Service, or of no use to anybody */
		service_table_remove_slice(t, ns, name);
		return 0;
	}
	if (t->n_addresses - n_before + s->n_addrs > LIMIT_BACKENDS)
		return -E2BIG;
	r = service_get(t, ns, kube_slice_text(s, s->service), &svc);
	if (r < 0)
		return r;
	r = slice_attach(t, s, svc);
	if (r < 0) {
		service_release(t, svc);
		return r;
	}
	(void)TAKE_PTR(own); /* the table has it now */
	return 0;
}

bool service_table_is_dirty(const struct service_table *t)
{
	return t->dirty_first != NULL;
}

int service_table_each(const struct service_table *t, service_frontend_fn fn, void *arg)
{
	struct frontend_slot *slot, *next;
	int r;

	HASH_ITER (hh, t->slots, slot, next) {
		r = slot->active ? fn(&slot->active->f, arg) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

int service_table_each_service(const struct service_table *t, service_fn fn, void *arg)
{
	struct service_entry *e, *next;
	int r;

	HASH_ITER (hh, t->services, e, next) {
		r = e->s ? fn(e->s, arg) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

const struct service_options *service_table_options(const struct service_table *t)
{
	return &t->opt.o;
}

const char *service_table_skip_reason(const struct service_table *t, const struct kube_service *s)
{
	return service_skip_reason(s, &t->opt.o);
}

int service_table_restore_frontend(struct service_table *t, const struct ip *ip, uint16_t port,
				   uint8_t proto, uint32_t id)
{
	return id_table_restore(&t->frontend_ids, ip, port, proto, id);
}

int service_table_restore_backend(struct service_table *t, const struct ip *ip, uint16_t port,
				  uint8_t proto, uint32_t id)
{
	return id_table_restore(&t->backend_ids, ip, port, proto, id);
}

void service_table_forget_unused(struct service_table *t)
{
	id_table_forget_unused(&t->frontend_ids);
	id_table_forget_unused(&t->backend_ids);
}

bool service_table_find(const struct service_table *t, const char *ns, size_t ns_len,
			const char *name, size_t name_len, struct service_view *ret)
{
	const struct service_entry *e = service_find(t, ns, ns_len, name, name_len);

	if (!e || (!e->s && e->slices.n == 0))
		return false;
	*ret = (struct service_view){.service = e->s, .slices = e->slices.v, .n_slices = e->slices.n};
	return true;
}

static int keep_older(const void *owner, uint32_t n, void *arg)
{
	const struct kube_service *s = owner, **best = arg;

	(void)n;
	if (!*best || s->created_s < (*best)->created_s ||
	    (s->created_s == (*best)->created_s &&
	     (strcmp(s->ns, (*best)->ns) < 0 ||
	      (str_eq(s->ns, (*best)->ns) && strcmp(s->name, (*best)->name) < 0))))
		*best = s;
	return 0;
}

const struct kube_service *service_table_by_cluster_ip(const struct service_table *t,
							const struct ip *ip)
{
	const struct kube_service *best = NULL;

	(void)addr_index_each(&t->by_cluster_ip, ip, keep_older, &best); /* never stops early */
	return best;
}

struct addr_visit {
	service_addr_fn fn;
	void *arg;
};

/* Finds the endpoint that an address of a slice belongs to. */
static int visit_addr(const void *owner, uint32_t n, void *arg)
{
	const struct kube_slice *s = owner;
	const struct addr_visit *v = arg;
	size_t lo = 0, hi = s->n_endpoints;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->endpoints[mid].first_addr <= n)
			lo = mid;
		else
			hi = mid;
	}
	return v->fn(s, &s->endpoints[lo], &s->addrs[n], v->arg);
}

int service_table_by_addr(const struct service_table *t, const struct ip *ip, service_addr_fn fn,
			  void *arg)
{
	struct addr_visit v = {fn, arg};

	return addr_index_each(&t->by_addr, ip, visit_addr, &v);
}

struct backend_wanted {
	uint16_t port;
	uint8_t proto;
};

static int is_listed(const struct kube_slice *s, const struct kube_slice_endpoint *ep, const struct kube_slice_addr *addr,
		     void *arg)
{
	const struct backend_wanted *w = arg;

	(void)ep;
	(void)addr;
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].port == w->port && s->ports[i].proto == w->proto)
			return 1;
	return 0;
}

enum service_use service_table_backend_use(const struct service_table *t, const struct ip *ip, uint16_t port,
					   uint8_t proto)
{
	struct backend_wanted w = {port, proto};

	if (id_table_has(&t->backend_ids, ip, port, proto))
		return SERVICE_USE_ACTIVE;
	return service_table_by_addr(t, ip, is_listed, &w) ? SERVICE_USE_LISTED : SERVICE_USE_NONE;
}

void service_table_on_unused(struct service_table *t, service_unused_fn fn, void *arg)
{
	t->on_unused = fn;
	t->unused_arg = arg;
}

void service_table_counts(const struct service_table *t, struct service_counts *ret)
{
	*ret = (struct service_counts){
		.services = t->n_services,
		.slices = HASH_COUNT(t->slices),
		.addresses = t->n_addresses,
		.frontends = HASH_COUNT(t->slots),
		.backends = t->backend_ids.n_used,
		.conflicts = t->n_conflicts,
		.generation = t->generation,
		.changed_s = t->changed_s,
	};
}
