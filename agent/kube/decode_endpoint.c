/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/decode_endpoint.h"

#include <netinet/in.h>
#include <strings.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "kube/reflector.h"

enum field {
	F_VERSION = REFLECTOR_FIELD_VERSION,
	F_NAMESPACE,
	F_NAME,
	F_IDENTITY,
	F_IPV4,
	F_IPV6,
	F_NODE,
	F_KEY,
	F_PORT_NAME,
	F_PORT_NUMBER,
	F_PORT_PROTOCOL,
	F_PORT,
	F_SLICE,
	F_SLICE_NAMESPACE,
	F_ELEMENT,
};

const struct json_field kube_cep_fields[] = {
	{"metadata.resourceVersion", F_VERSION},
	{"metadata.namespace", F_NAMESPACE},
	{"metadata.name", F_NAME},
	{"status.identity.id", F_IDENTITY},
	{"status.networking.addressing[].ipv4", F_IPV4},
	{"status.networking.addressing[].ipv6", F_IPV6},
	{"status.networking.node", F_NODE},
	{"status.encryption.key", F_KEY},
	{"status.named-ports[]", F_PORT},
	{"status.named-ports[].name", F_PORT_NAME},
	{"status.named-ports[].port", F_PORT_NUMBER},
	{"status.named-ports[].protocol", F_PORT_PROTOCOL},
};
const size_t kube_cep_n_fields = ARRAY_LEN(kube_cep_fields);

const struct json_field kube_ces_fields[] = {
	{"metadata.resourceVersion", F_VERSION},
	{"metadata.name", F_SLICE},
	{"namespace", F_SLICE_NAMESPACE},
	{"endpoints[]", F_ELEMENT},
	{"endpoints[].name", F_NAME},
	{"endpoints[].id", F_IDENTITY},
	{"endpoints[].networking.addressing[].ipv4", F_IPV4},
	{"endpoints[].networking.addressing[].ipv6", F_IPV6},
	{"endpoints[].networking.node", F_NODE},
	{"endpoints[].encryption.key", F_KEY},
	{"endpoints[].named-ports[]", F_PORT},
	{"endpoints[].named-ports[].name", F_PORT_NAME},
	{"endpoints[].named-ports[].port", F_PORT_NUMBER},
	{"endpoints[].named-ports[].protocol", F_PORT_PROTOCOL},
};
const size_t kube_ces_n_fields = ARRAY_LEN(kube_ces_fields);

void kube_endpoint_clear(struct kube_endpoint *e)
{
	e->ns[0] = e->name[0] = '\0';
	e->identity = 0;
	e->node = (struct ip){0};
	e->n_addr = 0;
	e->key = 0;
	e->n_ports = 0;
	e->port = (struct kube_endpoint_port){.proto = IPPROTO_TCP};
	e->is_port_refused = false;
	e->is_refused = false;
}

static bool copy_name(char dst[LIMIT_NAME + 1], const struct json_pick *p)
{
	dst[0] = '\0';
	if (!p->is_string || p->text_len > LIMIT_NAME || memchr(p->text, '/', p->text_len) ||
	    memchr(p->text, 0, p->text_len))
		return false;
	memcpy(dst, p->text, p->text_len);
	dst[p->text_len] = '\0';
	return true;
}

static bool copy_number(uint64_t max, uint64_t *ret, const struct json_pick *p)
{
	char text[24];

	if (p->is_string || p->text_len >= sizeof(text))
		return false;
	memcpy(text, p->text, p->text_len);
	text[p->text_len] = '\0';
	return str_to_u64(text, max, ret) == 0;
}

static bool copy_ip(struct ip *ret, const struct json_pick *p)
{
	char text[IP_STRLEN];

	if (!p->is_string || p->text_len >= sizeof(text) || memchr(p->text, 0, p->text_len))
		return false;
	memcpy(text, p->text, p->text_len);
	text[p->text_len] = '\0';
	return ip_parse(text, ret) == 0;
}

/* Addresses that nobody may claim are left out: a bad object must not hijack loopback or multicast. */
static bool add_address(struct kube_endpoint *e, const struct json_pick *p)
{
	struct ip ip;

	if (p->is_string && p->text_len == 0)
		return true; /* an address pair with one family */
	if (!copy_ip(&ip, p) || ip_is_special(&ip))
		return false;
	for (size_t i = 0; i < e->n_addr; i++)
		if (ip_eq(&e->addr[i], &ip))
			return true;
	if (e->n_addr == LIMIT_ADDRESSES)
		return false;
	e->addr[e->n_addr++] = ip;
	return true;
}

static bool copy_port_name(char dst[LIMIT_PORT_NAME + 1], const struct json_pick *p)
{
	if (!p->is_string || p->text_len == 0 || p->text_len > LIMIT_PORT_NAME)
		return false;
	for (size_t i = 0; i < p->text_len; i++) {
		char ch = p->text[i];

		if (ch >= 'A' && ch <= 'Z')
			ch = (char)(ch - 'A' + 'a');
		if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9') && ch != '-')
			return false;
		dst[i] = ch;
	}
	dst[p->text_len] = '\0';
	return true;
}

static bool copy_protocol(uint8_t *ret, const struct json_pick *p)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protos[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}, {"", IPPROTO_TCP}};

	for (size_t i = 0; p->is_string && i < ARRAY_LEN(protos); i++)
		if (p->text_len == strlen(protos[i].name) && strncasecmp(p->text, protos[i].name, p->text_len) == 0) {
			*ret = protos[i].number;
			return true;
		}
	return false;
}

/* A port that makes no sense is left out, as Cilium does; of a name that is there twice the last counts. */
static void take_port(struct kube_endpoint *e, const struct json_pick *p)
{
	uint64_t n = 0;
	size_t i = 0;

	if (p->id == F_PORT_NAME)
		e->is_port_refused |= !copy_port_name(e->port.name, p);
	else if (p->id == F_PORT_PROTOCOL)
		e->is_port_refused |= !copy_protocol(&e->port.proto, p);
	else if (p->id == F_PORT_NUMBER)
		e->is_port_refused |= !copy_number(UINT16_MAX, &n, p);
	if (p->id == F_PORT_NUMBER)
		e->port.port = (uint16_t)n;
	if (p->id != F_PORT)
		return;
	while (i < e->n_ports && !str_eq(e->ports[i].name, e->port.name))
		i++;
	if (!e->is_port_refused && e->port.name[0] && e->port.port && i < LIMIT_NAMED_PORTS) {
		e->ports[i] = e->port;
		if (i == e->n_ports)
			e->n_ports++;
	}
	e->port = (struct kube_endpoint_port){.proto = IPPROTO_TCP};
	e->is_port_refused = false;
}

static bool take(struct kube_endpoint *e, const struct json_pick *p)
{
	uint64_t n;

	switch (p->id) {
	case F_NAMESPACE:
		return copy_name(e->ns, p);
	case F_NAME:
		return copy_name(e->name, p);
	case F_IDENTITY:
		if (!copy_number(UINT32_MAX, &n, p))
			return false;
		e->identity = (uint32_t)n;
		return true;
	case F_KEY:
		if (!copy_number(UINT8_MAX, &n, p))
			return false;
		e->key = (uint8_t)n;
		return true;
	case F_IPV4:
	case F_IPV6:
		return add_address(e, p);
	case F_NODE:
		return p->text_len == 0 || (copy_ip(&e->node, p) && !ip_is_special(&e->node));
	default:
		return true;
	}
}

void kube_cep_pick(struct kube_endpoint *e, const struct json_pick *p)
{
	if (p->id >= F_PORT_NAME && p->id <= F_PORT)
		take_port(e, p);
	else if (p->what == JSON_SCALAR && !take(e, p))
		e->is_refused = true;
}

bool kube_endpoint_is_usable(const struct kube_endpoint *e)
{
	return !e->is_refused && e->ns[0] && e->name[0] && e->node.family && e->n_addr;
}

enum { CES_MAX = 1024 /* the operator puts at most 100 in one, by default */ };

void kube_ces_clear(struct kube_ces *s)
{
	s->slice[0] = s->ns[0] = '\0';
	s->n_endpoints = 0;
	s->is_refused = s->has_no_memory = false;
	kube_endpoint_clear(&s->endpoint);
}

void kube_ces_done(struct kube_ces *s)
{
	free(s->endpoints);
	*s = (struct kube_ces){0};
}

static void add_endpoint(struct kube_ces *s)
{
	if (s->n_endpoints == CES_MAX)
		s->is_refused = true;
	else if (array_reserve((void **)&s->endpoints, &s->cap, s->n_endpoints, 1, sizeof(*s->endpoints)) < 0)
		s->is_refused = s->has_no_memory = true;
	else
		s->endpoints[s->n_endpoints++] = s->endpoint;
	kube_endpoint_clear(&s->endpoint);
}

void kube_ces_pick(struct kube_ces *s, const struct json_pick *p)
{
	switch (p->id) {
	case F_SLICE:
		(void)copy_name(s->slice, p); /* an unnamed slice is dropped by its owner */
		break;
	case F_SLICE_NAMESPACE:
		(void)copy_name(s->ns, p); /* endpoints without one are not usable */
		break;
	case F_ELEMENT:
		add_endpoint(s);
		break;
	default:
		kube_cep_pick(&s->endpoint, p);
	}
}
