/* SPDX-License-Identifier: Apache-2.0 */
#include "join/guard_file.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "join/state_file.h"
#include "json/json.h"

#define NAME "guard.json"

int guard_boot_id(char buf[GUARD_BOOT_ID_LEN + 1])
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = file_read("/proc/sys/kernel/random/boot_id", 64, &text);
	size_t n = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < text.len && n < GUARD_BOOT_ID_LEN; i++)
		if (strchr("0123456789abcdef", text.data[i]))
			buf[n++] = text.data[i];
	buf[n] = '\0';
	return n == GUARD_BOOT_ID_LEN ? 0 : -EBADMSG;
}

int guard_file_save(const char *dir, const struct guard *g, struct err *reterr)
{
	CLEANUP(json_decref) json_t *doc = NULL;
	char boot_id[GUARD_BOOT_ID_LEN + 1];
	int r;

	if (g->state == GUARD_OFF)
		return state_file_remove(dir, NAME, reterr);
	r = guard_boot_id(boot_id);
	if (r < 0)
		return err_set(reterr, -r, "cannot read the boot id: %s", err_name(r));
	doc = guard_to_json(g, boot_id);
	return state_file_save(dir, NAME, doc, reterr);
}

int guard_file_load(const char *dir, uint64_t now_us, struct guard *ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *doc = NULL;
	char boot_id[GUARD_BOOT_ID_LEN + 1];
	int r = state_file_load(dir, NAME, &doc, reterr);

	if (r == -ENOENT) {
		*ret = (struct guard){0};
		return 0;
	}
	if (r < 0)
		return r;
	r = guard_boot_id(boot_id);
	if (r < 0)
		return err_set(reterr, -r, "cannot read the boot id: %s", err_name(r));
	r = guard_from_json(doc, boot_id, now_us, ret);
	return r < 0 ? err_set(reterr, -r, "%s/" NAME " is of another version", dir) : 0;
}
