/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one Kubernetes API, which may have several servers: requests go to one of them until
 * it fails to connect or answers 5xx three times in a row, then to the next.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/ip.h"
#include "event/loop.h"

struct kube_client;
struct kube_op;

struct kube_conf {
	const char *const *servers; /* "https://host:port", without path */
	size_t n_servers;
	const char *ca_pem;
	const char *token;	     /* bearer; NULL = client certificate only */
	const char *client_cert_pem; /* NULL = token only */
	const char *client_key_pem;

	/* As http_on_connect(): before each connection to one of the servers. May be NULL. */
	void (*on_connect)(const struct ip *ip, uint16_t port, void *arg);
	void *arg;
};

/* All of `conf` is copied. -EINVAL with a text for an unusable server address, CA, certificate or key. */
int kube_client_new(struct loop *loop, const struct kube_conf *conf, struct kube_client **ret,
		    struct err *reterr);
void kube_client_free(struct kube_client *c);
DEFINE_CLEANUP(struct kube_client *, kube_client_free)

/* Replaces the bearer token for requests made from now on. 0 or -ENOMEM. */
int kube_client_set_token(struct kube_client *c, const char *token);

/* The bearer token in use; NULL if there is none. */
const char *kube_client_token(const struct kube_client *c);

/* The server in use, for status and messages. */
const char *kube_client_server(const struct kube_client *c);

/* Wall clock of the server minus ours, by its last Date header; 0 before the first answer. */
int64_t kube_client_skew_s(const struct kube_client *c);
/* The wall clock of the server, in microseconds: that of a machine that has just started may be hours off. */
int64_t kube_client_wall_us(const struct kube_client *c);

/*
 * Whether the client's own token is refused: 401 came, and no later answer showed that it is known (2xx, or 403,
 * which names what this known user may not do).
 */
bool kube_client_is_refused(const struct kube_client *c);

/* For how long it has been refused without a break of over a minute in the 401s, up to now; 0 = it is not. */
uint64_t kube_client_refused_us(const struct kube_client *c);

/*
 * Breaks all connections. The client does so itself when a request waits in vain for its answer while no other
 * gets anything either: a server that hangs would keep watches silent, which nobody can tell from quiet.
 * Others call it as when this host's address changed; who asks again gets new ones.
 */
void kube_client_reset(struct kube_client *c);

/*
 * How a request ended. `r` is 0 for a 2xx answer, else:
 * -EACCES 401 (the credential is not accepted), -EPERM 403, -ENOENT 404, -EEXIST 409 AlreadyExists,
 * -EAGAIN 409 Conflict, -ESTALE 410, -EINVAL 400, 415 or 422, -EBUSY 429, -EIO other answers;
 * -EBADMSG (not JSON), -E2BIG (LIMIT_ANSWER_*), -ENOMEM: a 2xx answer that could not be read;
 * or what http.h says for exchanges without answer (-ECONNREFUSED, -EKEYREJECTED, -EKEYEXPIRED, -ETIMEDOUT ...).
 */
struct kube_result {
	int r;
	long status;
	json_t *body;	      /* answer or Status object, borrowed; NULL if none or not read */
	const char *reason;   /* of a Status ("AlreadyExists"), "" if none */
	const char *message;  /* words of the server or of libcurl; never NULL */
	int64_t retry_after_s; /* -1 = none; at most 60 */
	const char *server;    /* that was asked; lives as long as the client. NULL if none was */
	bool is_unsent;	       /* the request reached no server */
};

struct kube_request {
	const char *method;	  /* NULL = "GET" */
	const char *path;	  /* "/api/v1/..." with an escaped query */
	const char *content_type; /* NULL = application/json */
	const json_t *body;	  /* NULL = none */
	int64_t timeout_us;	  /* 0 = 32 s; -1 = none */
	bool is_watch;		  /* with on_data: its parts come as they are sent */
	bool is_bulk;		  /* they may come some ms late, together; see kube_bulk_over() */
	bool is_long;		  /* without on_data: the answer is a list, and may be longer than an object: LIMIT_RESPONSE_BYTES */
	const char *bearer;	  /* used instead of the client's token; NULL = the client's */

	void (*on_open)(void *arg); /* a 2xx answer begins, before its body. May be NULL */
	/* Streams the body of a 2xx answer instead of collecting it. */
	int (*on_data)(const char *data, size_t len, void *arg);
	void (*on_done)(const struct kube_result *res, void *arg);
	void *arg;
};

/* Everything in `req` is copied. `ret` may be NULL. on_done is called from the loop, never from here. */
int kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret);

/* Without calling on_done. May be called from any callback of another request, not once its own on_done began. */
void kube_cancel(struct kube_op *op);

/*
 * The same for a request whose answer is overdue: nothing of it came since `since_us` (CLOCK_BOOTTIME). If nothing of any
 * other came either, the server hangs, which breaks all connections as above and lets the next server be asked.
 */
void kube_give_up(struct kube_op *op, uint64_t since_us);

/* From now on parts of the answer are wanted as they are sent. */
void kube_bulk_over(struct kube_op *op);

/*
 * The same for programs that have nothing else to do: runs the loop until the answer is there. A server that
 * cannot be connected to is passed over, until each was asked once.
 * Returns the kube_result's `r`; `ret_body` (may be NULL) gets the answer, owned by the caller, on
 * success. The text of a failure names the server, the path and what the server said.
 */
int kube_call(struct loop *loop, struct kube_client *c, const char *method, const char *path,
	      const json_t *body, json_t **ret_body, struct err *reterr);
/* The same with a whole request; its callbacks are ignored. */
int kube_call_request(struct loop *loop, struct kube_client *c, const struct kube_request *req,
		      json_t **ret_body, struct err *reterr);

#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_JSON_PATCH	 "application/json-patch+json"
