/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/privileged.h"

#include "agentd/datapath.h"
#include "agentd/resolved.h"
#include "base/macro.h"
#include "bpf/bpf_serve.h"
#include "netlink/nl_serve.h"
#include "priv/priv_sock.h"
#include "recon/recon_net.h"

/* Of the process with the rights alone, which has no other state. */
static struct bpfserve bpf;
static struct nlserve netlink;

/* The configuration lives in the daemon, which may read it again: what counts is how it was at the start. */
static int prepare(const struct conf *conf)
{
	int r = datapath_options(conf, &bpf.opt);

	bpf.cgroup_path = str_printf("%s", conf->cgroup_root);
	netlink.tunnel_device = str_printf("%s", conf->tunnel_device);
	netlink.alias = RECON_NET_ALIAS;
	netlink.dummy_device = RESOLVED_DEVICE;
	netlink.dummy_alias = RESOLVED_ALIAS;
	(void)ip_parse(RESOLVED_ADDRESS, &netlink.dummy_ip); /* a legal address */
	return r < 0 || !bpf.cgroup_path || !netlink.tunnel_device ? -ENOMEM : 0;
}

static bool may_destroy(const struct nl_sock *s, uint8_t proto, void *arg)
{
	const struct bpfserve *b = arg;

	return b->obj && recon_sock_is_translated(b->obj, s, proto);
}

int privileged_start(const struct conf *conf, char **argv, struct err *reterr)
{
	static struct priv_table tables[3];
	int r = prepare(conf);

	netlink.may_destroy = may_destroy;
	netlink.arg = &bpf;
	tables[0] = (struct priv_table){.ops = bpfserve_ops, .n = bpfserve_n_ops, .arg = &bpf};
	tables[1] = (struct priv_table){.ops = nlserve_ops, .n = nlserve_n_ops, .arg = &netlink};
	tables[2] = priv_sock_table;
	if (r == 0)
		r = priv_start(tables, ARRAY_LEN(tables), argv, "mesh-privileged");
	return r < 0 ? err_set(reterr, -r, "cannot start the process that writes to the kernel: %s", err_name(r)) : 0;
}
