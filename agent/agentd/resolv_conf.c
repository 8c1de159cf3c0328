/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/resolv_conf.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"

int resolv_conf_each(resolv_conf_fn fn, void *arg)
{
	CLEANUP(buf_done) struct buf text = {0};
	char *save, *line;
	int r = file_read("/etc/resolv.conf", LIMIT_CONFIG_BYTES, &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0; /* a host without resolver needs none */
	for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char address[IP_STRLEN];
		struct ip ip;

		if (sscanf(line, " nameserver %45s", address) != 1 || ip_parse(address, &ip) < 0)
			continue;
		r = fn(&ip, arg);
		if (r)
			return r;
	}
	return 0;
}
