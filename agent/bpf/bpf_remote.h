/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of bpf_obj.h, bpf_call.h, bpf_attach.h and bpf_others.h in a process without the rights: it asks (priv.h). */
#pragma once

#include "bpf/bpf_attach.h"
#include "bpf/bpf_call.h"
#include "base/err.h"

int bpfremote_open(struct bpfobj *o, struct err *reterr);
void bpfremote_close(struct bpfobj *o);
int bpfremote_load_l3(struct err *reterr);
int bpfremote_unpin(void);

int bpfremote_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value);
int bpfremote_put(const struct bpfobj *o, enum bpfobj_map map, const void *keys, const void *values, size_t n, bool is_new,
		  size_t *ret_done);
int bpfremote_del(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n, size_t *ret_done);
int bpfremote_read(const struct bpfobj *o, enum bpfobj_map map, struct bpfcall_cursor *at, void *keys, void *values,
		   uint32_t *ret_n);

int bpfremote_attach_if(int ifindex, enum bpfattach_kind kind, enum bpfattach_how *ret_how, struct err *reterr);
int bpfremote_if_detach(int ifindex, struct err *reterr);
bool bpfremote_if_is_ok(int ifindex, enum bpfattach_kind kind);
bool bpfremote_if_is_held(int ifindex);
uint32_t bpfremote_if_before(int ifindex);
int bpfremote_if_list(int *ifindexes, size_t max);
int bpfremote_cgroup(struct err *reterr);
bool bpfremote_cgroup_is_ok(void);
int bpfremote_backstop(struct err *reterr);
bool bpfremote_backstop_is_ok(void);
int bpfremote_remove_others(struct err *reterr);
int bpfremote_detach_all(struct err *reterr);

int bpfremote_adopt(uint32_t generation, size_t *ret_n);
bool bpfremote_others_in_force(void);
