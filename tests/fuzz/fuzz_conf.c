/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as the configuration file. What is taken in, printed key by key, is a file that gives the same
 * configuration.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "conf/conf.h"
#include "text.h"

const unsigned replay_runs = 3000;

/* Every key in the syntax of the file; keys of one group follow each other. */
static void print(const struct conf *c, struct buf *out)
{
	char group[64] = "";

	for (size_t i = 0; i < conf_key_count(); i++) {
		CLEANUP(buf_done) struct buf value = {0};
		const char *name = conf_key_name(i), *dot = strchr(name, '.');
		size_t len = dot ? (size_t)(dot - name) : 0;

		CHECK(conf_key_value(c, i, &value) == 0 && len < sizeof(group));
		if (group[0] && (strlen(group) != len || strncmp(group, name, len) != 0)) {
			CHECK(buf_addf(out, "};\n") == 0);
			group[0] = '\0';
		}
		if (len && !group[0]) {
			CHECK(buf_addf(out, "%.*s: {\n", (int)len, name) == 0);
			memcpy(group, name, len);
			group[len] = '\0';
		}
		CHECK(buf_addf(out, "%s = %s;\n", dot ? dot + 1 : name, value.data) == 0);
	}
	CHECK(!group[0] || buf_addf(out, "};\n") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(conf_free) struct conf *c = NULL, *again = NULL;
	CLEANUP(strv_done) struct strv live = {0}, restart = {0};
	CLEANUP(buf_done) struct buf text = {0};
	struct err err = {0};

	if (size > 65536 || memmem(data, size, "@include", 8))
		return 0; /* the library reads other files for it */
	if (conf_parse((const char *)data, size, "input", &c, &err) < 0) {
		CHECK(!c && err.text[0]);
		return 0;
	}
	CHECK(c->control_socket[0] == '/');
	print(c, &text);
	CHECK(conf_parse(text.data, text.len, "printed", &again, &err) == 0);
	CHECK(conf_changed(c, again, &live, &restart) == 0 && live.n == 0 && restart.n == 0);
	conf_swap_live(c, again);
	return 0;
}
