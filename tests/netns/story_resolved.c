/* SPDX-License-Identifier: Apache-2.0 */
/* systemd-resolved on a bus: story_resolved SOCKET writes what it is told of links, a line for each call. */
#include <stdio.h>

#include "fake_resolved.h"

enum { LOOK_MS = 20 };

int main(int argc, char **argv)
{
	struct fake_resolved *f;

	if (argc != 2 || fake_resolved_new(argv[1], &f) < 0)
		return 2;
	for (;;) {
		fake_resolved_run(f, LOOK_MS);
		if (fputs(fake_resolved_take(f), stdout) < 0 || fflush(stdout) < 0)
			return 1;
	}
}
