/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/* Loads a YAML file as JSON: plain true, false, null and whole numbers get their types. NULL if it
 * cannot be read. */
json_t *yaml_load_json(const char *path);
