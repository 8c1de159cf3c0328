/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, of texts [ ... ] and of groups ( { ... } ): how an element of each kind is read, printed and freed. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "conf/conf_schema.h"

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {{"any", 0}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP},
		 {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6}};

/* What an ARRAY() and a struct strv begin with. */
struct list {
	void *v;
	size_t n;
};

struct kind {
	size_t size; /* of an element */
	bool is_group;
	/* Into zeroes; what the element owns by then is freed by the caller. */
	int (*read)(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr);
	/* Refuses what cannot be in one list. NULL = all can. */
	int (*compare)(const void *a, const void *b, const struct conf_key *k, struct err *reterr);
	int (*print)(const void *element, struct buf *buf);
	void (*done)(void *element); /* NULL = it owns nothing */
};

/* Texts */

static int read_device(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	const char *text = conf_value_text(s);

	if (!text || !conf_value_is_device(text, true))
		return conf_value_refuse(k, reterr, "an element", "is not a device name");
	*(char **)element = strdup(text);
	return *(char **)element ? 0 : -ENOMEM;
}

static int print_device(const void *element, struct buf *buf)
{
	return buf_addf(buf, "\"%s\"", *(char *const *)element);
}

static void free_device(void *element)
{
	free(*(char **)element);
}

static int read_ip(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	const char *text = conf_value_text(s);

	return text && ip_parse(text, element) == 0 ? 0 : conf_value_refuse(k, reterr, "an element", "is not an address");
}

static int compare_ips(const void *a, const void *b, const struct conf_key *k, struct err *reterr)
{
	return ip_eq(a, b) ? conf_value_refuse(k, reterr, "an address", "is there twice") : 0;
}

static int print_ip(const void *element, struct buf *buf)
{
	char text[IP_STRLEN];

	return buf_addf(buf, "\"%s\"", ip_str(element, text));
}

static int read_cidr(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	const char *text = conf_value_text(s);

	return text && cidr_parse(text, false, element) == 0 ? 0 : conf_value_refuse(k, reterr, "an element", "is not a prefix");
}

static int print_cidr(const void *element, struct buf *buf)
{
	char text[CIDR_STRLEN];

	return buf_addf(buf, "\"%s\"", cidr_str(element, text));
}

/* Groups */

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

static int read_failsafe(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	struct conf_failsafe *f = element;
	uint64_t port = 0;
	bool has_protocol = false;

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
		return conf_value_refuse(k, reterr, "protocol", "is missing");
	if (port && !has_ports(f->protocol))
		return conf_value_refuse(k, reterr, "port", "needs protocol tcp, udp or sctp");
	f->port = (uint16_t)port;
	return 0;
}

static int print_failsafe(const void *element, struct buf *buf)
{
	const struct conf_failsafe *f = element;
	char cidr[CIDR_STRLEN];
	int r = buf_addf(buf, "{ protocol = \"%s\"; port = %u; ", protocol_name(f->protocol), f->port);

	if (r >= 0 && f->cidr.ip.family)
		r = buf_addf(buf, "cidr = \"%s\"; ", cidr_str(&f->cidr, cidr));
	return r < 0 ? r : buf_addf(buf, "}");
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

static int read_port(void *element, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	struct conf_named_port *p = element;
	uint64_t port = 0;

	p->protocol = IPPROTO_TCP;
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
		return conf_value_refuse(k, reterr, "name and port", "are needed");
	p->port = (uint16_t)port;
	return 0;
}

static int compare_ports(const void *a, const void *b, const struct conf_key *k, struct err *reterr)
{
	const struct conf_named_port *x = a, *y = b;

	return str_eq(x->name, y->name) && x->protocol == y->protocol ? conf_value_refuse(k, reterr, x->name, "is there twice") : 0;
}

static int print_port(const void *element, struct buf *buf)
{
	const struct conf_named_port *p = element;

	return buf_addf(buf, "{ name = \"%s\"; port = %u; protocol = \"%s\"; }", p->name, p->port, protocol_name(p->protocol));
}

static void free_probe(void *element)
{
	conf_probe_done(element);
}

static int compare_forwards(const void *a, const void *b, const struct conf_key *k, struct err *reterr)
{
	const struct conf_forward *x = a, *y = b;

	return x->port == y->port && ip_eq(&x->address, &y->address) ? conf_value_refuse(k, reterr, "port", "is there twice") : 0;
}

static const struct kind kinds[] = {
	[CONF_DEVICES] = {sizeof(char *), false, read_device, NULL, print_device, free_device},
	[CONF_IPS] = {sizeof(struct ip), false, read_ip, compare_ips, print_ip, NULL},
	[CONF_CIDRS] = {sizeof(struct cidr), false, read_cidr, NULL, print_cidr, NULL},
	[CONF_FAILSAFES] = {sizeof(struct conf_failsafe), true, read_failsafe, NULL, print_failsafe, NULL},
	[CONF_NAMED_PORTS] = {sizeof(struct conf_named_port), true, read_port, compare_ports, print_port, NULL},
	[CONF_PROBES] = {sizeof(struct conf_probe), true, conf_probe_read, NULL, conf_probe_print, free_probe},
	[CONF_FORWARDS] = {sizeof(struct conf_forward), true, conf_forward_read, compare_forwards, conf_forward_print, conf_forward_done},
};

/* All of them */

static void *element(const struct list *l, const struct kind *kind, size_t i)
{
	return (char *)l->v + i * kind->size;
}

static int read_element(const struct list *l, const struct kind *kind, const struct conf_key *k, const config_setting_t *s,
			struct err *reterr)
{
	void *e = element(l, kind, l->n);
	int r;

	if (kind->is_group && config_setting_type(s) != CONFIG_TYPE_GROUP)
		return conf_value_refuse(k, reterr, "an element", "is not a group");
	r = kind->read(e, k, s, reterr);
	for (size_t i = 0; r == 0 && kind->compare && i < l->n; i++)
		r = kind->compare(element(l, kind, i), e, k, reterr);
	return r;
}

int conf_list_read(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr)
{
	const struct kind *kind = &kinds[k->type];
	struct list *l = conf_member(c, k);
	unsigned n = (unsigned)config_setting_length(s);

	conf_list_done(c, k);
	l->v = n ? calloc(n, kind->size) : NULL;
	if (n && !l->v)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		int r = read_element(l, kind, k, config_setting_get_elem(s, i), reterr);

		if (r < 0) {
			if (kind->done)
				kind->done(element(l, kind, l->n));
			return r;
		}
		l->n++;
	}
	return 0;
}

int conf_list_print(const struct conf *c, const struct conf_key *k, struct buf *buf)
{
	const struct kind *kind = &kinds[k->type];
	const struct list *l = conf_member(c, k);
	int r = buf_addf(buf, "%c", kind->is_group ? '(' : '[');

	for (size_t i = 0; r >= 0 && i < l->n; i++) {
		r = buf_addf(buf, "%s", i ? ", " : " ");
		if (r >= 0)
			r = kind->print(element(l, kind, i), buf);
	}
	return r < 0 ? r : buf_addf(buf, " %c", kind->is_group ? ')' : ']');
}

void conf_list_done(struct conf *c, const struct conf_key *k)
{
	const struct kind *kind = &kinds[k->type];
	struct list *l = conf_member(c, k);

	for (size_t i = 0; kind->done && i < l->n; i++)
		kind->done(element(l, kind, i));
	free(l->v);
	*l = (struct list){0};
}
