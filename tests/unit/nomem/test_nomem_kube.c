/* SPDX-License-Identifier: Apache-2.0 */
/* What the API server sends: streams of objects, documents, CiliumEndpoints and slices of them, cilium-config. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "json/json.h"
#include "json/json_stream.h"
#include "kube/cilium_config.h"
#include "kube/decode_endpoint.h"
#include "kube/yaml_json.h"
#include "nomem.h"

/* --- streams --- */

#define META(name) "\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"resourceVersion\":\"5\",\"managedFields\":[{\"a\":1}]}"
#define SLICE(name, ip)                                                                                                        \
	"{\"kind\":\"CiliumEndpointSlice\"," META(name) ",\"namespace\":\"apps\",\"endpoints\":[{\"name\":\"a\",\"id\":300,"    \
	"\"networking\":{\"addressing\":[{\"ipv4\":\"" ip "\"},{\"ipv6\":\"fd00::1\"}],\"node\":\"192.0.2.1\"},\"encryption\":{" \
	"\"key\":1},\"named-ports\":[{\"name\":\"web\",\"port\":80,\"protocol\":\"TCP\"}]},{\"name\":\"b\",\"id\":301,"         \
	"\"networking\":{\"addressing\":[{\"ipv4\":\"10.0.0.9\"}],\"node\":\"192.0.2.2\"}}]}"

static const char watch[] =
	"{\"type\":\"ADDED\",\"object\":" SLICE("one", "10.0.0.1") "}\n"
	"{\"object\":" SLICE("two", "10.0.0.2") ",\"type\":\"MODIFIED\"}\n"
	"{\"type\":\"DELETED\",\"object\":" SLICE("a\\u00fcb\\n\\\"", "10.0.0.3") "}\n";
/* of a picked one the type comes first */
static const char watch_picked[] =
	"{\"type\":\"ADDED\",\"object\":" SLICE("one", "10.0.0.1") "}\n"
	"{\"type\":\"DELETED\",\"object\":" SLICE("a\\u00fcb\\n\\\"", "10.0.0.3") "}\n";
static const char list[] = "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"77\",\"continue\":\"x\"},\"items\":[" SLICE("one", "10.0.0.1") "," SLICE(
	"two", "10.0.0.2") ",{\"metadata\":{\"name\":\"deep\"},\"spec\":{\"v\":[[[1,-2.5e3,null,true,123456789012]]]}}]}";

struct streamed {
	struct json_paths *paths;
	struct kube_ces ces;
	struct buf text; /* what came, one object a line; the last complete try */
	bool is_list, is_picked;
};

struct streaming {
	struct streamed *s;
	struct buf out;
};

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	struct streaming *s = arg;
	int r;

	nomem_pause();
	r = buf_addf(&s->out, "%s=%.*s ", path, (int)len, text);
	nomem_resume();
	return r;
}

static int on_begin(void *arg)
{
	kube_ces_clear(&((struct streaming *)arg)->s->ces);
	return 0;
}

static int on_pick(const struct json_pick *p, void *arg)
{
	kube_ces_pick(&((struct streaming *)arg)->s->ces, p);
	return 0;
}

static int on_object(const struct doc *doc, void *arg)
{
	struct streaming *s = arg;
	const struct kube_ces *c = &s->s->ces;
	char ip[IP_STRLEN], node[IP_STRLEN];
	char *text;

	if (!doc && c->has_no_memory)
		return -ENOMEM;
	nomem_pause();
	if (doc) {
		text = doc_text(doc);
		cr_assert_eq(buf_addf(&s->out, "%s\n", text), 0);
		free(text);
	} else {
		cr_assert_eq(buf_addf(&s->out, "slice %s of %s:%s", c->slice, c->ns, c->is_refused ? " refused" : ""), 0);
		for (size_t i = 0; i < c->n_endpoints; i++)
			cr_assert_eq(buf_addf(&s->out, " %s %u %s at %s key %u, %u addresses, %u ports", c->endpoints[i].name,
					      c->endpoints[i].identity, ip_str(&c->endpoints[i].addr[0], ip),
					      ip_str(&c->endpoints[i].node, node), c->endpoints[i].key, c->endpoints[i].n_addr,
					      c->endpoints[i].n_ports),
				     0);
		cr_assert_eq(buf_addf(&s->out, "\n"), 0);
	}
	nomem_resume();
	return 0;
}

static const struct json_stream_ops ops = {
	.on_object = on_object, .on_envelope = on_envelope, .on_begin = on_begin, .on_pick = on_pick};

static void *streamed_begin(const void *arg)
{
	struct streamed *s = calloc(1, sizeof(*s));

	NOMEM_NEED(s);
	s->is_list = strchr(arg, 'l');
	s->is_picked = strchr(arg, 'p');
	return s;
}

static int streamed_run(void *state)
{
	struct streamed *s = state;
	struct streaming now = {.s = s};
	CLEANUP(json_stream_free) struct json_stream *stream = NULL;
	CLEANUP(json_paths_free) struct json_paths *paths = NULL;
	const char *text = s->is_list ? list : s->is_picked ? watch_picked : watch;
	int r = s->is_picked ? json_paths_new(kube_ces_fields, kube_ces_n_fields, &paths) : 0;

	if (r == 0)
		r = json_stream_new(s->is_list ? JSON_LIST : JSON_WATCH, paths, &ops, &now, &stream);
	for (size_t at = 0, n = strlen(text); r == 0 && at < n; at += 50)
		r = json_stream_feed(stream, text + at, n - at < 50 ? n - at : 50);
	if (r == 0)
		r = json_stream_end(stream);
	if (r == 0) {
		buf_done(&s->text);
		s->text = now.out;
	} else {
		buf_done(&now.out);
	}
	return r;
}

static void streamed_dump(void *state, FILE *out)
{
	struct streamed *s = state;

	(void)fputs(s->text.data ? s->text.data : "", out);
}

static void streamed_end(void *state)
{
	struct streamed *s = state;

	buf_done(&s->text);
	kube_ces_done(&s->ces);
	free(s);
}

Test(nomem_kube, streams)
{
	static const char *const kinds[] = {"watch", "list", "watch, picked", "list, picked"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct nomem n = {
			.name = kinds[i],
			.begin = streamed_begin,
			.run = streamed_run,
			.dump = streamed_dump,
			.end = streamed_end,
			.arg = i == 0 ? "w" : i == 1 ? "l" : i == 2 ? "wp" : "lp",
			.is_atomic = true,
		};

		nomem_try(&n);
	}
}

/* --- documents --- */

struct texts {
	const char *from;
	char *text[4];
};

static void *texts_begin(const void *arg)
{
	struct texts *t = calloc(1, sizeof(*t));

	NOMEM_NEED(t);
	t->from = arg;
	return t;
}

static void keep(char **at, char *text)
{
	free(*at);
	*at = text;
}

static int documents(void *state)
{
	struct texts *t = state;
	CLEANUP(doc_free) struct doc *d = doc_parse(t->from, strlen(t->from)), *copy = doc_copy(doc_get(d, "items")), *back = NULL;
	CLEANUP(json_decref) json_t *j = json_parse(t->from, strlen(t->from)), *clone = json_clone(j);

	if (!d || !copy || !j || !clone)
		return -ENOMEM;
	back = doc_from_json(clone);
	keep(&t->text[0], doc_text(d));
	keep(&t->text[1], doc_text(copy));
	keep(&t->text[2], back ? doc_text(back) : NULL);
	keep(&t->text[3], json_text(clone));
	for (size_t i = 0; i < ARRAY_LEN(t->text); i++)
		if (!t->text[i])
			return -ENOMEM;
	return 0;
}

static void texts_dump(void *state, FILE *out)
{
	struct texts *t = state;

	for (size_t i = 0; i < ARRAY_LEN(t->text); i++)
		(void)fprintf(out, "%s\n", t->text[i] ? t->text[i] : "none");
}

static void texts_end(void *state)
{
	struct texts *t = state;

	for (size_t i = 0; i < ARRAY_LEN(t->text); i++)
		free(t->text[i]);
	free(t);
}

static const char yaml[] = "a: [1, 'x', \"y\", null, {b: true}]\nc: &anchor {d: e}\nf: *anchor\n---\n- 0x10\n- |\n  text\n  more\n";

static int yaml_run(void *state)
{
	struct texts *t = state;
	CLEANUP(json_decref) json_t *all = NULL;
	struct err err = {0};
	int r = yaml_to_json(t->from, strlen(t->from), &all, &err);
	char *text;

	if (r < 0)
		return r;
	nomem_pause();
	text = json_text(all);
	nomem_resume();
	keep(&t->text[0], text);
	return 0;
}

Test(nomem_kube, documents)
{
	const struct nomem doc = {.name = "documents",
				  .begin = texts_begin,
				  .run = documents,
				  .dump = texts_dump,
				  .end = texts_end,
				  .arg = list},
			   of_yaml = {.name = "YAML",
				      .begin = texts_begin,
				      .run = yaml_run,
				      .dump = texts_dump,
				      .end = texts_end,
				      .arg = yaml,
				      .is_atomic = true};

	nomem_try(&doc);
	nomem_try(&of_yaml);
}

/* --- cilium-config --- */

struct configured {
	json_t *map;
	struct cilium_config c;
	struct strv warnings;
};

static void *configured_begin(const void *arg)
{
	struct configured *c = calloc(1, sizeof(*c));

	NOMEM_NEED(c);
	c->map = json_parse(arg, strlen(arg));
	NOMEM_NEED(c->map);
	return c;
}

static int configured_run(void *state)
{
	struct configured *c = state;
	struct strv warnings = {0};
	struct err err = {0};
	int r = cilium_config_parse(c->map, &c->c, &err);

	if (r == 0)
		r = cilium_config_check(c->map, &c->c, &warnings, &err);
	if (r < 0) {
		strv_done(&warnings);
		return r;
	}
	strv_done(&c->warnings);
	c->warnings = warnings;
	return 0;
}

static void configured_dump(void *state, FILE *out)
{
	struct configured *c = state;

	(void)fprintf(out, "%s %u %u %u\n", c->c.cluster_name, c->c.cluster_id, c->c.mtu, c->c.tunnel_port);
	for (size_t i = 0; i < c->warnings.n; i++)
		(void)fprintf(out, "%s\n", c->warnings.v[i]);
}

static void configured_end(void *state)
{
	struct configured *c = state;

	json_decref(c->map);
	strv_done(&c->warnings);
	free(c);
}

Test(nomem_kube, cilium_config)
{
	const struct nomem n = {
		.name = "cilium-config",
		.begin = configured_begin,
		.run = configured_run,
		.dump = configured_dump,
		.end = configured_end,
		.arg = "{\"data\":{\"cluster-name\":\"c1\",\"cluster-id\":\"7\",\"routing-mode\":\"tunnel\",\"tunnel-protocol\":"
		       "\"vxlan\",\"enable-ipv4\":\"true\",\"enable-l7-proxy\":\"true\",\"policy-audit-mode\":\"true\","
		       "\"enable-node-port\":\"true\",\"kube-proxy-replacement\":\"true\",\"bpf-lb-algorithm\":\"maglev\","
		       "\"policy-cidr-match-mode\":\"nodes\",\"enable-ipv4-masquerade\":\"true\",\"mtu\":\"1400\","
		       "\"enable-bandwidth-manager\":\"true\",\"enable-host-firewall\":\"true\",\"enable-ipsec\":\"false\"}}",
	};

	nomem_try(&n);
}
