/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_compress.h"

#include <string.h>

#include "base/macro.h"

enum {
	POINTER_MAX = 0x3fff,
	FULL = DNS_COMPRESS_SLOTS * 3 / 4,
	LABELS_MAX = DNS_NAME_MAX / 2,
	PROBES = 16, /* whoever chooses names may choose them to collide */
};

/* Each label of a name with the hash of all from there to the end. */
struct ends {
	uint8_t at[LABELS_MAX];
	uint32_t hash[LABELS_MAX];
	size_t n;
};

static void ends_of(const struct dns_name *n, struct ends *ret)
{
	uint32_t h = 2166136261U;

	ret->n = 0;
	for (size_t i = 0; n->b[i]; i += (size_t)n->b[i] + 1)
		ret->at[ret->n++] = (uint8_t)i;
	for (size_t k = ret->n; k-- > 0;) {
		const uint8_t *label = n->b + ret->at[k];

		for (size_t j = 0; j <= label[0]; j++)
			h = (h ^ label[j]) * 16777619U;
		ret->hash[k] = h;
	}
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The name at `at` of our own message, which ends, against lower-case labels. */
static bool is_at(const uint8_t *msg, size_t at, const uint8_t *end)
{
	for (;;) {
		while ((msg[at] & 0xc0) == 0xc0)
			at = (size_t)(msg[at] & 0x3f) << 8 | msg[at + 1];
		if (msg[at] != *end)
			return false;
		if (*end == 0)
			return true;
		for (size_t i = 1; i <= *end; i++)
			if (lower(msg[at + i]) != end[i])
				return false;
		at += (size_t)*end + 1;
		end += (size_t)*end + 1;
	}
}

void dns_compress_reset(struct dns_compress *c)
{
	c->n = 0;
}

/* The slot that has the end, or the empty one where it belongs; DNS_COMPRESS_SLOTS if there is none near by. */
static size_t slot_of(const struct dns_compress *c, const uint8_t *msg, uint32_t hash, const uint8_t *end)
{
	for (size_t i = 0; i < PROBES; i++) {
		size_t slot = (hash + i) % DNS_COMPRESS_SLOTS;

		if (!c->slot[slot] || is_at(msg, c->slot[slot], end))
			return slot;
	}
	return DNS_COMPRESS_SLOTS;
}

size_t dns_compress_find(const struct dns_compress *c, const uint8_t *msg, const struct dns_name *n, size_t *ret_head)
{
	struct ends e;

	*ret_head = (size_t)n->len - 1;
	if (c->n == 0)
		return 0;
	ends_of(n, &e);
	for (size_t k = 0; k < e.n; k++) {
		size_t slot = slot_of(c, msg, e.hash[k], n->b + e.at[k]);

		if (slot < DNS_COMPRESS_SLOTS && c->slot[slot]) {
			*ret_head = e.at[k];
			return c->slot[slot];
		}
	}
	return 0;
}

void dns_compress_note(struct dns_compress *c, const uint8_t *msg, const struct dns_name *n, size_t head, size_t at)
{
	struct ends e;

	if (head == 0)
		return;
	if (c->n == 0)
		memset(c->slot, 0, sizeof(c->slot));
	ends_of(n, &e);
	for (size_t k = 0; k < e.n && e.at[k] < head && c->n < FULL; k++) {
		size_t slot, place = at + e.at[k];

		if (place > POINTER_MAX)
			return;
		slot = slot_of(c, msg, e.hash[k], n->b + e.at[k]);
		if (slot == DNS_COMPRESS_SLOTS || c->slot[slot])
			continue;
		c->slot[slot] = (uint16_t)place;
		c->n++;
	}
}
