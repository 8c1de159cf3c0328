/* SPDX-License-Identifier: Apache-2.0 */
/* What publish.c (plan, drain, status) and publish_sync.c (requests) share. */
#pragma once

#include "base/backoff.h"
#include "base/hash.h"
#include "join/publish.h"
#include "join/serve_rules.h"

/* One EndpointSlice by name: what is wanted, what is there. */
struct slice {
	struct publish *p;
	char *name, *service; /* service: NULL when the plan does not have it */
	json_t *desired;      /* NULL = must not exist */
	json_t *existing;     /* as last read; NULL = none known */
	struct kube_op *op;
	struct backoff backoff;
	uint64_t due_us; /* not before */
	bool is_other;	 /* what is wanted, than what the request under way asks for */
	bool is_held;	 /* takes the conditions of the one that is there, if any */
	bool must_look;	 /* one of that name is there: ours without its label, or somebody else's */
	bool is_in_plan; /* scratch of publish_set(), and of a list */
	char text[256];	 /* of the last failure; "" = none */
	int failure;	 /* its -errno, as in struct kube_result; 0 = none */
	UT_hash_handle hh;
};

/* A service whose entry has no slice: why. */
struct note {
	char *service, *text;
	UT_hash_handle hh;
};

/* A request that comes again and again. */
struct poll {
	struct kube_op *op;
	struct backoff backoff;
	uint64_t due_us;
	bool is_done; /* succeeded once */
	char text[256];
};

struct publish {
	struct loop *loop;
	struct kube_client *client;
	char *host, *ns, *addresses;
	uint64_t settle_us; /* until then rights that go with the addresses may not be known everywhere; 0 = they are */
	void (*on_change)(void *arg);
	void *arg;
	struct source *timer;
	struct slice *slices;
	struct note *notes;
	struct poll list, rules;
	struct serve_rules allowed;
	size_t n_ops; /* of slices */
	bool has_plan;
	bool is_changed;
	void (*on_drained)(size_t n_left, void *arg);
	void *drain_arg;
	uint64_t drain_delete_us, drain_end_us; /* 0 = not draining */
	bool is_drained;
};

/* The slice of that name, made if new; NULL when out of memory. */
struct slice *publish_slice_get(struct publish *p, const char *name);
/* Takes `desired`, NULL for none, and makes it due. */
void publish_slice_want(struct slice *s, json_t *desired);
/* Cancels its request. */
void publish_slice_free(struct publish *p, struct slice *s);
/* Notes what is there; NULL = nothing. */
void publish_slice_found(struct slice *s, json_t *obj);
/* If held: what is there says how ready the endpoint is, from now on as if wanted so. */
void publish_slice_adopt(struct slice *s);
/* True if the API has what is wanted, as far as is known, and no request is under way. */
bool publish_slice_is_settled(const struct slice *s);

/* Does what is due and arms the timer for the rest. After a drain is over `p` may be gone. */
void publish_run(struct publish *p);
