/* SPDX-License-Identifier: Apache-2.0 */
#include "nomem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <execinfo.h>
#include <ftw.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/result.h"

enum {
	DEFAULT_PLACES = 60, /* beside those that are new ones */
	DEPTH = 24,	     /* of the way to an allocation, as far as it is told apart */
	LIVE_BITS = 18,
	LIVE_MAX = 1 << LIVE_BITS,
	WAYS_MAX = 1 << 16,
	FAILURES_SHOWN = 5,
};

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
int __wrap_asprintf(char **ret, const char *fmt, ...);
int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...);
void __wrap_rng_bytes(void *data, size_t len);
uint32_t __wrap_rng_below(uint32_t bound);
int __wrap_fsync(int fd);

/* Blocks that are ours and not freed. What a library allocated and we free is not among them, and does not count. */
static struct {
	void *p;
	size_t size;
	size_t trial;	 /* in which it was allocated */
	const void *who; /* asked for it */
} live[LIVE_MAX];
static size_t n_live, n_trials;

static bool is_on; /* a run is under way */
static size_t n_allocations, fail_from, fail_n, n_failed;
static unsigned n_paused;
static uint32_t *ways; /* of each allocation of the run that is counted, by the hash of who calls whom; NULL = not counted */
static void *failed_at[DEPTH];
static int failed_depth;

static size_t live_home(const void *p)
{
	return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - LIVE_BITS));
}

static void live_add(void *p, size_t size, const void *who)
{
	size_t i = live_home(p);

	if (!p)
		return;
	if (n_live >= LIVE_MAX / 2)
		abort();
	while (live[i].p)
		i = (i + 1) % LIVE_MAX;
	live[i].p = p;
	live[i].size = size;
	live[i].trial = n_trials;
	live[i].who = who;
	n_live++;
}

static void live_remove(const void *p)
{
	size_t i = live_home(p), j;

	while (live[i].p && live[i].p != p)
		i = (i + 1) % LIVE_MAX;
	if (!p || !live[i].p)
		return;
	n_live--;
	for (j = (i + 1) % LIVE_MAX; live[j].p; j = (j + 1) % LIVE_MAX) {
		size_t home = live_home(live[j].p);

		if ((j - home) % LIVE_MAX < (j - i) % LIVE_MAX)
			continue;
		live[i] = live[j];
		i = j;
	}
	live[i].p = NULL;
}

static uint32_t way_of(void)
{
	void *v[DEPTH];
	int n = backtrace(v, DEPTH);
	uint64_t h = 0;

	/* the innermost are ours, and the outermost may be those of a test */
	for (int i = 2; i < n; i++)
		h = (h ^ (uint64_t)(uintptr_t)v[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static bool must_fail(void)
{
	if (!is_on || n_paused)
		return false;
	n_allocations++;
	if (ways && n_allocations <= WAYS_MAX)
		ways[n_allocations - 1] = way_of();
	if (!fail_from || n_allocations < fail_from || n_allocations - fail_from >= fail_n)
		return false;
	if (!n_failed++)
		failed_depth = backtrace(failed_at, DEPTH);
	errno = ENOMEM;
	return true;
}

static void *allocate(size_t size, const void *who)
{
	void *p = must_fail() ? NULL : __real_malloc(size);

	live_add(p, size, who);
	return p;
}

static void *move(void *p, size_t size, const void *who)
{
	void *q;

	if (must_fail())
		return NULL;
	live_remove(p);
	q = __real_realloc(p, size);
	live_add(q, size, who);
	return q;
}

void *__wrap_malloc(size_t size)
{
	return allocate(size, __builtin_return_address(0));
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = must_fail() ? NULL : __real_calloc(n, size);

	live_add(p, n * size, __builtin_return_address(0));
	return p;
}

void *__wrap_realloc(void *p, size_t size)
{
	return move(p, size, __builtin_return_address(0));
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : move(p, bytes, __builtin_return_address(0));
}

void __wrap_free(void *p)
{
	live_remove(p);
	__real_free(p);
}

static char *copy(const char *text, size_t len, const void *who)
{
	char *p = allocate(len + 1, who);

	if (!p)
		return NULL;
	memcpy(p, text, len);
	p[len] = '\0';
	return p;
}

char *__wrap_strdup(const char *text)
{
	return copy(text, strlen(text), __builtin_return_address(0));
}

char *__wrap_strndup(const char *text, size_t max)
{
	return copy(text, strnlen(text, max), __builtin_return_address(0));
}

static int print(char **ret, const char *fmt, va_list ap, const void *who)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	p = n >= 0 ? allocate((size_t)n + 1, who) : NULL;
	*ret = NULL;
	if (!p)
		return -1;
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap); /* as long as it was */
	*ret = p;
	return n;
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return print(ret, fmt, ap, __builtin_return_address(0));
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return print(ret, fmt, ap, __builtin_return_address(0));
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = print(ret, fmt, ap, __builtin_return_address(0));
	va_end(ap);
	return n;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = print(ret, fmt, ap, __builtin_return_address(0));
	va_end(ap);
	return n;
}

/* The key of the hash tables: the same always, or two runs would not allocate the same. */
void __wrap_rng_bytes(void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = (uint8_t)(i * 37 + 11);
}

uint32_t __wrap_rng_below(uint32_t bound)
{
	return bound / 2;
}

/* Thousands of files are written. */
int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

static void *json_allocate(size_t size)
{
	return allocate(size, __builtin_return_address(0));
}

__attribute__((constructor)) static void begin(void)
{
	log_set_level(LOG_EMERG);
	json_object_seed(1);
	json_set_alloc_funcs(json_allocate, __wrap_free);
}

void nomem_pause(void)
{
	n_paused++;
}

void nomem_resume(void)
{
	n_paused--;
}

void nomem_need(bool is_there, const char *what)
{
	if (!is_there)
		cr_assert_fail("there is no %s", what);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void nomem_dir_make(char dir[NOMEM_DIR_MAX])
{
	(void)snprintf(dir, NOMEM_DIR_MAX, "/tmp/mesh-nomem-XXXXXX"); /* it fits */
	cr_assert(mkdtemp(dir));
}

void nomem_dir_remove(const char *dir)
{
	cr_expect_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static FILE *dump_to;
static size_t dump_skip;

static int dump_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	FILE *f = kind == FTW_F ? fopen(path, "r") : NULL;
	char line[4096];

	(void)at;
	(void)fprintf(dump_to, "%s %o\n", path + dump_skip, kind == FTW_F ? st->st_mode & 0777 : 0);
	while (f && fgets(line, sizeof(line), f))
		(void)fputs(line, dump_to);
	if (f)
		(void)fclose(f);
	return 0;
}

void nomem_dir_dump(const char *dir, FILE *out)
{
	dump_to = out;
	dump_skip = strlen(dir);
	cr_expect_eq(nftw(dir, dump_one, 8, FTW_PHYS), 0);
}

/* --- one scenario --- */

struct trial {
	const struct nomem *n;
	size_t first, count; /* allocations that fail */
	unsigned n_bad;
	char *before, *after; /* dumps without a failure */
};

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(char *text)
{
	size_t n = 0, len = strlen(text) + 2;
	char **lines = __real_calloc(len, sizeof(*lines)), *to = __real_malloc(len), *end = to, *save = NULL;

	cr_assert(lines && to);
	*to = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), line_cmp);
	for (size_t i = 0; i < n; i++) {
		end = stpcpy(end, lines[i]);
		end = stpcpy(end, "\n");
	}
	__real_free(lines);
	__real_free(text);
	return to;
}

static char *dump_of(const struct nomem *n, void *state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cr_assert(f);
	if (n->dump)
		n->dump(state, f);
	cr_assert_eq(fclose(f), 0);
	return n->has_no_order ? sorted(text) : text;
}

/* The first line in which two texts differ. */
static void show_difference(const char *have, const char *want)
{
	while (*have && *have == *want) {
		const char *a = strchrnul(have, '\n'), *b = strchrnul(want, '\n');

		if (a - have != b - want || memcmp(have, want, (size_t)(a - have)) != 0)
			break;
		have = a + (*a == '\n');
		want = b + (*b == '\n');
	}
	(void)fprintf(stderr, "\t  is: %.*s\n\tnot: %.*s\n", (int)strcspn(have, "\n"), have, (int)strcspn(want, "\n"), want);
}

static void bad(struct trial *t, const char *what, int r)
{
	if (t->n_bad++ >= FAILURES_SHOWN)
		return;
	(void)fprintf(stderr, "%s: allocation %zu%s fails: %s (%d)\n", t->n->name, t->first, t->count > 1 ? " and all behind it" : "",
		      what, r);
	(void)fflush(stderr);
	if (failed_depth > 2)
		backtrace_symbols_fd(failed_at + 2, failed_depth - 2 > 9 ? 9 : failed_depth - 2, STDERR_FILENO);
}

static void expect_same(struct trial *t, void *state, const char *want, const char *what, int r)
{
	char *have = dump_of(t->n, state);

	if (strcmp(have, want) != 0) {
		bad(t, what, r);
		if (t->n_bad <= FAILURES_SHOWN)
			show_difference(have, want);
	}
	free(have);
}

static int run(struct trial *t, void *state)
{
	int r;

	n_allocations = n_failed = 0;
	failed_depth = 0;
	fail_from = t->first;
	fail_n = t->count;
	is_on = true;
	r = t->n->run(state);
	is_on = false;
	fail_from = 0;
	return r;
}

static void finish(struct trial *t, void *state, size_t live_before)
{
	if (t->n->end)
		t->n->end(state);
	else
		free(state);
	if (n_live == live_before)
		return;
	bad(t, n_live > live_before ? "leaks" : "frees what was there before", (int)n_live - (int)live_before);
	for (size_t i = 0; i < LIVE_MAX && t->n_bad <= FAILURES_SHOWN; i++)
		if (live[i].p && live[i].trial == n_trials)
			backtrace_symbols_fd((void *const *)&live[i].who, 1, STDERR_FILENO);
}

static void try_one(struct trial *t)
{
	size_t before = n_live;
	void *state;
	int r;

	n_trials++;
	state = t->n->begin(t->n->arg);
	r = run(t, state);
	if (!n_failed && t->first)
		bad(t, "was not reached", r);
	if (r >= 0 && !t->n->may_lack) {
		expect_same(t, state, t->after, "success is reported, but not all is there", r);
	} else if (r < 0) {
		if (r != -ENOMEM && r != t->n->error)
			bad(t, "another error is reported", r);
		if (t->n->is_atomic)
			expect_same(t, state, t->before, "it failed, and changed something", r);
	}
	if (r < 0 || t->n->may_lack) {
		struct trial again = *t;

		again.first = 0;
		r = run(&again, state);
		if (r < 0)
			bad(t, "the second try fails", r);
		else
			expect_same(t, state, t->after, "a second try comes to something else", r);
	}
	finish(t, state, before);
}

/* Without a failure; what it allocates. */
static size_t count(struct trial *t)
{
	size_t before = n_live, n;
	void *state = t->n->begin(t->n->arg);
	int r;

	t->before = dump_of(t->n, state);
	r = run(t, state);
	n = n_allocations;
	cr_assert_geq(r, 0, "%s: fails with memory: %d", t->n->name, r);
	t->after = dump_of(t->n, state);
	if (t->n->end)
		t->n->end(state);
	else
		free(state);
	cr_expect_eq(n_live, before, "%s: leaks with memory: %zu blocks, not %zu", t->n->name, n_live, before);
	return n;
}

/* Ways on which some allocation has failed in this test. */
static uint32_t known[WAYS_MAX * 2];

static bool is_new_way(uint32_t way)
{
	size_t i = way % (WAYS_MAX * 2);

	while (known[i] && known[i] != way)
		i = (i + 1) % (WAYS_MAX * 2);
	if (known[i] || !way)
		return false;
	known[i] = way;
	return true;
}

void nomem_try(const struct nomem *n)
{
	size_t most = (size_t)result_amount("MESH_TEST_PLACES", n->places ? n->places : DEFAULT_PLACES), total, step;
	bool is_traced = getenv("MESH_TEST_TRACE");
	struct trial t = {.n = n};
	size_t trials_before = n_trials;

	ways = __real_calloc(WAYS_MAX, sizeof(*ways));
	cr_assert(ways);
	total = count(&t);
	step = most && total > most ? total / most : 1;
	for (size_t i = 0; i < total; i++) {
		bool is_new = i < WAYS_MAX && is_new_way(ways[i]);
		uint32_t *mine = ways;

		if (!is_new && i % step)
			continue;
		ways = NULL;
		t.first = i + 1;
		for (t.count = 1; t.count; t.count = t.count == 1 ? SIZE_MAX : 0) {
			if (is_traced)
				(void)fprintf(stderr, "%s: %zu of %zu%s\n", n->name, t.first, total, t.count > 1 ? " and on" : "");
			try_one(&t);
		}
		ways = mine;
	}
	__real_free(ways);
	ways = NULL;
	free(t.before);
	free(t.after);
	result_add("nomem", json_pack("{s:s, s:I, s:I}", "scenario", n->name, "runs", (json_int_t)(n_trials - trials_before), "wrong",
				      (json_int_t)t.n_bad));
	cr_expect_eq(t.n_bad, 0, "%s: %u of %zu allocations", n->name, t.n_bad, total);
}
