/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_serve.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/bpf_others.h"
#include "bpf/bpf_attach.h"
#include "bpf/bpf_wire.h"

/* The answers of fixed size; the others look first. */
_Static_assert(sizeof(struct bpfwire_opened) <= PRIV_BYTES && sizeof(struct bpfwire_adopted) <= PRIV_BYTES &&
		       sizeof(int) * BPFATTACH_INTERFACES_MAX <= PRIV_BYTES,
	       "fit into one message");

static int on_open(struct priv_request *q, void *arg)
{
	struct bpfserve *s = arg;
	struct bpfwire_opened *opened = q->out;
	int r;

	bpfobj_free(s->obj); /* of an earlier membership */
	s->obj = NULL;
	r = bpfobj_open(&s->opt, &s->obj, &q->err);
	(void)malloc_trim(0); /* loading took far more than what is kept */
	if (!s->obj)
		return r;
	memset(opened, 0, sizeof(*opened));
	opened->features = s->obj->features;
	memcpy(opened->infos, s->obj->infos, sizeof(opened->infos));
	q->out_len = sizeof(*opened);
	q->fds[0] = bpfobj_map_fd(s->obj, BPFOBJ_CONFIG);
	q->fds[1] = bpfobj_map_fd(s->obj, BPFOBJ_EVENTS);
	return 0;
}

static int on_close(struct priv_request *q, void *arg)
{
	struct bpfserve *s = arg;

	(void)q;
	bpfobj_free(s->obj);
	s->obj = NULL;
	return 0;
}

/* All others need it. */
static int no_obj(struct priv_request *q)
{
	return err_set(&q->err, EBADF, "nothing is loaded");
}

/* The map of a message with `bytes` for each of its entries, which must be there in full. */
static const struct bpfobj_map_info *map_of(const struct bpfserve *s, const struct priv_request *q, bool has_values)
{
	const struct bpfwire_map *m = q->in;
	const struct bpfobj_map_info *info;
	size_t bytes;

	if (!s->obj || m->map >= BPFOBJ_MAPS || m->n == 0 || m->n > PRIV_BYTES)
		return NULL;
	info = &s->obj->infos[m->map];
	bytes = (size_t)info->key_size + (has_values ? info->value_size : 0);
	return info->key_size && q->in_len == sizeof(*m) + m->n * bytes ? info : NULL;
}

/*
 * What user space decides. The rest is what the programs note, of which some says what else may be done: only a connection
 * in BPFOBJ_SOCK_REV is ended for the daemon. Nor do the messages have the values that maps with one for each CPU want.
 * BPFOBJ_CONFIG is mapped into the daemon.
 */
static const bool is_for_writing[BPFOBJ_MAPS] = {
	[BPFOBJ_IPCACHE4] = true,     [BPFOBJ_IPCACHE6] = true,	  [BPFOBJ_CIDR4] = true,  [BPFOBJ_CIDR6] = true,
	[BPFOBJ_NODES] = true,	      [BPFOBJ_CLASS] = true,	  [BPFOBJ_SHADOW] = true, [BPFOBJ_POLICY_ROW] = true,
	[BPFOBJ_POLICY_PORT] = true,  [BPFOBJ_FAILSAFE] = true,	  [BPFOBJ_CT4] = true,	  [BPFOBJ_CT6] = true,
	[BPFOBJ_POLICY_RANGE] = true, [BPFOBJ_SVC] = true,	  [BPFOBJ_DNS] = true,	  [BPFOBJ_SVC_SLOT] = true,
	[BPFOBJ_COVERED] = true,	  [BPFOBJ_OWN] = true,
};

static int on_get(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_map *m = q->in;
	size_t bytes;
	int r;

	if (!map_of(s, q, false) || m->n != 1)
		return -EINVAL;
	bytes = bpfcall_value_bytes(s->obj, (enum bpfobj_map)m->map);
	if (!bytes || bytes > PRIV_BYTES)
		return -E2BIG;
	r = bpfcall_get(s->obj, (enum bpfobj_map)m->map, m + 1, q->out);
	q->out_len = r == 0 ? bytes : 0;
	return r;
}

static int on_put(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_map *m = q->in;
	const struct bpfobj_map_info *info = map_of(s, q, true);
	size_t done = 0;
	int r;

	if (!info || !is_for_writing[m->map])
		return -EINVAL;
	r = bpfcall_put(s->obj, (enum bpfobj_map)m->map, m + 1, (const char *)(m + 1) + (size_t)m->n * info->key_size, m->n,
			m->is_new, &done);
	q->value = (uint32_t)done;
	return r;
}

static int on_del(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_map *m = q->in;
	size_t done = 0;
	int r;

	if (!map_of(s, q, false) || !is_for_writing[m->map])
		return -EINVAL;
	r = bpfcall_del(s->obj, (enum bpfobj_map)m->map, m + 1, m->n, &done);
	q->value = (uint32_t)done;
	return r;
}

static int on_read(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	struct bpfwire_read in;
	enum bpfobj_map map;
	size_t key, value, portion;
	char *keys = (char *)q->out + sizeof(in.at), *values;
	uint32_t n;
	int r;

	memcpy(&in, q->in, sizeof(in));
	map = (enum bpfobj_map)in.map;
	if (!s->obj || in.map >= BPFOBJ_MAPS || !s->obj->infos[map].key_size)
		return -EINVAL;
	key = s->obj->infos[map].key_size;
	value = bpfcall_value_bytes(s->obj, map);
	portion = bpfcall_portion(s->obj, map);
	if (!value || sizeof(in.at) + portion * (key + value) > PRIV_BYTES)
		return -E2BIG;
	values = keys + portion * key;
	r = bpfcall_read(s->obj, map, &in.at, keys, values, &n);
	if (r < 0)
		return r;
	memcpy(q->out, &in.at, sizeof(in.at));
	memmove(keys + n * key, values, n * value);
	q->value = n;
	q->out_len = sizeof(in.at) + n * (key + value);
	return 0;
}

static int on_load_l3(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfobj_load_l3(s->obj, &q->err) : no_obj(q);
}

static int on_attach(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_if *x = q->in;
	enum bpfattach_how how;
	int r;

	if (!s->obj)
		return no_obj(q);
	if (x->kind != BPFATTACH_NIC && x->kind != BPFATTACH_TUNNEL)
		return -EINVAL;
	r = bpfattach_if(s->obj, x->ifindex, (enum bpfattach_kind)x->kind, &how, &q->err);
	return r < 0 ? r : (int)how;
}

static int on_detach(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_if *x = q->in;

	return s->obj ? bpfattach_if_detach(s->obj, x->ifindex, &q->err) : no_obj(q);
}

static int on_is_attached(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_if *x = q->in;

	if (!s->obj || (x->kind != BPFATTACH_NIC && x->kind != BPFATTACH_TUNNEL))
		return -EINVAL;
	return bpfattach_if_is_ok(s->obj, x->ifindex, (enum bpfattach_kind)x->kind);
}

static int on_is_held(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_if *x = q->in;

	return s->obj ? bpfattach_if_is_held(s->obj, x->ifindex) : no_obj(q);
}

static int on_before(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_if *x = q->in;

	if (!s->obj)
		return no_obj(q);
	q->value = bpfattach_if_before(s->obj, x->ifindex);
	return 0;
}

static int on_attached(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	int r = s->obj ? bpfattach_if_list(s->obj, q->out, BPFATTACH_INTERFACES_MAX) : no_obj(q);

	q->out_len = r < 0 ? 0 : (size_t)r * sizeof(int);
	return MIN(r, 0);
}

static int on_cgroup_attach(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfattach_cgroup(s->obj, s->cgroup_path, &q->err) : no_obj(q);
}

static int on_cgroup_is_attached(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfattach_cgroup_is_ok(s->obj, s->cgroup_path) : no_obj(q);
}

static int on_backstop_attach(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfattach_backstop(s->obj, &q->err) : no_obj(q);
}

static int on_backstop_is_attached(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfattach_backstop_is_ok(s->obj) : no_obj(q);
}

static int on_detach_all(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfattach_detach_all(s->obj, &q->err) : no_obj(q);
}

static int on_unpin(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfobj_unpin(s->obj) : no_obj(q);
}

static int on_remove_others(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfothers_remove(s->obj, &q->err) : no_obj(q);
}

static int on_adopt(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;
	const struct bpfwire_adopt *in = q->in;
	struct bpfwire_adopted *adopted = q->out;
	size_t n = 0;
	int r = s->obj ? bpfothers_adopt_flows(s->obj, in->generation, &n) : no_obj(q);

	adopted->n = n;
	q->out_len = sizeof(*adopted);
	return r;
}

static int on_others_in_force(struct priv_request *q, void *arg)
{
	const struct bpfserve *s = arg;

	return s->obj ? bpfothers_in_force(s->obj) : no_obj(q);
}

const struct priv_op bpfserve_ops[] = {
	{.code = PRIV_BPF_OPEN, .fn = on_open},
	{.code = PRIV_BPF_CLOSE, .fn = on_close},
	{.code = PRIV_BPF_GET, .has_tail = true, .size = sizeof(struct bpfwire_map), .fn = on_get},
	{.code = PRIV_BPF_PUT, .has_tail = true, .size = sizeof(struct bpfwire_map), .fn = on_put},
	{.code = PRIV_BPF_DEL, .has_tail = true, .size = sizeof(struct bpfwire_map), .fn = on_del},
	{.code = PRIV_BPF_READ, .size = sizeof(struct bpfwire_read), .fn = on_read},
	{.code = PRIV_BPF_LOAD_L3, .fn = on_load_l3},
	{.code = PRIV_BPF_ATTACH, .size = sizeof(struct bpfwire_if), .fn = on_attach},
	{.code = PRIV_BPF_DETACH, .size = sizeof(struct bpfwire_if), .fn = on_detach},
	{.code = PRIV_BPF_IS_ATTACHED, .size = sizeof(struct bpfwire_if), .fn = on_is_attached},
	{.code = PRIV_BPF_IS_HELD, .size = sizeof(struct bpfwire_if), .fn = on_is_held},
	{.code = PRIV_BPF_BEFORE, .size = sizeof(struct bpfwire_if), .fn = on_before},
	{.code = PRIV_BPF_ATTACHED, .fn = on_attached},
	{.code = PRIV_BPF_CGROUP_ATTACH, .fn = on_cgroup_attach},
	{.code = PRIV_BPF_CGROUP_IS_ATTACHED, .fn = on_cgroup_is_attached},
	{.code = PRIV_BPF_BACKSTOP_ATTACH, .fn = on_backstop_attach},
	{.code = PRIV_BPF_BACKSTOP_IS_ATTACHED, .fn = on_backstop_is_attached},
	{.code = PRIV_BPF_DETACH_ALL, .fn = on_detach_all},
	{.code = PRIV_BPF_UNPIN, .fn = on_unpin},
	{.code = PRIV_BPF_REMOVE_OTHERS, .fn = on_remove_others},
	{.code = PRIV_BPF_ADOPT, .size = sizeof(struct bpfwire_adopt), .fn = on_adopt},
	{.code = PRIV_BPF_OTHERS_IN_FORCE, .fn = on_others_in_force},
};
const size_t bpfserve_n_ops = ARRAY_LEN(bpfserve_ops);
