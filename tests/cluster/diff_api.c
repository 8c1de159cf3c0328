/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_api.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "json/json.h"

enum { TIMEOUT_MS = 10000, ANSWER_MAX = 32 << 20 };

static CURL *api, *cilium;
static char server_url[128];
static struct curl_slist *headers;

static void set(CURL *c, CURLoption option, const char *text)
{
	if (curl_easy_setopt(c, option, text) != CURLE_OK) {
		(void)fprintf(stderr, "policy_diff: curl does not take %s\n", text);
		exit(2);
	}
}

void api_open(const char *lab, const char *server, const char *cilium_socket)
{
	char path[256];

	api = curl_easy_init();
	cilium = curl_easy_init();
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!api || !cilium || !headers)
		exit(2);
	(void)snprintf(server_url, sizeof(server_url), "%s", server);
	(void)snprintf(path, sizeof(path), "%s/pki/ca.crt", lab);
	set(api, CURLOPT_CAINFO, path);
	(void)snprintf(path, sizeof(path), "%s/pki/admin.crt", lab);
	set(api, CURLOPT_SSLCERT, path);
	(void)snprintf(path, sizeof(path), "%s/pki/admin.key", lab);
	set(api, CURLOPT_SSLKEY, path);
	set(cilium, CURLOPT_UNIX_SOCKET_PATH, cilium_socket);
}

void api_close(void)
{
	curl_easy_cleanup(api);
	curl_easy_cleanup(cilium);
	curl_slist_free_all(headers);
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	return buf_add(arg, data, size * n) == 0 ? n : 0;
}

static long call(CURL *c, const char *method, const char *url, const char *body, json_t **ret_answer)
{
	CLEANUP(buf_done) struct buf answer = {.max = ANSWER_MAX};
	long code = 0;

	set(c, CURLOPT_URL, url);
	set(c, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	if (!body) {
		(void)curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
		set(c, CURLOPT_CUSTOMREQUEST, method);
	}
	(void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
	if (curl_easy_perform(c) == CURLE_OK)
		(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
	if (ret_answer)
		*ret_answer = answer.len ? json_loadb(answer.data, answer.len, 0, NULL) : NULL;
	return code;
}

long api_call(const char *method, const char *path, const json_t *body, json_t **ret_answer)
{
	CLEANUP(free) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char url[512];

	(void)snprintf(url, sizeof(url), "%s%s", server_url, path);
	return call(api, method, url, text, ret_answer);
}

long api_cilium(const char *path, json_t **ret_answer)
{
	char url[512];

	(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	return call(cilium, "GET", url, NULL, ret_answer);
}
