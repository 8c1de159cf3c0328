/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verdict_labels.h"

#include <errno.h>
#include <netinet/in.h>
#include <strings.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"

#define NS_KEY	  "io.kubernetes.pod.namespace"
#define NS_LABELS "io.cilium.k8s.namespace.labels."

static bool is_reserved_known(struct identity_table *ids, const char *key)
{
	if (str_eq(key, "none"))
		return true; /* an entity that nobody has */
	for (uint32_t n = IDENTITY_HOST; n <= IDENTITY_WORLD_IPV6; n++) {
		const struct identity *id = identity_get(ids, n);

		if (id && label_set_get(identity_labels(ids), id->labels, LABEL_RESERVED, key))
			return true;
	}
	return false;
}

static int add_label(struct identity_table *ids, struct label_builder *b, const char *text, struct err *reterr)
{
	size_t key_len = strcspn(text, "=");
	CLEANUP(free) char *key = strndup(text, key_len);
	int r;

	if (!key)
		return -ENOMEM;
	if (strchr(key, ':'))
		r = label_builder_add_text(b, text);
	else
		r = label_builder_add_kv(b, LABEL_K8S, key, text[key_len] == '=' ? text + key_len + 1 : "");
	if (r == 0 && str_has_prefix(key, "reserved:") && !is_reserved_known(ids, key + strlen("reserved:")))
		return err_set(reterr, EINVAL, "%.80s: no such reserved label; as reserved:world or reserved:remote-node", text);
	if (r == -EINVAL)
		return err_set(reterr, EINVAL, "%.80s: no label, want source:key=value", text);
	if (r == -E2BIG)
		return err_set(reterr, EINVAL, "%.80s: too long, or more than %d labels", text, LIMIT_LABEL_SET);
	return r;
}

/* Whether a label of that key is there, from whatever source. */
static bool has_key(const struct label_table *t, const struct label_set *set, const char *key)
{
	return label_set_get(t, set, LABEL_ANY, key) != NULL;
}

static int add_namespace(struct label_table *t, struct label_builder *b, const struct label_set *given,
			 const json_t *namespaces, struct err *reterr)
{
	const char *ns = label_set_get(t, given, LABEL_K8S, NS_KEY), *name;
	json_t *labels = ns ? json_object_get(namespaces, ns) : NULL, *value;
	int r = label_builder_add_set(b, given);

	json_object_foreach(labels, name, value)
	{
		CLEANUP(free) char *key = str_printf(NS_LABELS "%s", name);

		if (!key)
			return -ENOMEM;
		if (!has_key(t, given, key) && r == 0)
			r = label_builder_add_kv(b, LABEL_K8S, key, json_is_string(value) ? json_string_value(value) : "");
		if (r == -EINVAL || r == -E2BIG)
			return err_set(reterr, EINVAL, "the label %.80s of Namespace %.80s is no label", name, ns);
	}
	return r;
}

int verdict_labels(struct identity_table *ids, const char *text, const json_t *namespaces, struct label_set **ret,
		   struct err *reterr)
{
	struct label_table *t = identity_labels(ids);
	CLEANUP(label_builder_done) struct label_builder b = {.table = t}, whole = {.table = t};
	CLEANUP(strv_done) struct strv parts = {0};
	struct label_set *given = NULL;
	int r = strv_split(&parts, text, ',');

	if (r == 0 && !parts.n)
		return err_set(reterr, EINVAL, "no labels given, want source:key=value,...");
	for (size_t i = 0; r == 0 && i < parts.n; i++)
		r = add_label(ids, &b, parts.v[i], reterr);
	if (r == 0 && parts.n == 1 && (str_eq(parts.v[0], "reserved:kube-apiserver") ||
				       str_eq(parts.v[0], "reserved:kube-apiserver=")))
		r = label_builder_add_set(&b, identity_get(ids, IDENTITY_KUBE_APISERVER)->labels);
	if (r == 0)
		r = label_builder_take(&b, &given);
	if (r == 0)
		r = add_namespace(t, &whole, given, namespaces, reterr);
	label_set_free(t, given);
	return r < 0 ? r : label_builder_take(&whole, ret);
}

int verdict_named_port(struct identity_table *ids, const char *text, struct named_port *ret, struct err *reterr)
{
	const char *eq = strchr(text, '='), *slash = eq ? strchr(eq, '/') : NULL;
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};
	size_t len = slash ? (size_t)(slash - eq - 1) : 0, i = 0;
	uint64_t port;

	while (len && i < ARRAY_LEN(protos) &&
	       (strlen(protos[i].name) != len || strncasecmp(eq + 1, protos[i].name, len) != 0))
		i++;
	if (!len || eq == text || i == ARRAY_LEN(protos) || str_to_u64(slash + 1, UINT16_MAX, &port) < 0 || !port)
		return err_set(reterr, EINVAL, "--named-port %.80s: must be NAME=PROTOCOL/PORT, as http=tcp/8080", text);
	ret->proto = protos[i].proto;
	ret->port = (uint16_t)port;
	return intern_get(label_table_strings(identity_labels(ids)), text, (size_t)(eq - text), &ret->name);
}

int verdict_fqdn(struct policy_repo *r, const char *text, struct err *reterr)
{
	const char *eq = strchr(text, '=');
	CLEANUP(free) char *name = eq ? strndup(text, (size_t)(eq - text)) : NULL;
	CLEANUP(strv_done) struct strv parts = {0};
	ARRAY(struct ip) ips = {0};
	struct ip ip;
	int err = eq ? strv_split(&parts, eq + 1, ',') : -EINVAL;

	if (eq && !name)
		err = -ENOMEM;
	for (size_t i = 0; err == 0 && i < parts.n; i++) {
		err = ip_parse(parts.v[i], &ip);
		if (err == 0)
			err = ARRAY_ADD(&ips, ip);
	}
	if (err == 0 && !ips.n)
		err = -EINVAL;
	if (err == 0)
		err = policy_fqdn_set(r, name, ips.v, ips.n);
	ARRAY_DONE(&ips);
	if (err == -EINVAL)
		return err_set(reterr, EINVAL, "--fqdn %.120s: must be NAME=ADDRESS,..., as www.example.com=192.0.2.1", text);
	return err < 0 ? err : 0;
}
