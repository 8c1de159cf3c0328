/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and the agent share: keys, values and configuration. Included by both, so
 * only <linux/types.h>. Every pad byte is explicit and zero, because keys are compared as bytes.
 * Addresses are in network order; where one field holds both families, IPv4 is v4-mapped
 * (::ffff:a.b.c.d). A change of any layout raises MESH_ABI_VERSION, and with it the pin directory.
 */
#pragma once

#include <linux/types.h>

#ifdef MESH_TEST_LAYOUT
#define MESH_ABI_VERSION 1000001
#else
#define MESH_ABI_VERSION 1
#endif

enum mesh_dir { MESH_INGRESS = 0, MESH_EGRESS = 1 };

/*
 * Added to the direction in keys of the policy maps: what would hold if the shadow policies were in
 * force, too. What no entry there names is denied by default.
 */
#define MESH_SHADOW 2

/* Slots of a class in mesh_policy_row. */
enum mesh_slot {
	MESH_SLOT_OTHER = 0,
	MESH_SLOT_TCP = 1,
	MESH_SLOT_UDP = 2,
	MESH_SLOT_SCTP = 3,
	MESH_SLOT_ICMP = 4,
	MESH_SLOT_ICMPV6 = 5,
	MESH_SLOTS = 6,
};

enum mesh_verdict {
	MESH_DENY_DEFAULT = 0,
	MESH_ALLOW = 1,
	MESH_DENY_RULE = 2,
	MESH_DENY_AUTH = 3,
};

/*
 * mesh_config.state: generation in bits 0-31, bank (0 or 1) in bit 32, MESH_STATE_* above. A packet
 * reads the word once, so that it sees one whole policy.
 */
#define MESH_STATE_BANK_SHIFT 32
#define MESH_STATE_ACTIVE     (1ULL << 40) /* off: every packet passes untouched and untracked */
#define MESH_STATE_AUDIT      (1ULL << 41) /* what policy would drop passes, counted and reported */
#define MESH_STATE_TUNNEL     (1ULL << 42) /* pods are reached through the tunnel only */
#define MESH_STATE_SERVICES   (1ULL << 43) /* the socket programs translate */
#define MESH_STATE_EV_DROP    (1ULL << 44) /* events for drops and audited packets */
#define MESH_STATE_EV_NEW     (1ULL << 45) /* events for new allowed flows as well */
#define MESH_STATE_SHADOW     (1ULL << 46) /* shadow policies about ingress; next bit: about egress */
#define MESH_STATE_DNS	      (1ULL << 48) /* queries to DNS servers go to the agent's, see mesh_dns */

struct mesh_config {
	__u64 state; /* first in every version */
	__u64 netns_cookie; /* sockets of others are not translated; 0 = the first one's */
	__u32 identity;	    /* our own, sent as VNI */
	__u32 world_v4;	    /* identity of addresses in no map: 9 and 10, but 2 for the only family of a cluster */
	__u32 world_v6;
	__u32 pad;
	__u32 overlay_mark;
	__u32 overlay_mask;
	__be16 tunnel_port; /* 0 = no tunnel */
	__u16 failsafe_any_port; /* bit 1 << dir: some failsafe entry is for every port */
	__u8 default_verdict[2][2]; /* [bank][dir]: where a class has no row */
	__u32 ticks_per_s;	    /* of bpf_jiffies64(); never 0 */
	__u32 ct_tcp_ticks;	    /* lifetimes of flows */
	__u32 ct_syn_ticks;
	__u32 ct_closing_ticks;
	__u32 ct_other_ticks;
	__u32 event_rate; /* events a second and CPU */
	__u32 event_burst;
	__u16 node_port_min; /* between them are all node ports; 0 and 0 = none, as old configurations have it */
	__u16 node_port_max;
};

/* --- addresses --- */
#define MESH_IP_NODE   1 /* an address of a known node; its tunnel packets are believed */
#define MESH_IP_TUNNEL 2 /* reached through the tunnel: a pod, or a node's CiliumInternalIP */

/* mesh_ipcache4: __be32; mesh_ipcache6: 16 bytes. */
struct mesh_ipinfo {
	__u32 identity;
	__u16 node; /* index into mesh_nodes; 0 = none */
	__u8 flags; /* MESH_IP_* */
	__u8 key;   /* encryption key index; 0 = none */
};

struct mesh_lpm4 {
	__u32 prefixlen;
	__u8 addr[4];
};

struct mesh_lpm6 {
	__u32 prefixlen;
	__u8 addr[16];
};

/* mesh_nodes: tunnel endpoints; entry 0 stays zero. */
struct mesh_node {
	__be32 v4; /* 0 = none; wins over v6 */
	__u8 v6[16];
};

/* --- policy: already flattened, entries never overlap --- */

/* mesh_class: identity -> class of each bank; a missing entry is class 0. */
#define MESH_CLASS_NONE 0xffffffffU /* never has rows: what is denied by default is denied */
struct mesh_class {
	__u32 class[2];
};

#define MESH_ROW_PORTS	1 /* look into mesh_policy_port */
#define MESH_ROW_RANGES 2 /* then into mesh_policy_range */

struct mesh_row_key {
	__u32 class;
	__u8 dir;
	__u8 slot;
	__u8 bank;
	__u8 pad;
};

struct mesh_row {
	__u8 verdict;
	__u8 flags; /* MESH_ROW_* */
	__u16 pad;
	__u32 rule; /* number for the reports of user space */
};

/* ICMP and ICMPv6: port = type. MESH_SLOT_OTHER: proto = IP protocol, port = 0. */
struct mesh_port_key {
	__u32 class;
	__u8 dir;
	__u8 proto;
	__u8 bank;
	__u8 pad;
	__be16 port;
	__u16 pad1;
};

#define MESH_RANGE_BITS 64 /* bits of mesh_range_key before the port */
struct mesh_range_key {
	__u32 prefixlen; /* MESH_RANGE_BITS + bits of the port */
	struct mesh_port_key key;
};

struct mesh_port {
	__u8 verdict;
	__u8 pad[3];
	__u32 rule;
};

/* --- failsafe set, decided before policy --- */
#define MESH_FAILSAFE_BITS 32 /* bits of mesh_failsafe_key before the address */
#define MESH_FAILSAFE_MAX  256
struct mesh_failsafe_key {
	__u32 prefixlen;
	__u8 dir; /* of the packet that opens the flow */
	__u8 proto;
	__be16 port;   /* destination port */
	__u8 addr[16]; /* of the peer, v4-mapped; 0.0.0.0/0 is ::ffff:0:0 with MESH_FAILSAFE_BITS + 96 */
};
/* value: __u32 index into mesh_failsafe_hits (per CPU __u64), below MESH_FAILSAFE_MAX */

/* --- flows: both directions of one flow meet in one entry --- */
struct mesh_ct4_key {
	__be32 local;
	__be32 remote;
	__be16 local_port; /* ICMP queries: both ports are the identifier */
	__be16 remote_port;
	__u8 proto;
	__u8 icmp_type; /* of the query, plus 1; 0 for other protocols */
	__u8 icmp_dir;	/* direction of the query */
	__u8 pad;
};

struct mesh_ct6_key {
	__u8 local[16];
	__u8 remote[16];
	__be16 local_port;
	__be16 remote_port;
	__u8 proto;
	__u8 icmp_type;
	__u8 icmp_dir;
	__u8 pad;
};

#define MESH_CT_EGRESS	 1 /* direction that opened the flow */
#define MESH_CT_TUNNEL	 2 /* the peer is behind the tunnel */
#define MESH_CT_FAILSAFE 4 /* allowed by the failsafe set */
#define MESH_CT_AUDIT	 8 /* policy would have dropped it */
#define MESH_CT_SHADOW	 16 /* a shadow policy would */
#define MESH_CT_DNS	 32 /* allowed by the mark of the agent's queries, which each packet has to have */

#define MESH_TCP_SEEN_DATA   1 /* a packet without SYN */
#define MESH_TCP_SEEN_REPLY  2
#define MESH_TCP_CLOSE_FWD   4 /* FIN or RST in the direction that opened the flow */
#define MESH_TCP_CLOSE_REPLY 8

/*
 * Only allowed flows have an entry; its verdict holds while the generation is the current one. What is here now stays
 * in every version, as do the keys, and more comes at the end: with another layout the flows are carried over.
 */
struct mesh_ct {
	__u64 expires; /* ticks */
	__u32 generation;
	__u32 peer; /* identity when policy was last asked */
	__u32 rule;
	__u32 outer4; /* tunnel source (host order) and VNI that were checked for this peer; 0 = none */
	__u32 vni;
	__u16 node;  /* index into mesh_nodes; 0 = none */
	__u8 flags;  /* MESH_CT_* */
	__u8 tcp;    /* MESH_TCP_* */
#ifdef MESH_TEST_LAYOUT /* another version, for the tests */
	__u64 more[2];
#endif
};

/* mesh_frags: ports of the first fragment. */
struct mesh_frag_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 id;
	__u8 proto;
	__u8 dir;
	__u16 pad;
};

struct mesh_frag {
	__be16 sport;
	__be16 dport;
	__u8 icmp_type;
	__u8 proto; /* behind all extension headers */
	__u8 head;  /* units of 8 bytes that the first fragment alone may hold; 0 in entries of old programs */
	__u8 pad;
	__u64 expires; /* ticks */
};

/* --- counters and events --- */

/* mesh_counters: per CPU, index = reason * 2 + dir. */
struct mesh_counter {
	__u64 packets;
	__u64 bytes;
};

#define MESH_EV_TUNNEL 1 /* seen on the tunnel device */
#define MESH_EV_AUDIT  2
#define MESH_EV_SHADOW 4 /* verdict and rule are those of the shadow policies */

struct mesh_event {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u32 ifindex;
	__u32 len_bytes;
	__u8 saddr[16];
	__u8 daddr[16];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 tcp_flags; /* ICMP: the type */
	__u8 dir;
	__u8 flags;  /* MESH_EV_* */
	__u16 reason; /* enum mesh_reason */
	__u8 verdict; /* enum mesh_verdict, if policy was asked */
	__u8 family;  /* 4, 6, 0 = not IP */
	__u32 peer;
	__u32 rule;
	__u32 suppressed; /* events of this CPU that the limit held back since the last one */
};

/*
 * mesh_shadow: what shadow policies would have dropped. The key that is all zero, if user space put it
 * there, counts what found no room. mesh_shadow_flows: per CPU __u64 by direction, new flows that
 * shadow policies were asked about.
 */
struct mesh_shadow_key {
	__u8 addr[16]; /* of the peer, v4-mapped */
	__u32 identity;
	__be16 port; /* as in mesh_port_key */
	__u8 proto;
	__u8 dir;
};

struct mesh_shadow {
	__u64 flows;
	__u64 first_ns; /* CLOCK_BOOTTIME */
	__u64 last_ns;
	__u32 rule; /* of the last one */
	__u8 verdict; /* enum mesh_verdict */
	__u8 pad[3];
};

/* mesh_event_rate: per CPU. */
struct mesh_rate {
	__u64 last_ticks;
	__u32 tokens;
	__u32 suppressed;
};

/* --- services --- */
#define MESH_SVC_AFFINITY 1

/* Scopes of keys; a node port has the unspecified address and stands for this port of every node. */
#define MESH_SVC_ADDRESS   0
#define MESH_SVC_NODE_PORT 1

struct mesh_svc_key {
	__u8 addr[16]; /* v4-mapped */
	__be16 port;
	__u8 proto;
	__u8 scope;
};

/* Sets of backends never change: a new set is written, then the service points to it. */
struct mesh_svc {
	__u32 set;
	__u32 count; /* 0: EHOSTUNREACH */
	__u32 flags; /* MESH_SVC_* */
	__u32 affinity_s;
	__u32 service_id;
};

/*
 * Slots are 0 .. count-1. Services with affinity also have each backend at slot
 * MESH_SLOT_BACKEND | backend_id.
 */
#define MESH_SLOT_BACKEND 0x80000000U
struct mesh_svc_slot_key {
	__u32 set;
	__u32 slot;
};

struct mesh_svc_slot {
	__u8 addr[16]; /* v4-mapped */
	__be16 port;
	__u16 pad;
	__u32 backend_id; /* below MESH_SLOT_BACKEND */
};

struct mesh_sock_rev_key {
	__u64 cookie;
	__u8 addr[16];
	__be16 port;
	__u8 proto;
	__u8 pad[5];
};

struct mesh_sock_rev {
	__u8 addr[16]; /* what the application connected to */
	__be16 port;
	__u8 scope; /* of the service's key */
	__u8 pad;
	__u32 service_id;
};

#define MESH_SVC_DNS 0xffffffffU /* mesh_sock_rev.service_id of a query that was sent to the agent's DNS server */

/*
 * mesh_dns: one entry. What sockets of this host send to port 53 of any server goes to the agent's, which
 * finds out through mesh_sock_rev whom they meant.
 */
#define MESH_DNS_PORT	 53
#define MESH_DNS_MARK	 0x4e000010 /* what the agent writes as the mark */
#define MESH_DNS_ALLOWED 1 /* added to the mark: policy lets the query pass, too */
#define MESH_DNS_USERS	 2
#define MESH_DNS_OWN	 4
struct mesh_dns {
	__u8 addr4[16]; /* v4-mapped: where queries to IPv4 servers go */
	__u8 addr6[16];
	__be16 port4; /* 0 = they go where they are sent to */
	__be16 port6;
	__u32 mark; /* of the agent's own queries, which are left alone; bit 0 is MESH_DNS_ALLOWED; 0 = none */
	__u32 users[MESH_DNS_USERS]; /* whose queries are left alone; 0 = none */
	__u8 own[MESH_DNS_OWN][16];  /* the agent's server itself, v4-mapped; zero = none */
};

/* --- the backstop --- */

/* mesh_covered: __u32 ifindex -> __u32 0. Packets from there are let be: the far end is on this host, or nobody can take the
   programs off. */
#define MESH_COVERED_MAX 8192

/* mesh_own: an address of this host, 16 bytes, v4-mapped -> __u32 ifindex of the device that has it. */
#define MESH_OWN_MAX 8192

/* mesh_notes: per CPU. */
#define MESH_NOTES_BITS 8
#define MESH_NOTES	(1U << MESH_NOTES_BITS)
struct mesh_note {
	__u64 peer[2]; /* IPv4: in the first four bytes */
	__u32 ticks;
	__be16 port;
	__u8 proto;
	__u8 family; /* 4, 6 */
};

struct mesh_affinity_key {
	__u64 netns_cookie;
	__u32 service_id;
	__u32 pad;
};

struct mesh_affinity {
	__u64 last_ticks;
	__u32 backend_id;
	__u32 pad;
};

#define MESH_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has padding")
MESH_SIZE(mesh_config, 80);
MESH_SIZE(mesh_ipinfo, 8);
MESH_SIZE(mesh_lpm4, 8);
MESH_SIZE(mesh_lpm6, 20);
MESH_SIZE(mesh_node, 20);
MESH_SIZE(mesh_class, 8);
MESH_SIZE(mesh_row_key, 8);
MESH_SIZE(mesh_row, 8);
MESH_SIZE(mesh_port_key, 12);
MESH_SIZE(mesh_range_key, 16);
MESH_SIZE(mesh_port, 8);
MESH_SIZE(mesh_failsafe_key, 24);
MESH_SIZE(mesh_ct4_key, 16);
MESH_SIZE(mesh_ct6_key, 40);
#ifndef MESH_TEST_LAYOUT
MESH_SIZE(mesh_ct, 32);
#endif
MESH_SIZE(mesh_frag_key, 40);
MESH_SIZE(mesh_frag, 16);
MESH_SIZE(mesh_counter, 16);
MESH_SIZE(mesh_event, 72);
MESH_SIZE(mesh_shadow_key, 24);
MESH_SIZE(mesh_shadow, 32);
MESH_SIZE(mesh_rate, 16);
MESH_SIZE(mesh_svc_key, 20);
MESH_SIZE(mesh_svc, 20);
MESH_SIZE(mesh_svc_slot_key, 8);
MESH_SIZE(mesh_svc_slot, 24);
MESH_SIZE(mesh_sock_rev_key, 32);
MESH_SIZE(mesh_sock_rev, 24);
MESH_SIZE(mesh_dns, 112);
MESH_SIZE(mesh_note, 24);
MESH_SIZE(mesh_affinity_key, 16);
MESH_SIZE(mesh_affinity, 16);
