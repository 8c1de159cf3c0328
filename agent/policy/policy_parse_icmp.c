/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <ctype.h>
#include <netinet/in.h>

enum { FIELDS_MAX = 40 };

/* Cilium pkg/policy/api/icmp.go. */
static const struct {
	const char *name;
	uint8_t type;
} icmp4_names[] = {{"EchoReply", 0},
		   {"DestinationUnreachable", 3},
		   {"Redirect", 5},
		   {"Echo", 8},
		   {"EchoRequest", 8},
		   {"RouterAdvertisement", 9},
		   {"RouterSelection", 10},
		   {"TimeExceeded", 11},
		   {"ParameterProblem", 12},
		   {"Timestamp", 13},
		   {"TimestampReply", 14},
		   {"Photuris", 40},
		   {"ExtendedEchoRequest", 42},
		   {"ExtendedEchoReply", 43}},
  icmp6_names[] = {{"DestinationUnreachable", 1},
		   {"PacketTooBig", 2},
		   {"TimeExceeded", 3},
		   {"ParameterProblem", 4},
		   {"EchoRequest", 128},
		   {"EchoReply", 129},
		   {"MulticastListenerQuery", 130},
		   {"MulticastListenerReport", 131},
		   {"MulticastListenerDone", 132},
		   {"RouterSolicitation", 133},
		   {"RouterAdvertisement", 134},
		   {"NeighborSolicitation", 135},
		   {"NeighborAdvertisement", 136},
		   {"RedirectMessage", 137},
		   {"RouterRenumbering", 138},
		   {"ICMPNodeInformationQuery", 139},
		   {"ICMPNodeInformationResponse", 140},
		   {"InverseNeighborDiscoverySolicitation", 141},
		   {"InverseNeighborDiscoveryAdvertisement", 142},
		   {"HomeAgentAddressDiscoveryRequest", 144},
		   {"HomeAgentAddressDiscoveryReply", 145},
		   {"MobilePrefixSolicitation", 146},
		   {"MobilePrefixAdvertisement", 147},
		   {"DuplicateAddressRequestCodeSuffix", 157},
		   {"DuplicateAddressConfirmationCodeSuffix", 158},
		   {"ExtendedEchoRequest", 160},
		   {"ExtendedEchoReply", 161}};

static int icmp_type(const char *name, bool is_v6, uint8_t *ret)
{
	uint16_t number;

	if (isdigit((unsigned char)*name)) {
		if (policy_parse_number(name, &number) < 0 || number > 255)
			return -EINVAL;
		*ret = (uint8_t)number;
		return 0;
	}
	for (size_t i = 0; !is_v6 && i < ARRAY_LEN(icmp4_names); i++)
		if (str_eq(name, icmp4_names[i].name)) {
			*ret = icmp4_names[i].type;
			return 0;
		}
	for (size_t i = 0; is_v6 && i < ARRAY_LEN(icmp6_names); i++)
		if (str_eq(name, icmp6_names[i].name)) {
			*ret = icmp6_names[i].type;
			return 0;
		}
	return -EINVAL;
}

static int parse_icmp_field(struct policy_parser *p, const struct doc *field, struct policy_entry *e)
{
	const struct doc *type = doc_get(field, "type");
	struct policy_l4 l4 = {0};
	const char *family = NULL;
	uint16_t number;
	uint8_t named;
	bool is_v6;
	int r;

	if (!doc_is_object(field))
		return policy_bad(p, "not an object");
	r = policy_get_string(p, field, "family", &family);
	if (r < 0)
		return r;
	is_v6 = family && str_eq(family, "IPv6");
	if (family && *family && !is_v6 && !str_eq(family, "IPv4"))
		return policy_bad(p, "family is neither IPv4 nor IPv6");
	/*
	 * Above 255 is no type of any packet, and the rule is one. Below 0 is every type, as 0 is. Cilium takes both: it
	 * reads the number as a port without a look at what that says (createL4Filter() in pkg/policy/l4.go).
	 */
	if (doc_is_integer(type) && doc_int(type) == (int32_t)doc_int(type))
		number = (uint16_t)(doc_int(type) < 0 ? 0 : MIN(doc_int(type), (int64_t)UINT16_MAX));
	else if (doc_is_string(type) && icmp_type(doc_str(type), is_v6, &named) == 0)
		number = named;
	else
		return policy_bad(p, "type is neither a number nor the name of one");
	l4.proto = is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	l4.lo = l4.hi = number;
	l4.is_all = number == 0;
	return policy_add_l4(p, e, l4);
}

int policy_parse_icmps(struct policy_parser *p, const struct doc *item, struct policy_entry *e)
{
	const struct doc *fields = NULL;
	int r;

	if (!p->repo->options.has_icmp_rules)
		return policy_bad(p, "ICMP rules need enable-icmp-rules in the cluster");
	if (!doc_is_object(item))
		return policy_bad(p, "not an object");
	r = policy_get_array(p, item, "fields", &fields);
	if (r < 0)
		return r;
	if (doc_array_size(fields) > FIELDS_MAX)
		return policy_bad(p, "more than %d fields", FIELDS_MAX);
	for (struct doc_iter i = doc_elements(fields); i.v; doc_next(&i)) {
		size_t mark = policy_push_at(p, "fields", i.n);

		r = parse_icmp_field(p, i.v, e);
		if (r < 0)
			return r;
		policy_pop(p, mark);
	}
	return 0;
}
