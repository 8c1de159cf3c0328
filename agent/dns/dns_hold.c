/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that wait until what they say is allowed, in the order in which they came. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/macro.h"
#include "dns/dns_server_private.h"

struct dns_held {
	struct dns_held *next;
	struct dns_client client;
	uint64_t until_us;
	size_t len;
	uint8_t msg[];
};

static void take_first(struct dns_holds *h)
{
	struct dns_held *first = h->first;

	h->first = first->next;
	if (!h->first)
		h->last = NULL;
	h->n--;
	h->bytes -= first->len;
}

/* Sends those that are due at `now_us`. Sending may close a connection, and with it drop others. */
static void send_until(struct dns_server *s, uint64_t now_us)
{
	struct dns_holds *h = &s->holds;

	while (h->first && h->first->until_us <= now_us) {
		CLEANUP(free) struct dns_held *e = h->first;

		take_first(h);
		if (e->client.conn)
			dns_tcp_wait(e->client.conn, -1);
		dns_server_send(&e->client, e->msg, e->len);
	}
}

static void on_due(void *arg)
{
	struct dns_server *s = arg;
	uint64_t now_us = clock_boot_us();

	s->counts.late += s->holds.first != NULL;
	send_until(s, now_us);
	if (s->holds.first) /* all wait equally long, so the first is the next */
		(void)source_arm(s->holds.timer, s->holds.first->until_us - now_us, 0); /* a live timer */
}

int dns_holds_init(struct dns_server *s)
{
	return loop_add_timer(s->loop, on_due, s, &s->holds.timer);
}

bool dns_hold(struct dns_server *s, const struct dns_client *client, const uint8_t *msg, size_t len)
{
	struct dns_holds *h = &s->holds;
	struct dns_held *e;

	if (h->n >= LIMIT_DNS_HELD || h->bytes + len > LIMIT_DNS_HELD_BYTES)
		return false;
	e = malloc(sizeof(*e) + len);
	if (!e)
		return false;
	*e = (struct dns_held){
		.client = *client, .len = len, .until_us = clock_boot_us() + s->gate.max_delay_us};
	memcpy(e->msg, msg, len);
	if (!h->first && source_arm(h->timer, s->gate.max_delay_us, 0) < 0) {
		free(e);
		return false;
	}
	if (h->last)
		h->last->next = e;
	else
		h->first = e;
	h->last = e;
	h->n++;
	h->bytes += len;
	s->counts.held++;
	if (client->conn)
		dns_tcp_wait(client->conn, 1);
	return true;
}

void dns_server_release(struct dns_server *s)
{
	send_until(s, UINT64_MAX);
	source_disarm(s->holds.timer);
}

void dns_holds_forget(struct dns_server *s, const struct dns_conn *conn)
{
	struct dns_holds *h = &s->holds;
	struct dns_held *old = h->first, *next;

	h->first = h->last = NULL;
	for (; old; old = next) {
		next = old->next;
		old->next = NULL;
		if (conn && old->client.conn != conn) {
			if (h->last)
				h->last->next = old;
			else
				h->first = old;
			h->last = old;
			continue;
		}
		h->n--;
		h->bytes -= old->len;
		free(old);
	}
}
