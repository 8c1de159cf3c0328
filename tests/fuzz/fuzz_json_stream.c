/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a watch or list of CiliumEndpoints, slices or documents. What must hold for any input: how
 * the text is cut into pieces changes neither what is told nor how it ends.
 */
#include <string.h>

#include "base/hash.h"
#include "json/json.h"
#include "kube/decode_endpoint.h"
#include "kube/decode_node.h"
#include "fuzz.h"

const unsigned replay_runs = 30000;

enum mode { MODE_CEP, MODE_CES, MODE_DOCUMENT, MODES };

struct seen {
	enum mode mode;
	uint64_t digest; /* of everything told */
	struct kube_endpoint cep;
	struct kube_ces ces;
};

static void note(struct seen *s, const void *data, size_t len)
{
	uint64_t pair[2] = {s->digest, len ? hash_bytes(data, len) : 0};

	s->digest = hash_bytes(pair, sizeof(pair));
}

static int on_object(const struct doc *doc, void *arg)
{
	struct seen *s = arg;
	char *text = doc ? doc_text(doc) : NULL;
	struct kube_node *n = NULL;

	CHECK(!doc == (s->mode != MODE_DOCUMENT));
	CHECK(!doc || text);
	note(s, text ? text : "", text ? strlen(text) : 0);
	if (doc && kube_node_decode(doc, &n, NULL) == 0)
		kube_node_free(n);
	free(text);
	if (s->mode == MODE_CEP && kube_endpoint_is_usable(&s->cep)) {
		CHECK(s->cep.n_addr <= LIMIT_ADDRESSES && strlen(s->cep.name) <= LIMIT_NAME);
		note(s, s->cep.addr, s->cep.n_addr * sizeof(s->cep.addr[0]));
	}
	if (s->mode == MODE_CES)
		note(s, s->ces.slice, strlen(s->ces.slice));
	kube_endpoint_clear(&s->cep);
	kube_ces_clear(&s->ces);
	return 0;
}

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	note(arg, path, strlen(path));
	note(arg, text, len);
	return 0;
}

static int on_pick(const struct json_pick *p, void *arg)
{
	struct seen *s = arg;

	note(s, &p->id, sizeof(p->id));
	note(s, p->text, p->text_len);
	if (s->mode == MODE_CEP)
		kube_cep_pick(&s->cep, p);
	else
		kube_ces_pick(&s->ces, p);
	return 0;
}

static const struct json_stream_ops ops = {.on_object = on_object, .on_envelope = on_envelope, .on_pick = on_pick};

static int feed(enum mode mode, enum json_envelope envelope, const uint8_t *data, size_t size, size_t chunk,
		uint64_t *ret_digest)
{
	static struct json_paths *paths[2];
	struct seen s = {.mode = mode};
	struct json_stream *stream;
	int r = 0;

	if (!paths[0]) {
		CHECK(json_paths_new(kube_cep_fields, kube_cep_n_fields, &paths[0]) == 0);
		CHECK(json_paths_new(kube_ces_fields, kube_ces_n_fields, &paths[1]) == 0);
	}
	CHECK(json_stream_new(envelope, mode == MODE_DOCUMENT ? NULL : paths[mode], &ops, &s, &stream) == 0);
	for (size_t at = 0; r == 0 && at < size; at += chunk)
		r = json_stream_feed(stream, (const char *)data + at, size - at < chunk ? size - at : chunk);
	if (r == 0)
		r = json_stream_end(stream);
	json_stream_free(stream);
	kube_ces_done(&s.ces);
	*ret_digest = s.digest;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mode mode = size ? data[0] % MODES : MODE_CEP;
	enum json_envelope envelope = size && data[0] & 64 ? JSON_LIST : JSON_WATCH;
	uint64_t whole, pieces;
	int r;

	if (!size)
		return 0;
	data++;
	size--;
	r = feed(mode, envelope, data, size, size ? size : 1, &whole);
	CHECK(r <= 0);
	CHECK(feed(mode, envelope, data, size, 1, &pieces) == r && pieces == whole);
	CHECK(feed(mode, envelope, data, size, 7, &pieces) == r && pieces == whole);
	return 0;
}
