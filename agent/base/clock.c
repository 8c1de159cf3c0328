/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
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

void clock_rfc3339_micro(int64_t wall_us, char buf[28])
{
	time_t s = (time_t)(wall_us / (int64_t)USEC_PER_SEC);
	struct tm tm;
	char day[24];

	(void)gmtime_r(&s, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, 28, "%.19s.%06ldZ", day, (long)(wall_us % (int64_t)USEC_PER_SEC));
}

/* Exactly `n` digits, at most `max`; -1 otherwise. strptime() and sscanf() take signs and spaces too. */
static int digits(const char *p, size_t n, int max)
{
	int x = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		x = x * 10 + (p[i] - '0');
	}
	return x <= max ? x : -1;
}

/* "YYYY-MM-DDTHH:MM:SS"; the second may be a leap second. */
static bool parse_date_time(const char *text, struct tm *ret)
{
	struct tm tm = {0}, back;
	time_t t;

	if (strnlen(text, 19) < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
	    text[13] != ':' || text[16] != ':')
		return false;
	tm.tm_year = digits(text, 4, 9999) - 1900;
	tm.tm_mon = digits(text + 5, 2, 12) - 1;
	tm.tm_mday = digits(text + 8, 2, 31);
	tm.tm_hour = digits(text + 11, 2, 23);
	tm.tm_min = digits(text + 14, 2, 59);
	tm.tm_sec = digits(text + 17, 2, 60);
	if (tm.tm_year < -1900 || tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_hour < 0 || tm.tm_min < 0 ||
	    tm.tm_sec < 0)
		return false;
	*ret = tm;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	t = timegm(&tm);
	return gmtime_r(&t, &back) && back.tm_mday == ret->tm_mday; /* the month has that day */
}

int clock_parse_rfc3339(const char *text, int64_t *ret_s)
{
	struct tm tm;
	int64_t offset = 0;
	int hours, minutes;
	const char *end = text + 19;

	if (!parse_date_time(text, &tm))
		return -EINVAL;
	if (*end == '.') {
		if (!isdigit((unsigned char)*++end))
			return -EINVAL;
		while (isdigit((unsigned char)*end))
			end++;
	}
	if (*end == '+' || *end == '-') {
		if (strnlen(end, 6) < 6 || end[3] != ':')
			return -EINVAL;
		hours = digits(end + 1, 2, 23);
		minutes = digits(end + 4, 2, 59);
		if (hours < 0 || minutes < 0)
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
