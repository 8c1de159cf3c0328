/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/reverse_zone.h"
#include "conf/conf_schema.h"

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < conf_keys_n; i++)
		conf_value_done(c, &conf_keys[i]);
	free(c);
}

static const struct conf_key *key_find(const char *group, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s%s%s", group ? group : "", group ? "." : "", name);
	for (size_t i = 0; i < conf_keys_n; i++)
		if (str_eq(conf_keys[i].name, path))
			return &conf_keys[i];
	return NULL;
}

static bool is_group(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < conf_keys_n; i++)
		if (strncmp(conf_keys[i].name, name, len) == 0 && conf_keys[i].name[len] == '.')
			return true;
	return false;
}

/* The keys that may stand here, for the message about one that may not. */
static int list_keys(const char *group, struct buf *buf)
{
	size_t len = group ? strlen(group) : 0;
	const char *last = "";
	size_t last_len = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < conf_keys_n; i++) {
		const char *name = conf_keys[i].name;
		size_t n;

		if (group) {
			if (strncmp(name, group, len) != 0 || name[len] != '.')
				continue;
			name += len + 1;
		}
		n = strcspn(name, ".");
		if (n == last_len && strncmp(name, last, n) == 0)
			continue;
		r = buf_addf(buf, "%s%.*s", buf->len ? ", " : "", (int)n, name);
		last = name;
		last_len = n;
	}
	return r;
}

enum { TYPO_MAX = 2, WORD_MAX = 64 };

/* How many letters have to be added, left out or changed to make one of the other; WORD_MAX for what is too long. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t row[WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t k = 0; k <= m; k++)
		row[k] = k;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= m; k++) {
			size_t changed = diagonal + (a[i - 1] != b[k - 1]), added = MIN(row[k], row[k - 1]) + 1;

			diagonal = row[k];
			row[k] = MIN(changed, added);
		}
	}
	return row[m];
}

/* The key of a list as list_keys() makes it that the name is a slip of the pen of. Its length is 0 if there is none. */
static const char *nearest(const char *keys, const char *name, size_t *ret_len)
{
	const char *found = keys;
	size_t best = TYPO_MAX + 1, len, far;

	*ret_len = 0;
	for (; keys && *keys; keys += len + (keys[len] ? 2 : 0)) {
		len = strcspn(keys, ",");
		far = distance(keys, len, name, strlen(name));
		if (far < best && far < len) {
			best = far;
			found = keys;
			*ret_len = len;
		}
	}
	return found;
}

static int unknown_key(const char *group, const char *name, struct err *reterr)
{
	CLEANUP(buf_done) struct buf keys = {0};
	int r = list_keys(group, &keys);
	const char *meant;
	size_t len;

	if (r < 0)
		return r;
	meant = nearest(keys.data, name, &len);
	return err_set(reterr, EINVAL, "%s%s%.64s: unknown key%s%.*s%s; known%s%s: %s", group ? group : "", group ? "." : "", name,
		       len ? ", did you mean " : "", (int)len, len ? meant : "", len ? "?" : "", group ? " in " : "",
		       group ? group : "", keys.data);
}

static int read_group(struct conf *c, const config_setting_t *s, const char *group, const char *file,
		      struct err *reterr)
{
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		const char *name = config_setting_name(m);
		const struct conf_key *k = key_find(group, name);
		int r;

		if (k)
			r = conf_value_read(c, k, m, reterr);
		else if (!group && is_group(name) && config_setting_type(m) == CONFIG_TYPE_GROUP) {
			r = read_group(c, m, name, file, reterr);
			if (r < 0)
				return r; /* has file and line */
		} else if (!group && is_group(name))
			r = err_set(reterr, EINVAL, "%s: must be a group like %s: { ... }", name, name);
		else
			r = unknown_key(group, name, reterr);
		if (r < 0)
			return err_prefix(reterr, r, "%s:%u", file, config_setting_source_line(m));
	}
	return 0;
}

static int read_default(struct conf *c, const struct conf_key *k)
{
	config_t cfg;
	char text[512];
	int r = -EINVAL;

	if (snprintf(text, sizeof(text), "v = %s;", k->def) >= (int)sizeof(text))
		return -EINVAL;
	config_init(&cfg);
	if (config_read_string(&cfg, text))
		r = conf_value_read(c, k, config_lookup(&cfg, "v"), NULL /* ours, checked by a test */);
	config_destroy(&cfg);
	return r;
}

/* A port that is forwarded takes connections whatever the workload does. */
static int check_forwards(const struct conf *c, const char *file, struct err *reterr)
{
	for (size_t i = 0; i < c->forwards.n; i++)
		for (size_t j = 0; j < c->probes.n; j++)
			if (c->probes.v[j].port == c->forwards.v[i].port)
				return err_set(reterr, EINVAL,
					       "%s: forwards: port %u is asked by a health probe, which would pass for ever", file,
					       c->forwards.v[i].port);
	return 0;
}

/* Each zone is told to the host's resolver. */
static int check_reverse(const struct conf *c, const char *file, struct err *reterr)
{
	char text[CIDR_STRLEN];
	size_t n = 0, more;

	for (size_t i = 0; i < c->dns.reverse.n; i++) {
		more = reverse_zones(&c->dns.reverse.v[i]);
		if (!more)
			return err_set(reterr, EINVAL, "%s: dns.reverse: %s is too much; allowed: ranges of at most /%d, with IPv6 /%d", file,
				       cidr_str(&c->dns.reverse.v[i], text), REVERSE_ZONE_MIN_V4, REVERSE_ZONE_MIN_V6);
		n += more;
	}
	if (n > REVERSE_ZONES_MAX)
		return err_set(reterr, EINVAL, "%s: dns.reverse: these are %zu reverse zones, at most %d are allowed: give ranges that end at a "
			       "whole number of an address, as /16 or /24", file, n, REVERSE_ZONES_MAX);
	return 0;
}

/* Rules between keys. */
static int check(struct conf *c, const char *file, struct err *reterr)
{
	if (c->mtu && c->mtu < 1280)
		return err_set(reterr, EINVAL, "%s: mtu: below 1280; allowed: 0 or 1280 to 65535", file);
	for (size_t i = 0; i < c->addresses.n; i++)
		if (ip_is_special(&c->addresses.v[i]))
			return err_set(reterr, EINVAL,
				       "%s: addresses: loopback, link-local and multicast addresses "
				       "cannot be reached by others", file);
	if (conf_probe_resolve(c, reterr) < 0)
		return err_prefix(reterr, -EINVAL, "%s", file);
	if (check_forwards(c, file, reterr) < 0)
		return -EINVAL;
	if (check_reverse(c, file, reterr) < 0)
		return -EINVAL;
	if (c->dns.is_enabled && !c->dns.listen.n)
		return err_set(reterr, EINVAL, "%s: dns.listen: needs an address while dns.enabled is true",
			       file);
	for (size_t i = 0; i < c->dns.listen.n; i++)
		for (size_t j = 0; j < c->dns.upstreams.n; j++)
			if (ip_eq(&c->dns.listen.v[i], &c->dns.upstreams.v[j]))
				return err_set(reterr, EINVAL,
					       "%s: dns.upstreams: an address of dns.listen would ask itself",
					       file);
	if (!c->control_socket[0]) { /* NOLINT(clang-analyzer-core.NullDereference): each key has a value by now */
		free(c->control_socket);
		c->control_socket = str_printf("%s/control.sock", c->runtime_dir);
		if (!c->control_socket)
			return -ENOMEM;
	}
	if (c->control_socket[0] != '/' || strlen(c->control_socket) > 107)
		return err_set(reterr, EINVAL,
			       "%s: control-socket: \"%.120s\"; allowed: an absolute path of at most 107 bytes",
			       file, c->control_socket);
	return 0;
}

/* libconfig would open other files; what the daemon runs on is one file. */
static bool has_include(const char *text)
{
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += strspn(p, " \t\r\n");
		if (str_has_prefix(p, "@include"))
			return true;
	}
	return false;
}

int conf_parse(const char *text, size_t len, const char *name, struct conf **ret, struct err *reterr)
{
	CLEANUP(conf_free) struct conf *c = calloc(1, sizeof(*c));
	CLEANUP(free) char *copy = NULL;
	config_t cfg;
	int r;

	if (!c)
		return -ENOMEM;
	if (memchr(text, '\0', len))
		return err_set(reterr, EINVAL, "%s: not a text file", name);
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	if (has_include(copy))
		return err_set(reterr, EINVAL, "%s: @include is not supported; put every key in this file", name);
	for (size_t i = 0; i < conf_keys_n; i++) {
		r = read_default(c, &conf_keys[i]);
		if (r < 0)
			return r;
	}
	config_init(&cfg);
	if (!config_read_string(&cfg, copy))
		r = err_set(reterr, EINVAL, "%s:%d: %s; a setting is KEY = VALUE; and text stands in quotes",
			    name, config_error_line(&cfg), config_error_text(&cfg));
	else
		r = read_group(c, config_root_setting(&cfg), NULL, name, reterr);
	config_destroy(&cfg);
	if (r >= 0)
		r = check(c, name, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int conf_load(const char *path, struct conf **ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = file_read(path, LIMIT_CONFIG_BYTES, &text);

	if (r < 0)
		return err_set(reterr, -r, "%s: %s", path, r == -E2BIG ? "too large for a configuration" : err_name(r));
	return conf_parse(text.data ? text.data : "", text.len, path, ret, reterr);
}

int conf_load_or_default(const char *path, struct conf **ret, struct err *reterr)
{
	if (!path && access(CONF_DEFAULT_PATH, F_OK) < 0 && errno == ENOENT)
		return conf_parse("", 0, "defaults", ret, reterr);
	return conf_load(path ? path : CONF_DEFAULT_PATH, ret, reterr);
}

int conf_changed(const struct conf *from, const struct conf *to, struct strv *ret_live,
		 struct strv *ret_restart)
{
	for (size_t i = 0; i < conf_keys_n; i++) {
		CLEANUP(buf_done) struct buf a = {0}, b = {0};
		int r = conf_value_print(from, &conf_keys[i], &a);

		if (r >= 0)
			r = conf_value_print(to, &conf_keys[i], &b);
		if (r >= 0 && !str_eq(a.data, b.data))
			r = strv_add(conf_keys[i].is_restart ? ret_restart : ret_live, conf_keys[i].name);
		if (r < 0)
			return r;
	}
	return 0;
}

size_t conf_key_count(void)
{
	return conf_keys_n;
}

const char *conf_key_name(size_t i)
{
	return conf_keys[i].name;
}

const char *conf_key_doc(size_t i)
{
	return conf_keys[i].doc;
}

bool conf_key_is_restart(size_t i)
{
	return conf_keys[i].is_restart;
}

const char *conf_key_default(size_t i)
{
	return conf_keys[i].def;
}

int conf_key_allowed(size_t i, struct buf *buf)
{
	return conf_value_allowed(&conf_keys[i], buf);
}

int conf_key_value(const struct conf *c, size_t i, struct buf *buf)
{
	return conf_value_print(c, &conf_keys[i], buf);
}

#define SWAP(member)                                                                               \
	do {                                                                                       \
		__typeof__(to->member) swap_ = to->member;                                         \
		to->member = from->member;                                                         \
		from->member = swap_;                                                              \
	} while (0)

void conf_swap_live(struct conf *to, struct conf *from)
{
	SWAP(log_level);
	SWAP(interfaces);
	SWAP(addresses);
	SWAP(mtu);
	SWAP(probes);
	SWAP(forwards);
	SWAP(drain_time_s);
	SWAP(revoked_action);
	SWAP(has_policy_audit);
	SWAP(failsafe);
	SWAP(services);
	SWAP(monitor);
}
