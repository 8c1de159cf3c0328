/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as EndpointSlices. Every offset of what is taken in leads to a text of its pool. */
#include <string.h>

#include "documents.h"
#include "kube/decode_slice.h"

const unsigned replay_runs = 5000;

/* Sums up the lengths, so that every text is read to its end. */
static size_t text(const struct kube_slice *s, uint32_t off)
{
	return strlen(kube_slice_text(s, off));
}

static void on_document(const struct doc *doc, void *arg)
{
	struct kube_slice *s = NULL;
	struct err err = {0};
	size_t sum;

	(void)arg;
	if (kube_slice_decode(doc, &s, &err) < 0) {
		CHECK(!s && err.text[0]);
		return;
	}
	CHECK(text(s, 0) == 0 && text(s, s->ns) && text(s, s->name));
	sum = text(s, s->service) + text(s, s->source_cluster) + text(s, s->managed_by) + text(s, s->proxy_name);
	for (size_t i = 0; i < s->n_ports; i++)
		sum += text(s, s->ports[i].name);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct kube_slice_endpoint *e = &s->endpoints[i];

		sum += text(s, e->hostname) + text(s, e->node) + text(s, e->zone) + text(s, e->target);
		CHECK((size_t)e->first_addr + e->n_addrs <= s->n_addrs);
		CHECK((size_t)e->first_hint + e->n_zones + e->n_nodes <= s->n_hints || e->n_zones + e->n_nodes == 0);
		for (size_t k = 0; k < (size_t)e->n_zones + e->n_nodes; k++)
			sum += text(s, s->hints[e->first_hint + k]);
	}
	for (size_t i = 0; i < s->n_addrs; i++) {
		sum += text(s, s->addrs[i].text);
		CHECK(s->addrs[i].ip.family == s->family || !s->addrs[i].ip.family);
	}
	CHECK(sum < SIZE_MAX / 2);
	kube_slice_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	documents_feed(data, size, on_document, NULL);
	return 0;
}
