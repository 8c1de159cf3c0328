/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pkt.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	uint8_t *p;
	size_t n;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->n + len > PKT_MAX)
		abort();
	if (data)
		memcpy(w->p + w->n, data, len);
	else
		memset(w->p + w->n, 0, len);
	w->n += len;
}

static void put8(struct writer *w, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(w, &b, 1);
}

static void put16(struct writer *w, unsigned v)
{
	put8(w, v >> 8);
	put8(w, v & 0xff);
}

static void put32(struct writer *w, uint32_t v)
{
	put16(w, v >> 16);
	put16(w, v & 0xffff);
}

static void set16(struct writer *w, size_t at, size_t v)
{
	w->p[at] = (uint8_t)(v >> 8);
	w->p[at + 1] = (uint8_t)v;
}

static bool is_v6(const struct pkt_spec *s)
{
	return strchr(s->src, ':') != NULL;
}

void pkt_addr16(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (strchr(text, ':')) {
		if (inet_pton(AF_INET6, text, ret) != 1)
			abort();
		return;
	}
	ret[10] = ret[11] = 0xff;
	if (inet_pton(AF_INET, text, ret + 12) != 1)
		abort();
}

static void put_addr(struct writer *w, const char *text)
{
	uint8_t a[16];

	pkt_addr16(text, a);
	if (strchr(text, ':'))
		put(w, a, 16);
	else
		put(w, a + 12, 4);
}

static void put_ip(struct writer *w, const struct pkt_spec *s);

static void put_l4(struct writer *w, const struct pkt_spec *s)
{
	switch (s->proto) {
	case IPPROTO_TCP:
		put16(w, s->sport);
		put16(w, s->dport);
		put32(w, 1);
		put32(w, 2);
		put8(w, 5 << 4);
		put8(w, s->tcp_flags);
		put16(w, 1024);
		put32(w, 0);
		break;
	case IPPROTO_UDP:
		put16(w, s->sport);
		put16(w, s->dport);
		put16(w, (unsigned)(8 + s->payload_bytes));
		put16(w, 0);
		break;
	case IPPROTO_SCTP:
		put16(w, s->sport);
		put16(w, s->dport);
		put(w, NULL, 8);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		put8(w, s->icmp_type);
		put8(w, s->icmp_code);
		put16(w, 0);
		put16(w, s->quoted ? 0 : s->sport);
		put16(w, 1);
		if (s->quoted)
			put_ip(w, s->quoted);
		break;
	}
}

static void put_ip4(struct writer *w, const struct pkt_spec *s)
{
	size_t start = w->n;
	unsigned frag = s->offset_units | (s->more_fragments ? 0x2000U : 0);

	put8(w, s->version_ihl ? s->version_ihl : 0x40U | (5U + s->option_words));
	put8(w, 0);
	put16(w, 0);
	put16(w, s->frag_id & 0xffff);
	put16(w, s->is_fragment ? frag : 0x4000);
	put8(w, 64);
	put8(w, s->proto);
	put16(w, 0);
	put_addr(w, s->src);
	put_addr(w, s->dst);
	for (unsigned i = 0; i < s->option_words; i++)
		put32(w, 0x01010101);
	if (!s->is_fragment || !s->offset_units)
		put_l4(w, s);
	put(w, NULL, s->payload_bytes);
	set16(w, start + 2, w->n - start + (size_t)s->len_delta);
}

static uint8_t ext_number(uint8_t e)
{
	return e == 255 ? IPPROTO_HOPOPTS : e;
}

static void put_ip6(struct writer *w, const struct pkt_spec *s)
{
	size_t start = w->n, next_at = start + 6;

	put32(w, 0x60000000);
	put16(w, 0);
	put8(w, s->proto);
	put8(w, 255);
	put_addr(w, s->src);
	put_addr(w, s->dst);
	for (unsigned i = 0; i < sizeof(s->ext) && s->ext[i]; i++) {
		w->p[next_at] = ext_number(s->ext[i]);
		next_at = w->n;
		put8(w, s->proto);
		/* AH counts words less two */
		put8(w, s->ext[i] == IPPROTO_AH ? 1 : 0);
		put(w, NULL, s->ext[i] == IPPROTO_AH ? 10 : 6);
	}
	if (s->is_fragment) {
		w->p[next_at] = IPPROTO_FRAGMENT;
		put8(w, s->options_units ? IPPROTO_DSTOPTS : s->proto);
		put8(w, 0);
		put16(w, s->offset_units * 8U | (s->more_fragments ? 1 : 0));
		put32(w, s->frag_id);
	}
	if (s->options_units && !s->offset_units) {
		put8(w, s->proto);
		put8(w, s->options_units - 1U);
		put(w, NULL, s->options_units * 8U - 2U);
	}
	if (!s->is_fragment || !s->offset_units)
		put_l4(w, s);
	put(w, NULL, s->payload_bytes);
	set16(w, start + 4, w->n - start - 40 + (size_t)s->len_delta);
}

static void put_ip(struct writer *w, const struct pkt_spec *s)
{
	if (is_v6(s))
		put_ip6(w, s);
	else
		put_ip4(w, s);
}

size_t pkt_build(const struct pkt_spec *s, uint8_t *buf)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	struct writer w = {.p = buf};

	put(&w, macs, sizeof(macs));
	for (unsigned i = 0; i < s->vlan_tags; i++) {
		put16(&w, i + 1U < s->vlan_tags ? 0x88a8 : 0x8100);
		put16(&w, 100 + i);
	}
	put16(&w, s->ethertype ? s->ethertype : is_v6(s) ? 0x86dd : 0x0800);
	put_ip(&w, s);
	return w.n - s->cut_bytes;
}
