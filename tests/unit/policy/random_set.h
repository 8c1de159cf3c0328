/* SPDX-License-Identifier: Apache-2.0 */
/* Random policies, identities and peers around host H, from a seed: the same numbers on every machine. */
#pragma once

#include "base/macro.h"
#include "unit/policy/fixture.h"

/* Identities that may exist: RANDOM_IDENTITY and those behind it. */
enum { RANDOM_IDENTITY = 1000, RANDOM_IDENTITIES = 24 };

void random_seed(uint64_t seed);
/* A number below `bound`; true in `percent` of a hundred calls. */
uint32_t random_below(uint32_t bound);
bool random_chance(uint32_t percent);

#define RANDOM_PICK(list) ((list)[random_below(ARRAY_LEN(list))])

/* A cluster with random options and all identities, without a policy. fixture_done() ends it. */
void random_fixture(struct fixture *f);
/* Sets or replaces the policy object of that number; one that the parser refuses is as good. */
void random_set_policy(struct fixture *f, uint32_t slot, bool may_shadow);
/* Gives the identity other labels. */
void random_set_identity(struct fixture *f, uint32_t number);
/* An identity, which may be missing, an address, or both. */
struct fixture_peer random_peer(void);
