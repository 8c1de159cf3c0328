/* SPDX-License-Identifier: Apache-2.0 */
/* Domain names: wire form, text form, reverse names of addresses. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_msg.h"

static const uint8_t in_addr_arpa[] = "\7in-addr\4arpa"; /* the literal's NUL is the root */
static const uint8_t ip6_arpa[] = "\3ip6\4arpa";

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

int dns_name_read(const uint8_t *msg, size_t len, size_t *at, struct dns_name *ret)
{
	size_t pos = *at, segment = *at, bound = len, end = 0, n = 0;

	for (;;) {
		uint8_t c;

		if (pos >= bound)
			return -EBADMSG;
		c = msg[pos];
		if ((c & 0xc0) == 0xc0) {
			size_t to;

			if (pos + 1 >= bound)
				return -EBADMSG;
			to = (size_t)(c & 0x3f) << 8 | msg[pos + 1];
			if (!end)
				end = pos + 2;
			/* only backward, so that it ends; not into the header, which changes on the way */
			if (to >= segment || to < DNS_HEADER_LEN)
				return -EBADMSG;
			/* what it points to ended before: else it changes with what is cut off behind, or rewritten */
			bound = segment;
			pos = segment = to;
			continue;
		}
		if (c & 0xc0 || n + c + 1 > DNS_NAME_MAX || pos + c + 1 > bound)
			return -EBADMSG;
		ret->b[n] = c;
		for (size_t i = 1; i <= c; i++)
			ret->b[n + i] = lower(msg[pos + i]);
		n += (size_t)c + 1;
		pos += (size_t)c + 1;
		if (c == 0)
			break;
	}
	ret->len = (uint8_t)n;
	*at = end ? end : pos;
	return 0;
}

int dns_name_parse(const char *text, struct dns_name *ret)
{
	size_t n = 0;

	if (str_eq(text, ".")) {
		ret->b[0] = 0;
		ret->len = 1;
		return 0;
	}
	while (*text) {
		size_t len = strcspn(text, ".");

		if (len == 0 || len > DNS_LABEL_MAX || n + len + 2 > DNS_NAME_MAX)
			return -EINVAL;
		ret->b[n++] = (uint8_t)len;
		for (size_t i = 0; i < len; i++) {
			uint8_t c = (uint8_t)text[i];

			if (!isascii(c) || !(isalnum(c) || c == '-' || c == '_'))
				return -EINVAL;
			ret->b[n++] = lower(c);
		}
		text += len;
		if (*text == '.')
			text++;
	}
	if (n == 0)
		return -EINVAL;
	ret->b[n++] = 0;
	ret->len = (uint8_t)n;
	return 0;
}

const char *dns_name_str(const struct dns_name *n, char buf[DNS_TEXT_MAX])
{
	size_t at = 0, i = 0;

	if (n->len <= 1)
		buf[at++] = '.';
	while (i < n->len && n->b[i]) {
		for (size_t j = 1; j <= n->b[i] && i + j < n->len; j++) {
			uint8_t c = n->b[i + j];

			if (c == '.' || c == '\\') {
				buf[at++] = '\\';
				buf[at++] = (char)c;
			} else if (c > ' ' && c < 127) {
				buf[at++] = (char)c;
			} else {
				buf[at++] = '\\';
				buf[at++] = (char)('0' + c / 100);
				buf[at++] = (char)('0' + c / 10 % 10);
				buf[at++] = (char)('0' + c % 10);
			}
		}
		buf[at++] = '.';
		i += (size_t)n->b[i] + 1;
	}
	buf[at] = '\0';
	return buf;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

bool dns_name_below(const struct dns_name *n, const struct dns_name *apex)
{
	size_t skip, i = 0;

	if (n->len < apex->len)
		return false;
	skip = (size_t)n->len - apex->len;
	if (memcmp(n->b + skip, apex->b, apex->len) != 0)
		return false;
	while (i < skip) /* the tail must begin at a label, not within one */
		i += (size_t)n->b[i] + 1;
	return i == skip;
}

void dns_name_reverse(const struct ip *ip, struct dns_name *ret)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	if (ip->family == AF_INET) {
		for (int i = 3; i >= 0; i--) {
			uint8_t v = ip->b[i];
			size_t len = v >= 100 ? 3 : v >= 10 ? 2 : 1;

			ret->b[n++] = (uint8_t)len;
			if (len == 3)
				ret->b[n++] = (uint8_t)('0' + v / 100);
			if (len >= 2)
				ret->b[n++] = (uint8_t)('0' + v / 10 % 10);
			ret->b[n++] = (uint8_t)('0' + v % 10);
		}
		memcpy(ret->b + n, in_addr_arpa, sizeof(in_addr_arpa));
		ret->len = (uint8_t)(n + sizeof(in_addr_arpa));
		return;
	}
	for (int i = 15; i >= 0; i--) {
		ret->b[n++] = 1;
		ret->b[n++] = (uint8_t)hex[ip->b[i] & 0xf];
		ret->b[n++] = 1;
		ret->b[n++] = (uint8_t)hex[ip->b[i] >> 4];
	}
	memcpy(ret->b + n, ip6_arpa, sizeof(ip6_arpa));
	ret->len = (uint8_t)(n + sizeof(ip6_arpa));
}

static int label_to_byte(const uint8_t *label, uint8_t *ret)
{
	unsigned v = 0;

	if (label[0] == 0 || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return -EINVAL;
	for (size_t i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(label[i] - '0');
	}
	if (v > 255)
		return -EINVAL;
	*ret = (uint8_t)v;
	return 0;
}

static int label_to_nibble(const uint8_t *label, uint8_t *ret)
{
	if (label[0] != 1)
		return -EINVAL;
	if (label[1] >= '0' && label[1] <= '9')
		*ret = (uint8_t)(label[1] - '0');
	else if (label[1] >= 'a' && label[1] <= 'f')
		*ret = (uint8_t)(label[1] - 'a' + 10);
	else
		return -EINVAL;
	return 0;
}

static bool ends_with(const struct dns_name *n, const void *end, size_t len)
{
	return n->len > len && memcmp(n->b + n->len - len, end, len) == 0;
}

/* Up to `max` labels of `n` before `end`, the first of which is the last of the address; how many in *ret. */
static int read_labels(const struct dns_name *n, size_t end, size_t max, uint8_t v[32], size_t *ret)
{
	bool is_v4 = max == 4;
	size_t count = 0, at;

	for (at = 0; at < end; at += (size_t)n->b[at] + 1, count++)
		if (count == max || (is_v4 ? label_to_byte(n->b + at, &v[count]) : label_to_nibble(n->b + at, &v[count])) < 0)
			return -EINVAL;
	*ret = count;
	return at == end ? 0 : -EINVAL; /* the end must begin at a label, not within one */
}

int dns_name_to_prefix(const struct dns_name *n, struct cidr *ret)
{
	struct cidr c = {0};
	uint8_t v[32];
	size_t count;

	if (ends_with(n, in_addr_arpa, sizeof(in_addr_arpa))) {
		if (read_labels(n, n->len - sizeof(in_addr_arpa), 4, v, &count) < 0)
			return -EINVAL;
		c.ip.family = AF_INET;
		for (size_t i = 0; i < count; i++)
			c.ip.b[i] = v[count - 1 - i];
		c.len = (uint8_t)(count * 8);
	} else if (ends_with(n, ip6_arpa, sizeof(ip6_arpa))) {
		if (read_labels(n, n->len - sizeof(ip6_arpa), 32, v, &count) < 0)
			return -EINVAL;
		c.ip.family = AF_INET6;
		for (size_t i = 0; i < count; i++)
			c.ip.b[i / 2] |= (uint8_t)(i % 2 ? v[count - 1 - i] : v[count - 1 - i] << 4);
		c.len = (uint8_t)(count * 4);
	} else {
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

int dns_name_to_ip(const struct dns_name *n, struct ip *ret)
{
	struct cidr c;

	if (dns_name_to_prefix(n, &c) < 0 || c.len != ip_bits(&c.ip))
		return -EINVAL;
	*ret = c.ip;
	return 0;
}
