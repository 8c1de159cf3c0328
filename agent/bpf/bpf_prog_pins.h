/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned programs. A process that starts again takes up those of the one before, if they are the same programs on the same maps:
 * to have the kernel verify them anew is most of the system time of a start. A pin is named "prog-SLOT-KEY", and the key is of
 * the BPF object, the options that it was loaded with, and the kernel's numbers of its maps; what has another key is not used.
 */
#pragma once

#include "bpf/bpf_private.h"

struct bpf_object_skeleton;

/* Programs of one object that are loaded together. */
struct bpfpins_group {
	const enum bpfobj_prog *progs;
	size_t n_progs;
};

/*
 * Makes the key of an object that is open, from its bytes, the options that change what is loaded of it, and the maps that it has
 * so far, made or taken up. -ENOENT if one is not there yet: then nothing can be on it. Else 0 or what the kernel says. When it
 * fails the key is "", with which nothing is taken up or kept.
 */
int bpfpins_key(const struct bpfobj *o, const struct bpf_object_skeleton *s, uint32_t options, char ret[BPFPINS_KEY_LEN]);

/* Takes up the whole group. False, and nothing is taken, if one of its programs is not there or something else. */
bool bpfpins_take_up(struct bpfobj *o, const struct bpfpins_group *g, const char *key);

/* Pins the group. What cannot be pinned is only verified again by the next process. */
void bpfpins_keep(const struct bpfobj *o, const struct bpfpins_group *g, const char *key);

/* Removes pins with none of these keys. */
void bpfpins_drop_others(const struct bpfobj *o, const char (*keys)[BPFPINS_KEY_LEN], size_t n);
