/* SPDX-License-Identifier: Apache-2.0 */
/* /test/...: faults, statistics and other levers for tests; only for members of system:masters. */
#include "apiserver_status.h"
#include "apiserver_util.h"

static void reply_stats(struct req *q)
{
	const struct stats *st = &q->srv->stats;

	req_reply(q, 200,
		  must(json_pack("{s:O,s:I,s:I,s:I,s:I,s:I,s:o}", "requests", st->requests,
				 "watches_open", (json_int_t)st->watches_open, "watches_total",
				 (json_int_t)st->watches_total, "bytes_out",
				 (json_int_t)st->bytes_out, "resource_version",
				 (json_int_t)q->srv->store.rv, "oldest_resource_version",
				 (json_int_t)q->srv->store.floor, "faults",
				 faults_json(&q->srv->faults))));
}

static void add_faults(struct req *q)
{
	CLEANUP(json) json_t *list = json_loadb(q->in.data ? q->in.data : "", q->in.len, 0, NULL);
	struct err err = {0};

	if (faults_add(&q->srv->faults, list, &err) < 0)
		fail_bad_request(q, "%s", err.text);
	else
		req_reply(q, 200, faults_json(&q->srv->faults));
}

/* Cuts the watches that are open now and whose path begins with pathPrefix. */
static void cut_watches(struct req *q)
{
	CLEANUP(json) json_t *o = json_loadb(q->in.data ? q->in.data : "", q->in.len, 0, NULL);
	const char *prefix = text_at(o, "pathPrefix", NULL);
	int n = 0;

	for (struct req *r = q->srv->reqs; r; r = r->next)
		if (r->watch && str_has_prefix(r->url, prefix)) {
			r->is_cut = true;
			n++;
		}
	http_wake_all(q->srv);
	req_reply(q, 200, must(json_pack("{s:i}", "cut", n)));
}

void admin_handle(struct req *q)
{
	if (!strv_has(&q->user.groups, "system:masters")) {
		fail_request(q, 403, "only for the admin");
	} else if (str_eq(q->url, "/test/stats") && str_eq(q->method, "GET")) {
		reply_stats(q);
	} else if (str_eq(q->url, "/test/faults") && str_eq(q->method, "POST")) {
		add_faults(q);
	} else if (str_eq(q->url, "/test/faults") && str_eq(q->method, "DELETE")) {
		faults_clear(&q->srv->faults);
		for (struct req *r = q->srv->reqs; r; r = r->next) {
			fault_free(r->fault);
			r->fault = NULL;
		}
		http_wake_all(q->srv);
		req_reply(q, 200, must(json_array()));
	} else if (str_eq(q->url, "/test/compact") && str_eq(q->method, "POST")) {
		store_compact(&q->srv->store);
		req_reply(q, 200, must(json_object()));
	} else if (str_eq(q->url, "/test/cut") && str_eq(q->method, "POST")) {
		cut_watches(q);
	} else {
		fail_path(q);
	}
}
