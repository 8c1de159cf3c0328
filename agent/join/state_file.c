/* SPDX-License-Identifier: Apache-2.0 */
#include "join/state_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "join/checksum.h"
#include "json/json.h"

static char *path_of(const char *dir, const char *name)
{
	return str_printf("%s/%s", dir, name);
}

/* mesh-join runs as root, the daemon does not: what is written belongs to the directory's owner. */
int state_file_write(const char *dir, const char *name, const void *data, size_t len, struct err *reterr)
{
	CLEANUP(free) char *path = path_of(dir, name);
	struct stat st;
	int r = path ? 0 : -ENOMEM;

	if (r == 0 && stat(dir, &st) < 0)
		r = -errno;
	if (r == 0)
		r = geteuid() == 0 ? file_write_atomic_for(path, data, len, 0600, st.st_uid, st.st_gid) :
				     file_write_atomic(path, data, len, 0600);
	return r < 0 ? err_set(reterr, -r, "%s/%s: %s", dir, name, err_name(r)) : 0;
}

int state_file_save(const char *dir, const char *name, json_t *object, struct err *reterr)
{
	CLEANUP(free) char *text = NULL;
	char sum[CHECKSUM_STRLEN];

	if (!object || checksum_of(object, sum) < 0 || json_object_set_new(object, "sum", json_string(sum)) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	text = json_text(object);
	return text ? state_file_write(dir, name, text, strlen(text), reterr) : err_set(reterr, ENOMEM, "out of memory");
}

int state_file_load(const char *dir, const char *name, json_t **ret, struct err *reterr)
{
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(free) char *path = path_of(dir, name);
	CLEANUP(json_decref) json_t *o = NULL;
	char sum[CHECKSUM_STRLEN];
	int r = path ? file_read(path, LIMIT_STATE_BYTES, &text) : -ENOMEM;

	if (r == -E2BIG)
		return err_set(reterr, EBADMSG, "%s is too large", path);
	if (r < 0)
		return err_set(reterr, -r, "%s/%s: %s", dir, name, err_name(r));
	o = text.data ? json_parse(text.data, text.len) : NULL;
	if ((text.data && !o && errno == ENOMEM) || (json_is_object(o) && checksum_of(o, sum) < 0))
		return err_set(reterr, ENOMEM, "%s/%s: %s", dir, name, err_name(ENOMEM));
	if (!json_is_object(o) || !str_eq(json_str(o, "sum", ""), sum))
		return err_set(reterr, EBADMSG, "%s is damaged", path);
	*ret = TAKE_PTR(o);
	return 0;
}

int state_file_remove(const char *dir, const char *name, struct err *reterr)
{
	CLEANUP(free) char *path = path_of(dir, name);
	int r = path ? file_remove(path) : -ENOMEM;

	return r < 0 ? err_set(reterr, -r, "%s/%s: %s", dir, name, err_name(r)) : 0;
}

int state_file_remove_all(const char *dir, const char *const *names, size_t n, struct err *reterr)
{
	bool is_changed = false;
	int r;

	for (size_t i = 0; i < n; i++) {
		CLEANUP(free) char *path = path_of(dir, names[i]);

		r = path ? file_unlink(path) : -ENOMEM;
		if (r < 0)
			return err_set(reterr, -r, "%s/%s: %s", dir, names[i], err_name(r));
		is_changed |= r > 0;
	}
	r = is_changed ? file_sync_dir(dir) : 0;
	return r < 0 ? err_set(reterr, -r, "%s: %s", dir, err_name(r)) : 0;
}
