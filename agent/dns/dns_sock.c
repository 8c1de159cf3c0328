/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_sock.h"

#include <netinet/in.h>
#include <string.h>

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
