/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_case.h"

#include <stdbool.h>
#include <string.h>

#include "base/rng.h"
#include "dns/dns_msg.h"

enum { CASE_BIT = 0x20 };

static bool is_letter(uint8_t c)
{
	c |= CASE_BIT;
	return c >= 'a' && c <= 'z';
}

/* A set bit of `upper` is that letter in upper case. */
static void set_case(uint8_t *name, const uint8_t upper[(DNS_NAME_MAX + 7) / 8])
{
	for (size_t at = 0; name[at]; at += name[at] + 1U)
		for (size_t i = at + 1; i <= at + name[at]; i++)
			if (is_letter(name[i]))
				name[i] = (uint8_t)((name[i] | CASE_BIT) ^ (upper[i / 8] >> i % 8 & 1) * CASE_BIT);
}

void dns_case_mix(uint8_t *name)
{
	uint8_t upper[(DNS_NAME_MAX + 7) / 8];

	rng_bytes(upper, sizeof(upper));
	set_case(name, upper);
}

void dns_case_lower(uint8_t *name)
{
	static const uint8_t none[(DNS_NAME_MAX + 7) / 8];

	set_case(name, none);
}

void dns_case_restore(uint8_t *msg, size_t len, const uint8_t *question, size_t question_len)
{
	struct dns_reader r;
	struct dns_rr rr;
	size_t start, end;

	if (dns_reader_begin(&r, msg, len) < 0 || r.question_end != DNS_HEADER_LEN + question_len)
		return;
	memcpy(msg + DNS_HEADER_LEN, question, question_len);
	for (;;) {
		start = end = r.at;
		if (dns_reader_next(&r, &rr) <= 0)
			return;
		/* one that refers to another place is never as long as what it stands for */
		if (dns_name_eq(&rr.owner, &r.qname) && dns_name_skip(msg, len, &end) == 0 && end - start == rr.owner.len)
			memcpy(msg + start, question, rr.owner.len);
	}
}
