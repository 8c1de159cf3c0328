/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learned names as bytes, little endian: magic, version, length and SHA-256 of the rest; then the
 * number of names, and for each: length and text, number of addresses, and for each of these: 4 or
 * 6, whether it is a zombie, the address, and when it expires in seconds of the wall clock.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/wire.h"
#include "policy/learned_private.h"

enum { FILE_VERSION = 1, MAGIC_LEN = 8 };

static const char magic[] = "MESHFQDN"; /* without the NUL */

static int put_name(struct buf *b, const struct learned_name *n, uint64_t now_us, int64_t wall_s)
{
	size_t len = strlen(n->name);
	int r = wire_put(b, len, 1);

	if (r == 0)
		r = buf_add(b, n->name, len);
	if (r == 0)
		r = wire_put(b, n->n, 2);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		const struct learned_address *a = &n->v[i];
		uint64_t left_s = a->expires_us > now_us ? (a->expires_us - now_us) / USEC_PER_SEC : 0;

		r = wire_put(b, a->ip.family == AF_INET ? 4 : 6, 1);
		if (r == 0)
			r = wire_put(b, a->is_zombie, 1);
		if (r == 0)
			r = buf_add(b, a->ip.b, ip_len(&a->ip));
		if (r == 0)
			r = wire_put(b, (uint64_t)wall_s + left_s, 8);
	}
	return r;
}

int learned_encode(struct learned *l, uint64_t now_us, int64_t wall_s, struct buf *out)
{
	CLEANUP(buf_done) struct buf body = {.max = LIMIT_FQDN_FILE_BYTES};
	struct learned_name *n, *tmp;
	uint8_t sum[SHA256_DIGEST_LENGTH];
	int r = wire_put(&body, HASH_COUNT(l->names), 4);

	HASH_ITER (hh, l->names, n, tmp)
		if (r == 0)
			r = put_name(&body, n, now_us, wall_s);
	if (r < 0)
		return r;
	SHA256((const uint8_t *)body.data, body.len, sum);
	r = buf_add(out, magic, MAGIC_LEN);
	if (r == 0)
		r = wire_put(out, FILE_VERSION, 4);
	if (r == 0)
		r = wire_put(out, body.len, 4);
	if (r == 0)
		r = buf_add(out, sum, sizeof(sum));
	return r < 0 ? r : buf_add(out, body.data, body.len);
}

static int get_address(struct learned *l, struct learned_name *n, struct wire *r, uint64_t now_us,
		       uint64_t wall_s)
{
	struct learned_address a = {0};
	uint64_t family = wire_get(r, 1), is_zombie = wire_get(r, 1), until_s;
	const uint8_t *raw = wire_take(r, family == 4 ? 4 : 16);

	until_s = wire_get(r, 8);
	if (r->is_bad || (family != 4 && family != 6) || is_zombie > 1)
		return -EBADMSG;
	a.ip = ip_from_bytes(family == 4 ? AF_INET : AF_INET6, raw);
	if (ip_is_special(&a.ip))
		return -EBADMSG;
	a.is_zombie = is_zombie || until_s <= wall_s;
	a.expires_us = now_us;
	if (until_s > wall_s) /* a clock that was set back must not make it live for ever */
		a.expires_us += MIN(until_s - wall_s, (uint64_t)LIMIT_FQDN_TTL_S) * USEC_PER_SEC;
	if (a.is_zombie && !learned_add_zombie(l, &a.ip, now_us))
		return 0;
	return learned_put(l, n, &a);
}

static int get_name(struct learned *l, struct wire *r, uint64_t now_us, uint64_t wall_s)
{
	size_t len = wire_get(r, 1), n_addresses;
	const uint8_t *text = wire_take(r, len);
	struct learned_name *n;
	int e;

	if (!text)
		return -EBADMSG;
	e = learned_get(l, (const char *)text, len, &n);
	if (e == 0 && n->n)
		return -EBADMSG; /* twice */
	n_addresses = e == 0 ? wire_get(r, 2) : 0;
	for (size_t i = 0; e == 0 && i < n_addresses; i++)
		e = get_address(l, n, r, now_us, wall_s);
	if (e == 0)
		n->is_dirty = true;
	return e == -ENOMEM ? e : e < 0 || r->is_bad ? -EBADMSG : 0;
}

int learned_decode(struct learned *l, const void *data, size_t len, uint64_t now_us, int64_t wall_s)
{
	struct wire r = {.p = data, .left = len};
	const uint8_t *start = wire_take(&r, MAGIC_LEN), *sum;
	uint64_t version = wire_get(&r, 4), body = wire_get(&r, 4), names;
	uint8_t own[SHA256_DIGEST_LENGTH];
	int e = 0;

	sum = wire_take(&r, SHA256_DIGEST_LENGTH);
	if (r.is_bad || memcmp(start, magic, MAGIC_LEN) != 0 || version != FILE_VERSION || body != r.left ||
	    wall_s < 0)
		return -EBADMSG;
	SHA256(r.p, r.left, own);
	if (memcmp(own, sum, sizeof(own)) != 0)
		return -EBADMSG;
	names = wire_get(&r, 4);
	if (names > LIMIT_FQDN_NAMES)
		return -EBADMSG;
	for (uint64_t i = 0; e == 0 && i < names; i++)
		e = get_name(l, &r, now_us, (uint64_t)wall_s);
	return e < 0 ? e : r.is_bad || r.left ? -EBADMSG : 0;
}
