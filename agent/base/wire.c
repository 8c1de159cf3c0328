/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wire.h"

int wire_put(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t raw[8];

	for (unsigned i = 0; i < bytes; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	return buf_add(b, raw, bytes);
}

const uint8_t *wire_take(struct wire *w, size_t n)
{
	const uint8_t *p = w->p;

	if (n > w->left) {
		w->is_bad = true;
		w->left = 0;
		return NULL;
	}
	w->p += n;
	w->left -= n;
	return p;
}

uint64_t wire_get(struct wire *w, unsigned bytes)
{
	const uint8_t *p = wire_take(w, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}
