/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/node_labels.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"

struct said {
	uint32_t owner;
	struct label_set *set;
	struct said *next;
};

struct node_label {
	struct ip ip;
	struct said *newest;
	UT_hash_handle hh;
};

struct node_labels {
	struct label_table *table;
	struct node_label *by_ip;
};

int node_labels_new(struct label_table *t, struct node_labels **ret)
{
	struct node_labels *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->table = t;
	*ret = n;
	return 0;
}

static struct node_label *find(const struct node_labels *n, const struct ip *ip)
{
	struct node_label *e = NULL;

	if (n->by_ip)
		HASH_FIND(hh, n->by_ip, ip, sizeof(*ip), e);
	return e;
}

/* Where the one of this owner hangs; at the end of the list if there is none. */
static struct said **place_of(struct node_label *e, uint32_t owner)
{
	struct said **p = &e->newest;

	while (*p && (*p)->owner != owner)
		p = &(*p)->next;
	return p;
}

static void drop_said(struct node_labels *n, struct said **place)
{
	struct said *s = *place;

	*place = s->next;
	label_set_free(n->table, s->set);
	free(s);
}

static void drop_if_empty(struct node_labels *n, struct node_label *e)
{
	if (e->newest)
		return;
	HASH_DEL(n->by_ip, e);
	free(e);
}

void node_labels_free(struct node_labels *n)
{
	struct node_label *e, *next;

	if (!n)
		return;
	HASH_ITER (hh, n->by_ip, e, next) {
		while (e->newest)
			drop_said(n, &e->newest);
		drop_if_empty(n, e);
	}
	free(n);
}

static int make_set(struct node_labels *n, const struct strv *labels, const char *cluster, struct label_set **ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = n->table};
	char key[LIMIT_LABEL_KEY + 1];
	int r = 0;

	for (size_t i = 0; r == 0 && i < labels->n; i++) {
		const char *eq = strchr(labels->v[i], '=');

		if (!eq || (size_t)(eq - labels->v[i]) >= sizeof(key))
			continue; /* no label that the API server lets in */
		memcpy(key, labels->v[i], (size_t)(eq - labels->v[i]));
		key[eq - labels->v[i]] = '\0';
		r = label_builder_add_kv(&b, LABEL_NODE, key, eq + 1);
	}
	if (r == 0)
		r = label_builder_add_kv(&b, LABEL_K8S, "io.cilium.k8s.policy.cluster", cluster);
	return r < 0 ? r : label_builder_take(&b, ret);
}

static struct node_label *get(struct node_labels *n, const struct ip *ip)
{
	struct node_label *e = find(n, ip);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->ip = *ip;
	hash_oom = false;
	HASH_ADD(hh, n->by_ip, ip, sizeof(e->ip), e);
	if (!hash_oom)
		return e;
	free(e);
	return NULL;
}

/* Takes `set`, if there is memory for it. One that has the address already gets no newer by other labels. */
static int put(struct node_labels *n, struct node_label *e, uint32_t owner, struct label_set *set)
{
	struct said *s = *place_of(e, owner);

	if (s) {
		label_set_free(n->table, s->set);
		s->set = set;
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct said){.owner = owner, .set = set, .next = e->newest};
	e->newest = s;
	return 0;
}

int node_labels_set(struct node_labels *n, const struct ip *ip, uint32_t owner, const struct strv *labels,
		    const char *cluster)
{
	struct node_label *e;
	struct label_set *set;
	int r = make_set(n, labels, cluster, &set);

	if (r < 0)
		return r;
	e = get(n, ip);
	r = e ? put(n, e, owner, set) : -ENOMEM;
	if (r == 0)
		return 0;
	label_set_free(n->table, set);
	if (e)
		drop_if_empty(n, e);
	return r;
}

void node_labels_remove(struct node_labels *n, const struct ip *ip, uint32_t owner)
{
	struct node_label *e = find(n, ip);
	struct said **place = e ? place_of(e, owner) : NULL;

	if (!place || !*place)
		return;
	drop_said(n, place);
	drop_if_empty(n, e);
}

const struct label_set *node_labels_get(const struct node_labels *n, const struct ip *ip)
{
	const struct node_label *e = find(n, ip);

	return e ? e->newest->set : NULL;
}
