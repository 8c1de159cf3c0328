/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of a packet: X(number, symbol, sentence). Numbers are stable: they are in counters,
 * events and people's dashboards. Below MESH_DROP_FIRST a packet passed, from there on it was dropped.
 */
#pragma once

#define MESH_DROP_FIRST 32
#define MESH_REASON_MAX 80

#define MESH_REASONS(X)                                                                            \
	X(0, PASS_ESTABLISHED, "packet of a known flow")                                           \
	X(1, PASS_REPLY, "reply to a known flow")                                                  \
	X(2, PASS_NEW, "new flow, allowed by policy")                                              \
	X(3, PASS_RELATED, "ICMP error about a known flow")                                        \
	X(4, PASS_FAILSAFE, "allowed by the failsafe set")                               \
	X(5, PASS_INFRA, "ARP, neighbour discovery, DHCP client or link control")                  \
	X(6, PASS_TUNNEL, "outer packet of the tunnel")                                            \
	X(7, PASS_AUDIT, "policy would have dropped it; audit mode let it pass")                   \
	X(8, PASS_SERVICE, "connection to a service, sent to a backend")                           \
	X(9, PASS_SHADOW, "allowed by policy; a shadow policy would have dropped it")              \
	X(10, PASS_DNS, "query of the agent's DNS server, which a dns rule allows")              \
	X(11, PASS_DNS_REDIRECT, "query to a DNS server, sent to the agent's for the dns rules") \
	X(12, PASS_UNREAD, "not for policy to read, and no policy is in force in its direction")  \
	X(32, DROP_POLICY, "no policy allows it")                                                  \
	X(33, DROP_POLICY_DENY, "a policy denies it")                                              \
	X(34, DROP_POLICY_AUTH, "policy requires authentication, which this host cannot do")       \
	X(35, DROP_ETHERTYPE, "neither IPv4 nor IPv6")                                             \
	X(36, DROP_VLAN_DEPTH, "more than two VLAN tags")                                          \
	X(37, DROP_L3, "malformed IP header")                                                      \
	X(38, DROP_L4, "malformed or cut transport header")                                        \
	X(39, DROP_EXT_HEADERS, "IPv6 extension headers that cannot be followed")                  \
	X(40, DROP_FRAGMENT_LOST, "fragment whose first fragment was not seen or not allowed")     \
	X(41, DROP_FRAGMENT_TINY, "fragment that cuts or overlaps the transport header")           \
	X(43, DROP_SPOOFED_POD, "pod source address outside the tunnel")                           \
	X(44, DROP_POD_OFF_TUNNEL, "pod destination address outside the tunnel")                   \
	X(45, DROP_TUNNEL_UNKNOWN_NODE, "tunnel packet from an address that is no node")           \
	X(46, DROP_TUNNEL_FORGED, "tunnel packet of a local process")                              \
	X(47, DROP_TUNNEL_DST, "tunnel packet to an address that is no node")                      \
	X(48, DROP_TUNNEL_NO_KEY, "packet on the tunnel device without tunnel data")               \
	X(49, DROP_TUNNEL_IDENTITY, "tunnel identity and inner source address disagree")           \
	X(50, DROP_TUNNEL_HOST, "tunnel packet claims the identity of a host")                     \
	X(51, DROP_TUNNEL_REMOTE_NODE, "tunnel packet claims to be of a node, its source is none") \
	X(52, DROP_TUNNEL_WORLD, "tunnel packet claims to be of the world, its source is no node") \
	X(53, DROP_NO_TUNNEL_ENDPOINT, "no node is known for the destination")                     \
	X(54, DROP_TUNNEL_SET, "the tunnel data could not be set")                                 \
	X(55, DROP_SERVICE_NO_BACKEND, "the service has no usable backend")                        \
	X(56, DROP_TUNNEL_SOURCE, "forwarded into the tunnel, from an address that is not the endpoint's") \
	X(57, DROP_BACKSTOP, "no policy allows it, and no program was on the interface that it came by")

enum mesh_reason {
#define X(number, symbol, sentence) MESH_##symbol = number,
	MESH_REASONS(X)
#undef X
};
