/* SPDX-License-Identifier: Apache-2.0 */
/* Builds frames for tests from a description; what is left out is zero or the usual. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PKT_MAX = 2048, PKT_FIN = 1, PKT_SYN = 2, PKT_RST = 4, PKT_ACK = 16 };

struct pkt_spec {
	const char *src, *dst; /* both of one family; decides IPv4 or IPv6 */
	uint8_t proto;
	uint16_t sport, dport; /* ICMP: sport is the identifier */
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	const struct pkt_spec *quoted; /* ICMP errors: the packet they are about, from its IP header on */
	uint8_t vlan_tags;
	uint16_t ethertype;	/* instead of the family's; the rest of the frame stays */
	uint8_t option_words;	/* IPv4 */
	uint8_t ext[6];		/* IPv6 extension headers in order, 0 ends the list; 255 = hop-by-hop */
	bool is_fragment;	/* with the fields below */
	bool more_fragments;
	uint16_t offset_units; /* of 8 bytes */
	uint32_t frag_id;
	size_t payload_bytes;
	size_t cut_bytes;    /* left off at the end of the frame, headers unchanged */
	uint8_t version_ihl; /* IPv4: instead of the right one */
	int len_delta;	     /* added to the length in the IP header */
	uint8_t options_units; /* IPv6: 8 byte units of destination options behind the fragment header */
};

/* The length of the frame in `buf`, which takes PKT_MAX bytes. Aborts on nonsense: it is for tests. */
size_t pkt_build(const struct pkt_spec *s, uint8_t *buf);

/* v4-mapped bytes of an address in text. */
void pkt_addr16(const char *text, uint8_t ret[16]);
