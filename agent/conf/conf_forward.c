/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_schema.h"

void conf_forward_done(void *forward)
{
	struct conf_forward *f = forward;

	free(f->service);
	*f = (struct conf_forward){0};
}

static int read_member(struct conf_forward *f, const struct conf_key *k, const config_setting_t *m, struct err *reterr)
{
	const char *name = config_setting_name(m), *text = conf_value_text(m);
	uint64_t port;

	if (str_eq(name, "address")) {
		if (!text || ip_parse(text, &f->address) < 0)
			return conf_value_refuse(k, reterr, name, "is not an address");
		return 0;
	}
	if (str_eq(name, "port") || str_eq(name, "service-port")) {
		if (!conf_value_number(m, 1, 65535, &port))
			return conf_value_refuse(k, reterr, name, "is not from 1 to 65535");
		*(str_eq(name, "port") ? &f->port : &f->service_port) = (uint16_t)port;
		return 0;
	}
	if (str_eq(name, "service")) {
		if (!text || !str_is_dns_label(text))
			return conf_value_refuse(k, reterr, name, "is not a name of a Service");
		free(f->service);
		f->service = strdup(text);
		return f->service ? 0 : -ENOMEM;
	}
	return conf_value_refuse(k, reterr, name, "is unknown");
}

int conf_forward_read(void *forward, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	struct conf_forward *f = forward;

	for (int i = 0; i < config_setting_length(s); i++) {
		int r = read_member(f, k, config_setting_get_elem(s, (unsigned)i), reterr);

		if (r < 0)
			return r;
	}
	if (!f->port || !f->service)
		return conf_value_refuse(k, reterr, f->port ? "service" : "port", "is missing");
	if (!f->service_port)
		f->service_port = f->port;
	return 0;
}

int conf_forward_print(const void *forward, struct buf *buf)
{
	const struct conf_forward *f = forward;
	char text[IP_STRLEN];
	int r = buf_addf(buf, "{ port = %u; ", f->port);

	if (r >= 0 && f->address.family)
		r = buf_addf(buf, "address = \"%s\"; ", ip_str(&f->address, text));
	return r < 0 ? r : buf_addf(buf, "service = \"%s\"; service-port = %u; }", f->service, f->service_port);
}
