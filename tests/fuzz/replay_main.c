/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over every file of the given files and directories; without any, over the target's
 * own corpus, so that `make check` replays what fuzzing found. Fails if there was no file at all. With
 * `-m N` before them each input is also run N times with random changes, always the same ones: a plain
 * fuzzer for machines whose compiler brings none. The own corpus gets replay_runs of these in all.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "fuzz.h"

enum { INPUT_MAX = 1024 * 1024, GROW_MAX = 64 };

static uint64_t rounds, executions;
static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static size_t pick(size_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return bound ? (size_t)(seed >> 11) % bound : 0;
}

static void run(const uint8_t *data, size_t len)
{
	executions++;
	(void)LLVMFuzzerTestOneInput(data, len); /* always 0; it aborts on a defect */
}

/* Changes, cuts, repeats or grows `b`, which has room for GROW_MAX more; the new length. */
static size_t mutate(uint8_t *b, size_t len)
{
	static const uint8_t edges[] = {0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff};

	for (size_t n = 1 + pick(8); n > 0 && len > 0; n--) {
		size_t at = pick(len), more = pick(GROW_MAX / 8);

		switch (pick(6)) {
		case 0:
			b[at] = (uint8_t)pick(256);
			break;
		case 1:
			b[at] ^= (uint8_t)(1U << pick(8));
			break;
		case 2:
			b[at] = edges[pick(sizeof(edges))];
			break;
		case 3:
			len = at + 1;
			break;
		case 4: {
			size_t from = pick(len), n_max = len - (from > at ? from : at);

			memmove(b + at, b + from, pick(n_max + 1));
			break;
		}
		default:
			memmove(b + at + more, b + at, len - at);
			len += more;
		}
	}
	return len;
}

static int run_mutated(const uint8_t *data, size_t len)
{
	for (uint64_t i = 0; i < rounds; i++) {
		uint8_t *b = malloc(len + GROW_MAX), *exact;
		size_t n;

		if (!b)
			return -ENOMEM;
		memcpy(b, data, len);
		n = mutate(b, len);
		exact = realloc(b, n ? n : 1);
		if (!exact) {
			free(b);
			return -ENOMEM;
		}
		run(exact, n);
		free(exact);
	}
	return 0;
}

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
	run(exact, b.len);
	r = run_mutated(exact, b.len);
	free(exact);
	return r < 0 ? r : 1;
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

/* tests/fuzz/corpus/NAME for the program fuzz_NAME, with a share of its runs for each file; heap. */
static char *own_corpus(const char *program)
{
	const char *base = strrchr(program, '/'), *srcdir = getenv("srcdir");
	uint64_t n = 0;
	char *path;
	DIR *d;

	base = base ? base + 1 : program;
	path = str_printf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", str_has_prefix(base, "fuzz_") ? base + 5 : base);
	d = path ? opendir(path) : NULL;
	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d); /* only read from */
	rounds = n > 2 ? replay_runs / (n - 2) : 0; /* "." and ".." */
	return path;
}

static int replay_named(const char *path)
{
	int r = replay(path);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", path, err_name(r));
	return r;
}

int main(int argc, char **argv)
{
	int n = 0, first = 1;

	if (argc > 2 && str_eq(argv[1], "-m")) {
		if (str_to_u64(argv[2], UINT32_MAX, &rounds) < 0)
			return 2;
		first = 3;
	}
	if (argc == 1) {
		CLEANUP(free) char *path = own_corpus(argv[0]);

		n = path ? replay_named(path) : -ENOMEM;
	}
	for (int i = first; n >= 0 && i < argc; i++) {
		int r = replay_named(argv[i]);

		n = r < 0 ? r : n + r;
	}
	printf("%d inputs, %" PRIu64 " executions\n", n, executions);
	return n > 0 ? 0 : 1;
}
