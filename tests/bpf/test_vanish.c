/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to services whose backend vanishes: which end, which stay. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "bpf/sock_lab.h"
#include "event/loop.h"
#include "json/json.h"
#include "lib/nl_refuse.h"
#include "recon/recon_service.h"
#include "recon/recon_sock.h"
#include "lib/json_objects.h"

enum { PORT = 7100, PATIENCE_MS = 3000, QUIET_MS = 250 };

struct vanish {
	struct sock_lab l;
	struct loop *loop;
	struct service_table *table;
	struct recon_service *service;
	struct recon_sock *sock;
	bool is_endpoint; /* whatever address is asked about */
};

static bool is_endpoint(const struct ip *ip, void *arg)
{
	const struct vanish *v = arg;

	(void)ip;
	return v->is_endpoint;
}

static void add_service(struct vanish *v, const char *name, const char *cluster_ip)
{
	json_t *o = json_pack("{s:{s:s, s:s}, s:{s:s, s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}]}}", "metadata", "namespace", "legacy",
			      "name", name, "spec", "clusterIP", cluster_ip, "ports", "name", "t", "port", 80, "protocol",
			      "TCP", "name", "u", "port", 80, "protocol", "UDP");
	struct kube_service *s;
	struct err err;

	CHECK_EQ(json_service_decode(o, &s, &err), 0);
	CHECK_EQ(service_table_upsert(v->table, s), 0);
	json_decref(o);
}

/* The slice of a service; `ready` false: it stays known, for the connections that it has. */
static void set_backend(struct vanish *v, const char *name, const char *ip, bool ready)
{
	json_t *o = json_pack("{s:{s:s, s:s, s:{s:s}}, s:s, s:[{s:[s], s:{s:b}}], s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}]}",
			      "metadata", "namespace", "legacy", "name", name, "labels", "kubernetes.io/service-name", name,
			      "addressType", strchr(ip, ':') ? "IPv6" : "IPv4", "endpoints", "addresses", ip, "conditions",
			      "ready", ready, "ports", "name", "t", "port", PORT, "protocol", "TCP", "name", "u", "port", PORT,
			      "protocol", "UDP");
	struct kube_slice *s;
	struct err err;

	CHECK_EQ(json_slice_decode(o, &s, &err), 0);
	CHECK_EQ(service_table_upsert_slice(v->table, s), 0);
	json_decref(o);
}

/* As after every change: the maps, then the sockets. */
static void apply(struct vanish *v)
{
	CHECK_EQ(recon_service_apply(v->service), 0);
	CHECK_EQ(recon_sock_look(v->sock), 0);
}

/* Runs the loop until as many connections were ended in all, or for a while if they already were. */
static void expect_ended(struct vanish *v, uint64_t n)
{
	uint64_t wait = recon_sock_get_stats(v->sock).ended < n ? PATIENCE_MS : QUIET_MS;
	uint64_t end = clock_boot_us() + wait * USEC_PER_MSEC;

	while (clock_boot_us() < end && (wait == QUIET_MS || recon_sock_get_stats(v->sock).ended < n))
		(void)loop_once(v->loop, 10 * USEC_PER_MSEC);
	CHECK_EQ(recon_sock_get_stats(v->sock).ended, n);
	CHECK_EQ(recon_sock_get_stats(v->sock).failed, 0);
}

static int dial(int family, int type, const char *addr, uint16_t port)
{
	struct sockaddr_in to4 = sa4(family == AF_INET ? addr : "0.0.0.0", port);
	struct sockaddr_in6 to6 = sa6(addr, port);
	int fd = make_socket(family, type);

	if (family == AF_INET)
		CHECK_EQ(connect(fd, (struct sockaddr *)&to4, sizeof(to4)), 0);
	else
		CHECK_EQ(connect(fd, (struct sockaddr *)&to6, sizeof(to6)), 0);
	return fd;
}

/* 0 if nothing happened to the socket, else its error. */
static int error_of(int fd)
{
	char c;

	if (recv(fd, &c, 1, MSG_DONTWAIT) >= 0)
		return ENODATA; /* end of file, or data that nobody sent */
	return errno == EAGAIN ? 0 : errno;
}

static void expect_and_close(int fd, int error)
{
	CHECK_EQ(error_of(fd), error);
	close(fd);
}

/* The kernel says so with the first that it is asked to end. */
static void skip_unless_supported(struct vanish *v)
{
	uint64_t end = clock_boot_us() + PATIENCE_MS * USEC_PER_MSEC;
	struct recon_sock_stats s;

	do {
		(void)loop_once(v->loop, 10 * USEC_PER_MSEC);
		s = recon_sock_get_stats(v->sock);
	} while (!s.is_unsupported && !s.ended && !s.failed && clock_boot_us() < end);
	if (s.is_unsupported && !harness_failures) {
		printf("skipped: this kernel cannot end connections (CONFIG_INET_DIAG_DESTROY)\n");
		exit(HARNESS_SKIP);
	}
}

static void test_tcp(struct vanish *v)
{
	int direct, by_service, mapped;

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	direct = dial(AF_INET, SOCK_STREAM, "127.0.0.1", PORT);
	by_service = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	mapped = dial(AF_INET6, SOCK_STREAM, "10.96.0.4", 80);
	/* not ready: no new connections, and those there are stay */
	v->is_endpoint = false;
	set_backend(v, "four", "127.0.0.1", false);
	apply(v);
	expect_ended(v, 0);
	CHECK_EQ(recon_sock_get_stats(v->sock).waiting, 2); /* TCP and UDP */
	/* out of the Service, but the pod still runs */
	v->is_endpoint = true;
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	expect_ended(v, 0);
	CHECK_EQ(error_of(by_service), 0);
	/* the pod is gone, too */
	v->is_endpoint = false;
	apply(v);
	skip_unless_supported(v);
	expect_ended(v, 2);
	expect_and_close(by_service, ECONNABORTED);
	expect_and_close(mapped, ECONNABORTED);
	expect_and_close(direct, 0);
	CHECK_EQ(recon_sock_get_stats(v->sock).waiting, 0);
}

/* It went away and came back before anybody was told: nothing happened. */
static void test_back_at_once(struct vanish *v, uint64_t ended)
{
	int fd;

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	fd = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	expect_ended(v, ended);
	expect_and_close(fd, 0);
}

static void test_udp(struct vanish *v, uint64_t ended)
{
	struct sockaddr_in to = sa4("10.96.0.4", 80), before = {0}, after = {0};
	socklen_t len = sizeof(before);
	int connected, loose = make_socket(AF_INET, SOCK_DGRAM);

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	connected = dial(AF_INET, SOCK_DGRAM, "10.96.0.4", 80);
	CHECK_EQ(sendto(loose, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	CHECK_EQ(getsockname(loose, (struct sockaddr *)&before, &len), 0);
	/* nobody answers datagrams for another address: these end even if the pod still runs */
	v->is_endpoint = true;
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	expect_ended(v, ended + 1);
	expect_and_close(connected, ECONNABORTED);
	/* one that is not connected chooses anew with its next datagram, from the port that it has */
	CHECK_EQ(getsockname(loose, (struct sockaddr *)&after, &len), 0);
	CHECK_EQ(after.sin_port, before.sin_port);
	expect_and_close(loose, 0);
	v->is_endpoint = false;
}

static void test_v6(struct vanish *v, uint64_t ended)
{
	int fd, other;

	set_backend(v, "six", "::1", true);
	set_backend(v, "four", "127.0.0.2", true);
	apply(v);
	fd = dial(AF_INET6, SOCK_STREAM, "fd00:96::6", 80);
	other = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	/* two at once: all sockets are looked at */
	service_table_remove_slice(v->table, "legacy", "six");
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	expect_ended(v, ended + 2);
	expect_and_close(fd, ECONNABORTED);
	expect_and_close(other, ECONNABORTED);
}

static void test_settings(struct vanish *v, uint64_t ended)
{
	int tcp, udp;

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	tcp = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	udp = dial(AF_INET, SOCK_DGRAM, "10.96.0.4", 80);
	recon_sock_set(v->sock, RECON_SOCK_UDP);
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	expect_ended(v, ended + 1);
	expect_and_close(udp, ECONNABORTED);
	expect_and_close(tcp, 0);
	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	udp = dial(AF_INET, SOCK_DGRAM, "10.96.0.4", 80);
	recon_sock_set(v->sock, RECON_SOCK_NONE);
	service_table_remove_slice(v->table, "legacy", "four");
	apply(v);
	expect_ended(v, ended + 1);
	CHECK_EQ(error_of(udp), 0);
	/* and what was left out until now is made good */
	recon_sock_set(v->sock, RECON_SOCK_ALL);
	apply(v);
	expect_ended(v, ended + 2);
	expect_and_close(udp, ECONNABORTED);
}

/* The kernel could not be asked for a moment: it is asked again without another change. */
static void test_refused(struct vanish *v, uint64_t ended)
{
	int fd;

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	fd = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	service_table_remove_slice(v->table, "legacy", "four");
	nl_refuse(SOCK_DIAG_BY_FAMILY, 4); /* two protocols, two families */
	apply(v);
	expect_ended(v, ended + 1);
	CHECK_EQ(nl_refuse_left(), 0);
	expect_and_close(fd, ECONNABORTED);
}

/* The agent was away when the backend vanished. */
static void test_restart(struct vanish *v)
{
	int gone, stays;

	set_backend(v, "four", "127.0.0.1", true);
	apply(v);
	gone = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	set_backend(v, "four", "127.0.0.2", true);
	CHECK_EQ(recon_service_apply(v->service), 0);
	stays = dial(AF_INET, SOCK_STREAM, "10.96.0.4", 80);
	recon_sock_free(v->sock);
	CHECK_EQ(recon_sock_new(v->loop, v->l.h.obj, v->table, is_endpoint, v, &v->sock), 0);
	apply(v);
	expect_ended(v, 1);
	expect_and_close(gone, ECONNABORTED);
	expect_and_close(stays, 0);
}

int main(void)
{
	struct vanish v = {0};
	int servers[6];

	sock_lab_open(&v.l);
	CHECK_EQ(loop_new(&v.loop), 0);
	CHECK_EQ(service_table_new(NULL, &v.table), 0);
	CHECK_EQ(recon_service_new(v.l.h.obj, v.table, &v.service), 0);
	CHECK_EQ(recon_sock_new(v.loop, v.l.h.obj, v.table, is_endpoint, &v, &v.sock), 0);
	for (unsigned i = 0; i < 6; i++)
		servers[i] = serve(i < 3 ? SOCK_STREAM : SOCK_DGRAM,
				   i % 3 == 0 ? "127.0.0.1" : i % 3 == 1 ? "127.0.0.2" : "::1", PORT);
	add_service(&v, "four", "10.96.0.4");
	add_service(&v, "six", "fd00:96::6");
	test_tcp(&v);
	test_back_at_once(&v, 2);
	test_udp(&v, 2);
	test_v6(&v, 3);
	test_settings(&v, 5);
	test_refused(&v, 7);
	test_restart(&v);
	for (unsigned i = 0; i < 6; i++)
		close(servers[i]);
	recon_sock_free(v.sock);
	recon_service_free(v.service);
	service_table_free(v.table);
	loop_free(v.loop);
	sock_lab_close(&v.l);
	return harness_done();
}
