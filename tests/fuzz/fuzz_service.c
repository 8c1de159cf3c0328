/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as Services, ServiceImports and EndpointSlices that meet in one table. What the table tells of
 * its frontends must add up to what it has.
 */
#include <string.h>

#include "base/limits.h"
#include "documents.h"
#include "service/service.h"

const unsigned replay_runs = 4000;

static void check_service(const struct kube_service *s)
{
	CHECK(s->ns[0] && s->name[0] && s->n_cluster_ips <= 2);
	CHECK(s->type == KUBE_SERVICE_EXTERNAL_NAME || !s->external_name);
	for (size_t i = 0; i < s->n_ports; i++)
		CHECK(s->ports[i].name && (!s->ports[i].target_name || !s->ports[i].target_port));
}

static void on_document(const struct doc *doc, void *arg)
{
	struct kube_service *s = NULL;
	struct kube_slice *sl = NULL;
	struct err err = {0};
	int r = kube_service_decode(doc, &s, &err);

	CHECK(r == 0 || (!s && err.text[0]));
	if (r == 0) {
		check_service(s);
		r = service_table_upsert(arg, s);
		CHECK(r == 0 || r == -E2BIG);
	}
	err.text[0] = '\0';
	s = NULL;
	r = kube_service_import_decode(doc, &s, &err);
	CHECK(r == 0 || (!s && err.text[0]));
	if (r == 0) {
		check_service(s);
		r = service_table_upsert(arg, s);
		CHECK(r == 0 || r == -E2BIG);
	}
	if (kube_slice_decode(doc, &sl, NULL) == 0) {
		r = service_table_upsert_slice(arg, sl);
		CHECK(r == 0 || r == -E2BIG);
	}
}

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	size_t *n = arg;

	CHECK(old || now);
	*n += !old;
	*n -= !now;
}

static int count_frontend(const struct frontend *f, void *arg)
{
	(void)f;
	++*(size_t *)arg;
	return 0;
}

static int remove_first(const struct kube_service *s, void *arg)
{
	service_table_remove(arg, s->ns, s->name);
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct service_table *t;
	struct service_counts c;
	size_t told = 0, seen = 0;

	CHECK(service_table_new(NULL, &t) == 0);
	documents_feed(data, size, on_document, t);
	CHECK(service_table_flush(t, on_change, &told) == 0 && !service_table_is_dirty(t));
	CHECK(service_table_each(t, count_frontend, &seen) == 0);
	service_table_counts(t, &c);
	CHECK(told == seen && c.frontends == seen);
	while (service_table_each_service(t, remove_first, t))
		;
	CHECK(service_table_flush(t, on_change, &told) == 0);
	service_table_counts(t, &c);
	CHECK(told == 0 && c.services == 0 && c.frontends == 0);
	service_table_free(t);
	return 0;
}
