/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>

enum { BURST = 20, WINDOW_S = 10, SLOTS = 64, FIELDS_MAX = 16, FIELD_LEN = 600 };

/* One slot per event name (by hash): enough to stop a flood, small enough to be static. */
static struct {
	uint32_t hash;
	unsigned count, held;
	time_t start;
} slots[SLOTS];
static int max_level = LOG_INFO;

void log_set_level(int level)
{
	max_level = level;
}

int log_get_level(void)
{
	return max_level;
}

int log_level_parse(const char *name, int *ret_level)
{
	static const struct {
		const char *name;
		int level;
	} names[] = {{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i].name) == 0) {
			*ret_level = names[i].level;
			return 0;
		}
	return -EINVAL;
}

/* False if the event must be held back; else *ret_held is how many were before it. */
static bool rate_ok(const char *event, unsigned *ret_held)
{
	struct timespec now;
	uint32_t h = 2166136261u;
	size_t i;

	for (const char *p = event; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	i = h % SLOTS;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (slots[i].hash != h || now.tv_sec - slots[i].start >= WINDOW_S) {
		*ret_held = slots[i].hash == h ? slots[i].held : 0;
		slots[i].hash = h;
		slots[i].count = 1;
		slots[i].held = 0;
		slots[i].start = now.tv_sec;
		return true;
	}
	*ret_held = 0;
	if (++slots[i].count <= BURST)
		return true;
	slots[i].held++;
	return false;
}

static void format_value(char *buf, size_t size, const struct log_field *f)
{
	switch (f->type) {
	case LOG_FIELD_STR:
		(void)snprintf(buf, size, "%s", f->str ? f->str : "-");
		break;
	case LOG_FIELD_I64:
		(void)snprintf(buf, size, "%" PRId64, f->i64);
		break;
	case LOG_FIELD_U64:
		(void)snprintf(buf, size, "%" PRIu64, f->u64);
		break;
	}
	for (char *p = buf; *p; p++) /* hostile text must not forge lines or escape sequences */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

static void to_stderr(int level, const char *event, const char *sentence,
		      const struct log_field *fields, size_t n, unsigned held)
{
	static const char *const names[] = {"", "", "", "error", "warning", "info", "info", "debug"};
	char value[FIELD_LEN];

	flockfile(stderr);
	(void)fprintf(stderr, "%s: %s: %s", names[level & 7], event, sentence);
	for (size_t i = 0; i < n; i++) {
		if (!fields[i].key)
			continue;
		format_value(value, sizeof(value), &fields[i]);
		(void)fprintf(stderr, " %s=%s", fields[i].key, value);
	}
	if (held)
		(void)fprintf(stderr, " held_back=%u", held);
	(void)fputc('\n', stderr);
	funlockfile(stderr);
}

static void to_journal(int level, const char *event, const char *sentence,
		       const struct log_field *fields, size_t n, unsigned held)
{
	char text[FIELDS_MAX + 4][FIELD_LEN], message[2 * FIELD_LEN], value[FIELD_LEN - 64];
	struct iovec iov[FIELDS_MAX + 4];
	int used = 0;
	size_t len;

	len = (size_t)snprintf(message, sizeof(message), "MESSAGE=%s", sentence);
	for (size_t i = 0; i < n && used < FIELDS_MAX; i++) {
		if (!fields[i].key)
			continue;
		format_value(value, sizeof(value), &fields[i]);
		if (len < sizeof(message))
			len += (size_t)snprintf(message + len, sizeof(message) - len, " %s=%s",
						fields[i].key, value);
		(void)snprintf(text[used], FIELD_LEN, "MESH_%s=%s", fields[i].key, value);
		for (char *p = text[used]; *p != '='; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		used++;
	}
	(void)snprintf(text[used++], FIELD_LEN, "PRIORITY=%d", level);
	(void)snprintf(text[used++], FIELD_LEN, "MESH_EVENT=%s", event);
	(void)snprintf(text[used++], FIELD_LEN, "MESH_HELD_BACK=%u", held);
	for (int i = 0; i < used; i++)
		iov[i] = (struct iovec){.iov_base = text[i], .iov_len = strlen(text[i])};
	iov[used++] = (struct iovec){.iov_base = message, .iov_len = strlen(message)};
	(void)sd_journal_sendv(iov, used); /* no journal, no log: nothing else to tell */
}

void log_event_fields(int level, const char *event, const char *sentence,
		      const struct log_field *fields, size_t n)
{
	unsigned held;

	if (level > max_level || !rate_ok(event, &held))
		return;
	if (getenv("JOURNAL_STREAM"))
		to_journal(level, event, sentence, fields, n, held);
	else
		to_stderr(level, event, sentence, fields, n, held);
}
