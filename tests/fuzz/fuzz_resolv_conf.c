/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a resolv.conf: every server is an address. */
#include "agentd/resolv_conf.h"
#include "scratch.h"

const unsigned replay_runs = 3000;

static int on_server(const struct ip *ip, void *arg)
{
	char text[IP_STRLEN];
	struct ip again;

	CHECK(ip_parse(ip_str(ip, text), &again) == 0 && ip_eq(ip, &again));
	++*(unsigned *)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned n = 0;

	if (size > 65536)
		return 0;
	scratch_write("resolv.conf", data, size);
	CHECK(resolv_conf_each_in(scratch_path("resolv.conf"), on_server, &n) == 0);
	CHECK(n <= size / 12); /* "nameserver " and a digit */
	return 0;
}
