/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mesh-test-apiserver: the Kubernetes API as far as the agent and its tools use it, in memory, for
 * tests and demonstrations. Not there: admission (ValidatingAdmissionPolicies are stored, not
 * evaluated), checks against privilege escalation, field ownership of server-side apply, schemas
 * and pruning of custom resources, controllers but garbage collection. Without history on disk:
 * a restart begins anew from the manifests.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "apiserver_defaults.h"
#include "apiserver_util.h"
#include "base/clock.h"

static const char usage_text[] =
	"usage: mesh-test-apiserver --state DIR [options]\n"
	"  --listen ADDRESS:PORT   where to serve, again for more (127.0.0.1:0)\n"
	"  --state DIR             keys, certificates, admin.conf, admin.token\n"
	"  --manifests DIR         objects to begin with, *.json *.yaml *.yml\n"
	"  --history N             events that are remembered (10000)\n"
	"  --first-rv N            resourceVersion to begin with (100)\n"
	"  --bookmarks DURATION    time between bookmarks (60s)\n"
	"  --no-watchlist          refuse sendInitialEvents, as old servers\n"
	"  --without PLURAL.GROUP  do not serve this resource, again for more\n"
	"  --san NAME              name in the certificate instead of the addresses, again for "
	"more\n"
	"  --expired-cert          serve with a certificate that is over\n"
	"  --print-ready           write a line \"ready URL\" when serving\n";

enum {
	OPT_LISTEN = 256,
	OPT_STATE,
	OPT_MANIFESTS,
	OPT_HISTORY,
	OPT_FIRST_RV,
	OPT_BOOKMARKS,
	OPT_NO_WATCHLIST,
	OPT_WITHOUT,
	OPT_SAN,
	OPT_EXPIRED,
	OPT_READY,
	OPT_HELP
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"state", required_argument, NULL, OPT_STATE},
	{"manifests", required_argument, NULL, OPT_MANIFESTS},
	{"history", required_argument, NULL, OPT_HISTORY},
	{"first-rv", required_argument, NULL, OPT_FIRST_RV},
	{"bookmarks", required_argument, NULL, OPT_BOOKMARKS},
	{"no-watchlist", no_argument, NULL, OPT_NO_WATCHLIST},
	{"without", required_argument, NULL, OPT_WITHOUT},
	{"san", required_argument, NULL, OPT_SAN},
	{"expired-cert", no_argument, NULL, OPT_EXPIRED},
	{"print-ready", no_argument, NULL, OPT_READY},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int option_set(struct options *o, int opt)
{
	uint64_t n;
	int r = 0;

	switch (opt) {
	case OPT_LISTEN:
		return strv_add(&o->listen, optarg);
	case OPT_STATE:
		o->state_dir = optarg;
		return 0;
	case OPT_MANIFESTS:
		o->manifest_dir = optarg;
		return 0;
	case OPT_HISTORY:
		r = str_to_u64(optarg, 1U << 24, &n);
		if (r < 0 || n == 0)
			return -EINVAL;
		o->history = n;
		return 0;
	case OPT_FIRST_RV:
		return str_to_u64(optarg, UINT64_MAX / 2, &o->first_rv);
	case OPT_BOOKMARKS:
		r = str_to_usec(optarg, &o->bookmark_us);
		return r < 0 || o->bookmark_us == 0 ? -EINVAL : 0;
	case OPT_NO_WATCHLIST:
		o->no_watchlist = true;
		return 0;
	case OPT_WITHOUT:
		return strv_add(&o->without, optarg);
	case OPT_SAN:
		return strv_add(&o->sans, optarg);
	case OPT_EXPIRED:
		o->is_expired_cert = true;
		return 0;
	case OPT_READY:
		o->print_ready = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int options_parse(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			(void)fputs(usage_text, stdout); /* nothing to do if nobody reads it */
			return 1;
		}
		if (option_set(o, opt) < 0) {
			(void)fputs(usage_text, stderr);
			return -EINVAL;
		}
	}
	if (!o->state_dir || optind < argc) {
		(void)fputs(usage_text, stderr);
		return -EINVAL;
	}
	return o->listen.n == 0 ? strv_add(&o->listen, "127.0.0.1:0") : 0;
}

/* What every cluster has. */
static void add_system_objects(struct server *s)
{
	static const char *const names[] = {"default", "kube-node-lease", "kube-public",
					    "kube-system"};
	const struct kind *k = kind_find("", "v1", "namespaces");
	json_t *role =
		must(json_pack("{s:{s:s},s:[{s:[s],s:[s],s:[s]},{s:[s],s:[s]}]}", "metadata",
			       "name", "cluster-admin", "rules", "apiGroups", "*", "resources", "*",
			       "verbs", "*", "nonResourceURLs", "*", "verbs", "*"));

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *o = must(json_pack("{s:{s:s}}", "metadata", "name", names[i]));

		defaults_new(s, k, o);
		(void)store_put(&s->store, k, o);
	}
	k = kind_find_plural("rbac.authorization.k8s.io", "clusterroles");
	defaults_new(s, k, role);
	(void)store_put(&s->store, k, role);
}

/* Namespaces that manifests use but do not define, as if their admin had made them before. */
static void add_used_namespaces(struct server *s)
{
	const struct kind *k = kind_find("", "v1", "namespaces");

	for (size_t t = 0; t < kinds_n; t++)
		for (size_t i = 0; i < s->store.tables[t].n; i++) {
			const char *ns = s->store.tables[t].v[i]->ns;
			json_t *o;

			if (!*ns || store_get(&s->store, k, "", ns))
				continue;
			o = must(json_pack("{s:{s:s}}", "metadata", "name", ns));
			defaults_new(s, k, o);
			(void)store_put(&s->store, k, o);
		}
}

int main(int argc, char **argv)
{
	struct server s = {
		.opt = {.history = 10000, .first_rv = 100, .bookmark_us = 60 * USEC_PER_SEC},
		.signal_fd = -1,
		.next_cluster_ip = 9};
	struct err err = {0};
	int r = options_parse(argc, argv, &s.opt);

	if (r != 0)
		return r < 0 ? 2 : 0;
	if (sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL) < 0)
		return 1;
	store_init(&s.store, s.opt.first_rv, s.opt.history);
	s.stats.requests = must(json_object());
	add_system_objects(&s);
	if (s.opt.manifest_dir)
		r = manifest_load(&s, s.opt.manifest_dir, &err);
	add_used_namespaces(&s);
	s.gc_rv = s.store.rv;
	if (r >= 0)
		r = http_open(&s, &err);
	if (r >= 0)
		r = http_run(&s);
	if (r < 0)
		(void)fprintf(stderr, "mesh-test-apiserver: %s\n",
			      *err.text ? err.text : err_name(r));
	http_close(&s);
	faults_clear(&s.faults);
	json_decref(s.stats.requests);
	store_done(&s.store);
	strv_done(&s.opt.listen);
	strv_done(&s.opt.without);
	strv_done(&s.opt.sans);
	return r < 0 ? 1 : 0;
}
