/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "conf/conf_schema.h"

enum { DEVICE_MAX = 15, INTERFACES_MAX = 64 };

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {{"any", 0}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP},
		 {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6}};

typedef ARRAY(struct ip) ip_array;
typedef ARRAY(struct cidr) cidr_array;
typedef ARRAY(struct conf_failsafe) failsafe_array;
typedef ARRAY(struct conf_named_port) named_port_array;
typedef ARRAY(struct conf_probe) probe_array;
typedef ARRAY(struct conf_forward) forward_array;

static void *member(const struct conf *c, const struct conf_key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

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
static bool is_device(const char *s, bool is_pattern)
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
	char **at = member(c, k), *copy;

	if (!text)
		return refuse(k, reterr, "not text in quotes");
	if (!conf_value_is_printable(text))
		return refuse(k, reterr, "has a control character, quote or backslash");
	if (k->type == CONF_PATH && (text[0] != '/' || strlen(text) > 4000))
		return refuse(k, reterr, "not an absolute path");
	if (k->type == CONF_TEXT && strlen(text) > k->max)
		return refuse(k, reterr, "too long");
	if (k->type == CONF_DEVICE && !is_device(text, false))
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
			*(int *)member(c, k) = ch->value;
			return 0;
		}
	return refuse(k, reterr, "unknown value");
}

static int read_devices(struct conf *c, const struct conf_key *k, const config_setting_t *s,
			struct err *reterr)
{
	struct strv *at = member(c, k);
	int n = config_setting_length(s), r;

	strv_done(at);
	if (n > INTERFACES_MAX)
		return refuse(k, reterr, "too many");
	for (int i = 0; i < n; i++) {
		const char *text = conf_value_text(config_setting_get_elem(s, (unsigned)i));

		if (!text || !is_device(text, true))
			return refuse(k, reterr, "an element is not a device name");
		r = strv_add(at, text);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_ips(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	ip_array *at = member(c, k);
	int n = config_setting_length(s), r;

	ARRAY_DONE(at);
	for (int i = 0; i < n; i++) {
		const char *text = conf_value_text(config_setting_get_elem(s, (unsigned)i));
		struct ip ip;

		if (!text || ip_parse(text, &ip) < 0)
			return refuse(k, reterr, "an element is not an address");
		for (size_t j = 0; j < at->n; j++)
			if (ip_eq(&at->v[j], &ip))
				return refuse(k, reterr, "an address is there twice");
		r = ARRAY_ADD(at, ip);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_cidrs(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	cidr_array *at = member(c, k);
	int n = config_setting_length(s), r;

	ARRAY_DONE(at);
	for (int i = 0; i < n; i++) {
		const char *text = conf_value_text(config_setting_get_elem(s, (unsigned)i));
		struct cidr cidr;

		if (!text || cidr_parse(text, false, &cidr) < 0)
			return refuse(k, reterr, "an element is not a prefix");
		r = ARRAY_ADD(at, cidr);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool protocol_of(const char *text, uint8_t *ret)
{
	for (size_t i = 0; text && i < ARRAY_LEN(protocols); i++)
		if (str_eq(text, protocols[i].name)) {
			*ret = protocols[i].number;
			return true;
		}
	return false;
}

static const char *protocol_name(uint8_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].number == number)
			return protocols[i].name;
	return "any";
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* One member of a group: 0, or refused with its name. */
int conf_value_refuse(const struct conf_key *k, struct err *reterr, const char *name, const char *what)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%.40s %s", name, what); /* cut text is still text */
	return refuse(k, reterr, text);
}

static int read_failsafe(struct conf_failsafe *f, const struct conf_key *k, const config_setting_t *s,
			 struct err *reterr)
{
	uint64_t port = 0;
	bool has_protocol = false;

	*f = (struct conf_failsafe){0};
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		const char *name = config_setting_name(m), *text = conf_value_text(m);

		if (str_eq(name, "protocol")) {
			if (!protocol_of(text, &f->protocol))
				return conf_value_refuse(k, reterr, name,
						     "is not any, tcp, udp, sctp, icmp or icmpv6");
			has_protocol = true;
		} else if (str_eq(name, "port")) {
			if (!conf_value_number(m, 0, 65535, &port))
				return conf_value_refuse(k, reterr, name, "is not from 0 to 65535");
		} else if (str_eq(name, "cidr")) {
			if (!text || cidr_parse(text, true, &f->cidr) < 0)
				return conf_value_refuse(k, reterr, name, "is not an address or prefix");
		} else {
			return conf_value_refuse(k, reterr, name, "is unknown");
		}
	}
	if (!has_protocol)
		return refuse(k, reterr, "protocol is missing");
	if (port && !has_ports(f->protocol))
		return refuse(k, reterr, "port needs protocol tcp, udp or sctp");
	f->port = (uint16_t)port;
	return 0;
}

/* IANA service name as Kubernetes checks it: letters, digits, single hyphens inside, one letter. */
bool conf_value_is_port_name(const char *s)
{
	size_t len = strlen(s);
	bool has_letter = false;

	if (len < 1 || len > 15 || s[0] == '-' || s[len - 1] == '-' || strstr(s, "--"))
		return false;
	for (; *s; s++) {
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && *s != '-')
			return false;
		has_letter |= *s >= 'a' && *s <= 'z';
	}
	return has_letter;
}

static int read_named_port(struct conf_named_port *p, const struct conf_key *k, const config_setting_t *s,
			   struct err *reterr)
{
	uint64_t port = 0;

	*p = (struct conf_named_port){.protocol = IPPROTO_TCP};
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		const char *name = config_setting_name(m), *text = conf_value_text(m);

		if (str_eq(name, "name")) {
			if (!text || !conf_value_is_port_name(text))
				return conf_value_refuse(k, reterr, name,
						     "is not 1 to 15 of a-z, 0-9 and - with a letter");
			(void)snprintf(p->name, sizeof(p->name), "%s", text); /* length checked above */
		} else if (str_eq(name, "port")) {
			if (!conf_value_number(m, 1, 65535, &port))
				return conf_value_refuse(k, reterr, name, "is not from 1 to 65535");
		} else if (str_eq(name, "protocol")) {
			if (!protocol_of(text, &p->protocol) || !has_ports(p->protocol))
				return conf_value_refuse(k, reterr, name, "is not tcp, udp or sctp");
		} else {
			return conf_value_refuse(k, reterr, name, "is unknown");
		}
	}
	if (!p->name[0] || !port)
		return refuse(k, reterr, "name and port are needed");
	p->port = (uint16_t)port;
	return 0;
}

static int read_groups(struct conf *c, const struct conf_key *k, const config_setting_t *s,
		       struct err *reterr)
{
	int n = config_setting_length(s), r;

	conf_value_done(c, k);
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);

		if (config_setting_type(e) != CONFIG_TYPE_GROUP)
			return refuse(k, reterr, "an element is not a group");
		if (k->type == CONF_FAILSAFES) {
			failsafe_array *at = member(c, k);
			struct conf_failsafe f;

			r = read_failsafe(&f, k, e, reterr);
			if (r >= 0)
				r = ARRAY_ADD(at, f);
		} else if (k->type == CONF_PROBES) {
			probe_array *at = member(c, k);
			struct conf_probe p = {0};

			r = conf_probe_read(&p, k, e, reterr);
			if (r >= 0)
				r = ARRAY_ADD(at, p);
			if (r < 0)
				conf_probe_done(&p);
		} else if (k->type == CONF_FORWARDS) {
			forward_array *at = member(c, k);
			struct conf_forward f = {0};

			r = conf_forward_read(&f, k, e, reterr);
			for (size_t j = 0; r >= 0 && j < at->n; j++)
				if (at->v[j].port == f.port && ip_eq(&at->v[j].address, &f.address))
					r = conf_value_refuse(k, reterr, "port", "is there twice");
			if (r >= 0)
				r = ARRAY_ADD(at, f);
			if (r < 0)
				conf_forward_done(&f);
		} else {
			named_port_array *at = member(c, k);
			struct conf_named_port p;

			r = read_named_port(&p, k, e, reterr);
			for (size_t j = 0; r >= 0 && j < at->n; j++)
				if (str_eq(at->v[j].name, p.name) && at->v[j].protocol == p.protocol)
					r = conf_value_refuse(k, reterr, p.name, "is there twice");
			if (r >= 0)
				r = ARRAY_ADD(at, p);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_value_read(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	switch (k->type) {
	case CONF_BOOL:
		if (config_setting_type(s) != CONFIG_TYPE_BOOL)
			return refuse(k, reterr, "not a truth value");
		*(bool *)member(c, k) = config_setting_get_bool(s);
		return 0;
	case CONF_INT:
		if (!conf_value_number(s, k->min, k->max, member(c, k)))
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
	if (k->type == CONF_DEVICES)
		return read_devices(c, k, s, reterr);
	if (k->type == CONF_IPS)
		return read_ips(c, k, s, reterr);
	if (k->type == CONF_CIDRS)
		return read_cidrs(c, k, s, reterr);
	return read_groups(c, k, s, reterr);
}

static int print_failsafe(const struct conf_failsafe *f, bool is_first, struct buf *buf)
{
	char cidr[CIDR_STRLEN];
	int r = buf_addf(buf, "%s{ protocol = \"%s\"; port = %u; ", is_first ? " " : ", ",
			 protocol_name(f->protocol), f->port);

	if (r >= 0 && f->cidr.ip.family)
		r = buf_addf(buf, "cidr = \"%s\"; ", cidr_str(&f->cidr, cidr));
	return r < 0 ? r : buf_addf(buf, "}");
}

static int print_list(const struct conf *c, const struct conf_key *k, struct buf *buf)
{
	bool is_groups = k->type == CONF_FAILSAFES || k->type == CONF_NAMED_PORTS || k->type == CONF_PROBES ||
			 k->type == CONF_FORWARDS;
	const struct strv *names = member(c, k);
	const ip_array *ips = member(c, k);
	const cidr_array *cidrs = member(c, k);
	const failsafe_array *failsafes = member(c, k);
	const named_port_array *ports = member(c, k);
	const probe_array *probes = member(c, k);
	const forward_array *forwards = member(c, k);
	char text[CIDR_STRLEN];
	size_t n = k->type == CONF_DEVICES ? names->n
		   : k->type == CONF_IPS   ? ips->n
		   : k->type == CONF_CIDRS ? cidrs->n
		   : k->type == CONF_FAILSAFES ? failsafes->n
		   : k->type == CONF_PROBES    ? probes->n
		   : k->type == CONF_FORWARDS  ? forwards->n : ports->n;
	int r = buf_addf(buf, "%c", is_groups ? '(' : '[');

	for (size_t i = 0; r >= 0 && i < n; i++) {
		const char *sep = i ? ", " : " ";

		if (k->type == CONF_DEVICES)
			r = buf_addf(buf, "%s\"%s\"", sep, names->v[i]);
		else if (k->type == CONF_IPS)
			r = buf_addf(buf, "%s\"%s\"", sep, ip_str(&ips->v[i], text));
		else if (k->type == CONF_CIDRS)
			r = buf_addf(buf, "%s\"%s\"", sep, cidr_str(&cidrs->v[i], text));
		else if (k->type == CONF_FAILSAFES)
			r = print_failsafe(&failsafes->v[i], i == 0, buf);
		else if (k->type == CONF_PROBES || k->type == CONF_FORWARDS) {
			r = buf_addf(buf, "%s", sep);
			if (r >= 0)
				r = k->type == CONF_PROBES ? conf_probe_print(&probes->v[i], buf)
							   : conf_forward_print(&forwards->v[i], buf);
		}
		else
			r = buf_addf(buf, "%s{ name = \"%s\"; port = %u; protocol = \"%s\"; }", sep,
				     ports->v[i].name, ports->v[i].port,
				     protocol_name(ports->v[i].protocol));
	}
	return r < 0 ? r : buf_addf(buf, " %c", is_groups ? ')' : ']');
}

int conf_value_print(const struct conf *c, const struct conf_key *k, struct buf *buf)
{
	switch (k->type) {
	case CONF_BOOL:
		return buf_addf(buf, "%s", *(const bool *)member(c, k) ? "true" : "false");
	case CONF_INT:
		return buf_addf(buf, "%" PRIu64, *(const uint64_t *)member(c, k));
	case CONF_CHOICE:
		for (const struct conf_choice *ch = k->choices; ch->name; ch++)
			if (ch->value == *(const int *)member(c, k))
				return buf_addf(buf, "\"%s\"", ch->name);
		return -EINVAL;
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_DEVICE:
		return buf_addf(buf, "\"%s\"", *(char *const *)member(c, k));
	case CONF_DEVICES:
	case CONF_IPS:
	case CONF_CIDRS:
	case CONF_FAILSAFES:
	case CONF_NAMED_PORTS:
	case CONF_PROBES:
	case CONF_FORWARDS:
		return print_list(c, k, buf);
	}
	return -EINVAL;
}

void conf_value_done(struct conf *c, const struct conf_key *k)
{
	switch (k->type) {
	case CONF_PATH:
	case CONF_TEXT:
	case CONF_DEVICE:
		free(*(char **)member(c, k));
		*(char **)member(c, k) = NULL;
		break;
	case CONF_DEVICES:
		strv_done(member(c, k));
		break;
	case CONF_IPS:
		ARRAY_DONE((ip_array *)member(c, k));
		break;
	case CONF_CIDRS:
		ARRAY_DONE((cidr_array *)member(c, k));
		break;
	case CONF_FAILSAFES:
		ARRAY_DONE((failsafe_array *)member(c, k));
		break;
	case CONF_NAMED_PORTS:
		ARRAY_DONE((named_port_array *)member(c, k));
		break;
	case CONF_PROBES:
		for (size_t i = 0; i < ((probe_array *)member(c, k))->n; i++)
			conf_probe_done(&((probe_array *)member(c, k))->v[i]);
		ARRAY_DONE((probe_array *)member(c, k));
		break;
	case CONF_FORWARDS:
		for (size_t i = 0; i < ((forward_array *)member(c, k))->n; i++)
			conf_forward_done(&((forward_array *)member(c, k))->v[i]);
		ARRAY_DONE((forward_array *)member(c, k));
		break;
	case CONF_BOOL:
	case CONF_INT:
	case CONF_CHOICE:
		break;
	}
}
