/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as YAML. JSON is a part of YAML, so what was read reads the same from its JSON; but for the line ends of Unicode (U+0085,
 * U+2028), which are folded in YAML 1.1 unless they are escaped.
 */
#include "json/json.h"
#include "kube/yaml_json.h"
#include "text.h"

const unsigned replay_runs = 4000;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *docs = NULL, *again = NULL;
	CLEANUP(free) char *text = NULL;
	struct err err = {0};

	if (size > 65536)
		return 0;
	if (yaml_to_json((const char *)data, size, &docs, &err) < 0) {
		CHECK(!docs && err.text[0]);
		return 0;
	}
	CHECK(json_is_array(docs));
	text = json_dumps(docs, JSON_COMPACT | JSON_ENSURE_ASCII);
	CHECK(text);
	if (yaml_to_json(text, strlen(text), &again, NULL) == 0)
		CHECK(json_array_size(again) == 1 && json_equal(json_array_get(again, 0), docs));
	return 0;
}
