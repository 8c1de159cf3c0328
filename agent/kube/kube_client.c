/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kube_client.h"

#include <string.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/str.h"
#include "crypto/secret.h"
#include "http/http.h"
#include "json/json.h"
#include "kube/refusal.h"

enum { UNARY_TIMEOUT_S = 32, FAILURES_TO_SWITCH = 3, RETRY_AFTER_MAX_S = 60 };

struct kube_client {
	struct loop *loop;
	struct http *http;
	struct strv servers;
	size_t active;
	unsigned failures; /* 5xx in a row */
	char *token;
	unsigned token_generation; /* what is said of an older token counts no more */
	struct refusal refusal;
	uint64_t heard_us; /* when the active server last sent anything */
	int64_t skew_s;
	struct kube_op *ops;
};

struct kube_op {
	struct kube_client *client;
	struct http_op *http;
	size_t server; /* where it was sent */
	bool has_own_token;
	bool is_stream;
	bool is_long;
	unsigned token_generation;
	uint64_t started_us;
	void (*on_open)(void *arg);
	int (*on_data)(const char *data, size_t len, void *arg);
	void (*on_done)(const struct kube_result *res, void *arg);
	void *arg;
	struct kube_op *prev, *next;
};

int kube_client_set_token(struct kube_client *c, const char *token)
{
	char *copy = token ? strdup(token) : NULL;

	if (token && !copy)
		return -ENOMEM;
	secret_free(c->token);
	c->token = copy;
	c->token_generation++;
	c->refusal = (struct refusal){0};
	return 0;
}

static int add_servers(struct kube_client *c, const struct kube_conf *conf, struct err *reterr)
{
	for (size_t i = 0; i < conf->n_servers; i++) {
		const char *s = conf->servers[i], *host = s + strlen("https://");
		size_t n = strlen(s);
		int r;

		if (!str_has_prefix(s, "https://") || !*host)
			return err_set(reterr, EINVAL, "API server \"%s\": want https://HOST[:PORT]", s);
		while (n > 8 && s[n - 1] == '/')
			n--;
		r = strv_addn(&c->servers, s, n);
		if (r < 0)
			return r;
	}
	if (!c->servers.n)
		return err_set(reterr, EINVAL, "no API server is given");
	return 0;
}

int kube_client_new(struct loop *loop, const struct kube_conf *conf, struct kube_client **ret,
		    struct err *reterr)
{
	CLEANUP(kube_client_free) struct kube_client *c = calloc(1, sizeof(*c));
	struct http_tls tls = {.ca_pem = conf->ca_pem,
			       .client_cert_pem = conf->client_cert_pem,
			       .client_key_pem = conf->client_key_pem};
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	r = add_servers(c, conf, reterr);
	if (r < 0)
		return r;
	if (!conf->ca_pem)
		return err_set(reterr, EINVAL, "no certificate authority is given for %s", c->servers.v[0]);
	r = http_new(loop, &tls, &c->http);
	if (r == -EINVAL)
		return err_set(reterr, EINVAL, "the CA, the client certificate or its key for %s is not valid PEM", c->servers.v[0]);
	if (r == -EOPNOTSUPP)
		return err_set(reterr, EINVAL, "the client key for %s is encrypted: give one that needs no passphrase", c->servers.v[0]);
	if (r == -EKEYREJECTED)
		return err_set(reterr, EINVAL, "the client certificate and the client key for %s are not a pair", c->servers.v[0]);
	if (r < 0)
		return r;
	http_on_connect(c->http, conf->on_connect, conf->arg);
	r = kube_client_set_token(c, conf->token);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void kube_client_free(struct kube_client *c)
{
	struct kube_op *op, *tmp;

	if (!c)
		return;
	http_free(c->http);
	DL_FOREACH_SAFE(c->ops, op, tmp)
		free(op);
	strv_done(&c->servers);
	secret_free(c->token);
	free(c);
}

const char *kube_client_token(const struct kube_client *c)
{
	return c->token;
}

const char *kube_client_server(const struct kube_client *c)
{
	return c->servers.v[c->active];
}

int64_t kube_client_skew_s(const struct kube_client *c)
{
	return c->skew_s;
}

int64_t kube_client_wall_us(const struct kube_client *c)
{
	return clock_wall_us() + c->skew_s * (int64_t)USEC_PER_SEC;
}

bool kube_client_is_refused(const struct kube_client *c)
{
	return c->refusal.since_us != 0;
}

uint64_t kube_client_refused_us(const struct kube_client *c)
{
	return refusal_lasts_us(&c->refusal, clock_boot_us());
}

void kube_client_reset(struct kube_client *c)
{
	http_reset_connections(c->http);
}

static int errno_of(long status, const char *reason)
{
	switch (status) {
	case 401:
		return -EACCES;
	case 403:
		return -EPERM;
	case 404:
		return -ENOENT;
	case 409:
		return str_eq(reason, "AlreadyExists") ? -EEXIST : -EAGAIN;
	case 410:
		return -ESTALE;
	case 400:
	case 415:
	case 422:
		return -EINVAL;
	case 429:
		return -EBUSY;
	default:
		return status >= 200 && status < 300 ? 0 : -EIO;
	}
}

static void note_heard(struct kube_client *c, size_t server)
{
	if (server == c->active)
		c->heard_us = clock_boot_us();
}

static void on_http_head(long status, void *arg)
{
	struct kube_op *op = arg;
	struct kube_client *c = op->client;
	bool is_known = (status >= 200 && status < 300) || status == 403;

	note_heard(c, op->server);
	if (op->has_own_token && op->token_generation == c->token_generation && (is_known || status == 401))
		refusal_note(&c->refusal, !is_known, clock_boot_us());
	if (status < 300 && op->on_open)
		op->on_open(op->arg);
}

/* A kernel acknowledges what a process that hangs never reads: only silence in spite of a question tells. */
static void break_if_hung(const struct kube_op *op, const struct http_result *h)
{
	struct kube_client *c = op->client;

	if (h->r == -ETIMEDOUT && !h->is_unsent && !op->is_stream &&
	    (op->server != c->active || c->heard_us < op->started_us))
		http_reset_connections(c->http);
}

/* Moves to the next server after a failure of the one the exchange went to. */
static void note_outcome(struct kube_client *c, size_t server, const struct http_result *h)
{
	bool failed = h->r == -ECONNREFUSED || h->r == -EHOSTUNREACH || h->r == -ETIMEDOUT ||
		      h->r == -ECONNRESET || h->r == -EKEYREJECTED || h->r == -EKEYEXPIRED;

	if (h->date_s)
		c->skew_s = h->date_s - clock_wall_s();
	if (server != c->active)
		return;
	if (h->r == 0 && h->status >= 500)
		failed = ++c->failures >= FAILURES_TO_SWITCH;
	else if (h->r == 0)
		c->failures = 0;
	if (failed && c->servers.n > 1) {
		c->active = (c->active + 1) % c->servers.n;
		c->failures = 0;
		c->heard_us = 0;
	}
}

static void on_http_done(const struct http_result *h, void *arg)
{
	struct kube_op *op = arg;
	struct kube_result res = {.r = h->r, .status = h->status, .reason = "", .message = h->text,
				  .retry_after_s = h->retry_after_s, .is_unsent = h->is_unsent,
				  .server = op->client->servers.v[op->server]};
	int unread = 0;

	break_if_hung(op, h);
	note_outcome(op->client, op->server, h);
	if (h->body && h->body->len) {
		res.body = json_parse_small(h->body->data, h->body->len, op->is_long ? SIZE_MAX : LIMIT_ANSWER_VALUES);
		unread = res.body ? 0 : -errno;
	}
	if (h->r == 0 && h->status >= 300) {
		res.reason = json_str(res.body, "reason", "");
		res.message = json_str(res.body, "message", "the server gave no reason");
		if (res.retry_after_s < 0)
			res.retry_after_s = json_int(res.body, "details.retryAfterSeconds", -1);
	}
	/* More than any server means; and what it says must not stop us for days. */
	res.retry_after_s = MIN(MAX(res.retry_after_s, -1), RETRY_AFTER_MAX_S);
	if (h->r == 0)
		res.r = errno_of(h->status, res.reason);
	if (res.r == 0 && !op->on_data && unread < 0) {
		res.r = unread;
		res.message = unread == -ENOMEM ? "out of memory" : "the answer is not JSON";
	}
	if (res.r == -E2BIG && !op->on_data)
		res.message = "the answer is larger than any that is expected";
	DL_DELETE(op->client->ops, op);
	op->on_done(&res, op->arg);
	json_decref(res.body);
	free(op);
}

static int on_http_data(const char *data, size_t len, void *arg)
{
	struct kube_op *op = arg;

	note_heard(op->client, op->server);
	return op->on_data(data, len, op->arg);
}

int kube_start(struct kube_client *c, const struct kube_request *req, struct kube_op **ret)
{
	CLEANUP(free) char *url = str_printf("%s%s", kube_client_server(c), req->path);
	CLEANUP(free) char *body = req->body ? json_dumps(req->body, JSON_COMPACT) : NULL;
	struct kube_op *op;
	int r;

	if (!url || (req->body && !body))
		return -ENOMEM;
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	op->client = c;
	op->server = c->active;
	op->has_own_token = !req->bearer && c->token;
	op->is_stream = req->on_data != NULL;
	op->is_long = req->is_long;
	op->token_generation = c->token_generation;
	op->started_us = clock_boot_us();
	op->on_open = req->on_open;
	op->on_data = req->on_data;
	op->on_done = req->on_done;
	op->arg = req->arg;
	struct http_request h = {
		.method = req->method ? req->method : "GET",
		.url = url,
		.bearer = req->bearer ? req->bearer : c->token,
		.accept = "application/json",
		.content_type = body ? (req->content_type ? req->content_type : "application/json") : NULL,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_us = req->timeout_us < 0 ? 0
			      : req->timeout_us	  ? (uint64_t)req->timeout_us
						  : UNARY_TIMEOUT_S * USEC_PER_SEC,
		.is_uncompressed = req->is_watch,
		.is_bulk = req->is_bulk,
		.body_max = req->is_long ? 0 : LIMIT_ANSWER_BYTES,
		.on_head = on_http_head,
		.on_data = req->on_data ? on_http_data : NULL,
		.on_done = on_http_done,
		.arg = op,
	};
	r = http_start(c->http, &h, &op->http);
	if (body)
		explicit_bzero(body, h.body_len);
	if (r < 0) {
		free(op);
		return r;
	}
	DL_APPEND(c->ops, op);
	if (ret)
		*ret = op;
	return 0;
}

void kube_cancel(struct kube_op *op)
{
	if (!op)
		return;
	http_cancel(op->http);
	DL_DELETE(op->client->ops, op);
	free(op);
}

void kube_give_up(struct kube_op *op, uint64_t since_us)
{
	const struct http_result silence = {.r = -ETIMEDOUT};
	struct kube_client *c = op->client;

	if (op->server != c->active || c->heard_us < since_us) {
		http_reset_connections(c->http);
		note_outcome(c, op->server, &silence);
	}
	kube_cancel(op);
}

void kube_bulk_over(struct kube_op *op)
{
	http_bulk_over(op->http);
}

struct waiting {
	bool is_done;
	bool is_unsent;
	int r;
	json_t **ret_body;
	struct err *reterr;
	const struct kube_request *req;
};

static void on_call_done(const struct kube_result *res, void *arg)
{
	struct waiting *w = arg;

	w->is_done = true;
	w->r = res->r;
	w->is_unsent = res->is_unsent;
	if (res->r == 0 && w->ret_body)
		*w->ret_body = json_incref(res->body);
	else if (res->r < 0 && res->status)
		(void)err_set(w->reterr, -res->r, "%s %s at %s: %ld %s", w->req->method ? w->req->method : "GET",
			      w->req->path, res->server, res->status, res->message);
	else if (res->r < 0)
		(void)err_set(w->reterr, -res->r, "API server %s: %s", res->server, res->message);
}

int kube_call_request(struct loop *loop, struct kube_client *c, const struct kube_request *req,
		      json_t **ret_body, struct err *reterr)
{
	struct waiting w = {.ret_body = ret_body, .reterr = reterr, .req = req};
	struct kube_request copy = *req;
	int r = 0;

	copy.is_long = true; /* an admin's program reads lists */
	copy.on_open = NULL;
	copy.on_data = NULL;
	copy.on_done = on_call_done;
	copy.arg = &w;
	for (size_t asked = 0; asked < c->servers.n; asked++) {
		struct kube_op *op = NULL;

		w.is_done = false;
		r = kube_start(c, &copy, &op);
		while (r >= 0 && !w.is_done)
			r = loop_once(loop, UINT64_MAX);
		if (!w.is_done)
			kube_cancel(op); /* the loop failed; the answer must not come to a place that is gone */
		if (!w.is_done || w.r == 0 || !w.is_unsent)
			break;
	}
	return r < 0 && !w.is_done ? err_set(reterr, -r, "%s: %s", req->path, err_name(r)) : w.r;
}

int kube_call(struct loop *loop, struct kube_client *c, const char *method, const char *path,
	      const json_t *body, json_t **ret_body, struct err *reterr)
{
	const struct kube_request req = {.method = method, .path = path, .body = body};

	return kube_call_request(loop, c, &req, ret_body, reterr);
}
