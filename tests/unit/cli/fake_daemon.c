/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers meshctl from a file of JSON: usage: fake_daemon SOCKET FIXTURE. Members of the fixture are
 * named as the verbs; a member {"$errno": N, "text": "..."} is a failure. "monitor" is a list of
 * events, published to each new subscriber. Ends on SIGTERM. With --print FIXTURE VERB: prints what
 * `meshctl -o json` must print.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/macro.h"
#include "base/str.h"
#include "ctl/ctl_server.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

struct daemon {
	struct loop *loop;
	struct ctl_server *server;
	struct source *publish;
	json_t *fixture;
};

static int answer(struct daemon *d, const char *verb, const json_t *args, json_t **ret_data, struct err *reterr)
{
	json_t *data = json_object_get(d->fixture, verb);

	if (json_object_get(data, "$errno"))
		return err_set(reterr, (int)json_integer_value(json_object_get(data, "$errno")), "%s",
			       json_str(data, "text", ""));
	/* What was asked comes back, so that a test can see it. */
	if (json_object_get(data, "$args"))
		*ret_data = json_deep_copy(args);
	else
		*ret_data = data ? json_incref(data) : NULL;
	return 0;
}

#define HANDLER(name, verb)                                                                        \
	static int name(void *arg, const json_t *args, json_t **ret_data, struct err *reterr)      \
	{                                                                                          \
		return answer(arg, verb, args, ret_data, reterr);                                  \
	}
HANDLER(on_status, CTL_VERB_STATUS)
HANDLER(on_endpoints, CTL_VERB_ENDPOINT_LIST)
HANDLER(on_identities, CTL_VERB_IDENTITY_LIST)
HANDLER(on_identity, CTL_VERB_IDENTITY_GET)
HANDLER(on_nodes, CTL_VERB_NODE_LIST)
HANDLER(on_policies, CTL_VERB_POLICY_LIST)
HANDLER(on_policy_why, CTL_VERB_POLICY_WHY)
HANDLER(on_shadow, CTL_VERB_POLICY_SHADOW)
HANDLER(on_shadow_set, CTL_VERB_POLICY_SHADOW_SET)
HANDLER(on_guard, CTL_VERB_POLICY_GUARD)
HANDLER(on_guard_set, CTL_VERB_POLICY_GUARD_SET)
HANDLER(on_confirm, CTL_VERB_POLICY_CONFIRM)
HANDLER(on_services, CTL_VERB_SERVICE_LIST)
HANDLER(on_ipcache, CTL_VERB_IPCACHE_LIST)
HANDLER(on_ipcache_get, CTL_VERB_IPCACHE_GET)
HANDLER(on_maps, CTL_VERB_MAP_LIST)
HANDLER(on_dns, CTL_VERB_DNS_STATUS)
HANDLER(on_query, CTL_VERB_DNS_QUERY)
HANDLER(on_learned, CTL_VERB_DNS_LEARNED)
HANDLER(on_migrate_plan, CTL_VERB_MIGRATE_PLAN)
HANDLER(on_migrate_status, CTL_VERB_MIGRATE_STATUS)
HANDLER(on_migrate_start, CTL_VERB_MIGRATE_START)
HANDLER(on_migrate_set, CTL_VERB_MIGRATE_SET)
HANDLER(on_drain, CTL_VERB_DRAIN)
HANDLER(on_leave, CTL_VERB_LEAVE)

static const struct ctl_verb verbs[] = {
	{CTL_VERB_STATUS, false, on_status, NULL},
	{CTL_VERB_ENDPOINT_LIST, false, on_endpoints, NULL},
	{CTL_VERB_IDENTITY_LIST, false, on_identities, NULL},
	{CTL_VERB_IDENTITY_GET, false, on_identity, NULL},
	{CTL_VERB_NODE_LIST, false, on_nodes, NULL},
	{CTL_VERB_POLICY_LIST, false, on_policies, NULL},
	{CTL_VERB_POLICY_WHY, false, on_policy_why, NULL},
	{CTL_VERB_POLICY_SHADOW, false, on_shadow, NULL},
	{CTL_VERB_POLICY_SHADOW_SET, true, on_shadow_set, NULL},
	{CTL_VERB_POLICY_GUARD, false, on_guard, NULL},
	{CTL_VERB_POLICY_GUARD_SET, true, on_guard_set, NULL},
	{CTL_VERB_POLICY_CONFIRM, true, on_confirm, NULL},
	{CTL_VERB_SERVICE_LIST, false, on_services, NULL},
	{CTL_VERB_IPCACHE_LIST, false, on_ipcache, NULL},
	{CTL_VERB_IPCACHE_GET, false, on_ipcache_get, NULL},
	{CTL_VERB_MAP_LIST, false, on_maps, NULL},
	{CTL_VERB_DNS_STATUS, false, on_dns, NULL},
	{CTL_VERB_DNS_QUERY, false, on_query, NULL},
	{CTL_VERB_DNS_LEARNED, false, on_learned, NULL},
	{CTL_VERB_MIGRATE_PLAN, false, on_migrate_plan, NULL},
	{CTL_VERB_MIGRATE_STATUS, false, on_migrate_status, NULL},
	{CTL_VERB_MIGRATE_START, true, on_migrate_start, NULL},
	{CTL_VERB_MIGRATE_SET, true, on_migrate_set, NULL},
	{CTL_VERB_DRAIN, true, on_drain, NULL},
	{CTL_VERB_LEAVE, true, on_leave, NULL},
};
static const struct ctl_stream streams[] = {{CTL_VERB_MONITOR, CTL_TOPIC_MONITOR}};

static void on_publish(void *arg)
{
	struct daemon *d = arg;
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(d->fixture, CTL_VERB_MONITOR), i, event)
		(void)ctl_publish(d->server, CTL_TOPIC_MONITOR, event);
}

static void on_subscribers(void *arg, const char *topic, bool has_any)
{
	struct daemon *d = arg;

	(void)topic;
	if (has_any)
		(void)source_trigger(d->publish);
}

static void on_term(void *arg)
{
	loop_exit(arg, 0);
}

static int print(const char *path, const char *verb)
{
	CLEANUP(json_decref) json_t *fixture = json_load_file(path, 0, NULL);
	CLEANUP(free) char *text = json_dumps(json_object_get(fixture, verb), JSON_INDENT(2));

	return text && puts(text) >= 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct daemon d = {0};
	struct ctl_server_config config = {.verbs = verbs,
					   .n_verbs = ARRAY_LEN(verbs),
					   .streams = streams,
					   .n_streams = ARRAY_LEN(streams),
					   .on_subscribers = on_subscribers,
					   .arg = &d};
	struct source *term = NULL;
	struct err err = {0};
	int r = -EINVAL;

	if (argc == 4 && str_eq(argv[1], "--print"))
		return print(argv[2], argv[3]);
	if (argc != 3)
		return 2;
	config.path = argv[1];
	d.fixture = json_load_file(argv[2], 0, NULL);
	if (d.fixture && (r = loop_new(&d.loop)) == 0 &&
	    (r = loop_add_defer(d.loop, LOOP_IDLE, on_publish, &d, &d.publish)) == 0 &&
	    (r = loop_add_signal(d.loop, SIGTERM, on_term, d.loop, &term)) == 0 &&
	    (r = ctl_server_new(d.loop, &config, &d.server, &err)) == 0)
		r = loop_run(d.loop);
	if (r < 0)
		(void)fprintf(stderr, "fake_daemon: %d %s\n", r, err.text);
	ctl_server_free(d.server);
	source_free(term);
	source_free(d.publish);
	loop_free(d.loop);
	json_decref(d.fixture);
	return r < 0 ? 1 : 0;
}
