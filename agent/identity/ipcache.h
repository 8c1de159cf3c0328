/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address -> identity, for single addresses: endpoints, nodes, API servers. Several parties may
 * claim one address; an endpoint wins over an API server, that over a node, and the newer endpoint over
 * the older (Cilium pkg/ipcache, section "conflict CiliumNode vs CEP"). About 45 bytes an address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

enum ipcache_source { IPCACHE_FROM_NODE, IPCACHE_FROM_APISERVER, IPCACHE_FROM_ENDPOINT };

enum ipcache_flag {
	IPCACHE_IS_NODE = 1,	  /* an address of a node (of no external host), also under a better claim */
	IPCACHE_IS_TUNNELLED = 2, /* reached through the tunnel to `node` */
};

struct ipcache_claim {
	uint32_t identity;
	uint32_t owner; /* tells claims of one source apart */
	uint16_t node;	/* tunnel endpoint, from ipcache_node_ref(); 0 = none */
	uint8_t flags;
	uint8_t key; /* encryption key index */
};

struct ipcache;

int ipcache_new(struct ipcache **ret);
void ipcache_free(struct ipcache *c);
DEFINE_CLEANUP(struct ipcache *, ipcache_free)

/* Sets what (source, owner) claims of an address. The claim holds a reference of its node. 0 or -ENOMEM. */
int ipcache_claim(struct ipcache *c, enum ipcache_source source, const struct ip *ip,
		  const struct ipcache_claim *claim);
void ipcache_release(struct ipcache *c, enum ipcache_source source, const struct ip *ip, uint32_t owner);

/* What holds for an address now. False if nothing is known. */
bool ipcache_get(const struct ipcache *c, const struct ip *ip, struct ipcache_claim *ret);

size_t ipcache_count(const struct ipcache *c);

/* Every address, in no order; stops at the first non-zero answer and returns it. */
typedef int (*ipcache_fn)(const struct ip *ip, const struct ipcache_claim *claim, void *arg);
int ipcache_each(const struct ipcache *c, ipcache_fn fn, void *arg);

/* The same for what changed since the last call; `claim` is NULL for an address that is gone. A
 * non-zero answer stops, and what was not told, that one included, comes again next time. */
int ipcache_flush(struct ipcache *c, ipcache_fn fn, void *arg);
bool ipcache_is_dirty(const struct ipcache *c);

/* Makes every address come again at the next flush. */
void ipcache_mark_all(struct ipcache *c);
/* One of them, if it is there. */
void ipcache_mark(struct ipcache *c, const struct ip *ip);

/*
 * Tunnel endpoints have small numbers, from 1, the same as long as somebody refers to them.
 * ipcache_node_seed() gives an address the number it had in an earlier run; -EEXIST, -EINVAL.
 * ipcache_node_ref(): 0, -ENOSPC, -ENOMEM.
 */
int ipcache_node_seed(struct ipcache *c, const struct ip *ip, uint16_t number);
int ipcache_node_ref(struct ipcache *c, const struct ip *ip, uint16_t *ret_number);
void ipcache_node_unref(struct ipcache *c, uint16_t number);
/* family 0 for a number that is free. */
struct ip ipcache_node_ip(const struct ipcache *c, uint16_t number);
/* Numbers whose address changed since the last call, 0 = no more. */
uint16_t ipcache_node_next_dirty(struct ipcache *c);
/* Makes a number come again: what was told of it did not arrive. */
void ipcache_node_mark(struct ipcache *c, uint16_t number);
/* Forgets seeded numbers that nobody took. */
void ipcache_node_drop_unused(struct ipcache *c);
