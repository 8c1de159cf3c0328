/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that the daemon last ran with. A host that boots with a file that cannot be used, as after a slip that nobody
 * noticed, goes on with this one: its policies hold all the same. A mere restart does not, as what is in force stays then, and who
 * restarts it is there to read the error.
 */
#pragma once

#include "conf/conf.h"

/* Keeps the file at `path` for that, or the defaults if none is there. 0 or -errno. */
int last_conf_save(const struct conf *conf, const char *path);

/* 0; -ENOENT if there is none, or one of this very boot; otherwise as conf_parse(). */
int last_conf_load(struct conf **ret, struct err *reterr);

/* For taking down what a daemon left, whichever boot it ran in: the last one, or the defaults. 0 or -ENOMEM. */
int last_conf_load_any(struct conf **ret);
