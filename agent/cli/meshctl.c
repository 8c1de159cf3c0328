/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>

#include "cli/cmd.h"

int main(int argc, char **argv)
{
	static const struct cmd *const tables[] = {
		cmd_status_table,  cmd_endpoint_table, cmd_identity_table, cmd_node_table,
		cmd_policy_table,  cmd_service_table,  cmd_ipcache_table,  cmd_map_table,
		cmd_dns_table,	   cmd_monitor_table,  cmd_forward_table, cmd_migrate_table,  cmd_drain_table,
		cmd_leave_table,
		cmd_bugreport_table,
		cmd_config_table,  cmd_completion_table,
		cmd_cluster_table, cmd_host_table, NULL,
	};

	(void)setlocale(LC_CTYPE, ""); /* without one, names outside ASCII are shown escaped */
	return cmd_main(tables, argc, argv, stdout);
}
