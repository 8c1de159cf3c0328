/* SPDX-License-Identifier: Apache-2.0 */
/* Small documents in the state directory that must survive a crash: whole, or known to be damaged. */
#pragma once

#include <jansson.h>

#include "base/err.h"

/* Replaces dir/name, mode 0600, owned by the owner of `dir`. -errno with a text. */
int state_file_write(const char *dir, const char *name, const void *data, size_t len, struct err *reterr);

/* The same with an object, to which a checksum is added. */
int state_file_save(const char *dir, const char *name, json_t *object, struct err *reterr);

/* -ENOENT if there is none; -EBADMSG if it is torn, altered or too large; errno of reading. With a text. */
int state_file_load(const char *dir, const char *name, json_t **ret, struct err *reterr);

/* 0 also if there is none. -errno with a text. */
int state_file_remove(const char *dir, const char *name, struct err *reterr);

/* The same with several, and one wait for the disk; in what order they go is not said. */
int state_file_remove_all(const char *dir, const char *const *names, size_t n, struct err *reterr);
