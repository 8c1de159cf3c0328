/* SPDX-License-Identifier: Apache-2.0 */
#include "service/migration_samples.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/macro.h"

enum {
	CHECKS_MIN = 5,	 /* before that nothing is said to be good */
	SLOW_MIN = 10,	 /* nor to be slow: a machine that is busy for a second or two is not */
	ERRORS_MIN = 2,	 /* one lost packet is no verdict */
	LATENCY_FLOOR_US = 10 * 1000, /* this host's own answers take no time at all */
};

void migration_text(char *to, size_t size, const char *text)
{
	size_t n = 0;

	for (; text[n] && n + 1 < size; n++)
		to[n] = text[n];
	to[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (to[i] < ' ' || to[i] > '~')
			to[i] = '?';
}

void migration_sample(struct migration_samples *s, uint64_t latency_us, const char *text)
{
	s->latency_us[s->next] = (uint32_t)MIN(latency_us, (uint64_t)UINT32_MAX);
	s->is_failed[s->next] = text != NULL;
	s->next = (s->next + 1) % MIGRATION_SAMPLES;
	s->n += s->n < MIGRATION_SAMPLES;
	s->checks++;
	if (!text)
		return;
	s->errors++;
	migration_text(s->text, sizeof(s->text), text);
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void migration_samples_view(const struct migration_samples *s, struct migration_sample_view *ret)
{
	uint32_t good[MIGRATION_SAMPLES];
	size_t n = 0;

	*ret = (struct migration_sample_view){.checks = s->n};
	for (size_t i = 0; i < s->n; i++) {
		if (s->is_failed[i])
			ret->errors++;
		else
			good[n++] = s->latency_us[i];
	}
	if (n == 0)
		return;
	qsort(good, n, sizeof(*good), u32_cmp);
	ret->latency_us = good[n / 2];
}

static enum migration_verdict judge_errors(const struct migration_samples *s, const struct migration_sample_view *to,
					   const struct migration_sample_view *from, uint32_t max_errors_pm, struct err *ret_text)
{
	if (to->errors < ERRORS_MIN || (uint64_t)to->errors * 1000 <= (uint64_t)max_errors_pm * to->checks)
		return MIGRATION_GOOD;
	if (from->errors && from->errors * to->checks >= to->errors * from->checks) {
		(void)err_set(ret_text, EAGAIN, "%zu of %zu checks failed, and no fewer of the other side: %s", to->errors,
			      to->checks, s->text);
		return MIGRATION_UNSURE;
	}
	(void)err_set(ret_text, EIO, "%zu of %zu checks failed, the last one: %s", to->errors, to->checks, s->text);
	return MIGRATION_BAD;
}

enum migration_verdict migration_judge(const struct migration_samples *to, const struct migration_samples *from,
				       uint32_t max_errors_pm, uint32_t factor, struct err *ret_text)
{
	struct migration_sample_view a, b;
	enum migration_verdict verdict;
	uint64_t base_us;

	migration_samples_view(to, &a);
	migration_samples_view(from, &b);
	verdict = judge_errors(to, &a, &b, max_errors_pm, ret_text);
	if (verdict != MIGRATION_GOOD)
		return verdict;
	if (a.checks < CHECKS_MIN) {
		(void)err_set(ret_text, EAGAIN, "%zu of %d checks were made", a.checks, CHECKS_MIN);
		return MIGRATION_UNSURE;
	}
	base_us = MAX(b.latency_us, (uint32_t)LATENCY_FLOOR_US);
	if (a.latency_us <= base_us * factor)
		return MIGRATION_GOOD;
	(void)err_set(ret_text, EIO, "answers take %" PRIu32 ".%" PRIu32 " ms, those of the other side %" PRIu32 ".%" PRIu32 " ms",
		      a.latency_us / 1000, a.latency_us / 100 % 10, b.latency_us / 1000, b.latency_us / 100 % 10);
	return a.checks < SLOW_MIN ? MIGRATION_UNSURE : MIGRATION_BAD;
}
