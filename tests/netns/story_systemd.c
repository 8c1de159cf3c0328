/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd on a bus, in a file: story_systemd SOCKET FILE. The file, looked at all the time, has lines "unit state" or
 * "unit state job"; a state that has changed is told as systemd does.
 */
#include <stdio.h>
#include <string.h>

#include "fake_systemd.h"

enum { UNITS = 8, LOOK_MS = 20 };

int main(int argc, char **argv)
{
	static char known[UNITS][128];
	struct fake_systemd *f;

	if (argc != 3 || fake_systemd_new(argv[1], &f) < 0)
		return 2;
	for (;;) {
		char line[128], unit[64], state[32], job[32] = "";
		FILE *in = fopen(argv[2], "re");

		for (int i = 0; in && i < UNITS && fgets(line, sizeof(line), in); i++) {
			if (strcmp(line, known[i]) == 0 || sscanf(line, "%63s %31s %31s", unit, state, job) < 2)
				continue;
			(void)snprintf(known[i], sizeof(known[i]), "%s", line);
			(void)fake_systemd_set(f, unit, state);
			(void)fake_systemd_job(f, unit, job);
		}
		if (in)
			(void)fclose(in);
		fake_systemd_run(f, LOOK_MS);
	}
}
