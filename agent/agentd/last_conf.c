/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/last_conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "join/join_state.h"

/* The first line, a comment, tells of which boot it is. */
#define MARK "# boot "
enum { MARK_LEN = sizeof(MARK) - 1 + SD_ID128_STRING_MAX };

/* systemd says where, since the configuration cannot. */
static char *path_in(const char *state_dir)
{
	const char *dir = getenv("STATE_DIRECTORY");

	return str_printf("%s/" JOIN_STATE_CONF, dir ? dir : state_dir);
}

static int mark(char ret[static MARK_LEN + 1])
{
	char boot[SD_ID128_STRING_MAX];
	sd_id128_t id;
	int r = sd_id128_get_boot(&id);

	if (r == 0)
		(void)snprintf(ret, MARK_LEN + 1, MARK "%s\n", sd_id128_to_string(id, boot)); /* fits */
	return r;
}

int last_conf_save(const struct conf *conf, const char *path)
{
	CLEANUP(buf_done) struct buf text = {0}, all = {0};
	CLEANUP(conf_free) struct conf *again = NULL;
	CLEANUP(free) char *to = path_in(conf->state_dir);
	char first[MARK_LEN + 1];
	struct err err;
	int r;

	if (!to)
		return -ENOMEM;
	r = file_read(path, LIMIT_CONFIG_BYTES, &text);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = conf_parse(text.data ? text.data : "", text.len, path, &again, &err); /* it may be another one by now */
	if (r == 0)
		r = mark(first);
	if (r == 0)
		r = buf_add(&all, first, MARK_LEN);
	if (r == 0)
		r = buf_add(&all, text.data, text.len);
	return r < 0 ? r : file_keep(to, all.data, all.len, 0600);
}

/* `is_any`: of this boot, too. */
static int load(bool is_any, struct conf **ret, struct err *reterr)
{
	CLEANUP(conf_free) struct conf *defaults = NULL;
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(free) char *from = NULL;
	char first[MARK_LEN + 1];
	int r = conf_parse("", 0, "defaults", &defaults, reterr);

	if (r < 0)
		return r;
	from = path_in(defaults->state_dir);
	if (!from)
		return -ENOMEM;
	r = file_read(from, LIMIT_CONFIG_BYTES + MARK_LEN, &text);
	if (r == 0)
		r = mark(first);
	if (r < 0)
		return r;
	if (!is_any && text.len >= MARK_LEN && memcmp(text.data, first, MARK_LEN) == 0)
		return -ENOENT;
	return conf_parse(text.data ? text.data : "", text.len, from, ret, reterr);
}

int last_conf_load(struct conf **ret, struct err *reterr)
{
	return load(false, ret, reterr);
}

int last_conf_load_any(struct conf **ret)
{
	struct err err; /* of a file that is no use either */

	return load(true, ret, &err) == 0 ? 0 : conf_parse("", 0, "defaults", ret, &err);
}
