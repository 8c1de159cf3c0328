/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All identities this host knows: number -> labels. Reserved ones are built in, cluster ones come
 * from the API, local ones are allocated here for CIDR prefixes and never leave the host
 * (Cilium pkg/identity/numericidentity.go).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "identity/labels.h"

enum identity_number {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_UNMANAGED = 3,
	IDENTITY_HEALTH = 4,
	IDENTITY_INIT = 5,
	IDENTITY_REMOTE_NODE = 6,
	IDENTITY_KUBE_APISERVER = 7, /* labels kube-apiserver and remote-node */
	IDENTITY_INGRESS = 8,
	IDENTITY_WORLD_IPV4 = 9,
	IDENTITY_WORLD_IPV6 = 10,
	IDENTITY_CLUSTER_MIN = 256,
	IDENTITY_LOCAL_CIDR = 0x01000000, /* numbers above it, 24 bits */
	IDENTITY_LOCAL_NODE = 0x02000000, /* remote nodes told apart, 24 bits */
};

enum identity_flag {
	IDENTITY_IS_WORLD = 1 << 0, /* reserved:world, world-ipv4 or world-ipv6 */
	IDENTITY_IS_HOST = 1 << 1,
	IDENTITY_IS_REMOTE_NODE = 1 << 2,
	IDENTITY_HAS_WORLD = 1 << 3, /* exactly that label */
	IDENTITY_HAS_WORLD_IPV4 = 1 << 4,
	IDENTITY_HAS_WORLD_IPV6 = 1 << 5,
	IDENTITY_IS_INIT = 1 << 6,
};

/* One port that pods of an identity give a name. */
struct named_port {
	uint32_t name; /* number in the label table's strings */
	uint8_t proto; /* IPPROTO_TCP, UDP, SCTP */
	uint16_t port;
};

/* Sorted; one port per (name, proto): where an identity has two, none is here. */
struct named_ports {
	struct named_port *v;
	size_t n;
	struct named_port *told; /* by endpoints, unsorted */
	size_t n_told;
};

struct identity {
	uint32_t number;
	uint32_t tag, class; /* for the owner of the table: what selects it, and the class of that */
	uint16_t flags; /* enum identity_flag */
	bool is_new;	/* since the last identity_changes_clear() it is, or has these labels */
	uint32_t change; /* 1 + the place of its identity_change; 0 = none */
	struct label_set *labels;
	struct named_ports *ports; /* NULL = none */
};

struct identity_table;

/* With the reserved identities in it. 0 or -ENOMEM. */
int identity_table_new(struct identity_table **ret);
void identity_table_free(struct identity_table *t);
DEFINE_CLEANUP(struct identity_table *, identity_table_free)

struct label_table *identity_labels(struct identity_table *t);

/*
 * Sets the labels of a number; takes `labels`, also on failure. Named ports in gen: labels are read
 * (Cilium 1.20). No change if the labels are equal. Local numbers are for this host's own use:
 * whoever reads identities from the API refuses those above 0xffffff. -EINVAL for a reserved number
 * or 0, -ENOMEM, -ENOSPC past LIMIT_IDENTITIES or, for local numbers, LIMIT_LOCAL_IDENTITIES.
 */
int identity_upsert(struct identity_table *t, uint32_t number, struct label_set *labels);

/* Forgets it. -ENOENT; -EINVAL for a reserved number. */
int identity_remove(struct identity_table *t, uint32_t number);

/* Borrowed until the next change of the table; NULL if unknown. */
struct identity *identity_get(const struct identity_table *t, uint32_t number);

/*
 * Named ports of all endpoints of an identity, replacing those of an earlier call; those read from
 * its labels stay. A (name, proto) with two numbers is dropped. -ENOENT, -ENOMEM.
 */
int identity_set_named_ports(struct identity_table *t, uint32_t number,
			     const struct named_port *ports, size_t n);

/* Whether it is one of those that identity_local_number() gives for `base`. */
static inline bool identity_is_local(uint32_t number, uint32_t base)
{
	return (number & 0xff000000) == base;
}

/*
 * Who no one knows of, by IP version. The one version that a cluster has is its world, as there. A host that has the other,
 * too, is to be policed in it as in a dual-stack cluster: what is said of one version holds for that alone.
 */
uint32_t identity_of_world(bool has_ipv4, bool has_ipv6, int family);

/* A free number above `base` (IDENTITY_LOCAL_CIDR or _NODE); a number is reused as late as
 * possible. -ENOSPC. */
int identity_local_number(struct identity_table *t, uint32_t base, uint32_t *ret_number);

/* All identities, in no particular order: index 0 .. identity_count()-1. */
size_t identity_count(const struct identity_table *t);
struct identity *identity_at(const struct identity_table *t, size_t i);

/* The flags that a label set gives. */
uint16_t identity_flags_of(const struct label_table *t, const struct label_set *set);

/* `tag` is that of an identity that was removed, else 0. Look the number up to learn its present
 * state. */
struct identity_change {
	uint32_t number;
	uint32_t tag;
};

/*
 * What was added, changed or removed since the last call of identity_changes_clear(). What came and went is left out
 * unless the owner gave it a tag, so that there are never more than identities then and now together. `*ret` is
 * borrowed until the next change.
 */
size_t identity_changes(const struct identity_table *t, const struct identity_change **ret);
void identity_changes_clear(struct identity_table *t);

/* True if changes could not be recorded (out of memory): treat all as changed. */
bool identity_changes_lost(const struct identity_table *t);
