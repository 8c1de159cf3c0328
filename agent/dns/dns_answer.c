/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_answer.h"

#include <errno.h>

#include "base/macro.h"
#include "dns/dns_msg.h"

enum { FLAG_TC = 0x0200, RCODE = 0xf };

/* 1 = an address in *ret, 0 = none. */
static int address_of(const uint8_t *msg, const struct dns_rr *rr, struct ip *ret)
{
	if (rr->type == DNS_A && rr->rdlen == 4)
		*ret = ip_from_bytes(AF_INET, msg + rr->rdata_at);
	else if (rr->type == DNS_AAAA && rr->rdlen == 16)
		*ret = ip_from_bytes(AF_INET6, msg + rr->rdata_at);
	else
		return 0;
	return 1;
}

int dns_answer_read(const uint8_t *msg, size_t len, struct ip *ips, size_t max, size_t *ret_n, uint32_t *ret_ttl_s)
{
	uint32_t ttl_s = UINT32_MAX;
	struct dns_reader reader;
	struct dns_rr rr;
	size_t n = 0;
	int more;

	if (dns_reader_begin(&reader, msg, len) < 0)
		return -EBADMSG;
	while ((more = dns_reader_next(&reader, &rr)) > 0) {
		if (reader.section != DNS_ANSWER || rr.class != DNS_CLASS_IN)
			continue;
		if (rr.type != DNS_A && rr.type != DNS_AAAA && rr.type != DNS_CNAME)
			continue;
		ttl_s = MIN(ttl_s, rr.ttl);
		if (n < max)
			n += (size_t)address_of(msg, &rr, &ips[n]);
	}
	if (more < 0)
		return -EBADMSG;
	*ret_n = (reader.flags & (FLAG_TC | RCODE)) ? 0 : n;
	*ret_ttl_s = ttl_s;
	return 0;
}
