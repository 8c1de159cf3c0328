/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "base/str.h"

enum { HTTPS_PORT = 443, DIGITS_MAX = 5 };

static int copy_host(const char *host, size_t n, struct url *ret)
{
	if (n == 0 || n > URL_HOST_MAX)
		return -EINVAL;
	memcpy(ret->host, host, n);
	ret->host[n] = '\0';
	return 0;
}

static int read_host(const char **at, struct url *ret)
{
	const char *host = *at;
	struct ip ip;
	size_t n;
	int r;

	ret->is_address6 = *host == '[';
	host += ret->is_address6;
	n = strcspn(host, ret->is_address6 ? "]/" : ":/");
	r = copy_host(host, n, ret);
	*at = host + n;
	if (r < 0 || !ret->is_address6)
		return r;
	if (**at != ']' || ip_parse(ret->host, &ip) < 0 || ip.family != AF_INET6)
		return -EINVAL;
	(*at)++;
	return 0;
}

static int read_port(const char **at, struct url *ret)
{
	char digits[DIGITS_MAX + 1];
	size_t n = strcspn(*at + 1, "/");
	uint64_t number;

	if (n > DIGITS_MAX)
		return -EINVAL;
	memcpy(digits, *at + 1, n);
	digits[n] = '\0';
	if (str_to_u64(digits, UINT16_MAX, &number) < 0 || !number)
		return -EINVAL;
	ret->port = (uint16_t)number;
	*at += 1 + n;
	return 0;
}

int url_split(const char *text, struct url *ret)
{
	const char *at = text + strlen("https://");
	int r;

	if (!str_has_prefix(text, "https://"))
		return -EINVAL;
	ret->port = HTTPS_PORT;
	r = read_host(&at, ret);
	if (r == 0 && *at == ':')
		r = read_port(&at, ret);
	if (r < 0 || (*at && *at != '/') || strpbrk(text, " \t\r\n?#"))
		return -EINVAL;
	return 0;
}
