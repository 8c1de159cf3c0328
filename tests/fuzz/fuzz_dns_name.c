/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a name in a message, as the text of one, and as a pattern with a name: forms agree with each
 * other.
 */
#include "base/reverse_zone.h"
#include "base/str.h"
#include "dns/dns_msg.h"
#include "policy/policy.h"
#include "text.h"

const unsigned replay_runs = 20000;

static void check_name(const struct dns_name *n)
{
	char text[DNS_TEXT_MAX];
	struct dns_name again, reverse;
	char zone[REVERSE_ZONE_STRLEN];
	struct cidr range;
	struct ip ip;

	CHECK(n->len >= 1 && n->b[n->len - 1] == 0 && dns_name_below(n, n) && dns_name_eq(n, n));
	CHECK(strlen(dns_name_str(n, text)) < sizeof(text));
	if (dns_name_parse(text, &again) == 0)
		CHECK(dns_name_eq(n, &again));
	if (dns_name_to_ip(n, &ip) == 0) {
		dns_name_reverse(&ip, &reverse);
		CHECK(dns_name_eq(n, &reverse));
	}
	if (dns_name_to_prefix(n, &range) == 0 && reverse_zones(&range)) {
		CHECK(reverse_zones(&range) == 1 && dns_name_parse(reverse_zone_str(&range, 0, zone), &again) == 0);
		CHECK(dns_name_eq(n, &again));
	}
}

static void as_wire(const uint8_t *data, size_t size)
{
	uint8_t *msg = calloc(1, DNS_HEADER_LEN + size);
	size_t at = DNS_HEADER_LEN;
	struct dns_name n;

	CHECK(msg);
	if (size)
		memcpy(msg + DNS_HEADER_LEN, data, size);
	while (at < DNS_HEADER_LEN + size && dns_name_read(msg, DNS_HEADER_LEN + size, &at, &n) == 0) {
		CHECK(at > DNS_HEADER_LEN && at <= DNS_HEADER_LEN + size);
		check_name(&n);
	}
	free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(free) char *text = text_of(data, size);
	const char *name;
	char type_text[16];
	struct dns_name n;
	uint16_t type, again;

	if (size > 4096)
		return 0;
	as_wire(data, size);
	if (dns_name_parse(text, &n) == 0)
		check_name(&n);
	if (dns_type_parse(text, &type) == 0)
		CHECK(dns_type_parse(dns_type_str(type, type_text), &again) == 0 && type == again);
	name = strchr(text, '\n');
	if (name) {
		CLEANUP(free) char *pattern = text_of(data, (size_t)(name - text));

		(void)policy_fqdn_match(pattern, name + 1, true); /* either answer is fine */
		if (policy_fqdn_match(pattern, name + 1, false) && !strchr(pattern, '*'))
			CHECK(strlen(pattern) <= strlen(name + 1) + 1);
	}
	return 0;
}
