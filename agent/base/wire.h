/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in files of ours, little endian: written to a buffer, and read where every length may be a lie. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Adds the lowest `bytes` bytes of `v`, at most 8. As buf_add(). */
int wire_put(struct buf *b, uint64_t v, unsigned bytes);

/* What is left to read. Once something was asked for that is not there, nothing is, and `is_bad` stays. */
struct wire {
	const uint8_t *p;
	size_t left;
	bool is_bad;
};

/* The next `n` bytes, borrowed; NULL if there are fewer. */
const uint8_t *wire_take(struct wire *w, size_t n);

/* A number of `bytes` bytes, at most 8; 0 if there are fewer. */
uint64_t wire_get(struct wire *w, unsigned bytes);
