/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces: what the kernel says about them, and the few changes that we make. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/nl.h"

enum { NL_KIND_MAX = 24, NL_ALIAS_MAX = 64 };

struct nl_link {
	int ifindex;
	int master;	    /* interface that this one is a port of; 0 = none */
	int lower;	    /* interface below a VLAN, macvlan...; 0 = none or in another namespace */
	bool has_far_peer;  /* the lower interface or veth peer is in another network namespace */
	unsigned flags;	    /* IFF_UP, IFF_LOOPBACK... */
	uint16_t type;	    /* ARPHRD_* */
	uint8_t operstate;  /* IF_OPER_* */
	uint32_t mtu;
	char name[IFNAMSIZ];
	char kind[NL_KIND_MAX];	  /* "vxlan", "veth"...; empty for hardware */
	char alias[NL_ALIAS_MAX]; /* cut to fit */
	bool is_external;	  /* vxlan or geneve with collected metadata */
	uint16_t tunnel_port;	  /* UDP port of vxlan or geneve; 0 otherwise */
	int rp_filter;		  /* IPv4 reverse path filter of the interface; -1 = not told */
	int addr_gen_mode;	  /* IN6_ADDR_GEN_MODE_*; -1 = not told */
};

/* Sorted by ifindex. */
struct nl_links {
	struct nl_link *v;
	size_t n, cap;
};

/* What a message changed in a table; a mask. */
enum nl_link_change {
	NL_LINK_ADDED = 1,
	NL_LINK_REMOVED = 2,
	NL_LINK_RENAMED = 4,
	NL_LINK_STATE = 8, /* flags or operational state */
	NL_LINK_MTU = 16,
	NL_LINK_OTHER = 32, /* master, alias, tunnel parameters, filter... */
};

/*
 * Decodes RTM_NEWLINK or RTM_DELLINK. 0; -ENOMSG for other messages, bridge port details (AF_BRIDGE)
 * included, which look like links and are none; -EBADMSG if malformed.
 */
int nl_link_decode(const struct nlmsghdr *msg, struct nl_link *ret);

/*
 * Applies such a message, or RTM_NEWNETCONF (rp_filter), to a table. The mask of nl_link_change (0 = nothing new), -ENOMSG and -EBADMSG
 * as above, -ENOMEM. `ret_old`, if not NULL, gets the entry as it was, or zeroes.
 */
int nl_links_apply(struct nl_links *t, const struct nlmsghdr *msg, struct nl_link *ret_old);

/* Forgets one, known or not. */
void nl_links_remove(struct nl_links *t, int ifindex);

/* NULL if there is none. The pointers die with the next change of the table. */
const struct nl_link *nl_links_find(const struct nl_links *t, int ifindex);
const struct nl_link *nl_links_find_name(const struct nl_links *t, const char *name);

void nl_links_done(struct nl_links *t);
DEFINE_CLEANUP_DONE(struct nl_links, nl_links_done)

/* All interfaces, one part each, without counters. As nl_request(). */
int nl_link_dump(struct nl *nl, const struct nl_reply *reply);

/* One interface by name, with its counters. The kernel answers -ENODEV if there is none. -EINVAL for a bad name. */
int nl_link_get(struct nl *nl, const char *name, const struct nl_reply *reply);

/* How many packets it has received, of such an answer. 0; -ENOMSG if that does not tell; -EBADMSG if malformed. */
int nl_link_received(const struct nlmsghdr *msg, uint64_t *ret);

enum nl_tunnel_kind { NL_TUNNEL_NONE, NL_TUNNEL_VXLAN, NL_TUNNEL_GENEVE };

/* "vxlan", "geneve"; "none". */
const char *nl_tunnel_kind_str(enum nl_tunnel_kind kind);

struct nl_tunnel {
	char name[IFNAMSIZ];
	enum nl_tunnel_kind kind;
	uint16_t port; /* UDP, host order */
	uint32_t mtu;  /* 0 = the kernel's default */
};

/*
 * Creates a tunnel device in collect-metadata ("external") mode, down: tc programs set and read the key
 * and the peer. No learning, no ARP. Zero UDP checksums are accepted over IPv6, as peers may send them
 * (RFC 6935). The MAC address is random, and given explicitly: otherwise udev derives it from the machine
 * id, equal on cloned machines, and the vxlan driver drops frames with its own address as source.
 * The kernel answers -EEXIST for a name in use or a second external device on the port, -EOPNOTSUPP
 * without the driver. -EINVAL here for a bad name, kind or port.
 */
int nl_link_add_tunnel(struct nl *nl, const struct nl_tunnel *t, const struct nl_reply *reply);

int nl_link_del(struct nl *nl, int ifindex, const struct nl_reply *reply);

/* Fields of an interface to set; unset ones stay. */
struct nl_link_set {
	int ifindex;
	bool set_up, is_up;
	uint32_t mtu;	   /* 0 = keep */
	char alias[NL_ALIAS_MAX]; /* empty = keep */
	/*
	 * Loose reverse path filter (2) by netlink, not through /proc/sys, which the sandbox keeps read-only.
	 * The kernel takes the larger of this and conf/all, so 0 would not switch a strict conf/all off.
	 */
	bool set_rp_filter_loose;
	bool set_no_ipv6_autoconf; /* no link-local address, so no router solicitations into the tunnel */
};
int nl_link_change(struct nl *nl, const struct nl_link_set *set, const struct nl_reply *reply);
