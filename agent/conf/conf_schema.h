/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys. Only what is in this folder uses it. */
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
	CONF_CIDRS,	 /* list of prefixes */
	CONF_FAILSAFES,	 /* list of groups */
	CONF_NAMED_PORTS, /* list of groups */
	CONF_PROBES,	  /* list of groups */
	CONF_FORWARDS	  /* list of groups */
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

static inline void *conf_member(const struct conf *c, const struct conf_key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

/* Reads one setting into its member. -EINVAL with key and what is allowed, without file and line. */
int conf_value_read(struct conf *c, const struct conf_key *k, const config_setting_t *s,
		    struct err *reterr);
/* Prints the member in the syntax of the file. */
int conf_value_print(const struct conf *c, const struct conf_key *k, struct buf *buf);
int conf_value_allowed(const struct conf_key *k, struct buf *buf);

/* The same of a list, whose length was looked at; and frees what it owns. */
int conf_list_read(struct conf *c, const struct conf_key *k, const config_setting_t *s, struct err *reterr);
int conf_list_print(const struct conf *c, const struct conf_key *k, struct buf *buf);
void conf_list_done(struct conf *c, const struct conf_key *k);

/* Names that the kernel takes (dev_valid_name), less those with odd characters; `*` may end a pattern. */
bool conf_value_is_device(const char *s, bool is_pattern);

/* For members of groups: text, NULL if it is none; a number, false if it is none or out of bounds. */
const char *conf_value_text(const config_setting_t *s);
bool conf_value_number(const config_setting_t *s, uint64_t min, uint64_t max, uint64_t *ret);
/* Letters of an IANA service name, as Kubernetes checks them. */
bool conf_value_is_port_name(const char *s);
/* True if it has no control character, quote or backslash, so that it can be printed in quotes. */
bool conf_value_is_printable(const char *s);
/* -EINVAL with the key, the member's name, what is wrong with it and what is allowed. */
int conf_value_refuse(const struct conf_key *k, struct err *reterr, const char *name, const char *what);

/* One group of health-probes, a struct conf_probe. It must be empty; what it owns is to be freed on failure, too. */
int conf_probe_read(void *probe, const struct conf_key *k, const config_setting_t *s, struct err *reterr);
int conf_probe_print(const void *probe, struct buf *buf);
/* Puts the numbers of named ports in. -EINVAL if a name is not there for tcp. */
int conf_probe_resolve(struct conf *c, struct err *reterr);

/* The same for one group of forwards, a struct conf_forward. */
int conf_forward_read(void *forward, const struct conf_key *k, const config_setting_t *s, struct err *reterr);
int conf_forward_print(const void *forward, struct buf *buf);
void conf_forward_done(void *forward);

/* Frees what the member owns. */
void conf_value_done(struct conf *c, const struct conf_key *k);
