/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RESAMPLES = 10000 };

static double *copy_of(size_t n)
{
	double *v = calloc(n ? n : 1, sizeof(*v));

	if (!v) {
		(void)fprintf(stderr, "out of memory\n");
		exit(99);
	}
	return v;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted samples. */
static double at(const double *v, size_t n, double q)
{
	size_t i = (size_t)ceil(q * (double)n);

	return v[i ? i - 1 : 0];
}

static double middle(const double *v, size_t n)
{
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double stats_quantile(const double *v, size_t n, double q)
{
	double *s = copy_of(n), r;

	memcpy(s, v, n * sizeof(*v));
	qsort(s, n, sizeof(*s), cmp);
	r = at(s, n, q);
	free(s);
	return r;
}

double stats_median(const double *v, size_t n)
{
	double *s = copy_of(n), r;

	memcpy(s, v, n * sizeof(*v));
	qsort(s, n, sizeof(*s), cmp);
	r = middle(s, n);
	free(s);
	return r;
}

/* xorshift64: the same samples give the same interval. */
static size_t draw(uint64_t *state, size_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (size_t)(*state % n);
}

struct stats_interval stats_ratio(const double *a, const double *b, size_t n)
{
	double *logs = copy_of(n), *drawn = copy_of(n), *medians = copy_of(RESAMPLES);
	uint64_t state = 88172645463325252U;
	struct stats_interval r;

	for (size_t i = 0; i < n; i++)
		logs[i] = log(a[i] / b[i]);
	for (size_t k = 0; k < RESAMPLES; k++) {
		for (size_t i = 0; i < n; i++)
			drawn[i] = logs[draw(&state, n)];
		qsort(drawn, n, sizeof(*drawn), cmp);
		medians[k] = middle(drawn, n);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), cmp);
	r.mid = exp(stats_median(logs, n));
	r.lo = exp(at(medians, RESAMPLES, 0.025));
	r.hi = exp(at(medians, RESAMPLES, 0.975));
	free(logs);
	free(drawn);
	free(medians);
	return r;
}

static double clock_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail for these clocks */
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double stats_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

double stats_thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

struct stats_cpu stats_cpu_now(void)
{
	unsigned long long v[8] = {0};
	struct stats_cpu r = {0};
	FILE *f = fopen("/proc/stat", "re");

	/* user nice system idle iowait irq softirq steal: proc_stat(5) */
	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
			&v[6], &v[7]) == 8) {
		for (unsigned i = 0; i < 8; i++)
			r.all += v[i];
		r.idle = v[3] + v[4];
		r.stolen = v[7];
	}
	if (f)
		(void)fclose(f); /* only read */
	return r;
}
