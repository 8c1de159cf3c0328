/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "mesh_abi.h"

/* Priority 1 comes first; the handle tells our filter from others of that priority. */
enum { FILTER_PRIORITY = 1, FILTER_HANDLE = 0x6d657368 };

enum { DUMP_BYTES = 32768 }; /* what the kernel sends at once */

static enum bpf_tc_attach_point point_of(unsigned dir)
{
	return dir == MESH_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

int clsact_attach(int ifindex, unsigned dir, int prog_fd, bool *ret_was_there)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point_of(dir));
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	bool was_there;
	int r;

	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return r;
	was_there = bpf_tc_query(&hook, &query) == 0;
	r = bpf_tc_attach(&hook, &opts);
	if (r < 0)
		return r;
	*ret_was_there = was_there;
	return 0;
}

int clsact_detach(int ifindex, unsigned dir)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point_of(dir));
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);

	int r;

	if (bpf_tc_query(&hook, &query) < 0)
		return 0;
	r = bpf_tc_detach(&hook, &opts);
	return r < 0 ? r : 1;
}

bool clsact_is_ok(int ifindex, unsigned dir, uint32_t prog_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point_of(dir));
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);

	return bpf_tc_query(&hook, &query) == 0 && query.prog_id == prog_id;
}

static int on_message(const struct nlmsghdr *msg, void *found)
{
	if (msg->nlmsg_type == RTM_NEWTFILTER)
		*(bool *)found = true;
	return MNL_CB_OK;
}

/* 1 if there are filters at `parent`, 0 if not; also without a qdisc. */
static int has_filters(struct mnl_socket *nl, int ifindex, uint32_t parent)
{
	char buf[DUMP_BYTES];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(req, sizeof(*tc));
	bool found = false;
	ssize_t n;
	int r = MNL_CB_OK;

	req->nlmsg_type = RTM_GETTFILTER;
	req->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req->nlmsg_seq = parent;
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	if (mnl_socket_sendto(nl, req, req->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, parent, mnl_socket_get_portid(nl), on_message, &found);
	}
	if (r < 0)
		return errno == EINVAL || errno == ENODEV || errno == EOPNOTSUPP ? 0 : -errno;
	return found;
}

int clsact_remove_if_empty(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	if (!nl)
		return -errno;
	r = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (r == 0)
		r = has_filters(nl, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	if (r == 0)
		r = has_filters(nl, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
	(void)mnl_socket_close(nl); /* nothing was written */
	if (r != 0)
		return r > 0 ? 0 : r;
	r = bpf_tc_hook_destroy(&hook); /* names the kind: an ingress qdisc of others stays */
	return r == -ENOENT || r == -EINVAL || r == -ENODEV ? 0 : r;
}
