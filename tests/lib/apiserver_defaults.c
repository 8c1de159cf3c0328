/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_defaults.h"

#include <stdio.h>
#include <time.h>

#include "apiserver_util.h"
#include "base/rng.h"

void defaults_uuid(char ret[37])
{
	unsigned char b[16];
	size_t w = 0;

	rng_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[w++] = '-';
		(void)snprintf(ret + w, 37 - w, "%02x", b[i]);
		w += 2;
	}
}

void defaults_stamp(json_t *o, const char *key)
{
	time_t now = time(NULL);
	char text[24] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_put_text(o, key, text);
}

bool defaults_name(const struct kind *k, json_t *o, struct err *reterr)
{
	static const char letters[] =
		"bcdfghjklmnpqrstvwxz2456789"; /* no vowels, as the real one */
	json_t *meta = json_sub(o, "metadata");
	const char *name = text_at(meta, "name", NULL),
		   *prefix = text_at(meta, "generateName", NULL);

	if (!*name && *prefix) {
		char tail[6] = "";

		for (size_t i = 0; i < 5; i++)
			tail[i] = letters[rng_below(sizeof(letters) - 1)];
		json_put(meta, "name", json_sprintf("%s%s", prefix, tail));
		name = text_at(meta, "name", NULL);
	}
	if (!*name) {
		(void)err_set(reterr, EINVAL, "Required value: name or generateName is required");
		return false;
	}
	/* names of RBAC objects are path segments only */
	if (str_eq(k->group, "rbac.authorization.k8s.io")
		    ? strpbrk(name, "/%") != NULL || *name == '.'
		    : !str_is_dns_subdomain(name)) {
		(void)err_set(
			reterr, EINVAL,
			"Invalid value: \"%s\": a lowercase RFC 1123 subdomain must consist of "
			"lower "
			"case alphanumeric characters, '-' or '.', and must start and end with an "
			"alphanumeric character",
			name);
		return false;
	}
	return true;
}

static void default_text(json_t *o, const char *key, const char *value)
{
	if (!json_object_get(o, key))
		json_put_text(o, key, value);
}

static void fill_service(struct server *s, json_t *o)
{
	json_t *spec = json_sub(o, "spec"), *ports = json_object_get(spec, "ports"), *port;
	const char *type, *ip;
	size_t i;

	default_text(spec, "type", "ClusterIP");
	default_text(spec, "sessionAffinity", "None");
	json_array_foreach (ports, i, port) {
		if (!json_is_object(port))
			continue;
		default_text(port, "protocol", "TCP");
		if (!json_object_get(port, "targetPort") && json_object_get(port, "port"))
			must_ok(json_object_set(port, "targetPort", json_object_get(port, "port")));
	}
	type = text_at(spec, "type", NULL);
	if (str_eq(type, "ExternalName"))
		return;
	default_text(spec, "internalTrafficPolicy", "Cluster");
	if (!str_eq(type, "ClusterIP"))
		default_text(spec, "externalTrafficPolicy", "Cluster");
	if (!json_object_get(spec, "clusterIP")) {
		uint32_t n = ++s->next_cluster_ip;

		json_put(spec, "clusterIP", json_sprintf("10.96.%u.%u", (n >> 8) & 255, n & 255));
	}
	ip = text_at(spec, "clusterIP", NULL);
	if (!json_object_get(spec, "clusterIPs"))
		json_put(spec, "clusterIPs", json_pack("[s]", ip));
	if (!json_object_get(spec, "ipFamilies"))
		json_put(spec, "ipFamilies", json_pack("[s]", strchr(ip, ':') ? "IPv6" : "IPv4"));
	default_text(spec, "ipFamilyPolicy", "SingleStack");
}

static void fill_slice(json_t *o)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(o, "endpoints"), i, item)
		if (json_is_object(item))
			(void)json_sub(item, "conditions");
	json_array_foreach (json_object_get(o, "ports"), i, item)
		if (json_is_object(item)) {
			default_text(item, "name", "");
			default_text(item, "protocol", "TCP");
		}
}

void defaults_fill(struct server *s, const struct kind *k, json_t *o)
{
	json_t *meta = json_sub(o, "metadata");

	if (str_eq(k->plural, "services") && !*k->group) {
		fill_service(s, o);
		if (!json_object_get(o, "status"))
			json_put(o, "status", json_pack("{s:{}}", "loadBalancer"));
	} else if (str_eq(k->plural, "namespaces")) {
		json_put_text(json_sub(meta, "labels"), "kubernetes.io/metadata.name",
			      text_at(meta, "name", NULL));
		if (!json_object_get(o, "spec"))
			json_put(o, "spec", json_pack("{s:[s]}", "finalizers", "kubernetes"));
		default_text(json_sub(o, "status"), "phase", "Active");
	} else if (str_eq(k->plural, "endpointslices")) {
		fill_slice(o);
	} else if (str_eq(k->plural, "networkpolicies")) {
		json_t *spec = json_sub(o, "spec");

		if (!json_object_get(spec, "policyTypes"))
			json_put(spec, "policyTypes",
				 json_object_get(spec, "egress")
					 ? json_pack("[s,s]", "Ingress", "Egress")
					 : json_pack("[s]", "Ingress"));
	} else if (str_eq(k->plural, "pods")) {
		default_text(json_sub(o, "status"), "phase", "Pending");
	} else if (str_eq(k->plural, "secrets")) {
		json_t *plain = json_object_get(o, "stringData"), *value;
		const char *key;

		json_object_foreach (plain, key, value)
			if (json_is_string(value)) {
				CLEANUP(free) char *b64 =
					base64(json_string_value(value), json_string_length(value));

				json_put_text(json_sub(o, "data"), key, b64);
			}
		(void)json_object_del(o, "stringData");
		default_text(o, "type", "Opaque");
	}
}

void defaults_new(struct server *s, const struct kind *k, json_t *o)
{
	json_t *meta = json_sub(o, "metadata");

	if (!*text_at(meta, "uid", NULL)) {
		char uid[37];

		defaults_uuid(uid);
		json_put_text(meta, "uid", uid);
	}
	if (!json_object_get(meta, "creationTimestamp") ||
	    json_is_null(json_object_get(meta, "creationTimestamp")))
		defaults_stamp(meta, "creationTimestamp");
	(void)json_object_del(meta, "managedFields");
	(void)json_object_del(meta, "deletionTimestamp");
	if (kind_is(k, KIND_GENERATION))
		json_put(meta, "generation", json_integer(1));
	defaults_fill(s, k, o);
}
