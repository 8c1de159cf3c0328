/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/dns_redirect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/fqdn_server.h"
#include "agentd/resolved.h"
#include "base/log.h"
#include "base/macro.h"
#include "bpf/bpf_map.h"
#include "netlink/sock_diag.h"
#include "plan/plan_service.h"

/* Belongs to the user that systemd-resolved runs as. */
#define RESOLVED_DIR "/run/systemd/resolve"

enum { OWN_MAX = 12 };

struct dns_redirect {
	struct dns_redirect_setup s;
	struct dns_upstream own[OWN_MAX]; /* where the server listens for what is meant for it */
	size_t n_own;
	struct sock_diag *diag;	/* NULL = the kernel has not shown yet that it tells of sockets */
	struct mesh_dns told;	/* what the socket programs are told; a port is 0 while nobody listens there */
	bool has_no_v6;
	bool is_on;
};

/* The socket programs noted by the socket's cookie where it sent to. */
static bool find(void *ctx, uint8_t proto, const struct dns_upstream *client, const struct dns_upstream *server,
		 struct dns_asked *ret)
{
	struct dns_redirect *d = ctx;
	const struct sock_pair pair = {.proto = proto, .local = client->ip, .remote = server->ip,
				       .local_port = client->port, .remote_port = server->port};
	struct mesh_sock_rev_key key = {.port = htons(server->port), .proto = proto};
	struct mesh_sock_rev rev;
	uint64_t cookie;

	if (sock_diag_cookie(d->diag, &pair, &cookie) < 0)
		return false; /* gone already, or one of several on that port: nobody can say whom it meant */
	key.cookie = cookie;
	ip_mapped(&server->ip, key.addr);
	if (bpfmap_get(d->s.obj, BPFOBJ_SOCK_REV, &key, &rev) < 0 || rev.service_id != MESH_SVC_DNS)
		return false; /* somebody sent it here on purpose */
	*ret = (struct dns_asked){.ip = ip_unmapped(rev.addr), .port = ntohs(rev.port)};
	for (size_t i = 0; i < d->n_own; i++)
		if (ip_eq(&d->own[i].ip, &ret->ip)) {
			ret->port = 0;
			return true;
		}
	ret->is_cluster = fqdn_is_kube_dns(d->s.world, &ret->ip);
	return true;
}

/* On a port of its own, so that such queries are told from others. The one that an earlier run had, if possible. */
static int listen_on(struct dns_redirect *d, const char *address, uint16_t port, uint8_t ret_addr[16], __be16 *ret_port,
		     struct err *reterr)
{
	const struct dns_finder finder = {.find = find, .ctx = d};
	struct ip ip;
	uint16_t got;
	int r;

	(void)ip_parse(address, &ip); /* a legal address */
	r = dns_server_listen_for_others(d->s.dns, &ip, port, &finder, &got, reterr);
	if (r == -EADDRINUSE && port)
		r = dns_server_listen_for_others(d->s.dns, &ip, 0, &finder, &got, reterr);
	if (r < 0)
		return r;
	ip_mapped(&ip, ret_addr);
	*ret_port = htons(got);
	return 0;
}

/*
 * Queries of the daemon itself for the API server's name, and those of systemd-resolved: it binds its sockets to
 * the interface behind which the server is, from where the loopback device is out of reach. Who asks it is redirected.
 */
static void exempt_users(struct mesh_dns *m)
{
	struct stat st;

	m->users[0] = getuid();
	m->users[1] = stat(RESOLVED_DIR, &st) == 0 ? st.st_uid : 0;
}

int dns_redirect_new(const struct dns_redirect_setup *setup, struct dns_redirect **ret)
{
	struct dns_redirect *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->s = *setup;
	/* the device for the host's resolver first: it comes later than this, or never */
	(void)ip_parse(RESOLVED_ADDRESS, &d->own[0].ip); /* a legal address */
	d->n_own = 1 + dns_server_listeners(d->s.dns, d->own + 1, OWN_MAX - 1);
	d->told.mark = MESH_DNS_MARK;
	*ret = d;
	return 0;
}

static int open_diag(struct dns_redirect *d, struct err *reterr)
{
	CLEANUP(sock_diag_free) struct sock_diag *diag = NULL;
	int r = sock_diag_new(&diag);

	if (r == 0)
		r = sock_diag_probe(diag, IPPROTO_UDP);
	if (r == 0)
		r = sock_diag_probe(diag, IPPROTO_TCP);
	if (r < 0)
		return err_set(reterr, -r, "the kernel does not tell of sockets: %s", err_name(r));
	d->diag = TAKE_PTR(diag);
	return 0;
}

/* Where such queries come in. A host without IPv6 sends none by it. */
static int listen_all(struct dns_redirect *d, struct err *reterr)
{
	struct mesh_dns *m = &d->told, old = {0};
	uint32_t zero = 0;
	int r = 0;

	(void)bpfmap_get(d->s.obj, BPFOBJ_DNS, &zero, &old); /* zero, then */
	if (!m->port4)
		r = listen_on(d, "127.0.0.1", ntohs(old.port4), m->addr4, &m->port4, reterr);
	if (r < 0 || m->port6 || d->has_no_v6)
		return r;
	r = listen_on(d, "::1", ntohs(old.port6), m->addr6, &m->port6, reterr);
	d->has_no_v6 = r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
	if (!d->has_no_v6)
		return r;
	log_event(LOG_INFO, "dns.redirect", "queries to DNS servers by IPv6 are not redirected: this host has no IPv6");
	return 0;
}

int dns_redirect_start(struct dns_redirect *d, struct err *reterr)
{
	struct mesh_dns *m = &d->told;
	uint32_t zero = 0;
	int r = 0;

	if (d->is_on)
		return 0;
	if (!d->diag)
		r = open_diag(d, reterr);
	if (r == 0)
		r = listen_all(d, reterr);
	if (r < 0)
		return r;
	exempt_users(m);
	for (size_t i = 0; i < MIN(d->n_own, (size_t)MESH_DNS_OWN); i++)
		ip_mapped(&d->own[i].ip, m->own[i]);
	r = bpfmap_put(d->s.obj, BPFOBJ_DNS, &zero, m);
	if (r < 0)
		return err_set(reterr, -r, "the socket programs cannot be told of the DNS server: %s", err_name(r));
	d->is_on = true;
	return 0;
}

bool dns_redirect_is_on(const struct dns_redirect *d)
{
	return d && d->is_on;
}

void dns_redirect_free(struct dns_redirect *d)
{
	if (!d)
		return;
	sock_diag_free(d->diag);
	free(d);
}
