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
