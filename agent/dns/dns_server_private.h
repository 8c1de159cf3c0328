/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the server: the transports and the part that decides are separate source files. */
#pragma once

#include <sys/socket.h>

#include "base/buf.h"
#include "dns/dns_cache.h"
#include "dns/dns_server.h"

enum {
	DNS_MAX_LISTENERS = 8 + 3, /* dns.listen, the device for the host's resolver, and two for redirected queries */
	DNS_MAX_PROVIDERS = 16,
	DNS_OPT_ROOM = 16, /* past a message's end, for OPT */
	DNS_TRACE_MAX = 256, /* a power of two: the count of all wraps around */
};

struct dns_listener {
	struct dns_server *server;
	struct ip ip;
	uint16_t port;
	bool is_loopback;
	bool is_for_others;
	int udp_fd, tcp_fd;
	struct source *udp, *tcp;
};

/* Where an answer goes: a datagram's sender, or a connection. */
struct dns_client {
	struct dns_listener *listener;
	struct dns_conn *conn; /* NULL = UDP */
	struct dns_asked asked;
	struct sockaddr_storage peer;
	socklen_t peer_len;
};

/* A query that waits for an upstream. */
struct dns_pending {
	struct dns_pending *next, **prevp;
	struct dns_server *server;
	struct dns_client client;
	struct dns_query q; /* its question is the array below */
	uint8_t question[DNS_NAME_MAX + 4];
	struct dns_name target; /* of the ExternalName that is chased; length 0 = the query itself */
	struct dns_flight *flight;
};

struct dns_udp_batch;
struct dns_held;

/* Answers held back, the oldest first. */
struct dns_holds {
	struct dns_held *first, *last;
	size_t n, bytes;
	struct source *timer;
};

/* A query by UDP that was answered, or whose answer is held back. */
struct dns_trace {
	uint16_t port, id; /* port 0 = none */
	struct ip ip;	   /* of the client */
	uint64_t name;	   /* hash of it */
	struct dns_traced what;
};

struct dns_server {
	struct loop *loop;
	struct dns_server_options opt;
	struct dns_provider providers[DNS_MAX_PROVIDERS]; /* longest apex first */
	size_t n_providers;
	struct dns_listener listeners[DNS_MAX_LISTENERS];
	size_t n_listeners;
	struct ip *local;
	size_t n_local;
	struct dns_forward *forward;
	struct dns_cache *cache;
	struct dns_gate gate; /* .check NULL = everything passes */
	struct dns_finder finder;
	struct dns_holds holds;
	struct dns_pending *pending;
	struct dns_conn *conns;
	struct source *accept_timer; /* listens again after descriptors ran out */
	struct dns_udp_batch *batch;
	uint8_t *big;		     /* DNS_MSG_MAX + room: answers by TCP and of upstreams */
	struct dns_server_counts counts;
	struct dns_trace trace[DNS_TRACE_MAX]; /* a ring */
	unsigned n_traced;		       /* ever */
};

/*
 * Answers one query into `buf`, of which `cap` bytes plus DNS_OPT_ROOM are usable. Returns the
 * length; 0 if there is nothing to send now: dropped, or an upstream was asked.
 */
size_t dns_server_handle(struct dns_server *s, const uint8_t *msg, size_t len,
			 const struct dns_client *client, uint8_t *buf, size_t cap);

/* The next provider from *i on whose zone has the name; NULL at the end. */
const struct dns_provider *dns_provider_next(const struct dns_server *s, const struct dns_name *name, size_t *i);

bool dns_server_is_local(const struct dns_server *s, const struct dns_listener *l,
			 const struct sockaddr_storage *peer);

/* Whom the query was meant for; port 0 = this server. False if it is not to be answered. */
bool dns_server_find_asked(const struct dns_listener *l, uint8_t proto, const struct sockaddr_storage *peer,
			   struct dns_asked *ret);

/* Sends an answer that comes later than its query. */
void dns_server_send(const struct dns_client *c, const uint8_t *msg, size_t len);

/* Notes what becomes of a query; `from` is the upstream that answered, NULL = none. */
void dns_trace_add(struct dns_server *s, const struct dns_client *client, const struct dns_query *q,
		   const struct dns_upstream *from, bool is_held);

/* 0 or -ENOMEM. */
int dns_holds_init(struct dns_server *s);
/* Keeps a copy of an answer back. False if there is no room: it is to be sent now. */
bool dns_hold(struct dns_server *s, const struct dns_client *client, const uint8_t *msg, size_t len);
/* Forgets those for a connection; NULL = all. */
void dns_holds_forget(struct dns_server *s, const struct dns_conn *conn);

/* Forgets the queries of a connection that went, and answers for it that are held back; NULL = all. */
void dns_server_forget_conn(struct dns_server *s, const struct dns_conn *c);

int dns_udp_open(struct dns_listener *l, uint16_t port, uint16_t *ret_port);
int dns_udp_batch_new(struct dns_udp_batch **ret);
void dns_udp_batch_free(struct dns_udp_batch *b);
void dns_udp_send(struct dns_listener *l, const struct dns_client *c, const uint8_t *msg,
		  size_t len);

int dns_tcp_open(struct dns_listener *l, uint16_t port);
void dns_tcp_accept_later(void *server);
/* May close the connection. */
void dns_tcp_send(struct dns_conn *c, const uint8_t *msg, size_t len);
void dns_tcp_close_all(struct dns_server *s);
/* One more or one less query of the connection waits for an upstream. */
void dns_tcp_wait(struct dns_conn *c, int change);
