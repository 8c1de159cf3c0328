/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"
#include "base/str.h"
#include "ctl/ctl_client.h"
#include "ctl/ctl_verbs.h"
#include "diff_api.h"
#include "json/json.h"

enum { WAIT_MS = 6000, STEP_MS = 20, REFUSAL_MS = 1500 };

static const struct {
	const char *name, *api, *plural;
	bool is_policy, is_namespaced;
} kinds[] = {{"cnp", "/apis/cilium.io/v2", "ciliumnetworkpolicies", true, true},
	     {"ccnp", "/apis/cilium.io/v2", "ciliumclusterwidenetworkpolicies", true, false},
	     {"knp", "/apis/networking.k8s.io/v1", "networkpolicies", true, true},
	     {"group", "/apis/cilium.io/v2", "ciliumcidrgroups", false, false},
	     {"service", "/api/v1", "services", false, true},
	     {"slice", "/apis/discovery.k8s.io/v1", "endpointslices", false, true}};

static void pause_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL); /* a shorter one is as good */
}

static void add(struct diff_objects *o, const char *kind, const char *ns, const char *name, json_t *body)
{
	struct diff_object *v = realloc(o->v, (o->n + 1) * sizeof(*v));
	char path[256];
	long code = 0;
	size_t k = 0;

	while (k < ARRAY_LEN(kinds) && !str_eq(kinds[k].name, kind))
		k++;
	if (!v || !body || k == ARRAY_LEN(kinds)) {
		(void)fprintf(stderr, "policy_diff: object %s\n", name);
		exit(2);
	}
	o->v = v;
	(void)snprintf(path, sizeof(path), "%s%s%s/%s", kinds[k].api, kinds[k].is_namespaced ? "/namespaces/" : "",
		       kinds[k].is_namespaced ? ns : "", kinds[k].plural);
	(void)json_object_set_new(json_object_get(body, "metadata"), "name", json_string(name));
	/* the one before of that name may not be gone yet */
	for (unsigned i = 0; i < 50 && (code == 0 || code == 409); i++) {
		if (i)
			pause_ms(STEP_MS);
		code = api_call("POST", path, body, NULL);
	}
	o->v[o->n++] = (struct diff_object){.path = str_printf("%s/%s", path, name), .name = strdup(name),
					    .is_policy = kinds[k].is_policy, .is_refused = code < 200 || code > 299};
	json_decref(body);
}

static json_t *policy_body(const json_t *p)
{
	return json_pack("{s:s, s:s, s:{s:O*}, s:O*, s:O*}", "apiVersion",
			 str_eq(json_str(p, "kind", "cnp"), "knp") ? "networking.k8s.io/v1" : "cilium.io/v2", "kind",
			 str_eq(json_str(p, "kind", "cnp"), "knp")     ? "NetworkPolicy" :
			 str_eq(json_str(p, "kind", "cnp"), "ccnp")    ? "CiliumClusterwideNetworkPolicy" :
			 str_eq(json_str(p, "kind", "cnp"), "group") ? "CiliumCIDRGroup" :
								       "CiliumNetworkPolicy",
			 "metadata", "labels", json_object_get(p, "labels"), "spec", json_object_get(p, "spec"), "specs",
			 json_object_get(p, "specs"));
}

static void add_service(struct diff_objects *o, const json_t *s)
{
	const char *ns = json_str(s, "ns", ""), *name = json_str(s, "name", "");
	const json_t *backends = json_object_get(s, "backends");

	add(o, "service", ns, name,
	    json_pack("{s:s, s:s, s:{s:O*}, s:{s:O*, s:[{s:i}]}}", "apiVersion", "v1", "kind", "Service", "metadata", "labels",
		      json_object_get(s, "labels"), "spec", "selector", json_object_get(s, "selector"), "ports", "port", 80));
	if (!backends)
		return;
	json_t *endpoints = json_array();

	for (size_t i = 0; i < json_array_size(backends); i++)
		(void)json_array_append_new(endpoints, json_pack("{s:[O]}", "addresses", json_array_get(backends, i)));
	add(o, "slice", ns, name,
	    json_pack("{s:s, s:s, s:{s:{s:s}}, s:s, s:o, s:[{s:i}]}", "apiVersion", "discovery.k8s.io/v1", "kind",
		      "EndpointSlice", "metadata", "labels", "kubernetes.io/service-name", name, "addressType", "IPv4",
		      "endpoints", endpoints, "ports", "port", 80));
}

void diff_objects_make(const json_t *set, unsigned number, struct diff_objects *ret)
{
	const json_t *policies = json_object_get(set, "policies"), *services = json_object_get(set, "services");
	char name[64];

	*ret = (struct diff_objects){0};
	for (size_t i = 0; i < json_array_size(services); i++)
		add_service(ret, json_array_get(services, i));
	for (size_t i = 0; i < json_array_size(policies); i++) {
		const json_t *p = json_array_get(policies, i);

		(void)snprintf(name, sizeof(name), "s%u-%zu-x", number, i);
		add(ret, json_str(p, "kind", "cnp"), json_str(p, "ns", ""),
		    str_eq(json_str(p, "kind", "cnp"), "group") ? json_str(p, "name", name) : name, policy_body(p));
	}
}

void diff_objects_remove(struct diff_objects *o)
{
	for (size_t i = 0; i < o->n; i++) {
		if (!o->v[i].is_refused)
			(void)api_call("DELETE", o->v[i].path, NULL, NULL); /* gone is what we want */
		free(o->v[i].path);
		free(o->v[i].name);
	}
	free(o->v);
	*o = (struct diff_objects){0};
}

/* This host: lists exactly ours, and nothing is still to be written into the maps. */
static bool host_has(struct diff_objects *o, const char *socket)
{
	CLEANUP(ctl_client_free) struct ctl_client *c = NULL;
	CLEANUP(json_decref) json_t *list = NULL;
	CLEANUP(json_decref) json_t *status = NULL;
	struct err err = {0};
	size_t found = 0, expected = 0;

	if (ctl_client_new(socket, 5000000, &c, &err) < 0 || ctl_client_call(c, CTL_VERB_POLICY_LIST, NULL, &list, &err) < 0 ||
	    ctl_client_call(c, CTL_VERB_STATUS, NULL, &status, &err) < 0)
		return false;
	for (size_t i = 0; i < o->n; i++) {
		expected += o->v[i].is_policy && !o->v[i].is_refused;
		for (size_t k = 0; o->v[i].is_policy && k < json_array_size(list); k++)
			if (str_eq(json_str(json_array_get(list, k), "name", ""), o->v[i].name)) {
				found++;
				o->v[i].is_rejected =
					str_eq(json_str(json_array_get(list, k), "state", ""), "rejected");
			}
	}
	return found == expected && json_array_size(list) == expected && json_int(status, "datapath.pending_age_ms", 0) == 0 &&
	       json_int(status, "datapath.generation", 0) == json_int(status, "datapath.planned_generation", 1);
}

/* Cilium: the repository has exactly ours, and the endpoint its revision. */
static bool cilium_has(struct diff_objects *o, const char *endpoint, bool waits_for_refused)
{
	CLEANUP(json_decref) json_t *policy = NULL;
	CLEANUP(json_decref) json_t *ep = NULL;
	const char *text, *p;
	size_t all = 0;
	bool is_complete = true;
	char path[64];

	if (api_cilium("/v1/policy", &policy) != 200)
		return false;
	text = json_str(policy, "policy", "");
	for (size_t i = 0; i < o->n; i++) {
		struct diff_object *v = &o->v[i];

		if (!v->is_policy || v->is_refused)
			continue;
		v->is_in_cilium = strstr(text, v->name) != NULL;
		if (!v->is_in_cilium && !(v->is_rejected && !waits_for_refused))
			is_complete = false;
	}
	/* rules of sets before, which have names of the same form */
	for (p = strstr(text, "policy.name\""); p; p = strstr(p + 1, "policy.name\""))
		all++;
	for (size_t i = 0; i < o->n; i++)
		for (p = o->v[i].is_policy ? strstr(text, o->v[i].name) : NULL; p; p = strstr(p + 1, o->v[i].name))
			all--;
	if (!is_complete || all != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/v1/endpoint/%s", endpoint);
	return api_cilium(path, &ep) == 200 && json_int(ep, "status.policy.realized.policy-revision", 0) >=
						       json_int(policy, "revision", 1);
}

bool diff_objects_wait(struct diff_objects *o, const char *agent_socket, const char *endpoint)
{
	bool host = false, cilium = false;

	for (unsigned waited = 0; waited < WAIT_MS && !(host && cilium); waited += STEP_MS) {
		host = host_has(o, agent_socket);
		cilium = cilium_has(o, endpoint, !host && waited < REFUSAL_MS);
		if (!(host && cilium))
			pause_ms(STEP_MS);
	}
	return host && cilium;
}
