/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int ip_parse(const char *text, struct ip *ret)
{
	struct ip ip = {0};

	if (inet_pton(AF_INET, text, ip.b) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, text, ip.b) == 1)
		ip.family = AF_INET6;
	else
		return -EINVAL;
	*ret = ip;
	return 0;
}

int cidr_parse(const char *text, bool bare_ok, struct cidr *ret)
{
	const char *slash = strchr(text, '/');
	char addr[IP_STRLEN];
	struct cidr c = {0};
	unsigned len = 0;
	size_t n;
	int r;

	if (!slash) {
		if (!bare_ok)
			return -EINVAL;
		r = ip_parse(text, &c.ip);
		if (r < 0)
			return r;
		*ret = cidr_of_ip(&c.ip);
		return 0;
	}
	n = (size_t)(slash - text);
	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	r = ip_parse(addr, &c.ip);
	if (r < 0)
		return r;
	if (!slash[1] || strlen(slash + 1) > 3 || (slash[1] == '0' && slash[2]))
		return -EINVAL;
	for (const char *p = slash + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		len = len * 10 + (unsigned)(*p - '0');
	}
	if (len > ip_bits(&c.ip))
		return -EINVAL;
	c.len = (uint8_t)len;
	cidr_mask(&c);
	*ret = c;
	return 0;
}

const char *ip_str(const struct ip *ip, char buf[IP_STRLEN])
{
	if (!ip->family || !inet_ntop(ip->family, ip->b, buf, IP_STRLEN))
		(void)snprintf(buf, IP_STRLEN, "-");
	return buf;
}

const char *cidr_str(const struct cidr *c, char buf[CIDR_STRLEN])
{
	char ip[IP_STRLEN];

	(void)snprintf(buf, CIDR_STRLEN, "%s/%u", ip_str(&c->ip, ip), c->len);
	return buf;
}

struct ip ip_from_bytes(int family, const void *bytes)
{
	struct ip ip = {.family = (uint8_t)family};

	memcpy(ip.b, bytes, ip_len(&ip));
	return ip;
}

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

void ip_mapped(const struct ip *ip, uint8_t ret[16])
{
	if (ip->family == AF_INET) {
		memcpy(ret, mapped_prefix, sizeof(mapped_prefix));
		memcpy(ret + 12, ip->b, 4);
	} else {
		memcpy(ret, ip->b, 16);
	}
}

struct ip ip_unmapped(const uint8_t addr[16])
{
	if (memcmp(addr, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return ip_from_bytes(AF_INET, addr + 12);
	return ip_from_bytes(AF_INET6, addr);
}

int ip_from_sockaddr(const struct sockaddr *sa, struct ip *ret, uint16_t *ret_port)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	*ret = sa->sa_family == AF_INET ? ip_from_bytes(AF_INET, &in->sin_addr) : ip_from_bytes(AF_INET6, &in6->sin6_addr);
	*ret_port = ntohs(sa->sa_family == AF_INET ? in->sin_port : in6->sin6_port);
	return 0;
}

int cidr_cmp(const struct cidr *a, const struct cidr *b)
{
	int r = ip_cmp(&a->ip, &b->ip);

	return r ? r : (int)a->len - (int)b->len;
}

struct cidr cidr_of_ip(const struct ip *ip)
{
	return (struct cidr){.ip = *ip, .len = ip_bits(ip)};
}

static bool prefix_eq(const uint8_t *a, const uint8_t *b, unsigned len)
{
	unsigned bytes = len / 8, rest = len % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return !rest || ((a[bytes] ^ b[bytes]) & (0xff << (8 - rest)) & 0xff) == 0;
}

bool cidr_contains_ip(const struct cidr *c, const struct ip *ip)
{
	return c->ip.family == ip->family && prefix_eq(c->ip.b, ip->b, c->len);
}

bool cidr_contains(const struct cidr *outer, const struct cidr *inner)
{
	return outer->len <= inner->len && cidr_contains_ip(outer, &inner->ip);
}

void cidr_mask(struct cidr *c)
{
	unsigned bytes = c->len / 8, rest = c->len % 8;

	if (rest) {
		c->ip.b[bytes] &= (uint8_t)(0xff << (8 - rest));
		bytes++;
	}
	memset(c->ip.b + bytes, 0, sizeof(c->ip.b) - bytes);
}

static bool is_special_v4(const uint8_t b[4])
{
	return b[0] == 0 || b[0] == 127 || (b[0] & 0xf0) == 224 ||
	       (b[0] == 255 && b[1] == 255 && b[2] == 255 && b[3] == 255);
}

bool ip_is_loopback(const struct ip *ip)
{
	return ip->family == AF_INET ? ip->b[0] == 127 : memcmp(ip->b, &in6addr_loopback, 16) == 0;
}

bool ip_is_link_local(const struct ip *ip)
{
	const uint8_t *b = ip->b;

	return ip->family == AF_INET ? b[0] == 169 && b[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool ip_is_special(const struct ip *ip)
{
	static const uint8_t zero[16];
	const uint8_t *b = ip->b;

	if (ip_is_link_local(ip))
		return true;
	if (ip->family == AF_INET)
		return is_special_v4(b);
	return (memcmp(b, zero, 15) == 0 && b[15] <= 1) || b[0] == 0xff || memcmp(b, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool cidr_is_routable(const struct cidr *c)
{
	enum { SHORTEST = 8 };

	return c->len >= SHORTEST && !ip_is_special(&c->ip);
}
