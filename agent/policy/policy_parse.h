/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy and CiliumCIDRGroup to
 * rules. One bad rule makes the object invalid, as in Cilium.
 */
#pragma once

#include "base/buf.h"
#include "json/doc.h"
#include "policy/policy_rule.h"

/* State of one parse: where we are, for the error text, and what came out degraded. */
struct policy_parser {
	struct policy_repo *repo;
	const struct policy_object *object;
	const struct policy_rule *rule; /* the one being filled */
	bool is_subject_init;		/* subject selector has reserved:init */
	char path[256];
	size_t path_len;
	struct err *err;
	struct buf degraded;
	size_t n_rules, n_ports; /* so far, of the object */
};

/* Fills object->rules (or .group) from a whole object. -EBADMSG with a text in p->err; -ENOMEM. */
int policy_parse_object(struct policy_parser *p, const struct doc *obj, struct policy_object *object);

/* The parts below are shared by the files of the parser. */

/* Goes into a field, or an item of it ("" = of where we are); returns what policy_pop() needs to come back. */
size_t policy_push(struct policy_parser *p, const char *field);
size_t policy_push_at(struct policy_parser *p, const char *field, size_t item);
void policy_pop(struct policy_parser *p, size_t mark);

/* "path: text" as -EBADMSG. */
int policy_bad(struct policy_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Notes that the place read now grants less than in Cilium. -ENOMEM. */
int policy_note(struct policy_parser *p, const char *text);

/* Optional members of a type: *ret is NULL (or as it was) if absent. -EBADMSG for another type. */
int policy_get_object(struct policy_parser *p, const struct doc *obj, const char *key,
		      const struct doc **ret);
int policy_get_array(struct policy_parser *p, const struct doc *obj, const char *key,
		     const struct doc **ret);
int policy_get_string(struct policy_parser *p, const struct doc *obj, const char *key,
		      const char **ret);

/* How keys without a source are read, and what is put before every key. */
struct policy_keys {
	uint8_t source;
	bool is_strict;	    /* keys carry no source: KNP */
	const char *prefix; /* or "" */
};

/*
 * Reads a LabelSelector into a builder: matchLabels, then matchExpressions. `ns` (or NULL) replaces
 * a k8s namespace requirement of matchLabels, as Cilium does for subjects.
 */
int policy_parse_selector(struct policy_parser *p, const struct doc *sel,
			  const struct policy_keys *keys, const char *ns,
			  struct selector_builder *b);

/* Adds the cluster requirement that policy-default-local-cluster asks for. */
int policy_add_cluster(struct policy_parser *p, struct selector_builder *b);

/* Whether so many entries, each with so many ports, are not too many before there is work done on them. 0, -EBADMSG. */
int policy_check_room(struct policy_parser *p, size_t n_entries, size_t n_ports);

/* An empty entry of the rule for where we are, which may be one too many. -EBADMSG, -ENOMEM. */
int policy_add_entry(struct policy_parser *p, struct policy_rule *rule, enum policy_dir dir, struct policy_entry **ret);

/* Takes the builder's selector into the peers of an entry. */
int policy_add_peer(struct policy_parser *p, struct selector_builder *b, struct policy_entry *e);

/*
 * matchName or matchPattern, exactly one, of a toFQDNs item or a dns rule; lower case into `ret`.
 * -EBADMSG.
 */
int policy_parse_dns_name(struct policy_parser *p, const struct doc *item,
			  char ret[LIMIT_LABEL_KEY + 1]);

/* L3 of a CNP element. */
int policy_parse_peers(struct policy_parser *p, const struct doc *element, struct policy_entry *e);

/* One item of fromCIDRSet, or an ipBlock. */
int policy_parse_cidr_item(struct policy_parser *p, const struct doc *item, struct policy_entry *e);

/* toPorts and icmps of a CNP element. */
int policy_parse_l4(struct policy_parser *p, const struct doc *element, struct policy_entry *e);

/* One item of icmps. */
int policy_parse_icmps(struct policy_parser *p, const struct doc *item, struct policy_entry *e);

/*
 * A number of 16 bits as Go reads it with base 0: octal after a zero, other bases by their letters, underscores between
 * digits. -EINVAL.
 */
int policy_parse_number(const char *text, uint16_t *ret);

/*
 * Adds an item to those of the entry, or three for protocol 0: ANY is TCP, UDP and SCTP, never ICMP (Cilium
 * pkg/policy/l4.go). Takes the reference on l4.name. -EBADMSG past LIMIT_POLICY_PORTS, -ENOMEM.
 */
int policy_add_l4(struct policy_parser *p, struct policy_entry *e, struct policy_l4 l4);

/* Adds one port in CNP notation: number or name, end (0 = none), protocol (NULL = ANY). */
int policy_add_port(struct policy_parser *p, struct policy_entry *e, const char *port, int64_t end,
		    const char *proto, bool is_restricted, bool *ret_is_zero);

/* rules of a NetworkPolicy, and the whole of a CiliumCIDRGroup. */
int policy_parse_knp(struct policy_parser *p, const struct doc *obj, struct policy_object *object);
int policy_parse_group(struct policy_parser *p, const struct doc *obj, struct policy_object *object);

#define POLICY_NS_LABEL	       "io.kubernetes.pod.namespace"
#define POLICY_NS_LABELS       "io.cilium.k8s.namespace.labels."
#define POLICY_CLUSTER_LABEL   "io.cilium.k8s.policy.cluster"
#define POLICY_CIDRGROUP_LABEL "io.cilium.policy.cidrgroupname/"
#define POLICY_ANY_CIDRGROUP   "io.cilium.policy.cidrgroupname" /* ours: on every prefix of a group \
								 */
