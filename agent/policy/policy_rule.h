/* SPDX-License-Identifier: Apache-2.0 */
/* Parsed policies: objects hold rules, rules hold flat entries (Cilium pkg/policy/types,
 * PolicyEntry). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/limits.h"
#include "identity/selector.h"
#include "policy/policy.h"
#include "policy/policy_resolve.h"

/* One (protocol, ports) of an entry. ICMP types are ports; type 0 is every type, as in Cilium's
 * maps. */
struct policy_l4 {
	uint8_t proto;
	bool is_all;	    /* every port */
	bool is_restricted; /* grants only with a proxy */
	bool has_dns;	    /* names are looked up here under dns rules */
	uint32_t dns_at, dns_n; /* its patterns among those of the entry */
	uint16_t lo, hi;
	uint32_t name; /* a named port, by its number in the label table's strings; 0 = lo..hi */
};

/* Ordered by what wins when one key has several. */
enum policy_auth {
	POLICY_AUTH_UNSET,
	POLICY_AUTH_DISABLED,
	POLICY_AUTH_REQUIRED,
	POLICY_AUTH_FAIL
};

/* toServices item: by name, or by the labels of the Service if `selector` is set. */
struct policy_service_ref {
	char *ns;		   /* "" = any */
	char *name;		   /* NULL: by labels */
	struct selector *selector; /* NULL: by name */
};

struct policy_rule;

struct policy_entry {
	uint32_t number; /* see policy_origin() */
	const struct policy_rule *rule;
	enum policy_dir dir;
	bool is_deny;
	bool has_any_peer; /* every peer, unknown ones too */
	bool has_any_l4;   /* every protocol; else only what `l4` holds */
	bool is_nothing;   /* an empty list of peers, or requirements on them: no peer, whatever else is said */
	bool has_fqdn;
	enum policy_auth auth;
	ARRAY(struct selector *) peers;
	ARRAY(struct policy_service_ref) services;
	ARRAY(struct policy_l4) l4;
	ARRAY(char *) dns; /* matchName and matchPattern of dns rules, lower case */
	char *path;
};

struct policy_rule {
	const struct policy_object *object;
	struct selector *subject;
	bool is_node; /* nodeSelector */
	bool is_default_deny[POLICY_DIRS];
	char *labels; /* comma separated */
	char *log;
	ARRAY(struct policy_entry) entries;
};

/* A CiliumCIDRGroup. */
struct policy_group {
	struct label_set *labels; /* all from source cidrgroup */
	struct cidr *cidrs;
	size_t n_cidrs;
};

struct policy_object {
	enum policy_kind kind;
	char *ns, *name;
	int64_t generation;
	char *error;	 /* of the newest version, if that is invalid; else NULL */
	char *degraded;	 /* what of it grants less than in Cilium; else NULL */
	bool is_valid;	 /* some version was good: the rules below are in force */
	bool is_marked;	 /* the annotation asks for shadow mode */
	bool is_shadow;	 /* so it is: the rules are in force nowhere */
	uint64_t digest; /* of what identifies the newest version read */
	ARRAY(struct policy_rule) rules;
	struct policy_group group;
	char *key; /* kind/ns/name */
	UT_hash_handle hh;
};

/* What a DNS name stands for, as last told. */
struct policy_fqdn_name {
	char *name; /* lower case, no final dot */
	struct ip *ips;
	size_t n;
	UT_hash_handle hh;
};

struct policy_repo {
	struct identity_table *ids;
	struct label_table *labels;
	struct selector_cache *selectors;
	struct policy_options options;
	struct policy_service_view services;
	struct policy_object *objects;
	struct policy_fqdn_name *names;
	struct policy_chosen *choices; /* of policy_shadow.c */
	bool ignores_choices;
	ARRAY(struct policy_entry *) by_number; /* 0 is no rule */
	ARRAY(uint32_t) free_numbers;
	uint64_t generation;
	uint64_t names_generation; /* of `names`, as far as a policy looks at them */
	uint64_t services_hash; /* of what toServices stood for when the table was last made of all policies */
	bool uses_all_prefixes; /* some peer in use has a cidr: key */
	struct label_set *subject;
	uint16_t subject_flags;
	struct named_ports *subject_ports;
};

/* What an object is known by; it takes no memory, so that no answer is for lack of it. False if there can be none of that name. */
enum { POLICY_KEY_MAX = 2 * LIMIT_NAME + 16 };
bool policy_key(enum policy_kind kind, const char *ns, const char *name, char ret[POLICY_KEY_MAX]);

/* NULL if there is none. */
struct policy_object *policy_find(const struct policy_repo *r, enum policy_kind kind, const char *ns,
				  const char *name);

/* Forgets all learned DNS names. */
void policy_fqdn_done(struct policy_repo *r);

/* Whether some policy that selects this host has a dns rule. */
bool policy_has_dns_rules(const struct policy_repo *r);

/*
 * Whether the annotation asks for shadow mode; `ret_unknown` is its value if that means nothing, else
 * NULL. Sets o->is_shadow from that and from this host's choice. Forgets all choices.
 */
bool policy_object_is_marked(const struct doc *obj, const char **ret_unknown);
void policy_object_settle(const struct policy_repo *r, struct policy_object *o);
void policy_choices_done(struct policy_repo *r);

void policy_entry_done(struct policy_repo *r, struct policy_entry *e);
void policy_rule_done(struct policy_repo *r, struct policy_rule *rule);
/* Gives back the room for more of what a rule has, once that is all. */
void policy_rule_trim(struct policy_rule *rule);
void policy_object_free(struct policy_repo *r, struct policy_object *o);

/* Whether it is in force nowhere and only tells what it would drop. */
bool policy_entry_is_shadow(const struct policy_entry *e);

/* Whether the rule is about this host. */
bool policy_rule_selects(const struct policy_repo *r, const struct policy_rule *rule);

/*
 * Calls for every entry about `dir` of the rules that are about this host, those of shadow policies too. Stops at the first
 * answer that is not 0, and returns it.
 */
typedef int (*policy_entry_fn)(const struct policy_entry *e, void *arg);
int policy_each_entry(const struct policy_repo *r, enum policy_dir dir, policy_entry_fn fn, void *arg);

/* The labels of identity_of_world(). Borrowed until the identities change. */
const struct label_set *policy_world_labels(const struct policy_repo *r, int family);

/* Whether `mode` or an init label makes every direction enforced with default deny. */
bool policy_is_always(const struct policy_repo *r);

/*
 * Selectors that the toServices items of an entry stand for now, each with a reference, appended to
 * `ret`. What matches no Service gives none. -ENOMEM, -ENOSPC.
 */
struct selector_list {
	struct selector **v;
	size_t n, cap;
};
int policy_services_resolve(struct policy_repo *r, const struct policy_entry *e,
			    struct selector_list *ret);
/* Of what was resolved for an entry: the sum over all entries tells whether some Service stands for something else now. */
uint64_t policy_services_hash(const struct policy_entry *e, const struct selector_list *found);
void selector_list_done(struct policy_repo *r, struct selector_list *l);
