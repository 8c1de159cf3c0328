/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of nodes by address, where the cluster lets policies select nodes by them. An address that a new node got
 * may still be listed for a dead one: each says its own.
 */
#pragma once

#include "base/cleanup.h"
#include "base/ip.h"
#include "base/str.h"
#include "identity/labels.h"

struct node_labels;

/* `t` is borrowed. -ENOMEM. */
int node_labels_new(struct label_table *t, struct node_labels **ret);
void node_labels_free(struct node_labels *n);
DEFINE_CLEANUP(struct node_labels *, node_labels_free)

/*
 * What the node with the number `owner` says of its address. `labels` are "key=value"; they get the source node, and the
 * name of the cluster is added (Cilium pkg/node/manager, nodeIdentityLabels). -ENOMEM, -ENOSPC: what was stays.
 */
int node_labels_set(struct node_labels *n, const struct ip *ip, uint32_t owner, const struct strv *labels,
		    const char *cluster);
void node_labels_remove(struct node_labels *n, const struct ip *ip, uint32_t owner);

/* Those of the node that was the last to get this address; NULL if nothing is known. Borrowed until the next change. */
const struct label_set *node_labels_get(const struct node_labels *n, const struct ip *ip);
