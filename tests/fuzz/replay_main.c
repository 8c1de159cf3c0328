/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over every file of the given files and directories, so that `make check`
 * replays what fuzzing found. Fails if there was no file at all.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1024 * 1024 };

static int replay_file(const char *path)
{
	CLEANUP(buf_done) struct buf b = {.max = INPUT_MAX};
	uint8_t *exact;
	int r = file_read(path, INPUT_MAX, &b);

	if (r < 0) {
		fprintf(stderr, "%s: cannot read\n", path);
		return r;
	}
	/* a copy of exactly that length, so that sanitizers see reads past its end */
	exact = malloc(b.len ? b.len : 1);
	if (!exact)
		return -ENOMEM;
	if (b.len)
		memcpy(exact, b.data, b.len);
	(void)LLVMFuzzerTestOneInput(exact, b.len); /* always 0; it aborts on a defect */
	free(exact);
	return 1;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent *e;
	int n = 0, r;
	DIR *d;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		CLEANUP(free) char *full = str_printf("%s/%s", path, e->d_name);

		if (e->d_name[0] == '.' || !full)
			continue;
		r = replay(full);
		if (r < 0) {
			n = r;
			break;
		}
		n += r;
	}
	(void)closedir(d); /* only read from */
	return n;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		int r = replay(argv[i]);

		if (r < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], err_name(r));
			return 1;
		}
		n += r;
	}
	printf("%d inputs\n", n);
	return n > 0 ? 0 : 1;
}
