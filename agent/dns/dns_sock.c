/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

socklen_t dns_sockaddr_set(struct sockaddr_storage *ret, const struct ip *ip, uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	if (ip->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip->b, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, ip->b, 16);
	return sizeof(*in6);
}

struct ip dns_sockaddr_ip(const struct sockaddr_storage *sa, uint16_t *ret_port)
{
	struct ip none = {0};

	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		if (ret_port)
			*ret_port = ntohs(in->sin_port);
		return ip_from_bytes(AF_INET, &in->sin_addr);
	}
	if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

		if (ret_port)
			*ret_port = ntohs(in6->sin6_port);
		return ip_from_bytes(AF_INET6, &in6->sin6_addr);
	}
	return none;
}

const char *dns_addr_str(const struct ip *ip, uint16_t port, char buf[DNS_ADDR_STRLEN])
{
	char text[IP_STRLEN];

	(void)snprintf(buf, DNS_ADDR_STRLEN, ip->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip_str(ip, text), port); /* fits */
	return buf;
}

int dns_addr_parse(const char *text, struct ip *ret_ip, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char address[IP_STRLEN];
	bool has_brackets;
	uint64_t port;
	size_t len;

	if (!colon || str_to_u64(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	has_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	if (has_brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (ip_parse(address, ret_ip) < 0 || (ret_ip->family == AF_INET6) != has_brackets)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}
