/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/migrating_watch.h"

#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macro.h"
#include "probe/sample.h"

enum {
	PODS_MAX = 8, /* asked in a round */
	ROUND_US = 1000 * 1000,
	TIMEOUT_S = 2, /* without a health probe that says something else */
};

struct slot {
	struct migrating_watch *w;
	enum migration_side side;
	struct sample *sample; /* under way */
	struct ip ip;	       /* who was asked last */
	char failed[160];      /* a pod that failed may have been about to go: it counts if it is there in the next round */
};

struct migrating_watch {
	struct loop *loop;
	struct http *http;
	struct migration *m;
	struct slot slots[1 + PODS_MAX]; /* the first is this host */
	size_t next;			 /* pod to be asked */
	uint64_t round_us;
};

int migrating_watch_new(struct loop *loop, struct http *http, struct migration *m, struct migrating_watch **ret)
{
	struct migrating_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->http = http;
	w->m = m;
	for (size_t i = 0; i < ARRAY_LEN(w->slots); i++)
		w->slots[i] = (struct slot){.w = w, .side = i ? MIGRATION_PODS : MIGRATION_HOST};
	*ret = w;
	return 0;
}

void migrating_watch_begin(struct migrating_watch *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->slots); i++) {
		sample_cancel(TAKE_PTR(w->slots[i].sample));
		w->slots[i].failed[0] = '\0';
	}
	w->round_us = 0;
}

void migrating_watch_free(struct migrating_watch *w)
{
	if (!w)
		return;
	migrating_watch_begin(w);
	free(w);
}

static void on_sample(uint64_t latency_us, const char *text, void *arg)
{
	struct slot *slot = arg;

	slot->sample = NULL;
	if (text && slot->side == MIGRATION_PODS)
		migration_text(slot->failed, sizeof(slot->failed), *text ? text : "?");
	else
		migration_sample(&slot->w->m->sides[slot->side], latency_us, text);
}

static bool has(const struct migration_backends *pods, const struct ip *ip)
{
	for (size_t i = 0; i < pods->n; i++)
		if (ip_eq(&pods->v[i].ip, ip))
			return true;
	return false;
}

/* The failures of the round before, of pods that are still behind the Service. */
static void count_failed(struct migrating_watch *w, const struct migration_backends *pods)
{
	for (size_t i = 0; i < ARRAY_LEN(w->slots); i++) {
		struct slot *slot = &w->slots[i];

		if (slot->failed[0] && has(pods, &slot->ip))
			migration_sample(&w->m->sides[slot->side], 0, slot->failed);
		slot->failed[0] = '\0';
	}
}

static void ask(struct slot *slot, const struct migration_check *check, const struct ip *ip, uint16_t port)
{
	const struct conf_probe *p = check->probe;
	struct sample_target t = {.ip = *ip, .port = port, .path = p && p->type == CONF_PROBE_HTTP ? p->path : NULL,
				  .is_tls = p && p->is_tls, .timeout_us = (p ? p->timeout_s : TIMEOUT_S) * USEC_PER_SEC};

	if (slot->sample)
		return;
	slot->ip = *ip;
	/* Out of memory: one check less, which says nothing about the other end. */
	(void)sample_start(slot->w->loop, slot->w->http, &t, on_sample, slot, &slot->sample);
}

void migrating_watch_ask(struct migrating_watch *w, const struct migration_check *check, const struct ip *own,
			 const struct migration_backends *pods)
{
	uint64_t now = clock_boot_us();
	size_t n = MIN(pods->n, (size_t)PODS_MAX);

	if (check->is_blind || now - w->round_us < ROUND_US - ROUND_US / 10) /* ticks are not exact */
		return;
	w->round_us = now;
	count_failed(w, pods);
	if (own->family)
		ask(&w->slots[0], check, own, check->host_port);
	for (size_t i = 0; i < n; i++) {
		const struct migration_backend *b = &pods->v[(w->next + i) % pods->n];

		ask(&w->slots[1 + i], check, &b->ip, b->port);
	}
	w->next += n;
}
