/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/list_doubt.h"

#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/str.h"

enum {
	CONFIRM_LISTS = 2,
	GUARDED_LISTS = 3, /* of a guarded kind that is empty all at once, */
	GUARDED_TIMES = 4, /* over so many times the time between two */
	MARGIN_MIN = 2,	   /* two lists say the same if no more objects came or went in between, */
	MARGIN_PART = 10,  /* or no more than this part of them */
};

bool version_is_older(const char *a, const char *b)
{
	uint64_t x, y;

	return str_to_u64(a, UINT64_MAX, &x) == 0 && str_to_u64(b, UINT64_MAX, &y) == 0 && x < y;
}

static bool says_the_same(const struct list_doubt *a, const struct list_doubt *b)
{
	uint64_t diff = a->listed > b->listed ? a->listed - b->listed : b->listed - a->listed;

	return a->n && a->has_lost == b->has_lost && a->is_older == b->is_older && !version_is_older(b->version, a->version) &&
	       diff <= MAX(a->listed / MARGIN_PART, (uint64_t)MARGIN_MIN);
}

bool list_doubt_add(struct list_doubt *d, const struct list_doubt *now, bool is_guarded, uint64_t confirm_us)
{
	bool is_emptied = is_guarded && now->has_lost && now->listed == 0;
	uint64_t now_us = clock_boot_us();

	if (says_the_same(d, now)) {
		d->n++;
		memcpy(d->version, now->version, sizeof(d->version));
		return is_emptied ? d->n >= GUARDED_LISTS && now_us - d->since_us >= GUARDED_TIMES * confirm_us : d->n >= CONFIRM_LISTS;
	}
	*d = *now;
	d->n = 1;
	d->since_us = now_us;
	return false;
}
