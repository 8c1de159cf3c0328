/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as what the API server sends: a document by itself, and documents inside a watch or a list. */
#pragma once

#include "json/doc.h"

#include "fuzz.h"

typedef void (*document_fn)(const struct doc *doc, void *arg);

/*
 * Calls `fn` for every document that can be read out of the bytes: the whole as one; as the object of a
 * watch event, which must then be the same; and the whole as a watch and as a list, which it may be none of.
 */
void documents_feed(const uint8_t *data, size_t size, document_fn fn, void *arg);
