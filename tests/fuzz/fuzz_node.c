/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as CiliumNodes. What is taken in is named, within its limits, and the same as itself. */
#include <string.h>

#include "base/limits.h"
#include "documents.h"
#include "store/node_table.h"

const unsigned replay_runs = 5000;

static void on_change(uint32_t number, const struct kube_node *old, const struct kube_node *now, void *arg)
{
	(void)number;
	(void)arg;
	CHECK(old || now);
}

static void on_document(const struct doc *doc, void *arg)
{
	struct kube_node *n = NULL, *again = NULL;
	struct err err = {0};
	int r = kube_node_decode(doc, &n, &err);

	if (r < 0) {
		CHECK(!n && err.text[0]);
		return;
	}
	CHECK(n->name[0] && n->node_ips.n <= LIMIT_ADDRESSES);
	for (size_t i = 0; i < n->node_ips.n; i++)
		CHECK(!ip_is_special(&n->node_ips.v[i]));
	(void)kube_node_underlay(n, AF_INET); /* either answer is fine */
	(void)kube_node_tunnel(n, true);      /* likewise */
	CHECK(kube_node_decode(doc, &again, NULL) == 0 && kube_node_same(n, again));
	kube_node_free(again);
	r = kube_node_read_labels(n, doc);
	CHECK(r < 0 || n->labels.n <= LIMIT_LABELS);
	CHECK(node_table_set(arg, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node_table *t;

	CHECK(node_table_new(on_change, NULL, &t) == 0);
	documents_feed(data, size, on_document, t);
	node_table_replace_begin(t);
	node_table_replace_end(t);
	CHECK(node_table_count(t) == 0);
	node_table_free(t);
	return 0;
}
