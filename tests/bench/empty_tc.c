/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that does nothing, as the floor for those that do something: empty_tc INTERFACE puts a program of two
 * instructions on it, both ways, until it is ended.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/tcx.h"

int main(int argc, char *argv[])
{
	int ifindex, r;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: empty_tc INTERFACE\n");
		return 2;
	}
	ifindex = (int)if_nametoindex(argv[1]);
	r = ifindex ? tcx_attach(ifindex, false, TCX_NEXT, false, NULL) : -errno;
	if (r >= 0)
		r = tcx_attach(ifindex, true, TCX_NEXT, false, NULL);
	if (r < 0) {
		(void)fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	(void)pause();
	return 0;
}
