/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "http/http_certs.h"
#include "http/http_head.h"
#include "http/http_socket.h"

enum { CONNECT_TIMEOUT_S = 10, KEEPALIVE_S = 30, DEAD_PEER_MS = 30000 };

struct http {
	struct loop *loop;
	CURLM *multi;
	struct source *timer;
	uint64_t received; /* bytes of bodies */
	unsigned bulk;	   /* exchanges whose pieces may wait */
	struct source *sweep; /* runs what could not be done inside a curl callback */
	struct http_certs certs;
	bool is_probing; /* without verification, see http_new() */
	struct http_op *ops;
	ARRAY(int) sockets;
	void (*on_connect)(const struct ip *ip, uint16_t port, void *arg);
	void *connect_arg;
	unsigned depth; /* > 0 while curl is on the stack */
	bool is_reset;	/* just now: curl does not know yet that its connections are no good */
};

struct http_op {
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	struct http_request req; /* pointers to strings are not kept */
	struct buf collected;
	char error_text[CURL_ERROR_SIZE];
	int data_r;	/* what on_data returned, or -E2BIG */
	struct http_head head;
	bool has_head, is_added, is_cancelled, is_done;
	struct http_op *prev, *next;
};

static CURLcode setup_ssl(CURL *easy, void *ssl_ctx, void *arg)
{
	struct http *h = arg;

	(void)easy;
	return http_certs_use(&h->certs, ssl_ctx) < 0 ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http *h = arg;
	uint16_t port;
	struct ip ip;

	(void)purpose; /* there is one that connects */
	if (h->on_connect && ip_from_sockaddr(&address->addr, &ip, &port) == 0)
		h->on_connect(&ip, port, h->connect_arg);
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int setup_socket(void *arg, curl_socket_t fd, curlsocktype type)
{
	struct http *h = arg;
	unsigned ms = DEAD_PEER_MS;

	(void)type;
	if (ARRAY_ADD(&h->sockets, (int)fd) < 0)
		return CURL_SOCKOPT_ERROR;
	/* An old kernel without it falls back to keep-alive probes alone. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static int close_socket(void *arg, curl_socket_t fd)
{
	struct http *h = arg;

	for (size_t i = 0; i < h->sockets.n; i++)
		if (h->sockets.v[i] == fd) {
			h->sockets.v[i] = h->sockets.v[--h->sockets.n];
			break;
		}
	return close(fd);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_op *op = arg;
	size_t len = size * n;
	long status = 0;

	if (op->is_cancelled)
		return 0;
	op->http->received += len;
	(void)curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail here */
	if (op->req.on_data && status < 300)
		op->data_r = op->req.on_data(data, len, op->req.arg);
	else
		op->data_r = buf_add(&op->collected, data, len);
	return op->data_r < 0 ? 0 : len;
}

/* The empty line after the headers; those of 100 Continue and of trailers are passed over. */
static void head_done(struct http_op *op)
{
	long status = 0;

	(void)curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail here */
	if (status < 200 || op->has_head)
		return;
	op->has_head = true;
	if (op->req.on_head && !op->is_cancelled)
		op->req.on_head(status, op->req.arg);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_op *op = arg;
	size_t len = size * n;

	if (len && (line[0] == '\r' || line[0] == '\n'))
		head_done(op);
	else
		http_head_line(&op->head, line, len);
	return len;
}

static void op_free(struct http_op *op)
{
	http_bulk_over(op);
	DL_DELETE(op->http->ops, op);
	if (op->is_added)
		(void)curl_multi_remove_handle(op->http->multi, op->easy); /* it is in there */
	if (op->easy)
		curl_easy_cleanup(op->easy);
	for (struct curl_slist *l = op->headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(op->headers);
	if (op->body)
		explicit_bzero(op->body, op->req.body_len);
	free(op->body);
	buf_done(&op->collected);
	free(op);
}

static int error_of(CURLcode code, int data_r)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_WRITE_ERROR:
		return data_r < 0 ? data_r : -ECONNRESET;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return -EKEYREJECTED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EINVAL;
	default:
		return -ECONNRESET;
	}
}

/* A wrong clock looks like a wrong certificate; only the verifier tells them apart. */
static bool is_out_of_time(CURL *easy)
{
	long verified = X509_V_OK;

	if (curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verified) != CURLE_OK)
		return false;
	return verified == X509_V_ERR_CERT_NOT_YET_VALID || verified == X509_V_ERR_CERT_HAS_EXPIRED;
}

/* That there is no connection is curl's word; why is the kernel's. */
static const char *text_of(struct http_op *op, CURLcode code)
{
	long e = 0;

	if (code == CURLE_COULDNT_CONNECT && curl_easy_getinfo(op->easy, CURLINFO_OS_ERRNO, &e) == CURLE_OK && e > 0 && e < INT_MAX)
		(void)snprintf(op->error_text, sizeof(op->error_text), "cannot connect: %s", err_name((int)-e)); /* fits */
	return op->error_text[0] ? op->error_text : curl_easy_strerror(code);
}

static void op_finish(struct http_op *op, CURLcode code)
{
	struct http_result res = {.r = error_of(code, op->data_r),
				  .body = &op->collected,
				  .retry_after_s = op->head.retry_after_s,
				  .date_s = op->head.date_s};
	long sent = 0;

	if (res.r == -EKEYREJECTED && is_out_of_time(op->easy))
		res.r = -EKEYEXPIRED;
	(void)curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &res.status); /* 0 if none came */
	(void)curl_easy_getinfo(op->easy, CURLINFO_REQUEST_SIZE, &sent);	/* 0 if it got no connection */
	res.is_unsent = sent == 0;
	res.text = text_of(op, code);
	op->is_done = true;
	if (!op->is_cancelled)
		op->req.on_done(&res, op->req.arg);
	op_free(op);
}

static struct http_op *first_added(struct http *h)
{
	struct http_op *op = h->ops;

	while (op && (!op->is_added || op->is_done))
		op = op->next;
	return op;
}

/*
 * An exchange could not be added. Where a callback of ours has failed, for lack of memory, curl takes no other one until all that
 * it has are gone, and tells those that are quiet nothing of that: so they end here, one after the other.
 */
static void not_added(struct http *h, struct http_op *op, CURLMcode code)
{
	struct http_op *other = code == CURLM_ABORTED_BY_CALLBACK ? first_added(h) : NULL;

	op_finish(other ? other : op, other ? CURLE_ABORTED_BY_CALLBACK : CURLE_OUT_OF_MEMORY);
	(void)source_trigger(h->sweep); /* the list may have changed: start over */
}

/* Adds new exchanges, removes cancelled ones, reports finished ones. Only with curl off the stack. */
static void settle(struct http *h)
{
	struct http_op *op, *tmp;
	CURLMcode code;
	CURLMsg *msg;
	int left;

	if (h->depth)
		return;
	DL_FOREACH_SAFE(h->ops, op, tmp) {
		if (op->is_cancelled && !op->is_done) {
			op_free(op);
		} else if (!op->is_added && !op->is_done) {
			h->depth++;
			code = curl_multi_add_handle(h->multi, op->easy);
			h->depth--;
			op->is_added = code == CURLM_OK;
			if (!op->is_added) {
				not_added(h, op, code);
				return;
			}
		}
	}
	while ((msg = curl_multi_info_read(h->multi, &left))) {
		CURLcode result = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		op = NULL;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&op); /* set at start */
		op_finish(op, result);
	}
}

static void on_sweep(void *arg)
{
	struct http *h = arg;

	h->is_reset = false; /* what begins from here on comes after the ends that the sockets have told */
	settle(h);
}

static void drive(struct http *h, curl_socket_t fd, int mask)
{
	int running;

	h->depth++;
	(void)curl_multi_socket_action(h->multi, fd, mask, &running); /* errors come with each exchange */
	h->depth--;
	settle(h);
}

static void on_timer(void *arg)
{
	drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (ms < 0) {
		source_disarm(h->timer);
		return 0;
	}
	return source_arm(h->timer, (uint64_t)ms * USEC_PER_MSEC, 0);
}

static void on_ready(int fd, uint32_t events, void *arg)
{
	int mask = 0;

	if (events & (EPOLLIN | EPOLLHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		mask |= CURL_CSELECT_ERR;
	drive(arg, fd, mask);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *h = arg;
	struct http_socket *s = socket_arg;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		http_socket_free(s);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (s)
		return http_socket_set_events(s, events);
	if (http_socket_new(h->loop, fd, events,
			    &(struct http_socket_conf){.on_ready = on_ready, .arg = h, .received = &h->received, .bulk = &h->bulk},
			    &s) < 0)
		return -1;
	(void)curl_multi_assign(h->multi, fd, s); /* fd is one of curl's own */
	return 0;
}

int http_new(struct loop *loop, const struct http_tls *tls, struct http **ret)
{
	CLEANUP(http_free) struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	h->multi = curl_multi_init();
	if (!h->multi)
		return -ENOMEM;
	h->is_probing = !tls;
	r = tls ? http_certs_parse(tls, &h->certs) : 0;
	if (r < 0)
		return r;
	r = loop_add_timer(loop, on_timer, h, &h->timer);
	if (r < 0)
		return r;
	r = loop_add_defer(loop, LOOP_NORMAL, on_sweep, h, &h->sweep);
	if (r < 0)
		return r;
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	*ret = TAKE_PTR(h);
	return 0;
}

void http_free(struct http *h)
{
	struct http_op *op, *tmp;

	if (!h)
		return;
	DL_FOREACH_SAFE(h->ops, op, tmp)
		op_free(op);
	if (h->multi)
		(void)curl_multi_cleanup(h->multi); /* all exchanges are gone */
	ARRAY_DONE(&h->sockets);
	source_free(h->timer);
	source_free(h->sweep);
	http_certs_done(&h->certs);
	free(h);
}

static int add_header(struct http_op *op, const char *name, const char *value)
{
	char *line = str_printf("%s: %s", name, value);
	struct curl_slist *l;

	if (!line)
		return -ENOMEM;
	l = curl_slist_append(op->headers, line);
	explicit_bzero(line, strlen(line));
	free(line);
	if (!l)
		return -ENOMEM;
	op->headers = l;
	return 0;
}

static int add_headers(struct http_op *op, const struct http_request *req)
{
	int r = 0;

	if (req->bearer) {
		CLEANUP(buf_done) struct buf value = {.max = LIMIT_TOKEN_BYTES + 16};

		r = buf_addf(&value, "Bearer %s", req->bearer);
		if (r == 0)
			r = add_header(op, "Authorization", value.data);
	}
	if (r == 0 && req->accept)
		r = add_header(op, "Accept", req->accept);
	if (r == 0 && req->content_type)
		r = add_header(op, "Content-Type", req->content_type);
	if (r == 0)
		r = add_header(op, "Expect", "");
	return r;
}

static void set_options(struct http_op *op, const char *method, const char *url)
{
	static const char agent[] = "mesh-external-agent/" PACKAGE_VERSION_TEXT " (linux)";
	CURL *e = op->easy;

	/* These can fail only for lack of memory; the exchange then fails by itself. */
	(void)curl_easy_setopt(e, CURLOPT_URL, url);
	(void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, op->headers);
	(void)curl_easy_setopt(e, CURLOPT_USERAGENT, agent);
	(void)curl_easy_setopt(e, CURLOPT_PRIVATE, op);
	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, op->error_text);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, op);
	(void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(e, CURLOPT_HEADERDATA, op);
	(void)curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's head is not the server's */
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(op->req.timeout_us / USEC_PER_MSEC));
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, op->http);
	(void)curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, setup_socket);
	(void)curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, op->http);
	(void)curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	(void)curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, op->http);
	(void)curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, op->req.is_uncompressed ? "identity" : "");
	(void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(e, CURLOPT_CAINFO, NULL); /* only what setup_ssl() adds is trusted */
	(void)curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, setup_ssl);
	(void)curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, op->http);
	if (op->body) {
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, op->body);
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)op->req.body_len);
	}
}

/* A probe asks a program of this host, tells no secret, and must see whether a new connection works. */
static void set_probe_options(CURL *e)
{
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	(void)curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, NULL);
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);
	(void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	(void)curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	(void)curl_easy_setopt(e, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, NULL);
}

int http_start(struct http *h, const struct http_request *req, struct http_op **ret)
{
	struct http_op *op;
	int r;

	if (!str_has_prefix(req->url, "https://") && !(h->is_probing && str_has_prefix(req->url, "http://")))
		return -EINVAL;
	if (h->is_probing && req->bearer)
		return -EINVAL;
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	op->http = h;
	op->req = *req;
	op->head.retry_after_s = -1;
	op->collected.max = req->body_max ? req->body_max : LIMIT_RESPONSE_BYTES;
	DL_APPEND(h->ops, op);
	h->bulk += req->is_bulk;
	r = add_headers(op, req);
	op->easy = curl_easy_init();
	if (req->body) {
		op->body = malloc(req->body_len + 1);
		if (op->body)
			memcpy(op->body, req->body, req->body_len);
	}
	if (r < 0 || !op->easy || (req->body && !op->body)) {
		op_free(op);
		return -ENOMEM;
	}
	set_options(op, req->method, req->url);
	if (h->is_probing)
		set_probe_options(op->easy);
	else if (h->is_reset)
		(void)curl_easy_setopt(op->easy, CURLOPT_FRESH_CONNECT, 1L);
	op->req.method = op->req.url = op->req.bearer = op->req.accept = op->req.content_type = NULL;
	op->req.body = NULL;
	r = source_trigger(h->sweep);
	if (r < 0) {
		op_free(op);
		return r;
	}
	if (ret)
		*ret = op;
	return 0;
}

void http_on_connect(struct http *h, void (*fn)(const struct ip *ip, uint16_t port, void *arg), void *arg)
{
	h->on_connect = fn;
	h->connect_arg = arg;
}

void http_cancel(struct http_op *op)
{
	if (!op || op->is_done)
		return;
	op->is_cancelled = true;
	(void)source_trigger(op->http->sweep); /* the loop lives as long as its exchanges */
}

void http_bulk_over(struct http_op *op)
{
	op->http->bulk -= op->req.is_bulk;
	op->req.is_bulk = false;
}

void http_reset_connections(struct http *h)
{
	for (size_t i = 0; i < h->sockets.n; i++)
		(void)shutdown(h->sockets.v[i], SHUT_RDWR); /* curl sees the end and closes it */
	h->is_reset = true;
	(void)source_trigger(h->sweep); /* the loop lives as long as its exchanges */
}
