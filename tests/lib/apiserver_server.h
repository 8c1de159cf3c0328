/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-tree API server: one thread, libmicrohttpd driven from one poll loop. A request is parsed,
 * authorised and answered into a buffer; only watches and faulty answers are written bit by bit.
 */
#pragma once

#include <microhttpd.h>

#include "apiserver_faults.h"
#include "apiserver_selector.h"
#include "apiserver_store.h"
#include "base/buf.h"
#include "base/str.h"

struct keys;
struct watch;

struct options {
	struct strv listen; /* "address:port" or "[address]:port"; port 0 = any */
	const char *state_dir;
	const char *manifest_dir; /* NULL = none */
	struct strv without;	  /* "plural.group" that are not served */
	struct strv sans;	  /* names for the certificate instead of the addresses */
	uint64_t first_rv;
	size_t history;
	uint64_t bookmark_us;
	bool no_watchlist, is_expired_cert, print_ready;
};

struct stats {
	json_t *requests; /* "verb plural" -> number */
	uint64_t bytes_out;
	unsigned watches_open;
	uint64_t watches_total;
};

struct user {
	char *name;
	struct strv groups;
	char *credential; /* jti of the token; NULL for certificates */
};
void user_done(struct user *u);
DEFINE_CLEANUP_DONE(struct user, user_done)

struct server {
	struct options opt;
	struct store store;
	struct fault_list faults;
	struct stats stats;
	struct keys *keys;
	struct req *reqs; /* all that are being served */
	struct MHD_Daemon *daemons[8];
	size_t daemons_n;
	uint64_t gc_rv; /* what the collector has seen */
	uint64_t gc_due_us;
	uint32_t next_cluster_ip;
	int signal_fd;
	bool is_stopping, has_resumed;
};

/* What is asked, as authorisation sees it. Strings are borrowed from the request. */
struct attr {
	const char *verb;
	const char *group, *version, *resource, *sub; /* resource "" for other paths */
	const char *ns, *name;
	const char *path;
};

struct req {
	struct req *next, *prev;
	struct server *srv;
	struct MHD_Connection *conn;
	char *method, *url;
	struct buf in;
	bool is_too_long;
	/* the parsed request */
	struct strv parts;
	struct attr attr;
	const struct kind *kind;
	struct selector selector;
	struct user user;
	bool is_dry_run;
	/* the answer */
	int code;
	struct buf out; /* body still to be sent */
	bool has_retry_after, is_plain;
	bool is_gzip; /* of a watch: what watch_fill() adds is sent so */
	unsigned retry_after_s;
	struct watch *watch;
	/* pacing */
	struct fault *fault; /* a copy; NULL = none */
	size_t sent;
	bool is_routed, is_suspended, is_gone, is_cut;
	uint64_t wake_us; /* when suspended: resume then; 0 = only by an event */
	uint64_t slow_us; /* FAULT_SLOW: nothing is sent before */
	uint64_t start_us;
	uint64_t wait_rv; /* answer when the store got there */
};

/* The value of a query parameter, "" if it is absent. */
const char *req_query(const struct req *q, const char *name);
bool req_query_bool(const struct req *q, const char *name);
const char *req_header(const struct req *q, const char *name);

/* Answers with JSON, taking it. */
void req_reply(struct req *q, int code, json_t *body);
void req_reply_text(struct req *q, int code, const char *body);
void req_reply_object(struct req *q, int code, const struct object *o);

/* Parses the path into q->parts, q->attr and q->kind; then authenticates, authorises and answers.
 */
void route_request(struct req *q);
void rest_handle(struct req *q);
void list_handle(struct req *q);
/* Virtual and special resources; each answers. */
void discovery_handle(struct req *q);
void review_handle(struct req *q);
void token_handle(struct req *q);
void admin_handle(struct req *q);

/* Starts q->watch after checking the parameters, or answers with an error. */
void watch_handle(struct req *q);
/* Appends what is due to q->out; false when the stream has ended. Sets q->wake_us. */
bool watch_fill(struct req *q);
/* True if the stream has something to say now. */
bool watch_is_due(const struct req *q, uint64_t now_us);
void watch_free(struct watch *w);

/* Deletes what lost its owners and the content of deleted namespaces. */
void gc_run(struct server *s);

/* Loads the folder; -errno with the reason, naming the file. */
int manifest_load(struct server *s, const char *dir, struct err *reterr);
/* Parses one YAML or JSON document (all of them into an array if `all`). NULL with the reason. */
json_t *manifest_parse(const char *data, size_t len, struct err *reterr);

/* Serves until SIGTERM. */
int http_open(struct server *s, struct err *reterr);
int http_run(struct server *s);
void http_close(struct server *s);
/* Resumes every request that waits, for faults that were taken back. */
void http_wake_all(struct server *s);
