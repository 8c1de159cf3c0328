/* SPDX-License-Identifier: Apache-2.0 */
/* A small cluster around host H, and questions to tables and model at once. */
#pragma once

#include <jansson.h>

#include "policy/policy_resolve.h"
#include "policy/policy_verdict.h"

struct fixture {
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_table *table;
	json_t *services; /* list of {ns, name, labels, selector, backends}; owned */
	struct policy_options options;
};

/* A peer of a question: an identity, an address, or both. */
struct fixture_peer {
	uint32_t identity;
	struct ip ip; /* .family 0 = none */
	bool has_identity;
};

/* Identities A, B, R, P, Q and our own labels (`subject`, or NULL for those of H). Fails the test
 * on any error. */
void fixture_init(struct fixture *f, const struct policy_options *options, const json_t *subject,
		  const json_t *ports, json_t *services);
void fixture_done(struct fixture *f);

/* Labels from texts "source:key=value". */
struct label_set *fixture_labels(struct fixture *f, const char *const *texts, size_t n);

/* The same back, as a list. */
json_t *fixture_label_texts(const struct fixture *f, const struct label_set *set);

/* "A", "W", "id 4", "ip 10.0.0.1", "unknown". Fails the test for other names. */
struct fixture_peer fixture_peer(const char *name);

/* What the tables say. */
struct policy_verdict fixture_table_verdict(struct fixture *f, const struct fixture_peer *p,
					    enum policy_dir dir, uint8_t proto, uint16_t port);
/* With the shadow policies in force, which there must be for that direction. */
struct policy_verdict fixture_table_shadow(struct fixture *f, const struct fixture_peer *p, enum policy_dir dir,
					   uint8_t proto, uint16_t port);

/* Whether the table tells that the identity's class is another one since it was last taken. */
bool fixture_has_changed(const struct fixture *f, uint32_t identity);

/* What the rules say. */
struct policy_verdict fixture_model_verdict(struct fixture *f, const struct fixture_peer *p,
					    enum policy_dir dir, uint8_t proto, uint16_t port);

struct policy_verdict fixture_model_shadow(struct fixture *f, const struct fixture_peer *p, enum policy_dir dir,
					   uint8_t proto, uint16_t port);

/* A whole object from its parts; `spec` is borrowed. */
json_t *fixture_object(const char *ns, const char *name, json_t *spec);

/* Parses JSON, with ' for ". Fails the test if it is none. */
json_t *fixture_json(const char *text);
