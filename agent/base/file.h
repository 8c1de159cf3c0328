/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/*
 * Reads a whole file of at most `max` bytes into `ret`, which must be empty; on failure it stays so.
 * -E2BIG if it is longer; any errno of open(2) or read(2).
 */
int file_read(const char *path, size_t max, struct buf *ret);

/* What a write of a file adds to the name meanwhile; a write that was cut short may leave that. */
#define FILE_UNFINISHED ".new"

/*
 * Replaces `path` by `data` so that after power loss the old or the new content is there, whole:
 * temporary file, fsync, rename, fsync of the directory. Any errno of these; the old file then stands.
 */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode);

/* The same, but a file that holds just that is left alone. */
int file_keep(const char *path, const void *data, size_t len, mode_t mode);

/* file_write_atomic() with another owner, from the start: what has the name belongs to it. For root. */
int file_write_atomic_for(const char *path, const void *data, size_t len, mode_t mode, uid_t uid, gid_t gid);

/*
 * file_write_atomic() without waiting for the disk: whoever reads finds the old or the new content, but after
 * power loss it may be cut. For what can be checked, and done without.
 */
int file_replace(const char *path, const void *data, size_t len, mode_t mode);

/*
 * Removes `path`, and what a write of it that was cut short may have left, so that neither is there again after power
 * loss. 0 also if there is none; errno of unlink(2), open(2) and fsync(2).
 */
int file_remove(const char *path);

/*
 * The same without waiting for the disk, which file_sync_dir() can then do for several at once. 1, or 0 if there was
 * none; errno of unlink(2).
 */
int file_unlink(const char *path);

/* Waits until what was made, renamed and removed in a directory is on the disk. errno of open(2) and fsync(2). */
int file_sync_dir(const char *path);

/* Creates a directory and its parents. An existing one is fine and keeps its mode. */
int file_mkdirs(const char *path, mode_t mode);
