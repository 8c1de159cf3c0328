/* SPDX-License-Identifier: Apache-2.0 */
/* YAML (of which JSON is a part) to JSON documents, as Kubernetes reads it. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Reads all documents of a text into an array; empty documents are left out. Plain scalars become
 * null, truth values, integers or strings; quoted ones are strings.
 * -EINVAL with the line for what is not YAML, for keys given twice or that are no strings, for
 * nesting over LIMIT_JSON_DEPTH and for aliases that blow the text up; -ENOMEM.
 */
int yaml_to_json(const char *text, size_t len, json_t **ret, struct err *reterr);
