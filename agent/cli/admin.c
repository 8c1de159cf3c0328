/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin.h"

#include <errno.h>

void admin_done(struct admin *a)
{
	kube_client_free(a->client);
	loop_free(a->loop);
	kubeconfig_done(&a->kubeconfig);
	*a = (struct admin){0};
}

int admin_error(const struct cli *cli, int r, const struct err *err)
{
	static const struct {
		int r;
		enum cli_exit code;
	} codes[] = {
		{-ECONNREFUSED, CLI_UNREACHABLE}, {-EHOSTUNREACH, CLI_UNREACHABLE}, {-ETIMEDOUT, CLI_UNREACHABLE},
		{-ECONNRESET, CLI_UNREACHABLE},	  {-EKEYREJECTED, CLI_UNREACHABLE}, {-EACCES, CLI_DENIED},
		{-EPERM, CLI_DENIED},		  {-ENOENT, CLI_NEGATIVE},	    {-EEXIST, CLI_NEGATIVE},
		{-EADDRINUSE, CLI_NEGATIVE},	  {-EOPNOTSUPP, CLI_NEGATIVE},	    {-ENOSPC, CLI_NEGATIVE},
		{-EINVAL, CLI_USAGE},		  {-EKEYEXPIRED, CLI_UNREACHABLE},
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].r == r)
			return cli_error(cli, codes[i].code, "%s%s", err->text,
					 codes[i].code == CLI_UNREACHABLE && r != -EKEYREJECTED && r != -EKEYEXPIRED ?
						 "; the kubeconfig names this server: is it the right one, and reachable from here?" : "");
	return cli_error(cli, CLI_FAILED, "%s", err->text[0] ? err->text : err_name(r));
}

int admin_open(const struct cli *cli, const struct cmd_args *args, struct admin *ret)
{
	CLEANUP(admin_done) struct admin a = {0};
	struct err err = {0};
	int r = kubeconfig_load(cmd_opt(args, "kubeconfig"), cmd_opt(args, "context"), &a.kubeconfig, &err);

	if (r == 0)
		r = loop_new(&a.loop);
	if (r == 0)
		r = kubeconfig_client(&a.kubeconfig, a.loop, &a.client, &err);
	if (r < 0)
		return admin_error(cli, r, &err);
	a.session = (struct kube_session){.loop = a.loop, .client = a.client};
	*ret = a;
	a = (struct admin){0};
	return CLI_OK;
}
