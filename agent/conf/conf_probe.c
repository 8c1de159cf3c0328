/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "conf/conf_schema.h"

enum { INTERVAL_MAX = 3600, ROW_MAX = 100, PATH_MAX_LEN = 1024, ARGS_MAX = 32, UNIT_MAX = 255 };

static const char *const types[] = {"tcp", "http", "exec", "unit"};

void conf_probe_done(struct conf_probe *p)
{
	free(p->service);
	free(p->path);
	free(p->unit);
	strv_done(&p->command);
	*p = (struct conf_probe){0};
}

static int copy_text(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int conf_probe_copy(const struct conf_probe *from, struct conf_probe *to)
{
	int r;

	*to = *from;
	to->service = to->path = to->unit = NULL;
	to->command = (struct strv){0};
	r = copy_text(from->service, &to->service);
	if (r == 0)
		r = copy_text(from->path, &to->path);
	if (r == 0)
		r = copy_text(from->unit, &to->unit);
	for (size_t i = 0; r == 0 && i < from->command.n; i++)
		r = strv_add(&to->command, from->command.v[i]);
	if (r < 0)
		conf_probe_done(to);
	return r;
}

/* A name with its type, as systemd writes it; escapes are left out, so that it can stand in quotes. */
static bool is_unit(const char *s)
{
	size_t len = strlen(s);

	if (len > UNIT_MAX || !strchr(s, '.') || s[0] == '.')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.@") == len;
}

static int read_port(struct conf_probe *p, const struct conf_key *k, const config_setting_t *m, struct err *reterr)
{
	const char *text = conf_value_text(m);
	uint64_t port;

	p->port = 0;
	p->port_name[0] = '\0';
	if (text && conf_value_is_port_name(text)) {
		(void)snprintf(p->port_name, sizeof(p->port_name), "%s", text); /* at most 15, as checked */
		return 0;
	}
	if (!conf_value_number(m, 1, 65535, &port))
		return conf_value_refuse(k, reterr, "port", "is not from 1 to 65535 or a name of named-ports");
	p->port = (uint16_t)port;
	return 0;
}

static int read_command(struct conf_probe *p, const struct conf_key *k, const config_setting_t *m, struct err *reterr)
{
	int type = config_setting_type(m), n = config_setting_length(m);

	strv_done(&p->command);
	if ((type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) || n < 1 || n > ARGS_MAX)
		return conf_value_refuse(k, reterr, "command", "is not a list of a path and arguments");
	for (int i = 0; i < n; i++) {
		const char *text = conf_value_text(config_setting_get_elem(m, (unsigned)i));
		int r;

		if (!text || strlen(text) > PATH_MAX_LEN || !conf_value_is_printable(text) || (i == 0 && text[0] != '/'))
			return conf_value_refuse(k, reterr, "command", "is not a list of a path and arguments");
		r = strv_add(&p->command, text);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Members that are text. 1 if `name` is none of them. */
static int read_text(struct conf_probe *p, const struct conf_key *k, const char *name, const char *text,
		     struct err *reterr)
{
	if (str_eq(name, "service")) {
		if (!text || (!str_eq(text, "*") && !str_is_dns_label(text)))
			return conf_value_refuse(k, reterr, name, "is not a name of a Service or \"*\"");
		return str_replace(&p->service, text);
	}
	if (str_eq(name, "address")) {
		if (!text || ip_parse(text, &p->address) < 0)
			return conf_value_refuse(k, reterr, name, "is not an address");
		return 0;
	}
	if (str_eq(name, "scheme")) {
		if (!text || (!str_eq(text, "http") && !str_eq(text, "https")))
			return conf_value_refuse(k, reterr, name, "is not http or https");
		p->is_tls = str_eq(text, "https");
		return 0;
	}
	if (str_eq(name, "path")) {
		if (!text || text[0] != '/' || strlen(text) > PATH_MAX_LEN || !conf_value_is_printable(text) || strchr(text, ' '))
			return conf_value_refuse(k, reterr, name, "does not begin with / or has characters that need escapes");
		return str_replace(&p->path, text);
	}
	if (str_eq(name, "unit")) {
		if (!text || !is_unit(text))
			return conf_value_refuse(k, reterr, name, "is not a unit like nginx.service");
		return str_replace(&p->unit, text);
	}
	return 1;
}

static int read_count(uint16_t *at, const struct conf_key *k, const config_setting_t *m, uint64_t max, struct err *reterr)
{
	const char *name = config_setting_name(m);
	uint64_t v;

	if (!conf_value_number(m, 1, max, &v))
		return conf_value_refuse(k, reterr, name,
					 max == ROW_MAX ? "is not from 1 to 100" : "is not from 1 to 3600 seconds");
	*at = (uint16_t)v;
	return 0;
}

static int read_member(struct conf_probe *p, const struct conf_key *k, const config_setting_t *m, struct err *reterr)
{
	const char *name = config_setting_name(m), *text = conf_value_text(m);
	int r;

	if (str_eq(name, "type")) {
		for (size_t i = 0; text && i < ARRAY_LEN(types); i++)
			if (str_eq(text, types[i])) {
				p->type = (enum conf_probe_type)i;
				return 0;
			}
		return conf_value_refuse(k, reterr, name, "is not tcp, http, exec or unit");
	}
	if (str_eq(name, "port"))
		return read_port(p, k, m, reterr);
	if (str_eq(name, "command"))
		return read_command(p, k, m, reterr);
	if (str_eq(name, "interval"))
		return read_count(&p->interval_s, k, m, INTERVAL_MAX, reterr);
	if (str_eq(name, "timeout"))
		return read_count(&p->timeout_s, k, m, INTERVAL_MAX, reterr);
	if (str_eq(name, "successes"))
		return read_count(&p->successes, k, m, ROW_MAX, reterr);
	if (str_eq(name, "failures"))
		return read_count(&p->failures, k, m, ROW_MAX, reterr);
	r = read_text(p, k, name, text, reterr);
	return r == 1 ? conf_value_refuse(k, reterr, name, "is unknown") : r;
}

/* Which members go together: one that has no effect would be a wrong hope. */
static int check(struct conf_probe *p, const struct conf_key *k, struct err *reterr)
{
	bool has_port = p->port || p->port_name[0];
	bool is_net = p->type == CONF_PROBE_TCP || p->type == CONF_PROBE_HTTP;

	if (is_net != has_port)
		return conf_value_refuse(k, reterr, "port", is_net ? "is missing" : "is for tcp and http");
	if (!is_net && p->address.family)
		return conf_value_refuse(k, reterr, "address", "is for tcp and http");
	if (p->type != CONF_PROBE_HTTP && (p->path || p->is_tls))
		return conf_value_refuse(k, reterr, p->path ? "path" : "scheme", "is for http");
	if ((p->type == CONF_PROBE_EXEC) != (p->command.n > 0))
		return conf_value_refuse(k, reterr, "command", p->command.n ? "is for exec" : "is missing");
	if ((p->type == CONF_PROBE_UNIT) != (p->unit != NULL))
		return conf_value_refuse(k, reterr, "unit", p->unit ? "is for unit" : "is missing");
	if (p->type == CONF_PROBE_UNIT && (p->successes != 1 || p->failures != 1))
		return conf_value_refuse(k, reterr, p->successes != 1 ? "successes" : "failures",
					 "is not for unit, whose state counts at once");
	if (p->type == CONF_PROBE_HTTP && !p->path)
		return str_replace(&p->path, "/");
	return 0;
}

int conf_probe_read(void *probe, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	struct conf_probe *p = probe;
	bool has_type = false;
	int r;

	p->interval_s = 10; /* as Kubernetes has them for pods, all four */
	p->timeout_s = 1;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);

		r = read_member(p, k, m, reterr);
		if (r < 0)
			return r;
		has_type |= str_eq(config_setting_name(m), "type");
	}
	if (!p->service)
		return conf_value_refuse(k, reterr, "service", "is missing");
	if (!has_type)
		return conf_value_refuse(k, reterr, "type", "is missing");
	p->successes = p->successes ? p->successes : 1;
	p->failures = p->failures ? p->failures : p->type == CONF_PROBE_UNIT ? 1 : 3;
	return check(p, k, reterr);
}

static int print_command(const struct strv *command, struct buf *buf)
{
	int r = buf_addf(buf, "command = [");

	for (size_t i = 0; r >= 0 && i < command->n; i++)
		r = buf_addf(buf, "%s\"%s\"", i ? ", " : " ", command->v[i]);
	return r < 0 ? r : buf_addf(buf, " ]; ");
}

int conf_probe_print(const void *probe, struct buf *buf)
{
	const struct conf_probe *p = probe;
	char text[IP_STRLEN];
	int r = buf_addf(buf, "{ service = \"%s\"; type = \"%s\"; ", p->service, types[p->type]);

	if (r >= 0 && p->address.family)
		r = buf_addf(buf, "address = \"%s\"; ", ip_str(&p->address, text));
	if (r >= 0 && p->port_name[0])
		r = buf_addf(buf, "port = \"%s\"; ", p->port_name);
	else if (r >= 0 && p->port)
		r = buf_addf(buf, "port = %u; ", p->port);
	if (r >= 0 && p->type == CONF_PROBE_HTTP)
		r = buf_addf(buf, "scheme = \"%s\"; path = \"%s\"; ", p->is_tls ? "https" : "http", p->path);
	if (r >= 0 && p->unit)
		r = buf_addf(buf, "unit = \"%s\"; ", p->unit);
	if (r >= 0 && p->command.n)
		r = print_command(&p->command, buf);
	if (r >= 0)
		r = buf_addf(buf, "interval = %u; timeout = %u; ", p->interval_s, p->timeout_s);
	if (r >= 0 && p->type != CONF_PROBE_UNIT)
		r = buf_addf(buf, "successes = %u; failures = %u; ", p->successes, p->failures);
	return r < 0 ? r : buf_addf(buf, "}");
}

int conf_probe_resolve(struct conf *c, struct err *reterr)
{
	for (size_t i = 0; i < c->probes.n; i++) {
		struct conf_probe *p = &c->probes.v[i];

		for (size_t j = 0; p->port_name[0] && j < c->named_ports.n; j++)
			if (c->named_ports.v[j].protocol == IPPROTO_TCP && str_eq(c->named_ports.v[j].name, p->port_name))
				p->port = c->named_ports.v[j].port;
		if (p->port_name[0] && !p->port)
			return err_set(reterr, EINVAL, "health-probes: port \"%s\" is not in named-ports for tcp", p->port_name);
	}
	return 0;
}
