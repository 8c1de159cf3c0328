/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* An IPv4 or IPv6 address. Unused bytes are zero, so memcmp() compares whole values. */
struct ip {
	uint8_t family; /* AF_INET, AF_INET6; 0 = none */
	uint8_t b[16];	/* network order; IPv4 in the first four */
};

/* A prefix; bits of `ip` after `len` are zero. */
struct cidr {
	struct ip ip;
	uint8_t len; /* 0..32 or 0..128 */
};

enum { IP_STRLEN = INET6_ADDRSTRLEN, CIDR_STRLEN = INET6_ADDRSTRLEN + 4 };

/*
 * Parse strictly: no zone, no leading zeroes in IPv4 parts, no surrounding space.
 * -EINVAL if the text is not of that form; IPv4-mapped IPv6 is kept as IPv6.
 */
int ip_parse(const char *text, struct ip *ret);

/* "address/len" or, if `bare_ok`, an address alone (full length). Host bits are cleared. -EINVAL. */
int cidr_parse(const char *text, bool bare_ok, struct cidr *ret);

/* Prints into `buf` and returns it. */
const char *ip_str(const struct ip *ip, char buf[IP_STRLEN]);
const char *cidr_str(const struct cidr *c, char buf[CIDR_STRLEN]);

static inline int ip_cmp(const struct ip *a, const struct ip *b)
{
	return memcmp(a, b, sizeof(*a));
}

static inline bool ip_eq(const struct ip *a, const struct ip *b)
{
	return ip_cmp(a, b) == 0;
}

static inline uint8_t ip_bits(const struct ip *ip)
{
	return ip->family == AF_INET ? 32 : 128;
}

/* Bytes of the address that are used: 4 or 16. */
static inline size_t ip_len(const struct ip *ip)
{
	return ip->family == AF_INET ? 4 : 16;
}

struct ip ip_from_bytes(int family, const void *bytes);

/* 16 bytes for both families: IPv4 is v4-mapped (RFC 4291, 2.5.5.2). */
void ip_mapped(const struct ip *ip, uint8_t ret[16]);
struct ip ip_unmapped(const uint8_t addr[16]);

/* Address and port (host order) of an IPv4 or IPv6 socket address. -EAFNOSUPPORT for another. */
int ip_from_sockaddr(const struct sockaddr *sa, struct ip *ret, uint16_t *ret_port);

/* Orders by family, address, then length. */
int cidr_cmp(const struct cidr *a, const struct cidr *b);

struct cidr cidr_of_ip(const struct ip *ip);
bool cidr_contains_ip(const struct cidr *c, const struct ip *ip);
/* True if every address of `inner` is in `outer`; families must agree. */
bool cidr_contains(const struct cidr *outer, const struct cidr *inner);

/* Clears the bits after c->len. */
void cidr_mask(struct cidr *c);

/* 127.0.0.0/8 or ::1. */
bool ip_is_loopback(const struct ip *ip);

/* 169.254.0.0/16 or fe80::/10. */
bool ip_is_link_local(const struct ip *ip);

/*
 * 0/8, 127/8, ::1, unspecified, multicast, broadcast, link-local or IPv4-mapped (which names an IPv4
 * address a second time): never a peer's or our own cluster address.
 */
bool ip_is_special(const struct ip *ip);

/*
 * True of a range that a node of a cluster may have: of no special address, and not shorter than eight bits, which
 * would take most of what a host sends.
 */
bool cidr_is_routable(const struct cidr *c);
