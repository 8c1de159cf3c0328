/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/node_labels.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"

struct node_label {
	struct ip ip;
	struct label_set *set;
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

static void drop(struct node_labels *n, struct node_label *e)
{
	HASH_DEL(n->by_ip, e);
	label_set_free(n->table, e->set);
	free(e);
}

void node_labels_free(struct node_labels *n)
{
	struct node_label *e, *next;

	if (!n)
		return;
	HASH_ITER (hh, n->by_ip, e, next)
		drop(n, e);
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

int node_labels_set(struct node_labels *n, const struct ip *ip, const struct strv *labels, const char *cluster)
{
	struct node_label *e;
	struct label_set *set;
	int r = make_set(n, labels, cluster, &set);

	if (r < 0)
		return r;
	node_labels_remove(n, ip);
	e = calloc(1, sizeof(*e));
	hash_oom = false;
	if (e) {
		e->ip = *ip;
		e->set = set;
		HASH_ADD(hh, n->by_ip, ip, sizeof(e->ip), e);
	}
	if (e && !hash_oom)
		return 0;
	label_set_free(n->table, set);
	free(e);
	return -ENOMEM;
}

void node_labels_remove(struct node_labels *n, const struct ip *ip)
{
	struct node_label *e;

	HASH_FIND(hh, n->by_ip, ip, sizeof(*ip), e);
	if (e)
		drop(n, e);
}

const struct label_set *node_labels_get(const struct node_labels *n, const struct ip *ip)
{
	const struct node_label *e = NULL;

	if (n->by_ip)
		HASH_FIND(hh, n->by_ip, ip, sizeof(*ip), e);
	return e ? e->set : NULL;
}
