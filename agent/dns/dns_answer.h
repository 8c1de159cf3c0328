/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

/*
 * The addresses that a response gives, whatever names in it own them, at most `max`, and for how
 * long: the least TTL of all addresses and CNAMEs in the answer (Cilium pkg/fqdn/dnsproxy,
 * ExtractMsgDetails). None for a response that is truncated or not NOERROR. -EBADMSG.
 */
int dns_answer_read(const uint8_t *msg, size_t len, struct ip *ips, size_t max, size_t *ret_n, uint32_t *ret_ttl_s);
