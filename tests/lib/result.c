/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

uint64_t result_amount(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	uint64_t n;

	return text && str_to_u64(text, UINT64_MAX, &n) == 0 ? n : fallback;
}

void result_add(const char *suite, json_t *o)
{
	const char *folder = getenv("MESH_RESULTS");
	CLEANUP(free) char *path = folder ? str_printf("%s/%s.jsonl", folder, suite) : NULL;
	CLEANUP(free) char *text = NULL;
	struct utsname uts;
	FILE *f = NULL;

	if (path && uname(&uts) == 0 && json_object_set_new(o, "time", json_integer(clock_wall_s())) == 0 &&
	    json_object_set_new(o, "kernel", json_string(uts.release)) == 0)
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!path)
		return;
	if (text && (mkdir(folder, 0777) == 0 || errno == EEXIST))
		f = fopen(path, "ae");
	if (!f || fprintf(f, "%s\n", text) < 0)
		(void)fprintf(stderr, "no result in %s: %s\n", path, strerror(errno));
	if (f && fclose(f) != 0)
		(void)fprintf(stderr, "no result in %s: %s\n", path, strerror(errno));
}
