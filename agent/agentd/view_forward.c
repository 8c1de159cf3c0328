/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/view.h"
#include "base/clock.h"
#include "forward/forward.h"

struct walk {
	const struct agent *a;
	json_t *list, *callers; /* callers: of the last element; borrowed */
	uint64_t now_us;
};

static void forward_json(const struct forwards_info *info, void *arg)
{
	struct walk *w = arg;
	char text[IP_STRLEN];
	json_t *o;

	w->callers = json_array();
	o = json_pack("{s:i, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:o}", "port", info->conf->port, "namespace",
		      w->a->join.namespace, "service", info->conf->service, "service_port", info->conf->service_port, "state",
		      info->is_listening ? "listening" : "waiting", "connections", (json_int_t)info->connections, "active",
		      (json_int_t)info->active, "failed", (json_int_t)info->failed, "more_callers",
		      (json_int_t)info->callers_left_out, "callers", w->callers);
	if (!o)
		w->callers = NULL; /* out of memory: it has been freed */
	if (o && info->conf->address.family)
		(void)json_object_set_new(o, "address", json_string(ip_str(&info->conf->address, text))); /* likewise: missing */
	if (o && *info->text)
		(void)json_object_set_new(o, "reason", json_string(info->text));
	view_add(w->list, o);
}

static void caller_json(const struct forwards_info *info, const struct forwards_caller *c, void *arg)
{
	struct walk *w = arg;
	char text[IP_STRLEN];

	(void)info;
	view_add(w->callers, json_pack("{s:s, s:I, s:I, s:I, s:I}", "address", ip_str(&c->ip, text), "connections",
				       (json_int_t)c->connections, "active", (json_int_t)c->active, "first_seen_ms",
				       (json_int_t)((w->now_us - c->first_us) / USEC_PER_MSEC), "last_seen_ms",
				       (json_int_t)((w->now_us - c->last_us) / USEC_PER_MSEC)));
}

int view_forward_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct walk w = {.a = arg, .list = json_array(), .now_us = clock_boot_us()};

	(void)args;
	if (!w.a->is_joined) {
		json_decref(w.list);
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	}
	if (!w.list)
		return err_set(reterr, ENOMEM, "out of memory");
	if (w.a->forwards)
		forwards_each(w.a->forwards, forward_json, caller_json, &w);
	*ret = w.list;
	return 0;
}
