/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon writes to the cluster, without the daemon: from a state directory that mesh-join
 * left, registers, publishes an EndpointSlice for the Service of its own name, renews Lease and
 * credential, and leaves again, against a real API server and its admission policies.
 * Usage: enrol_daemon STATE_DIR ADDRESS SERVICE_UID. Exits with 0 if all of it was accepted.
 */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "crypto/secret.h"
#include "join/join_state.h"
#include "join/lease.h"
#include "join/publish.h"
#include "join/register.h"
#include "join/renew.h"

enum { PATIENCE_US = 15000000 };

struct daemon {
	struct loop *loop;
	struct kube_client *client;
	const char *dir;
	const char *ranges; /* the enrolled text */
	unsigned n_tokens, n_conflicts;
	bool has_drained;
	size_t n_left;
};

static void on_state(enum registration_state state, void *arg)
{
	(void)state;
	(void)arg; /* registration_get_state() is asked instead */
}

static void on_unauthorized(void *arg)
{
	(void)arg; /* the state that is not reached says so */
}

static void on_token(const char *token, void *arg)
{
	struct daemon *d = arg;

	if (join_state_save_token(d->dir, token, NULL) == 0 && kube_client_set_token(d->client, token) == 0)
		d->n_tokens++;
}

static void on_lease_state(enum lease_state state, const char *other, void *arg)
{
	(void)state;
	(void)other;
	(void)arg; /* what the lease says at the API server is looked at */
}

static void on_conflict(const char *other, void *arg)
{
	struct daemon *d = arg;

	(void)other;
	d->n_conflicts++;
}

static int wait_for(struct daemon *d, const struct registration *r, enum registration_state want)
{
	uint64_t end_us = clock_boot_us() + PATIENCE_US;

	while (registration_get_state(r) != want) {
		if (clock_boot_us() > end_us) {
			(void)fprintf(stderr, "state %d instead of %d: %s\n", (int)registration_get_state(r), (int)want, registration_error(r));
			return -1;
		}
		(void)loop_once(d->loop, 100000); /* a failing loop shows as a state that is not reached */
	}
	return 0;
}

static int wait_for_token(struct daemon *d)
{
	uint64_t end_us = clock_boot_us() + PATIENCE_US;

	while (!d->n_tokens && clock_boot_us() < end_us)
		(void)loop_once(d->loop, 100000); /* as above */
	if (!d->n_tokens)
		(void)fputs("no new token came\n", stderr);
	return d->n_tokens ? 0 : -1;
}

/* One Service, one IPv4 slice. */
static int make_plan(const struct join_state *s, const struct ip *address, const char *uid, struct serve_plan *ret)
{
	struct serve_entry e = {.status = SERVE_OK, .service = strdup(s->host), .slice_name[0] = serve_slice_name(s->host, s->host, AF_INET)};
	char text[IP_STRLEN];

	e.slice[0] = json_pack("{s:s, s:s, s:{s:s?, s:s, s:{s:s, s:s}, s:[{s:s, s:s, s:s, s:s}]}, s:s, s:[{s:[s], s:{s:b}, s:s}], s:[{s:s, s:s, s:i}]}",
			       "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", e.slice_name[0], "namespace",
			       s->namespace, "labels", "kubernetes.io/service-name", s->host, "endpointslice.kubernetes.io/managed-by",
			       SERVE_MANAGED_BY, "ownerReferences", "apiVersion", "v1", "kind", "Service", "name", s->host, "uid", uid,
			       "addressType", "IPv4", "endpoints", "addresses", ip_str(address, text), "conditions", "ready", 1, "nodeName",
			       s->host, "ports", "name", "", "protocol", "TCP", "port", 80);
	return e.slice[0] ? ARRAY_ADD(ret, e) : -1;
}

static void on_drained(size_t n_left, void *arg)
{
	struct daemon *d = arg;

	d->has_drained = true;
	d->n_left = n_left;
}

static int publish_and_drain(struct daemon *d, const struct join_state *s, const struct ip *address, const char *uid)
{
	CLEANUP(publish_free) struct publish *publish = NULL;
	CLEANUP(serve_plan_done) struct serve_plan plan = {0};
	const struct publish_conf conf = {.host = s->host, .ns = s->namespace, .addresses = d->ranges};
	uint64_t end_us = clock_boot_us() + PATIENCE_US;

	if (make_plan(s, address, uid, &plan) < 0 || publish_new(d->loop, d->client, &conf, &publish) < 0 || publish_set(publish, &plan) < 0)
		return -1;
	while (!publish_is_settled(publish) && clock_boot_us() < end_us)
		(void)loop_once(d->loop, 100000); /* a failing loop shows as a state that is not reached */
	if (!publish_is_settled(publish) || *publish_status(publish, s->host) || !publish_allowed(publish) ||
	    !strv_has(publish_allowed(publish), s->host)) {
		const char *status = publish_status(publish, s->host);

		(void)fprintf(stderr, "slice: %s %s\n", status ? status : "", publish_error(publish));
		return -1;
	}
	if (publish_drain(publish, 1000, on_drained, d) < 0)
		return -1;
	while (!d->has_drained && clock_boot_us() < end_us)
		(void)loop_once(d->loop, 100000); /* as above */
	return d->has_drained && d->n_left == 0 ? 0 : -1;
}

static int run(struct daemon *d, const struct join_state *s, const char *token, const struct ip *address, const char *uid)
{
	CLEANUP(registration_free) struct registration *registration = NULL;
	CLEANUP(lease_free) struct lease *lease = NULL;
	CLEANUP(renewal_free) struct renewal *renewal = NULL;
	CLEANUP(free) char *holder = str_printf("%s/0123456789abcdef", s->host);
	const struct registration_conf rc = {
		.host = s->host, .namespace = s->namespace, .identity = s->identity, .on_state = on_state,
		.on_unauthorized = on_unauthorized, .arg = d};
	const struct lease_conf lc = {.host = s->host, .holder = holder, .on_state = on_lease_state, .on_conflict = on_conflict, .arg = d};
	const struct renewal_conf nc = {.host = s->host, .on_token = on_token, .arg = d};
	const struct registration_info info = {.addresses = address, .n_addresses = 1};

	if (!holder || registration_new(d->loop, d->client, &rc, &registration) < 0 || lease_new(d->loop, d->client, &lc, &lease) < 0 ||
	    renewal_new(d->loop, d->client, &nc, token, &renewal) < 0 || registration_set(registration, &info) < 0)
		return -1;
	lease_kick(lease);
	renewal_kick(renewal);
	if (wait_for(d, registration, REGISTRATION_READY) < 0 || wait_for_token(d) < 0)
		return -1;
	if (publish_and_drain(d, s, address, uid) < 0)
		return -1;
	registration_leave(registration);
	return wait_for(d, registration, REGISTRATION_LEFT) < 0 || d->n_conflicts ? -1 : 0;
}

int main(int argc, char **argv)
{
	CLEANUP(join_state_done) struct join_state s = {0};
	CLEANUP(secret_free) char *token = NULL;
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(kube_client_free) struct kube_client *client = NULL;
	CLEANUP(buf_done) struct buf ranges = {0};
	struct kube_conf conf;
	struct err err = {0};
	struct daemon d;
	struct ip address;

	if (argc != 4 || ip_parse(argv[2], &address) < 0)
		return 2;
	if (join_state_load(argv[1], &s, &err) < 0 || join_state_load_token(argv[1], &token, &err) < 0 || loop_new(&loop) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	conf = (struct kube_conf){
		.servers = (const char *const *)s.servers.v, .n_servers = s.servers.n, .ca_pem = s.ca_pem, .token = token};
	if (kube_client_new(loop, &conf, &client, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < s.addresses.n; i++)
		if (buf_addf(&ranges, "%s%s", i ? "," : "", s.addresses.v[i]) < 0)
			return 1;
	d = (struct daemon){.loop = loop, .client = client, .dir = argv[1], .ranges = ranges.data};
	return run(&d, &s, token, &address, argv[3]) < 0;
}
