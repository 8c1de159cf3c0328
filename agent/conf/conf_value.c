/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "conf/conf_schema.h"

enum { DEVICE_MAX = 15 };

int conf_value_allowed(const struct conf_key *k, struct buf *buf)
{
	int r;

	switch (k->type) {
	case CONF_BOOL:
		return buf_addf(buf, "true or false");
	case CONF_INT:
		return buf_addf(buf, "a number from %" PRIu64 " to %" PRIu64, k->min, k->max);
	case CONF_CHOICE:
		for (const struct conf_choice *ch = k->choices; ch->name; ch++) {
			r = buf_addf(buf, "%s\"%s\"", ch == k->choices ? "" : ch[1].name ? ", " : " or ",
				     ch->name);
			if (r < 0)
				return r;
		}
		return 0;
	case CONF_PATH:
		return buf_addf(buf, "an absolute path in quotes");
	case CONF_TEXT:
		return buf_addf(buf, "text in quotes, at most %" PRIu64 " printable characters", k->max);
	case CONF_DEVICE:
		return buf_addf(buf, "a device name in quotes, at most %d characters", DEVICE_MAX);
	case CONF_DEVICES:
		return buf_addf(buf, "a list of device names like [ \"eth0\", \"ens*\" ]");
	case CONF_IPS:
		return buf_addf(buf, "a list of at most %" PRIu64 " addresses like [ \"192.0.2.1\" ]", k->max);
	case CONF_CIDRS:
		return buf_addf(buf, "a list of at most %" PRIu64 " prefixes like [ \"10.96.0.0/12\" ]", k->max);
	case CONF_FAILSAFES:
		return buf_addf(buf,
				"a list of at most %" PRIu64 " groups like "
				"( { protocol = \"tcp\"; port = 22; cidr = \"192.0.2.0/24\"; } )",
				k->max);
	case CONF_NAMED_PORTS:
		return buf_addf(buf,
				"a list of at most %" PRIu64 " groups like "
				"( { name = \"web\"; port = 8080; protocol = \"tcp\"; } )",
				k->max);
	case CONF_PROBES:
		return buf_addf(buf,
				"a list of at most %" PRIu64 " groups like "
				"( { service = \"web\"; type = \"tcp\"; port = 8080; } ), type is tcp, http, exec or unit",
				k->max);
	case CONF_FORWARDS:
		return buf_addf(buf,
				"a list of at most %" PRIu64 " groups like "
				"( { port = 8080; service = \"web\"; service-port = 80; } )",
				k->max);
	}
	return -EINVAL;
}

/* "KEY: WHAT; allowed: ..." */
static int refuse(const struct conf_key *k, struct err *reterr, const char *what)
{
	CLEANUP(buf_done) struct buf allowed = {0};
	int r = conf_value_allowed(k, &allowed);

	if (r < 0)
		return r;
	return err_set(reterr, EINVAL, "%s: %s; allowed: %s", k->name, what, allowed.data);
}

static bool is_list(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_LIST || config_setting_type(s) == CONFIG_TYPE_ARRAY;
}

const char *conf_value_text(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : NULL;
}

/* False if it is no whole number within the bounds. */
bool conf_value_number(const config_setting_t *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	long long v;

	if (config_setting_type(s) == CONFIG_TYPE_INT)
		v = config_setting_get_int(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT64)
		v = config_setting_get_int64(s);
	else
		return false;
	if (v < 0 || (uint64_t)v < min || (uint64_t)v > max)
		return false;
	*ret = (uint64_t)v;
	return true;
}

bool conf_value_is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '"' || *s == '\\')
			return false;
	return true;
}

/* Names that the kernel takes (dev_valid_name), less those with odd characters; `*` may end a pattern. */
bool conf_value_is_device(const char *s, bool is_pattern)
{
	size_t len = strlen(s);

	if (len < 1 || len > DEVICE_MAX || str_eq(s, ".") || str_eq(s, ".."))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (is_pattern && s[i] == '*' && i == len - 1)
			continue;
		if (!isalnum((unsigned char)s[i]) && !strchr("._-@", s[i]))
			return false;
	}
	return true;
}

static int read_text(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	const char *text = conf_value_text(s);
	char **at = conf_member(c, k), *copy;

	if (!text)
		return refuse(k, reterr, "not text in quotes");
	if (!conf_value_is_printable(text))
		return refuse(k, reterr, "has a control character, quote or backslash");
	if (k->type == CONF_PATH && (text[0] != '/' || strlen(text) > 4000))
		return refuse(k, reterr, "not an absolute path");
	if (k->type == CONF_TEXT && strlen(text) > k->max)
		return refuse(k, reterr, "too long");
	if (k->type == CONF_DEVICE && !conf_value_is_device(text, false))
		return refuse(k, reterr, "not a device name");
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

static int read_choice(struct conf *c, const struct conf_key *k, const config_setting_t *s,
		       struct err *reterr)
{
	const char *text = conf_value_text(s);

	for (const struct conf_choice *ch = k->choices; text && ch->name; ch++)
		if (str_eq(text, ch->name)) {
			*(int *)conf_member(c, k) = ch->value;
			return 0;
		}
	return refuse(k, reterr, "unknown value");
}

/* One member of a group: 0, or refused with its name. */
int conf_value_refuse(const struct conf_key *k, struct err *reterr, const char *name, const char *what)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%.40s %s", name, what); /* cut text is still text */
	return refuse(k, reterr, text);
}

int conf_value_read(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	switch (k->type) {
	case CONF_BOOL:
		if (config_setting_type(s) != CONFIG_TYPE_BOOL)
			return refuse(k, reterr, "not a truth value");
		*(bool *)conf_member(c, k) = config_setting_get_bool(s);
		return 0;
	case CONF_INT:
		if (!conf_value_number(s, k->min, k->max, conf_member(c, k)))
			return refuse(k, reterr, "not a number in range");
		return 0;
	case CONF_CHOICE:
		return read_choice(c, k, s, reterr);
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_DEVICE:
		return read_text(c, k, s, reterr);
	case CONF_DEVICES:
	case CONF_IPS:
	case CONF_CIDRS:
	case CONF_FAILSAFES:
	case CONF_NAMED_PORTS:
	case CONF_PROBES:
	case CONF_FORWARDS:
		break;
	}
	if (!is_list(s))
		return refuse(k, reterr, "not a list");
	if (k->max && config_setting_length(s) > (int)k->max)
		return refuse(k, reterr, "too many");
	return conf_list_read(c, k, s, reterr);
}

int conf_value_print(const struct conf *c, const struct conf_key *k, struct buf *buf)
{
	switch (k->type) {
	case CONF_BOOL:
		return buf_addf(buf, "%s", *(const bool *)conf_member(c, k) ? "true" : "false");
	case CONF_INT:
		return buf_addf(buf, "%" PRIu64, *(const uint64_t *)conf_member(c, k));
	case CONF_CHOICE:
		for (const struct conf_choice *ch = k->choices; ch->name; ch++)
			if (ch->value == *(const int *)conf_member(c, k))
				return buf_addf(buf, "\"%s\"", ch->name);
		return -EINVAL;
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_DEVICE:
		return buf_addf(buf, "\"%s\"", *(char *const *)conf_member(c, k));
	case CONF_DEVICES:
	case CONF_IPS:
	case CONF_CIDRS:
	case CONF_FAILSAFES:
	case CONF_NAMED_PORTS:
	case CONF_PROBES:
	case CONF_FORWARDS:
		return conf_list_print(c, k, buf);
	}
	return -EINVAL;
}

void conf_value_done(struct conf *c, const struct conf_key *k)
{
	switch (k->type) {
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_DEVICE:
		free(*(char **)conf_member(c, k));
		*(char **)conf_member(c, k) = NULL;
		break;
	case CONF_DEVICES:
	case CONF_IPS:
	case CONF_CIDRS:
	case CONF_FAILSAFES:
	case CONF_NAMED_PORTS:
	case CONF_PROBES:
	case CONF_FORWARDS:
		conf_list_done(c, k);
		break;
	case CONF_BOOL:
	case CONF_INT:
	case CONF_CHOICE:
		break;
	}
}
