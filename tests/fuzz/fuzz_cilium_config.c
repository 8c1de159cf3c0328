/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the ConfigMap cilium-config. Both readers agree, and what is refused has a reason. */
#include "fuzz.h"
#include "join/cluster_info.h"
#include "json/json.h"
#include "kube/cilium_config.h"

const unsigned replay_runs = 5000;

static void read_config(const json_t *doc)
{
	CLEANUP(cluster_info_done) struct cluster_info info = {0};
	CLEANUP(strv_done) struct strv warnings = {0};
	struct cilium_config c, again;
	struct err err = {0};
	int r = cilium_config_parse(doc, &c, &err);

	if (r < 0) {
		CHECK(err.text[0] && cluster_info_read(doc, &info, NULL) < 0);
		return;
	}
	CHECK(c.identity_min < c.identity_max && c.cluster_name[0]);
	CHECK(cilium_config_parse(doc, &again, NULL) == 0 && cilium_config_same(&c, &again));
	r = cilium_config_check(doc, &c, &warnings, &err);
	CHECK(r == 0 || err.text[0]);
	err.text[0] = '\0';
	r = cluster_info_read(doc, &info, &err);
	CHECK(r == 0 || err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decref) json_t *doc = json_parse((const char *)data, size);

	if (doc)
		read_config(doc);
	return 0;
}
