/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS on the event loop: libcurl's multi interface, one pool of connections, HTTP/2 where the
 * server has it. TLS is always verified against the CA given, redirects are never followed. Another mode is
 * for health probes: without TLS, or without a look at the certificate, and then without any credential.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "event/loop.h"

struct http;
struct http_op;

/* Who the peer must be and who we are. All strings are copied by http_new(). */
struct http_tls {
	const char *ca_pem;	     /* the only trusted authorities; required */
	const char *client_cert_pem; /* with client_key_pem, or both NULL; those that signed it may follow */
	const char *client_key_pem;
};

struct http_result {
	/*
	 * 0 if a response came, whatever its status; else -ECONNREFUSED, -EHOSTUNREACH (no address or
	 * route), -ETIMEDOUT, -EKEYREJECTED (the peer's certificate was not accepted), -EKEYEXPIRED (it
	 * is over, or not valid yet: by this machine's clock), -ECONNRESET (ended half way), -E2BIG (body over the limit), or what on_data returned.
	 */
	int r;
	long status;
	const struct buf *body;	    /* of a response with status >= 300, or without on_data */
	const char *text;	    /* libcurl's words for r; never NULL */
	int64_t retry_after_s;	    /* -1 = none given */
	int64_t date_s;		    /* the server's Date header as Unix time; 0 = none */
	bool is_unsent;		    /* nothing of the request left this host: asking elsewhere does nothing twice */
};

struct http_request {
	const char *method; /* "GET" ... */
	const char *url;
	const char *bearer; /* NULL = no Authorization header */
	const char *accept;
	const char *content_type; /* of body */
	const void *body;
	size_t body_len;
	uint64_t timeout_us; /* whole exchange; 0 = no limit, for streams */
	/*
	 * No compression is asked for. libcurl (7.88) ends a gzip body with its first member, with an error, and a watch that
	 * begins with a list is a member for each flush in Kubernetes 1.37 (WatchListCompression; RFC 1952, 2.2 allows it).
	 */
	bool is_uncompressed;
	size_t body_max;     /* 0 = LIMIT_RESPONSE_BYTES */
	bool is_bulk;	     /* pieces of answers, also of others, may come some ms late meanwhile; see http_bulk_over() */

	/* The head of the response is there; called once. May be NULL. */
	void (*on_head)(long status, void *arg);
	/* Receives the body of a 2xx response as it comes. Negative return ends the exchange with it. */
	int (*on_data)(const char *data, size_t len, void *arg);
	/* Called once, last, unless the operation is cancelled. The result is borrowed. */
	void (*on_done)(const struct http_result *result, void *arg);
	void *arg;
};

/*
 * `tls` NULL: for probes of programs on this host, as a kubelet has them: http and https URLs, certificates are not
 * looked at, each exchange has a connection of its own, past any proxy. -ENOMEM; -EINVAL if the CA or the client
 * certificate or its key does not parse; -EOPNOTSUPP if that key is encrypted; -EKEYREJECTED if it is another one's.
 */
int http_new(struct loop *loop, const struct http_tls *tls, struct http **ret);

/* Cancels what is under way. Not to be called from a callback of an exchange. */
void http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free)

/*
 * Calls `fn` before each connection, with the address and port that it is going to: those of the URL's host, or of the
 * proxy that libcurl was told of. It may not start or cancel exchanges. NULL = nobody wants to know.
 */
void http_on_connect(struct http *h, void (*fn)(const struct ip *ip, uint16_t port, void *arg), void *arg);

/*
 * Starts an exchange. Everything in `req` is copied. `ret` may be NULL if it is never cancelled. -ENOMEM; -EINVAL
 * for a URL that is not https, or, in the mode for probes, for a bearer token.
 */
int http_start(struct http *h, const struct http_request *req, struct http_op **ret);

/* Ends an exchange without calling on_done. May be called from any callback, also its own. */
void http_cancel(struct http_op *op);

/* Pieces of the answer are wanted as they come, from now on. */
void http_bulk_over(struct http_op *op);

/* Breaks all connections, as when the address that they came from is gone. Exchanges fail at once; later ones have new connections. */
void http_reset_connections(struct http *h);
