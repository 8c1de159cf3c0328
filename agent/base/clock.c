/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_boot_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
	return (int64_t)time(NULL);
}

int64_t clock_wall_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)USEC_PER_SEC + ts.tv_nsec / 1000;
}

void clock_rfc3339_micro(char buf[28])
{
	struct timespec ts;
	struct tm tm;
	char day[24];

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, 28, "%.19s.%06ldZ", day, ts.tv_nsec / 1000);
}

int clock_parse_rfc3339(const char *text, int64_t *ret_s)
{
	struct tm tm = {0};
	int64_t offset = 0;
	int hours, minutes, used;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end)
		return -EINVAL;
	if (*end == '.')
		for (end++; isdigit((unsigned char)*end); end++)
			;
	if (*end == '+' || *end == '-') {
		if (sscanf(end + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5)
			return -EINVAL;
		offset = (hours * 60 + minutes) * (*end == '-' ? -60 : 60);
		end += 6;
	} else if (*end == 'Z' || *end == 'z') {
		end++;
	} else {
		return -EINVAL;
	}
	if (*end)
		return -EINVAL;
	*ret_s = (int64_t)timegm(&tm) - offset;
	return 0;
}
