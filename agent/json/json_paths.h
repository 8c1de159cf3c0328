/* SPDX-License-Identifier: Apache-2.0 */
/* The trie behind struct json_paths; used by json_stream.c only. */
#pragma once

#include "json/json_stream.h"

enum { JSON_PATH_NONE = -1 };

/* The node of the whole object. */
int json_paths_root(const struct json_paths *p);
/* The node below `node` for a key, or for array elements; JSON_PATH_NONE if nothing there is wanted. */
int json_paths_key(const struct json_paths *p, int node, const char *key, size_t len, bool *ret_is_any);
int json_paths_element(const struct json_paths *p, int node);
/* The field id at a node, or -1. */
int json_paths_id(const struct json_paths *p, int node);
