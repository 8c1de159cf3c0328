/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys. Only conf.c, conf_value.c and conf_schema.c use it. */
#pragma once

#include <libconfig.h>

#include "conf/conf.h"

enum conf_type {
	CONF_BOOL,
	CONF_INT,
	CONF_CHOICE,
	CONF_PATH,	 /* absolute */
	CONF_TEXT,	 /* at most `max` bytes; may be empty */
	CONF_DEVICE,	 /* network device name */
	CONF_DEVICES,	 /* list of patterns of them */
	CONF_IPS,	 /* list of addresses */
	CONF_FAILSAFES,	 /* list of groups */
	CONF_NAMED_PORTS /* list of groups */
};

struct conf_choice {
	const char *name; /* NULL ends the list */
	int value;
};

struct conf_key {
	const char *name; /* path, at most one dot */
	enum conf_type type;
	size_t offset; /* in struct conf */
	const char *def; /* in the syntax of the file */
	uint64_t min, max;
	const struct conf_choice *choices;
	bool is_restart; /* a reload cannot change it */
	const char *doc;
};

extern const struct conf_key conf_keys[];
extern const size_t conf_keys_n;

/* Reads one setting into its member. -EINVAL with key and what is allowed, without file and line. */
int conf_value_read(struct conf *c, const struct conf_key *k, const config_setting_t *s,
		    struct err *reterr);
/* Prints the member in the syntax of the file. */
int conf_value_print(const struct conf *c, const struct conf_key *k, struct buf *buf);
int conf_value_allowed(const struct conf_key *k, struct buf *buf);
/* Frees what the member owns. */
void conf_value_done(struct conf *c, const struct conf_key *k);
