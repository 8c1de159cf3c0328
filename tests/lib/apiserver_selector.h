/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors of lists and watches. */
#pragma once

#include "apiserver_store.h"
#include "base/err.h"
#include "base/str.h"

enum requirement_op { REQ_IN, REQ_NOT_IN, REQ_EXISTS, REQ_NOT_EXISTS };

struct requirement {
	char *key;
	enum requirement_op op;
	struct strv values;
};

struct selector {
	ARRAY(struct requirement) labels;
	ARRAY(struct requirement) fields; /* metadata.name and metadata.namespace only */
};

/* Either text may be NULL. -EINVAL with the reason for what cannot be parsed or is not supported.
 */
int selector_parse(const char *labels, const char *fields, struct selector *ret,
		   struct err *reterr);
void selector_done(struct selector *s);
DEFINE_CLEANUP_DONE(struct selector, selector_done)

bool selector_matches(const struct selector *s, const struct object *o);
bool selector_is_empty(const struct selector *s);
/* The only metadata.name that can match, or NULL: authorisation takes it as the request's name. */
const char *selector_exact_name(const struct selector *s);
