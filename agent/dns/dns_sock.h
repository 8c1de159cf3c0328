/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses of DNS peers. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "base/ip.h"

/* Fills `ret` and returns its length. */
socklen_t dns_sockaddr_set(struct sockaddr_storage *ret, const struct ip *ip, uint16_t port);
/* The address and port of a peer; family 0 for another kind of socket address. */
struct ip dns_sockaddr_ip(const struct sockaddr_storage *sa, uint16_t *ret_port);

enum { DNS_ADDR_STRLEN = IP_STRLEN + 8 };

/* "10.0.0.1:53", "[fd00::1]:53"; returns `buf`. */
const char *dns_addr_str(const struct ip *ip, uint16_t port, char buf[DNS_ADDR_STRLEN]);
/* The opposite. -EINVAL for any other text. */
int dns_addr_parse(const char *text, struct ip *ret_ip, uint16_t *ret_port);
