/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmarks say of their samples. Nothing here assumes that noise is normal: it is not. */
#pragma once

#include <stddef.h>

/* Of `n` > 0 samples, which stay as they are. Exit with a message without memory. */
double stats_median(const double *v, size_t n);
/* The q-th part of the samples is not above it; q = 0.99 is the 99th percentile, 0 the least. */
double stats_quantile(const double *v, size_t n, double q);

/* A value, and where it lies with 95 % confidence. */
struct stats_interval {
	double mid, lo, hi;
};

/*
 * The ratio of a to b from pairs that were measured one after the other: the median of the pairs'
 * ratios, and its percentile bootstrap interval of 10,000 resamples, the same each time.
 */
struct stats_interval stats_ratio(const double *a, const double *b, size_t n);

/* Nanoseconds that only grow; those that this thread had a processor. */
double stats_now_ns(void);
double stats_thread_ns(void);

/* Clock ticks of all processors, as /proc/stat has them: idle, stolen, all. */
struct stats_cpu {
	unsigned long long idle, stolen, all;
};
struct stats_cpu stats_cpu_now(void);
