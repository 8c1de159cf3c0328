/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a document lies in memory, for doc.c and doc_write.c only. Everything is in units of 32 bits. A value begins with a head:
 * a tag, and in 28 bits what follows from it.
 *	GONE, STRING, INTEGER, REAL	bytes of the text, which follows, with a NUL, padded
 *	SMALL				the integer itself
 *	ARRAY, OBJECT			units of all of it, this one included; what is in it follows
 * The key of a member is a STRING before its value, and is GONE if another one of the same name follows.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum doc_tag {
	DOC_NULL,
	DOC_FALSE,
	DOC_TRUE,
	DOC_SMALL,
	DOC_INTEGER,
	DOC_REAL,
	DOC_STRING,
	DOC_GONE,
	DOC_ARRAY,
	DOC_OBJECT,
};

enum { DOC_TAG_BITS = 4, DOC_HEAD_MAX = (1 << 28) - 1 };

struct doc {
	uint32_t head;
	uint32_t more[];
};

static inline enum doc_tag doc_tag(const struct doc *v)
{
	return (enum doc_tag)(v->head & ((1 << DOC_TAG_BITS) - 1));
}

static inline uint32_t doc_head_size(const struct doc *v)
{
	return v->head >> DOC_TAG_BITS;
}

static inline uint32_t doc_head(enum doc_tag tag, size_t size)
{
	return (uint32_t)size << DOC_TAG_BITS | (uint32_t)tag;
}

/* Units of a text of so many bytes, without the head. */
static inline size_t doc_text_units(size_t len)
{
	return len / sizeof(uint32_t) + 1;
}

static inline size_t doc_units(const struct doc *v)
{
	switch (doc_tag(v)) {
	case DOC_INTEGER:
	case DOC_REAL:
	case DOC_STRING:
	case DOC_GONE:
		return 1 + doc_text_units(doc_head_size(v));
	case DOC_ARRAY:
	case DOC_OBJECT:
		return doc_head_size(v);
	default:
		return 1;
	}
}

static inline const struct doc *doc_after(const struct doc *v)
{
	return (const struct doc *)((const uint32_t *)v + doc_units(v));
}

static inline const char *doc_chars(const struct doc *v)
{
	return (const char *)v->more;
}
