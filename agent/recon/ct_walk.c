/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/ct_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "bpf/bpf_call.h"
#include "bpf/bpf_config.h"

enum { SLACK_S = 5 /* rather a flow too many than one too few */ };

struct ct_walk {
	const struct bpfobj *obj;
	uint32_t ticks_per_s;
	struct ct_walk_callbacks cb;
	struct source *step;
	unsigned map; /* 0 = IPv4, 1 = IPv6 */
	bool is_running;
	uint64_t now; /* ticks, when it began */
	struct bpfcall_cursor at;
	union {
		struct mesh_ct4_key v4[BPFCALL_READ_BYTES / sizeof(struct mesh_ct4_key)];
		struct mesh_ct6_key v6[BPFCALL_READ_BYTES / sizeof(struct mesh_ct6_key)];
	} keys;
	struct mesh_ct values[BPFCALL_READ_BYTES / sizeof(struct mesh_ct)];
};

static void end(struct ct_walk *w, int r)
{
	w->is_running = false;
	w->cb.on_done(r, w->cb.arg);
}

static void look_at(struct ct_walk *w, uint32_t i)
{
	const struct mesh_ct *e = &w->values[i];
	struct ip ip;

	if (!(e->flags & MESH_CT_EGRESS) || e->expires + (uint64_t)SLACK_S * w->ticks_per_s < w->now)
		return;
	ip = w->map == 0 ? ip_from_bytes(AF_INET, &w->keys.v4[i].remote)
			 : ip_from_bytes(AF_INET6, w->keys.v6[i].remote);
	w->cb.on_flow(&ip, w->cb.arg);
}

static void on_step(void *arg)
{
	struct ct_walk *w = arg;
	uint32_t n;
	int r = bpfcall_read(w->obj, w->map == 0 ? BPFOBJ_CT4 : BPFOBJ_CT6, &w->at, &w->keys, w->values, &n);

	if (r < 0) {
		end(w, r);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		look_at(w, i);
	if (w->at.is_end) {
		if (w->map++ == 1) {
			end(w, 0);
			return;
		}
		w->at = (struct bpfcall_cursor){0};
	}
	r = source_trigger(w->step);
	if (r < 0)
		end(w, r);
}

int ct_walk_new(struct loop *l, const struct bpfobj *o, uint32_t ticks_per_s,
		const struct ct_walk_callbacks *cb, struct ct_walk **ret)
{
	CLEANUP(ct_walk_free) struct ct_walk *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->obj = o;
	w->ticks_per_s = ticks_per_s;
	w->cb = *cb;
	r = loop_add_defer(l, LOOP_IDLE, on_step, w, &w->step);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

void ct_walk_free(struct ct_walk *w)
{
	if (!w)
		return;
	source_free(w->step);
	free(w);
}

int ct_walk_start(struct ct_walk *w)
{
	int r = w->is_running ? 0 : source_trigger(w->step);

	if (w->is_running || r < 0)
		return r;
	w->is_running = true;
	w->at = (struct bpfcall_cursor){0};
	w->map = 0;
	w->now = bpfconfig_ticks_now(w->ticks_per_s);
	return 0;
}
