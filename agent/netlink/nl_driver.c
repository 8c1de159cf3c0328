/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_driver.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/nl_sync.h"

enum { KIND_MAX = 32 };

int nl_driver_is_there(const char *kind)
{
	CLEANUP(nl_sync_free) struct nl_sync *nl = NULL;
	union nl_buf q = {.hdr = {0}};
	struct nlattr *info;
	int r;

	if (!*kind || strlen(kind) >= KIND_MAX)
		return -EINVAL;
	r = nl_sync_new(NETLINK_ROUTE, &nl);
	if (r < 0)
		return r;
	mnl_nlmsg_put_header(&q);
	q.hdr.nlmsg_type = RTM_NEWLINK;
	q.hdr.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	(void)mnl_nlmsg_put_extra_header(&q.hdr, sizeof(struct ifinfomsg));
	mnl_attr_put_u8(&q.hdr, IFLA_ADDRESS, 0);
	info = mnl_attr_nest_start(&q.hdr, IFLA_LINKINFO);
	mnl_attr_put_strz(&q.hdr, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(&q.hdr, info);
	r = nl_sync_ask(nl, &q.hdr, NULL, NULL, NULL);
	return r == -EOPNOTSUPP ? 0 : r == -EINVAL ? 1 : r < 0 ? r : -EBADMSG;
}
