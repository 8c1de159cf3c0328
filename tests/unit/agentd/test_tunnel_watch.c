/* SPDX-License-Identifier: Apache-2.0 */
/* When it is that a packet filter keeps the tunnel's packets out. */
#include <criterion/criterion.h>

#include "agentd/tunnel_watch.h"

static enum tunnel_flow flow(uint64_t outer, uint64_t inner)
{
	const struct tunnel_counts before = {.outer = 100, .inner = 90};

	return tunnel_flow(&before, &(struct tunnel_counts){.outer = outer, .inner = inner});
}

Test(tunnel_watch, quiet)
{
	cr_expect_eq(flow(100, 90), TUNNEL_QUIET);
	cr_expect_eq(flow(102, 90), TUNNEL_QUIET); /* too few to tell */
	cr_expect_eq(flow(7, 90), TUNNEL_QUIET);   /* other programs, which count anew */
}

Test(tunnel_watch, flows)
{
	cr_expect_eq(flow(110, 91), TUNNEL_FLOWS);
	cr_expect_eq(flow(100, 91), TUNNEL_FLOWS);
	cr_expect_eq(flow(110, 5), TUNNEL_FLOWS); /* another device */
}

Test(tunnel_watch, blocked)
{
	cr_expect_eq(flow(103, 90), TUNNEL_BLOCKED);
	cr_expect_eq(flow(110, 0), TUNNEL_BLOCKED); /* another device, which has received nothing */
}
