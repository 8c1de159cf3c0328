/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages on the wire: bounded parsing of queries and responses, and a writer for answers.
 * Nothing here allocates. RFC 1035, EDNS RFC 6891. Names are in wire form: length-prefixed labels
 * with the root's zero byte, no compression, lower case where said.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_NAME_MAX = 255,
	DNS_LABEL_MAX = 63,
	DNS_UDP_MIN = 512,
	DNS_UDP_MAX = 1232, /* what passes every path unfragmented (DNS flag day 2020) */
	DNS_MSG_MAX = 65535,
	DNS_TEXT_MAX = 1024, /* a name as text, every byte escaped */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_HINFO = 13,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

enum { DNS_CLASS_IN = 1 };

struct dns_name {
	uint8_t len; /* with the root byte; 0 = no name */
	uint8_t b[DNS_NAME_MAX];
};

struct dns_query {
	uint16_t id;
	uint16_t qtype;
	uint16_t qclass;
	uint16_t udp_size; /* what the client takes by UDP: 512 to DNS_UDP_MAX */
	uint8_t opcode;
	uint8_t edns_version;
	bool rd, cd, ad;
	bool has_edns;
	bool dnssec_ok;
	bool is_watched; /* not of the message: its answer is for the gate too */
	bool is_allowed; /* likewise: the gate lets it pass to whom it was meant for */
	uint8_t source;	 /* likewise: enum dns_source of its answer */
	struct dns_name name;	     /* lower case */
	const uint8_t *question;     /* as sent, for the echo; points into the message */
	size_t question_len;
};

/*
 * Parses a query. 0; -EBADMSG if it deserves no answer (shorter than a header, or a response);
 * -EPROTO for a format error and -EOPNOTSUPP for another opcode: id, opcode and rd are set, and
 * question if it could be read, so that an error can be returned.
 */
int dns_query_parse(const uint8_t *msg, size_t len, struct dns_query *ret);

/* A resource record in place. */
struct dns_rr {
	struct dns_name owner; /* lower case */
	uint16_t type, class;
	uint32_t ttl;
	uint16_t rdlen;
	size_t ttl_at;	 /* offsets into the message */
	size_t rdata_at;
	size_t end;
};

/* Walks a response. Zero-initialised by dns_reader_begin(). */
struct dns_reader {
	const uint8_t *msg;
	size_t len, at;
	uint16_t id, flags;
	uint16_t qdcount, counts[3]; /* answer, authority, additional */
	struct dns_name qname;	     /* lower case */
	uint16_t qtype, qclass;
	size_t question_end;
	int section; /* of the record that dns_reader_next() returned last: 0, 1, 2 */
	unsigned seen;
};

/* Parses header and question of a response with exactly one question. 0 or -EBADMSG. */
int dns_reader_begin(struct dns_reader *r, const uint8_t *msg, size_t len);
/* 1 and *ret, 0 after the last record, -EBADMSG. */
int dns_reader_next(struct dns_reader *r, struct dns_rr *ret);

/*
 * Reads a possibly compressed name at *at, lowers its case, and moves *at behind it. Pointers must
 * go backward, to a name that ends before the place it is pointed to from. -EBADMSG.
 */
int dns_name_read(const uint8_t *msg, size_t len, size_t *at, struct dns_name *ret);

/* Moves *at behind a name without reading it; where its pointer leads is not looked at. -EBADMSG past `len`. */
int dns_name_skip(const uint8_t *msg, size_t len, size_t *at);

/* Parses text ("a.b" or "a.b."), lowers case. -EINVAL if it is no host-like name of legal length. */
int dns_name_parse(const char *text, struct dns_name *ret);
/* Prints with a trailing dot and RFC 4343 escapes; returns `buf`. */
const char *dns_name_str(const struct dns_name *n, char buf[DNS_TEXT_MAX]);
/* True if `n` is `apex` or below it. Both lower case. */
bool dns_name_below(const struct dns_name *n, const struct dns_name *apex);
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);
/* The reverse name of an address. */
void dns_name_reverse(const struct ip *ip, struct dns_name *ret);
/* The address of a complete reverse name. -EINVAL for any other name. */
int dns_name_to_ip(const struct dns_name *n, struct ip *ret);
/* The range of a reverse name of one or more labels, complete or not. -EINVAL for any other name. */
int dns_name_to_prefix(const struct dns_name *n, struct cidr *ret);

/* "A", "SRV" ... and "TYPE123" (RFC 3597). */
const char *dns_type_str(uint16_t type, char buf[16]);
int dns_type_parse(const char *text, uint16_t *ret);
const char *dns_rcode_str(int rcode);

enum { DNS_COMPRESS_SLOTS = 512 };

/* For dns_compress.h: places of names in a message, 0 = free. Of `n` 0 the rest is undefined. */
struct dns_compress {
	unsigned n;
	uint16_t slot[DNS_COMPRESS_SLOTS];
};

/* Writes one answer into a caller's buffer. */
struct dns_writer {
	uint8_t *buf;
	size_t cap;   /* of the buffer */
	size_t limit; /* what the client takes, room for OPT taken off */
	size_t len;
	size_t mark; /* start of the record being written */
	uint16_t counts[3];
	uint16_t question_len;
	bool is_full; /* something did not fit: TC is set */
	const struct dns_query *query;
	struct dns_compress names;
};

/*
 * Starts the answer to `q`, the question repeated byte for byte. `cap` is at least 512; `limit` is
 * the greatest message that the transport and the client take. `q` is borrowed until the end.
 */
void dns_writer_begin(struct dns_writer *w, const struct dns_query *q, uint8_t *buf, size_t cap,
		      size_t limit);

/* Sections in the order of the wire; a later one may not be followed by an earlier one. */
enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

/*
 * Records. `owner` is lower case; the end of it that the message has already is compressed, and so
 * keeps the client's letter case where that is in the question. False if the record did not fit:
 * nothing of it is left, TC is set, and all later ones are refused.
 */
bool dns_put_ip(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		uint32_t ttl,
		const struct ip *ip);
bool dns_put_name(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		  enum dns_type type, uint32_t ttl, const struct dns_name *target);
bool dns_put_srv(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl, uint16_t weight,
		 uint16_t port, const struct dns_name *target);
bool dns_put_txt(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl,
		 const char *text);
bool dns_put_soa(struct dns_writer *w, enum dns_section s, const struct dns_name *apex,
		 uint32_t ttl,
		 uint32_t serial, uint32_t minimum);
bool dns_put_hinfo(struct dns_writer *w, const struct dns_name *owner, uint32_t ttl,
		   const char *cpu,
		   const char *os);
bool dns_put_raw(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		 uint16_t type, uint32_t ttl, const uint8_t *rdata, size_t rdlen);

enum { DNS_FLAG_AA = 1 << 0, DNS_FLAG_RA = 1 << 1 };

/* Completes header and OPT. Returns the length of the message. */
size_t dns_writer_end(struct dns_writer *w, int rcode, unsigned flags);

/* Drops all records written so far, and the mark of truncation. */
void dns_writer_reset(struct dns_writer *w);

/* Writes an error without records for a query that may not have been parsed whole. Returns the length. */
size_t dns_error_build(const struct dns_query *q, int rcode, uint8_t buf[DNS_UDP_MIN]);
