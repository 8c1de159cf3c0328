/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file, little endian: magic, version, version of the map layouts in the machine's own byte order, length
 * and SHA-256 of the rest; then the head, and portions: number of the map, sizes of key and value, how many,
 * the keys, the values. The last portion is empty.
 */
#include "recon/snapshot.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

enum {
	FILE_VERSION = 1,
	MAGIC_LEN = 8,
	HEADER_LEN = MAGIC_LEN + 4 + 4 + 8 + SHA256_DIGEST_LENGTH,
	OWNER_MAX = 1000,
	END_OF_FILE = 255, /* instead of a map */
};

static const char magic[] = "MESHLAST"; /* without the NUL */

/* By the map's number in the file; entries are the structs of mesh_abi.h. */
static const struct {
	enum bpfobj_map map;
	uint16_t key_size, value_size;
} kept[] = {
	{BPFOBJ_IPCACHE4, sizeof(__be32), sizeof(struct mesh_ipinfo)},
	{BPFOBJ_IPCACHE6, 16, sizeof(struct mesh_ipinfo)},
	{BPFOBJ_CIDR4, sizeof(struct mesh_lpm4), sizeof(struct mesh_ipinfo)},
	{BPFOBJ_CIDR6, sizeof(struct mesh_lpm6), sizeof(struct mesh_ipinfo)},
	{BPFOBJ_NODES, sizeof(uint32_t), sizeof(struct mesh_node)},
	{BPFOBJ_CLASS, sizeof(uint32_t), sizeof(struct mesh_class)},
	{BPFOBJ_POLICY_ROW, sizeof(struct mesh_row_key), sizeof(struct mesh_row)},
	{BPFOBJ_POLICY_PORT, sizeof(struct mesh_port_key), sizeof(struct mesh_port)},
	{BPFOBJ_POLICY_RANGE, sizeof(struct mesh_range_key), sizeof(struct mesh_port)},
	{BPFOBJ_FAILSAFE, sizeof(struct mesh_failsafe_key), sizeof(uint32_t)},
	{BPFOBJ_SVC, sizeof(struct mesh_svc_key), sizeof(struct mesh_svc)},
	{BPFOBJ_SVC_SLOT, sizeof(struct mesh_svc_slot_key), sizeof(struct mesh_svc_slot)},
};

enum bpfobj_map snapshot_map(unsigned i)
{
	return i < ARRAY_LEN(kept) ? kept[i].map : BPFOBJ_MAPS;
}

void snapshot_done(struct snapshot *s)
{
	ARRAY_DONE(&s->routes);
	*s = (struct snapshot){0};
}

/* Writing */

static int put_ip(struct buf *b, const struct ip *ip)
{
	int r = wire_put(b, ip->family == AF_INET ? 4 : ip->family == AF_INET6 ? 6 : 0, 1);

	return r == 0 && ip->family ? buf_add(b, ip->b, ip_len(ip)) : r;
}

static int put_route(struct buf *b, const struct net_route *x)
{
	int r = put_ip(b, &x->dst.ip);

	if (r == 0)
		r = wire_put(b, x->dst.len, 1);
	if (r == 0)
		r = put_ip(b, &x->via);
	if (r == 0)
		r = put_ip(b, &x->src);
	return r < 0 ? r : wire_put(b, x->mtu, 4);
}

static int put_net(struct buf *b, const struct snapshot *s)
{
	int r = wire_put(b, s->tunnel, 1);

	if (r == 0)
		r = wire_put(b, s->underlay_mtu, 4);
	if (r == 0)
		r = wire_put(b, s->n_targets, 1);
	for (size_t i = 0; r == 0 && i < s->n_targets; i++)
		r = put_ip(b, &s->targets[i]);
	if (r == 0)
		r = wire_put(b, s->routes.n, 4);
	for (size_t i = 0; r == 0 && i < s->routes.n; i++)
		r = put_route(b, &s->routes.v[i]);
	return r;
}

static int put_head(struct buf *b, const struct snapshot *s)
{
	const struct {
		uint64_t v;
		unsigned bytes;
	} numbers[] = {{(uint64_t)s->saved_s, 8}, {s->flags, 8},	     {s->is_audit, 1},
		       {s->is_open, 1},		  {s->bank, 1},		     {s->default_verdict[0], 1},
		       {s->default_verdict[1], 1}, {s->identity, 4},	     {s->world_v4, 4},
		       {s->world_v6, 4},	  {ntohs(s->tunnel_port), 2}, {s->failsafe_any_port, 2},
		       {s->node_port_min, 2},	  {s->node_port_max, 2}};
	size_t len = strlen(s->owner);
	int r = len > OWNER_MAX ? -EINVAL : wire_put(b, len, 2);

	if (r == 0)
		r = buf_add(b, s->owner, len + 1);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(numbers); i++)
		r = wire_put(b, numbers[i].v, numbers[i].bytes);
	return r < 0 ? r : put_net(b, s);
}

int snapshot_begin(struct buf *b, const struct snapshot *s)
{
	static const uint8_t later[8 + SHA256_DIGEST_LENGTH];
	const uint32_t layout = MESH_ABI_VERSION;
	int r = buf_add(b, magic, MAGIC_LEN);

	if (r == 0)
		r = wire_put(b, FILE_VERSION, 4);
	if (r == 0)
		r = buf_add(b, &layout, sizeof(layout));
	if (r == 0)
		r = buf_add(b, later, sizeof(later));
	return r < 0 ? r : put_head(b, s);
}

int snapshot_add(struct buf *b, enum bpfobj_map map, const void *keys, const void *values, size_t n)
{
	unsigned i = 0;
	int r;

	while (i < ARRAY_LEN(kept) && kept[i].map != map)
		i++;
	if (i == ARRAY_LEN(kept) || n > UINT32_MAX)
		return -EINVAL;
	r = wire_put(b, i, 1);
	if (r == 0)
		r = wire_put(b, kept[i].key_size, 2);
	if (r == 0)
		r = wire_put(b, kept[i].value_size, 2);
	if (r == 0)
		r = wire_put(b, n, 4);
	if (r == 0)
		r = buf_add(b, keys, n * kept[i].key_size);
	return r < 0 ? r : buf_add(b, values, n * kept[i].value_size);
}

int snapshot_end(struct buf *b)
{
	CLEANUP(buf_done) struct buf len = {0};
	uint8_t *body;
	size_t body_len;
	int r = wire_put(b, END_OF_FILE, 1);

	if (r == 0)
		r = wire_put(&len, b->len - HEADER_LEN, 8);
	if (r < 0)
		return r;
	body = (uint8_t *)b->data + HEADER_LEN;
	body_len = b->len - HEADER_LEN;
	memcpy(body - SHA256_DIGEST_LENGTH - 8, len.data, 8);
	SHA256(body, body_len, body - SHA256_DIGEST_LENGTH);
	return 0;
}

/* Reading */

static bool get_ip(struct wire *w, struct ip *ret)
{
	uint64_t kind = wire_get(w, 1);
	const uint8_t *raw = kind ? wire_take(w, kind == 4 ? 4 : 16) : NULL;

	*ret = (struct ip){0};
	if (raw)
		*ret = ip_from_bytes(kind == 4 ? AF_INET : AF_INET6, raw);
	return !w->is_bad && (kind == 0 || kind == 4 || kind == 6);
}

static bool get_route(struct wire *w, struct net_route *x)
{
	bool is_good = get_ip(w, &x->dst.ip);

	x->dst.len = (uint8_t)wire_get(w, 1);
	is_good = is_good && get_ip(w, &x->via) && get_ip(w, &x->src);
	x->mtu = (uint32_t)wire_get(w, 4);
	return is_good && !w->is_bad && x->dst.ip.family && x->dst.len <= ip_bits(&x->dst.ip);
}

static int get_net(struct wire *w, struct snapshot *s)
{
	uint64_t kind = wire_get(w, 1), n;
	int r = 0;

	s->underlay_mtu = (uint32_t)wire_get(w, 4);
	s->n_targets = wire_get(w, 1);
	if (kind > NL_TUNNEL_GENEVE || s->n_targets > RECON_NET_TARGETS)
		return -EBADMSG;
	s->tunnel = (enum nl_tunnel_kind)kind;
	for (size_t i = 0; i < s->n_targets; i++)
		if (!get_ip(w, &s->targets[i]) || !s->targets[i].family)
			return -EBADMSG;
	n = wire_get(w, 4);
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct net_route x;

		r = get_route(w, &x) ? ARRAY_ADD(&s->routes, x) : -EBADMSG;
	}
	return r;
}

static int get_head(struct wire *w, struct snapshot *s)
{
	size_t len = wire_get(w, 2);
	const char *owner = (const char *)wire_take(w, len + 1);
	uint64_t is_audit, is_open, bank, verdict[2];

	if (!owner || owner[len] != '\0' || strlen(owner) != len)
		return -EBADMSG;
	s->owner = owner;
	s->saved_s = (int64_t)wire_get(w, 8);
	s->flags = wire_get(w, 8);
	is_audit = wire_get(w, 1);
	is_open = wire_get(w, 1);
	bank = wire_get(w, 1);
	verdict[0] = wire_get(w, 1);
	verdict[1] = wire_get(w, 1);
	s->identity = (uint32_t)wire_get(w, 4);
	s->world_v4 = (uint32_t)wire_get(w, 4);
	s->world_v6 = (uint32_t)wire_get(w, 4);
	s->tunnel_port = htons((uint16_t)wire_get(w, 2));
	s->failsafe_any_port = (uint16_t)wire_get(w, 2);
	s->node_port_min = (uint16_t)wire_get(w, 2);
	s->node_port_max = (uint16_t)wire_get(w, 2);
	if (w->is_bad || is_audit > 1 || is_open > 1 || bank > 1 || verdict[0] > MESH_ALLOW || verdict[1] > MESH_ALLOW)
		return -EBADMSG;
	s->is_audit = is_audit;
	s->is_open = is_open;
	s->bank = (uint8_t)bank;
	s->default_verdict[0] = (uint8_t)verdict[0];
	s->default_verdict[1] = (uint8_t)verdict[1];
	return get_net(w, s);
}

/* 1 for a portion, 0 at the end, -EBADMSG. */
static int get_portion(struct wire *w, struct snapshot_portion *ret)
{
	uint64_t i = wire_get(w, 1), key_size, value_size, n;

	if (w->is_bad)
		return -EBADMSG;
	if (i == END_OF_FILE)
		return 0;
	key_size = wire_get(w, 2);
	value_size = wire_get(w, 2);
	n = wire_get(w, 4);
	if (i >= ARRAY_LEN(kept) || key_size != kept[i].key_size || value_size != kept[i].value_size)
		return -EBADMSG;
	ret->map = kept[i].map;
	ret->n = (uint32_t)n;
	ret->keys = wire_take(w, n * key_size); /* 32 and 16 bits: cannot overflow */
	ret->values = wire_take(w, n * value_size);
	return w->is_bad ? -EBADMSG : 1;
}

static int check_portions(struct wire w)
{
	struct snapshot_portion p;
	int r;

	while ((r = get_portion(&w, &p)) > 0)
		;
	return r == 0 && w.left ? -EBADMSG : r;
}

int snapshot_open(const void *data, size_t len, const char *owner, struct snapshot *ret, struct err *reterr)
{
	CLEANUP(snapshot_done) struct snapshot s = {0};
	struct wire w = {.p = data, .left = len};
	const uint8_t *start = wire_take(&w, MAGIC_LEN), *layout, *sum;
	uint64_t version = wire_get(&w, 4), body;
	const uint32_t own_layout = MESH_ABI_VERSION;
	uint8_t own[SHA256_DIGEST_LENGTH];
	int r;

	layout = wire_take(&w, sizeof(own_layout));
	body = wire_get(&w, 8);
	sum = wire_take(&w, SHA256_DIGEST_LENGTH);
	if (w.is_bad || memcmp(start, magic, MAGIC_LEN) != 0)
		return err_set(reterr, EBADMSG, "is damaged");
	if (version != FILE_VERSION || memcmp(layout, &own_layout, sizeof(own_layout)) != 0)
		return err_set(reterr, EPROTONOSUPPORT, "was written by another version");
	if (body != w.left)
		return err_set(reterr, EBADMSG, "is damaged");
	SHA256(w.p, w.left, own);
	if (memcmp(own, sum, sizeof(own)) != 0)
		return err_set(reterr, EBADMSG, "is damaged");
	r = get_head(&w, &s);
	if (r == 0)
		r = check_portions(w);
	if (r < 0)
		return err_set(reterr, -r, "%s", r == -ENOMEM ? "cannot be read for lack of memory" : "is damaged");
	if (strcmp(s.owner, owner) != 0)
		return err_set(reterr, EXDEV, "is of another enrolment: %s", s.owner);
	s.entries = w;
	*ret = s;
	s = (struct snapshot){0};
	return 0;
}

bool snapshot_next(struct snapshot *s, struct snapshot_portion *ret)
{
	return get_portion(&s->entries, ret) > 0;
}
