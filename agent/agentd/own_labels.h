/* SPDX-License-Identifier: Apache-2.0 */
/* What the identity of this host says of it, held against how it was enrolled and what its namespace says now. Pure. */
#pragma once

#include <jansson.h>

#include "identity/labels.h"
#include "json/doc.h"

/*
 * True if these are the labels of the enrolled host: its own and its namespace among them. Else they are those of something
 * else that got the number, and its policies are not this host's. `enrolled`: key without source -> value; NULL = not known.
 */
bool own_labels_are_enrolled(const struct label_table *t, const struct label_set *own, const json_t *enrolled, const char *namespace);

/*
 * Writes what the identity says otherwise than the namespace's labels do now, "team=red, before team=blue; none, before tier=db", for
 * a person; nothing if they agree. `labels` may be NULL. 0 or -ENOMEM; what does not fit is left out.
 */
int own_labels_outdated(const struct label_table *t, const struct label_set *own, const struct doc *labels, struct buf *out);
