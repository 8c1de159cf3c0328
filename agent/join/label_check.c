/* SPDX-License-Identifier: Apache-2.0 */
#include "join/label_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "json/json.h"

enum { LABEL_NAME_MAX = 63 };

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A label's name or value: alphanumerics, with '-', '_' and '.' inside. */
static bool is_label_text(const char *s, size_t len)
{
	if (len == 0 || len > LABEL_NAME_MAX || !is_alnum(s[0]) || !is_alnum(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
			return false;
	return true;
}

/* True if `name` is `domain` or below it. */
static bool is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n >= d && str_eq(name + n - d, domain) && (n == d || name[n - d - 1] == '.');
}

static bool is_reserved_prefix(const char *prefix)
{
	static const char *const domains[] = {"cilium.io", "kubernetes.io", "k8s.io", "mesh-external-agent.io"};

	if (str_eq(prefix, "app.kubernetes.io"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		if (is_below(prefix, domains[i]))
			return true;
	/* Cilium's own keys are written the other way round: io.cilium.k8s.policy.cluster */
	return str_has_prefix(prefix, "io.cilium") || str_has_prefix(prefix, "io.kubernetes");
}

int label_check(const char *key, const char *value, struct err *reterr)
{
	const char *slash = strchr(key, '/');
	const char *name = slash ? slash + 1 : key;
	char prefix[LIMIT_NAME + 1] = "";

	if (strchr(key, ':'))
		return err_set(reterr, EINVAL, "label %.80s: write the key without a source such as k8s: or reserved:", key);
	if (slash) {
		if ((size_t)(slash - key) > LIMIT_NAME)
			return err_set(reterr, EINVAL, "label %.80s: the prefix is longer than %d characters", key, LIMIT_NAME);
		memcpy(prefix, key, (size_t)(slash - key));
		if (!str_is_dns_subdomain(prefix))
			return err_set(reterr, EINVAL, "label %.80s: the prefix must be a DNS name in lower case", key);
	}
	if (!is_label_text(name, strlen(name)))
		return err_set(reterr, EINVAL,
			       "label %.80s: the name must be 1 to %d letters, digits, '-', '_' or '.', with a letter or digit at "
			       "both ends",
			       key, LABEL_NAME_MAX);
	if (*value && !is_label_text(value, strlen(value)))
		return err_set(reterr, EINVAL,
			       "label %.80s: the value must be empty or 1 to %d letters, digits, '-', '_' or '.', with a letter or "
			       "digit at both ends",
			       key, LABEL_NAME_MAX);
	if ((slash && is_reserved_prefix(prefix)) || str_has_prefix(key, "io.cilium.") || str_has_prefix(key, "io.kubernetes."))
		return err_set(reterr, EINVAL, "label %.80s: keys of Cilium and Kubernetes are reserved", key);
	if (str_eq(key, "reserved"))
		return err_set(reterr, EINVAL, "label %.80s: this key is reserved", key);
	return 0;
}

int label_parse_list(const char *text, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *labels = json_object();
	CLEANUP(strv_done) struct strv parts = {0};

	if (!labels || strv_split(&parts, text, ',') < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	if (parts.n > LIMIT_LABELS)
		return err_set(reterr, EINVAL, "more than %d labels", LIMIT_LABELS);
	for (size_t i = 0; i < parts.n; i++) {
		char *key = parts.v[i], *eq = strchr(key, '=');
		int r;

		if (!eq)
			return err_set(reterr, EINVAL, "label %.80s: write it as key=value", key);
		*eq = '\0';
		r = label_check(key, eq + 1, reterr);
		if (r < 0)
			return r;
		if (json_object_get(labels, key))
			return err_set(reterr, EINVAL, "label %.80s is given twice", key);
		if (json_object_set_new(labels, key, json_string(eq + 1)) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(labels);
	return 0;
}

int label_compare(const json_t *wanted, const json_t *enrolled, struct err *reterr)
{
	CLEANUP(buf_done) struct buf diff = {.max = 4096};
	const char *key;
	json_t *v;
	int r = 0;

	json_object_foreach((json_t *)wanted, key, v)
	{
		const char *own = json_string_value(v), *there = json_string_value(json_object_get(enrolled, key));

		if (!there)
			r |= buf_addf(&diff, "%s%s=%s is not enrolled", diff.len ? "; " : "", key, own ? own : "");
		else if (!own || !str_eq(own, there))
			r |= buf_addf(&diff, "%s%s is %s, not %s", diff.len ? "; " : "", key, there, own ? own : "");
	}
	json_object_foreach((json_t *)enrolled, key, v)
	{
		if (!json_object_get(wanted, key))
			r |= buf_addf(&diff, "%s%s=%s is missing", diff.len ? "; " : "", key,
				      json_string_value(v) ? json_string_value(v) : "");
	}
	if (!diff.len && r == 0)
		return 0;
	return err_set(reterr, EEXIST, "%s", diff.len ? diff.data : "the labels differ");
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *label_list_str(const json_t *labels)
{
	CLEANUP(buf_done) struct buf out = {0};
	ARRAY(const char *) keys = {0};
	const char *key;
	json_t *v;
	int r = 0;

	json_object_foreach((json_t *)labels, key, v)
		r |= ARRAY_ADD(&keys, key);
	ARRAY_SORT(&keys, compare_keys);
	r |= buf_add(&out, "", 0);
	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *value = json_string_value(json_object_get(labels, keys.v[i]));

		r = buf_addf(&out, "%s%s=%s", i ? "," : "", keys.v[i], value ? value : "");
	}
	ARRAY_DONE(&keys);
	return r == 0 && out.data ? strdup(out.data) : NULL;
}
