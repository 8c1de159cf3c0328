/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uthash with our settings: a seeded hash, so that names chosen by others cannot force collisions,
 * and out-of-memory reported instead of exit(). After an HASH_ADD that may fail, check
 * `hash_oom`, which the macro sets to true when it could not add.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern bool hash_oom;

/* Keyed hash (SipHash-1-3) of `len` bytes; the key is random per process. */
uint64_t hash_bytes(const void *data, size_t len);

/* FNV-1a, begun with HASH_STABLE: the same in every process and version, and so collisions can be made. */
#define HASH_STABLE UINT64_C(0xcbf29ce484222325)
uint64_t hash_stable(uint64_t h, const void *data, size_t len);

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt)                                                                   \
	do {                                                                                       \
		(void)(elt);                                                                       \
		hash_oom = true;                                                                   \
	} while (0)
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))

#include <uthash.h>
