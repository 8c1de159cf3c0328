/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of apiserver.h, with libcurl. */
#include <curl/curl.h>
#include <errno.h>

#include "apiserver.h"
#include "apiserver_util.h"
#include "base/clock.h"
#include "base/str.h"

enum { TIMEOUT_MS = 10000 };

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	must_add(arg, data, size * n);
	return size * n;
}

static void must_list(struct curl_slist **list, const char *text)
{
	*list = must(curl_slist_append(*list, text));
}

/* A handle for one request; the headers are the caller's. */
static CURL *handle_new(struct api *a, const char *token, const char *path,
			struct curl_slist **headers, struct buf *out)
{
	CLEANUP(free) char *url = must_printf("%s%s", a->url, path);
	CLEANUP(free) char *auth =
		must_printf("Authorization: Bearer %s", token ? token : a->token);
	CURL *h = must(curl_easy_init());

	if (!token || *token)
		must_list(headers, auth);
	must_list(headers, "Accept: application/json");
	if (curl_easy_setopt(h, CURLOPT_URL, url) ||
	    curl_easy_setopt(h, CURLOPT_CAINFO, a->ca_path) ||
	    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) || curl_easy_setopt(h, CURLOPT_PROXY, "") ||
	    curl_easy_setopt(h, CURLOPT_HTTPHEADER, *headers) ||
	    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data) ||
	    curl_easy_setopt(h, CURLOPT_WRITEDATA, out))
		must(NULL);
	return h;
}

int api_request_as(struct api *a, const struct api_call *call, const char *method, const char *path,
		   json_t **ret)
{
	CLEANUP(buf_done) struct buf out = {0};
	CLEANUP(free) char *type = must_printf("Content-Type: %s",
				 call->content_type ? call->content_type : "application/json");
	struct curl_slist *headers = NULL;
	CURL *h = handle_new(a, call->token, path, &headers, &out);
	json_t *j = NULL;
	long code = 0;
	CURLcode c;

	must_list(&headers, type);
	must_list(&headers, "Expect:");
	if (curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers) ||
	    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method) ||
	    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS,
			     call->timeout_ms ? call->timeout_ms : TIMEOUT_MS) ||
	    (call->body && curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body)))
		must(NULL);
	c = curl_easy_perform(h);
	(void)curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &code); /* stays 0 without an answer */
	curl_easy_cleanup(h);
	curl_slist_free_all(headers);
	if (c != CURLE_OK)
		return -EIO;
	if (!ret)
		return (int)code;
	j = json_loadb(out.data ? out.data : "", out.len, 0, NULL);
	if (!j)
		return -EBADMSG;
	*ret = j;
	return (int)code;
}

int api_request(struct api *a, const char *method, const char *path, const json_t *body,
		json_t **ret)
{
	CLEANUP(free) char *text = body ? json_text(body) : NULL;

	return api_request_as(a, &(struct api_call){.body = text}, method, path, ret);
}

struct api_stream {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	struct buf in;
	bool is_ended, is_clean;
};

int api_stream_open(struct api *a, const char *token, const char *path, struct api_stream **ret)
{
	struct api_stream *s = must(calloc(1, sizeof(*s)));

	s->multi = must(curl_multi_init());
	s->easy = handle_new(a, token, path, &s->headers, &s->in);
	if (curl_multi_add_handle(s->multi, s->easy) != CURLM_OK) {
		api_stream_close(s);
		return -EIO;
	}
	*ret = s;
	return 0;
}

void api_stream_close(struct api_stream *s)
{
	if (!s)
		return;
	(void)curl_multi_remove_handle(s->multi, s->easy); /* fails only for handles not in it */
	curl_easy_cleanup(s->easy);
	(void)curl_multi_cleanup(s->multi);
	curl_slist_free_all(s->headers);
	buf_done(&s->in);
	free(s);
}

long api_stream_status(const struct api_stream *s)
{
	long code = 0;

	(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code); /* stays 0 then */
	return code;
}

bool api_stream_ended(const struct api_stream *s, bool *ret_clean)
{
	if (s->is_ended && ret_clean)
		*ret_clean = s->is_clean;
	return s->is_ended;
}

static void stream_turn(struct api_stream *s, int timeout_ms)
{
	int running = 0, left;
	const CURLMsg *m;

	if (curl_multi_poll(s->multi, NULL, 0, timeout_ms, NULL) != CURLM_OK ||
	    curl_multi_perform(s->multi, &running) != CURLM_OK)
		s->is_ended = true;
	while ((m = curl_multi_info_read(s->multi, &left)))
		if (m->msg == CURLMSG_DONE) {
			s->is_ended = true;
			s->is_clean = m->data.result == CURLE_OK;
		}
}

/* Takes the first complete line. NULL if there is none, or if it is no JSON. */
static json_t *take_line(struct api_stream *s, bool *ret_found)
{
	const char *nl = s->in.len > 0 ? memchr(s->in.data, '\n', s->in.len) : NULL;
	size_t len;
	json_t *j;

	*ret_found = nl != NULL;
	if (!nl)
		return NULL;
	len = (size_t)(nl - s->in.data);
	j = json_loadb(s->in.data, len, 0, NULL);
	buf_consume(&s->in, len + 1);
	return j;
}

json_t *api_stream_next(struct api_stream *s, int timeout_ms)
{
	uint64_t end = clock_boot_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	int running;

	(void)curl_multi_perform(s->multi, &running); /* errors show at the next turn */
	for (;;) {
		uint64_t now = clock_boot_us();
		bool found;
		json_t *j = take_line(s, &found);

		if (found)
			return j;
		if (s->is_ended || now >= end)
			return NULL;
		stream_turn(s, (int)((end - now) / USEC_PER_MSEC) + 1);
	}
}
