/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_attr.h"

#include "base/macro.h"

static int index_bytes(const char *p, size_t left, const struct nlattr **tb, uint16_t max)
{
	memset(tb, 0, sizeof(*tb) * ((size_t)max + 1));
	while (left >= sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)(const void *)p;
		uint16_t type = (uint16_t)(a->nla_type & 0x3fff); /* NLA_TYPE_MASK */
		size_t step;

		if (a->nla_len < sizeof(*a) || a->nla_len > left)
			return -EBADMSG;
		if (type <= max)
			tb[type] = a;
		step = MIN((size_t)NLA_ALIGN(a->nla_len), left);
		p += step;
		left -= step;
	}
	return left == 0 ? 0 : -EBADMSG;
}

int nl_attr_index(const struct nlmsghdr *msg, size_t offset, const struct nlattr **tb, uint16_t max)
{
	size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(offset);

	if (msg->nlmsg_len < start)
		return -EBADMSG;
	return index_bytes((const char *)msg + start, msg->nlmsg_len - start, tb, max);
}

int nl_attr_index_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max)
{
	return index_bytes((const char *)(nest + 1), nest->nla_len - sizeof(*nest), tb, max);
}

static const void *payload(const struct nlattr *a, size_t need)
{
	return a->nla_len >= sizeof(*a) + need ? a + 1 : NULL;
}

static int copy(const struct nlattr *a, void *ret, size_t size)
{
	const void *p;

	if (!a)
		return 0;
	p = payload(a, size);
	if (!p)
		return -EBADMSG;
	memcpy(ret, p, size);
	return 0;
}

int nl_attr_u8(const struct nlattr *a, uint8_t *ret)
{
	return copy(a, ret, sizeof(*ret));
}

int nl_attr_u32(const struct nlattr *a, uint32_t *ret)
{
	return copy(a, ret, sizeof(*ret));
}

int nl_attr_int(const struct nlattr *a, int *ret)
{
	return copy(a, ret, sizeof(*ret));
}

int nl_attr_be16(const struct nlattr *a, uint16_t *ret)
{
	uint16_t be = htons(*ret);
	int r = copy(a, &be, sizeof(be));

	if (r == 0)
		*ret = ntohs(be);
	return r;
}

int nl_attr_ip(const struct nlattr *a, int family, struct ip *ret)
{
	const void *p;

	if (!a)
		return 0;
	p = payload(a, family == AF_INET ? 4 : 16);
	if (!p)
		return -EBADMSG;
	*ret = ip_from_bytes(family, p);
	return 0;
}

void nl_attr_str(const struct nlattr *a, char *buf, size_t size)
{
	size_t len;

	if (!a)
		return;
	len = strnlen((const char *)(a + 1), a->nla_len - sizeof(*a));
	len = MIN(len, size - 1);
	memcpy(buf, a + 1, len);
	buf[len] = '\0';
}
