/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many hosts in one process, each with the client, reflectors and tables of the daemon, none with a kernel:
 *
 *	fleet KUBECONFIG HOSTS SECONDS [TOKENS]
 *
 * Prints a line of JSON each second, or later if there was too much to do: the seconds since it started, requests begun
 * since the last line, and how many hosts watch all kinds; at the end what the process has used. TOKENS has a host's
 * token in each line, up to a comma. SIGTERM ends it early. What a host writes (its objects, its Lease) is not part of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agentd/sync.h"
#include "agentd/world.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/kubeconfig.h"
#include "lib/ignoring.h"

enum { HOSTS_MAX = 5000, FILES_PER_HOST = 16, TOKENS_MAX = 1 << 20 };

struct fleet;

struct host {
	struct fleet *fleet;
	struct kube_client *client;
	struct world *world;
	struct sync *sync;
	bool is_asking; /* whose cluster it is, as the daemon does after a break */
};

struct fleet {
	struct loop *loop;
	struct source *tick;
	struct host *hosts;
	size_t n;
	uint64_t started_us, seconds;
};

static uint64_t requests;

int __real_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);
int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);

int __wrap_kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret)
{
	requests++;
	return __real_kube_start(c, req, ret);
}

static void on_asked(const struct kube_result *res, void *arg)
{
	(void)res;
	((struct host *)arg)->is_asking = false;
}

static void on_resumed(void *arg)
{
	struct host *h = arg;
	const struct kube_request req = {.path = "/api/v1/namespaces/kube-system", .on_done = on_asked, .arg = h};

	if (!h->is_asking)
		h->is_asking = kube_start(h->client, &req, NULL) == 0;
}

/* Takes a line off `tokens`: what is before its comma. */
static const char *next_token(char **tokens)
{
	char *token = *tokens, *end = token ? strchr(token, '\n') : NULL;

	if (!end)
		return NULL;
	*tokens = end + 1;
	token[strcspn(token, ",\n")] = '\0';
	return token;
}

static int host_start(struct fleet *f, struct host *h, const struct kubeconfig *config, const char *token, struct err *reterr)
{
	struct sync_callbacks callbacks = ignoring;
	static struct conf conf;
	CLEANUP(json_decref) json_t *map = json_object();
	struct cilium_config cilium;
	struct sync_tables tables;
	int r = cilium_config_parse(map, &cilium, reterr);

	callbacks.on_memory = ignore;
	callbacks.on_resumed = on_resumed;
	callbacks.arg = h;
	h->fleet = f;
	if (r == 0)
		r = world_new(&cilium, "fleet", 300, &conf, &h->world);
	if (r == 0)
		r = kubeconfig_client(config, f->loop, &h->client, reterr);
	if (r == 0 && token)
		r = kube_client_set_token(h->client, token);
	if (r < 0)
		return r;
	tables = (struct sync_tables){.identities = h->world->identities, .policies = h->world->gate,
				      .services = h->world->services, .imports = h->world->imports, .endpoints = h->world->endpoints,
				      .ports = h->world->ports, .nodes = h->world->nodes};
	return sync_new(f->loop, h->client, false, &tables, &callbacks, &h->sync);
}

static void host_stop(struct host *h)
{
	sync_free(h->sync);
	kube_client_free(h->client);
	world_free(h->world);
}

static bool is_watching(const struct host *h)
{
	const struct reflector *r;

	for (size_t i = 0; (r = sync_reflector(h->sync, i)); i++)
		if (reflector_get_state(r) != REFLECTOR_SYNCED && !reflector_is_absent(r))
			return false;
	return true;
}

static uint64_t age_us(const struct fleet *f)
{
	return clock_boot_us() - f->started_us;
}

static void on_tick(void *arg)
{
	struct fleet *f = arg;
	size_t watching = 0;

	for (size_t i = 0; i < f->n; i++)
		watching += is_watching(&f->hosts[i]);
	(void)printf("{\"t\": %.1f, \"requests\": %llu, \"watching\": %zu}\n", (double)age_us(f) / USEC_PER_SEC,
		     (unsigned long long)requests, watching);
	(void)fflush(stdout);
	requests = 0;
	if (age_us(f) >= f->seconds * USEC_PER_SEC)
		loop_exit(f->loop, 0);
	else
		(void)source_arm(f->tick, USEC_PER_SEC - age_us(f) % USEC_PER_SEC, 0); /* a live timer */
}

static void on_term(void *arg)
{
	loop_exit(((struct fleet *)arg)->loop, 0);
}

static void tell_usage(const struct fleet *f)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail for ourselves */
	(void)printf("{\"hosts\": %zu, \"seconds\": %llu, \"cpu_ms\": %ld, \"wakeups\": %ld, \"rss_kb\": %ld}\n", f->n,
		     (unsigned long long)(age_us(f) / USEC_PER_SEC),
		     (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000, u.ru_nvcsw,
		     u.ru_maxrss);
}

int main(int argc, char **argv)
{
	CLEANUP(kubeconfig_done) struct kubeconfig config = {0};
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(buf_done) struct buf tokens = {0};
	struct rlimit files = {0};
	struct source *term = NULL;
	struct fleet f = {0};
	struct err err = {0};
	uint64_t n;
	char *token;
	int r;

	if (argc < 4 || argc > 5 || str_to_u64(argv[2], HOSTS_MAX, &n) < 0 || !n || str_to_u64(argv[3], 86400, &f.seconds) < 0 || !f.seconds) {
		(void)fprintf(stderr, "usage: fleet KUBECONFIG HOSTS SECONDS [TOKENS]\n");
		return 2;
	}
	log_set_level(LOG_CRIT);
	files.rlim_cur = files.rlim_max = n * FILES_PER_HOST + 64;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		(void)fprintf(stderr, "fleet: no more than the usual number of open files\n");
	f.hosts = calloc(n, sizeof(*f.hosts));
	r = f.hosts ? kubeconfig_load(argv[1], NULL, &config, &err) : -ENOMEM;
	if (r == 0)
		r = loop_new(&loop);
	if (r == 0 && argc == 5)
		r = file_read(argv[4], TOKENS_MAX, &tokens);
	token = tokens.data;
	f.loop = loop;
	f.started_us = clock_boot_us();
	if (r == 0)
		r = loop_add_timer(loop, on_tick, &f, &f.tick);
	if (r == 0)
		r = loop_add_signal(loop, SIGTERM, on_term, &f, &term);
	if (r == 0)
		r = source_arm(f.tick, USEC_PER_SEC, 0);
	for (; r == 0 && f.n < n; f.n++)
		r = host_start(&f, &f.hosts[f.n], &config, next_token(&token), &err);
	if (r == 0)
		r = loop_run(loop);
	else
		(void)fprintf(stderr, "fleet: %s\n", err.text[0] ? err.text : err_name(r));
	tell_usage(&f);
	for (size_t i = 0; i < f.n; i++)
		host_stop(&f.hosts[i]);
	source_free(term);
	source_free(f.tick);
	free(f.hosts);
	return r < 0 ? 1 : 0;
}
