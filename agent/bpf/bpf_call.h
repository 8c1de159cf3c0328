/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of bpf(2) on maps, made here or by the process with the rights (priv.h). Everything in bpf_map.h is
 * made of these.
 */
#pragma once

#include "bpf/bpf_obj.h"

/* Bytes of the value of one key, of all CPUs where the map has one for each. */
size_t bpfcall_value_bytes(const struct bpfobj *o, enum bpfobj_map map);

/* 0; -ENOENT; errno of bpf(2). */
int bpfcall_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value);

/*
 * Writes `n` packed keys and values; only new ones with is_new. On failure ret_done says how many were written. errno of bpf(2), with
 * -E2BIG for every full map.
 */
int bpfcall_put(const struct bpfobj *o, enum bpfobj_map map, const void *keys, const void *values, size_t n, bool is_new,
		size_t *ret_done);

/* Deletes `n` packed keys, with those that are not there; of one alone it says so: -ENOENT. */
int bpfcall_del(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n, size_t *ret_done);

/* The place in a map up to which it was read; zero at the beginning. */
struct bpfcall_cursor {
	uint8_t by_key;	 /* this map knows no batches: `place` is the next key */
	uint8_t is_begun;
	uint8_t is_end;	 /* nothing is left */
	uint8_t pad[5];
	uint8_t place[64];
};

enum { BPFCALL_READ_BYTES = 48 * 1024 };

/* How many entries a portion holds at most: as many as BPFCALL_READ_BYTES have room for. 0 if the map is not known. */
uint32_t bpfcall_portion(const struct bpfobj *o, enum bpfobj_map map);

/*
 * Reads a portion from the cursor on, which moves; *ret_n may be 0 before the end. `keys` and `values` have room for
 * bpfcall_portion() entries. What was read may be deleted before the next call. 0; errno of bpf(2).
 */
int bpfcall_read(const struct bpfobj *o, enum bpfobj_map map, struct bpfcall_cursor *at, void *keys, void *values,
		 uint32_t *ret_n);
